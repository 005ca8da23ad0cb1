"""Secrets that are known by their own look, whatever stands before them: tokens with a prefix, passwords in URLs. PURE.

Every pattern begins with its fixed letters and asks for a bounded number behind them, so that looking for it costs a bounded
number of steps at each place; what follows a find is taken with it and not looked at again.
"""

import re
from binascii import Error, a2b_base64
from collections.abc import Iterator

from agent.model.secret_value import end_of_argument, end_of_word

Span = tuple[int, int]

# Token formats as their issuers and public scanners document them: GitHub's list of secret scanning patterns, gitleaks
# (config/gitleaks.toml). Shorter than there, because half a token is no more harmless.
_PREFIXED = (
    rb"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12}",  # Amazon Web Services
    rb"LTAI[A-Za-z0-9]{16}",  # Alibaba Cloud
    rb"AIza[\w-]{30}|GOCSPX-[\w-]{20}|ya29\.[\w-]{16}|1//0[\w-]{30}",  # Google
    rb"gh[a-z]_[A-Za-z0-9]{16}|github_pat_\w{16}",  # GitHub
    rb"gl(?:pat|dt|ft|rt|oas|soat|ptt|cbt|imt|agent|ffct)-[\w-]{16}|GR1348941[\w-]{16}",  # GitLab
    rb"sk-(?:ant-|proj-|svcacct-|admin-|or-)[\w-]{8}|sk-[A-Za-z0-9]{16}|pplx-[A-Za-z0-9]{16}|gsk_[A-Za-z0-9]{16}",  # model services
    rb"hf_[A-Za-z0-9]{16}|api_org_[A-Za-z0-9]{16}",  # Hugging Face
    rb"xox[a-z]-[\w-]{10}|xapp-[0-9]-[\w-]{10}",  # Slack
    rb"[sr]k_(?:live|test|prod)_[A-Za-z0-9]{10}|whsec_[A-Za-z0-9]{16}",  # Stripe
    rb"npm_[A-Za-z0-9]{20}|pypi-[\w-]{16}|rubygems_[a-f0-9]{16}",  # package indexes
    rb"do[opr]_v1_[a-f0-9]{16}",  # DigitalOcean
    rb"SG\.[\w-]{16}|key-[0-9a-f]{32}|SK[0-9a-f]{32}|xkeysib-[a-f0-9]{16}",  # SendGrid, Mailgun, Twilio, Brevo
    rb"hv[sbr]\.[\w-]{16}|[A-Za-z0-9]{14}\.atlasv1\.[\w-]{16}",  # HashiCorp
    rb"dapi[a-f0-9]{16}|dckr_pat_[\w-]{16}|ATATT3[\w-]{16}|AKCp[A-Za-z0-9]{16}",  # Databricks, Docker, Atlassian, JFrog
    rb"glsa_[A-Za-z0-9]{16}|glc_[A-Za-z0-9+/]{16}|sntry[su]_[\w-]{16}|NRAK-[A-Z0-9]{16}",  # Grafana, Sentry, New Relic
    rb"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{16}|lin_api_[A-Za-z0-9]{16}",  # Shopify, Linear
    rb"ntn_[A-Za-z0-9]{16}|PMAK-[a-f0-9]{16}",  # Notion, Postman
    rb"pul-[a-f0-9]{16}|fm[12][ar]?_[\w+/]{16}|fo1_[\w-]{16}",  # Pulumi, Fly
    rb"pscale_[a-z]{2,5}_[\w.-]{16}|tskey-[\w-]{10}",  # PlanetScale, Tailscale
    rb"AGE-SECRET-KEY-1[A-Z0-9]{16}|ops_eyJ[\w+/]{16}|A3-[A-Z0-9]{6}-[A-Z0-9]{6}",  # age, 1Password
    rb"sha256~[\w-]{20}",  # OpenShift
    rb"ey[JI][A-Za-z0-9_-]{8}",  # JSON web tokens: the base64 of `{"`
    rb"[0-9]{8,10}:AA[\w-]{30}",  # Telegram
)
_TOKEN = re.compile(rb"(?<![A-Za-z0-9])(?:" + rb"|".join(_PREFIXED) + rb")[\w.~+/=-]*+")
_WEBHOOK = re.compile(
    rb"(?:hooks\.slack\.com/(?:services|workflows|triggers)|discord(?:app)?\.com/api/webhooks|api\.telegram\.org/bot)[/0-9]"
)
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
# What must be there for any of these to be found, in lower case.
SHAPE_SIGNS = (
    "a3", "akia", "asia", "abia", "acca", "ltai", "aiza", "gocspx-", "ya29.", "1//0", "gh", "github_pat", "gl", "gr1348941", "sk-",
    "sk_", "rk_", "pplx-", "api_org_", "hf_", "xox", "xapp-", "whsec_", "npm_", "pypi-", "rubygems_", "_v1_", "sg.",
    "key-", "sk", "xkeysib-", "hv", ".atlasv1.", "dapi", "dckr_", "atatt3", "akcp", "sntry", "nrak-", "shp", "lin_api_",
    "ntn_", "pmak-", "pul-", "fm1", "fm2", "fo1_", "pscale_", "tskey-", "age-secret", "ops_ey", "sha256~", "eyj", "eyi",
    ":aa", "private key", "hooks.slack", "webhooks", "telegram",
)  # fmt: skip

URL_SIGNS = ("@",)

_SPOKEN = re.compile(rb"(?<![\w-])(?:bearer|basic)[\s\0]+|identified(?: with [^\s\0]{1,64})? by (?:password )?")
_OPTION = re.compile(rb"--?[A-Za-z]")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{4,512}")

_URL_REST = re.compile(rb'[^\s\0"<>]*+')
_AUTHORITY_END = re.compile(rb"[/?#]")
_PORT = re.compile(rb"[0-9]{1,5}\Z")
_PLAIN_USER = re.compile(rb"[a-z][a-z._-]{0,11}\Z")
_SCHEME_BYTES = b"abcdefghijklmnopqrstuvwxyz0123456789+"
# The user is the secret where the password says nothing: `https://TOKEN:x-oauth-basic@host`.
_EMPTY_PASSWORDS = (b"", b"x-oauth-basic", b"x")
# A data source's name of MySQL's Go driver, and Oracle's: no scheme, or none that parts it as a URL does.
_SOURCE_NAME = re.compile(
    rb"(?<![^\s\0\"'=])[\w.$-]{1,64}:([^\s\0@]{1,256})@(?:tcp|unix|\()|:(?:thin|oci):[^\s\0/@]{1,64}/([^\s\0@]{1,256})@"
)


def shaped_secrets(data: bytes) -> Iterator[Span]:
    """The places of tokens, private keys and hooks."""
    yield from (token.span() for token in _TOKEN.finditer(data))
    for pattern in (_PRIVATE_KEY, _WEBHOOK):
        position = 0
        while (found := pattern.search(data, position)) is not None:
            position = (end_of_argument if pattern is _PRIVATE_KEY else end_of_word)(data, found.end())
            yield found.end(), position


def spoken_secrets(data: bytes, lower: bytes) -> Iterator[Span]:
    """What follows `Bearer`, `Basic` and SQL's `IDENTIFIED BY`."""
    position = 0
    while (found := _SPOKEN.search(lower, position)) is not None:
        position = at = found.end()
        if _OPTION.match(data, at) or (found[0].startswith(b"basic") and not _is_basic(data, at)):
            continue
        position = end_of_word(data, at)
        yield at, position


def _is_basic(data: bytes, at: int) -> bool:
    """Whether this is `user:password` in base64; "basic" is also an ordinary word."""
    found = _BASE64.match(data, at)
    if found is None:
        return False
    text = found[0][: len(found[0]) // 4 * 4].translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return b":" in a2b_base64(text) or b":" in a2b_base64(found[0] + b"==")
    except Error:
        return False


def url_secrets(data: bytes, lower: bytes) -> Iterator[Span]:
    """Passwords before the host of a URL, and users that are tokens."""
    is_git = b"git" in lower
    at = data.find(b"://")
    while at >= 0:
        following = data.find(b"://", at + 3)
        rest = _URL_REST.match(data, at + 3, following if following >= 0 else len(data))
        assert rest is not None  # It matches nothing too.
        end = rest.end()
        if data.find(b"@", at + 3, end) >= 0:
            scheme = lower[max(0, at - 16) : at]
            scheme = scheme[len(scheme.rstrip(_SCHEME_BYTES)) :]
            yield from _user_secrets(data[at + 3 : end], at + 3, is_web=scheme.endswith((b"http", b"https")), is_git=is_git)
        at = following


def _user_secrets(rest: bytes, offset: int, *, is_web: bool, is_git: bool) -> Iterator[Span]:
    """`rest` is what follows `://`, with an at sign somewhere."""
    # Up to the last at sign: people write one, and slashes, into a password unescaped.
    last = rest.rfind(b"@")
    path = _AUTHORITY_END.search(rest)
    authority = rest if path is None else rest[: path.start()]
    colon = authority.find(b":")
    before_host = authority.rfind(b"@")
    if before_host < 0:
        # The password holds a slash, or the at sign belongs to the path.
        if colon >= 0 and not authority.startswith(b"[") and not _PORT.match(authority, colon + 1):
            yield offset + colon + 1, offset + last
    elif 0 <= colon < before_host:
        is_user_secret = rest[colon + 1 : last] in _EMPTY_PASSWORDS
        yield offset + (0 if is_user_secret else colon + 1), offset + last
    elif (is_web and is_git) or (is_web and not _PLAIN_USER.match(authority[:before_host])):
        yield offset, offset + before_host


def source_name_secrets(data: bytes) -> Iterator[Span]:
    """Passwords in names of data sources that are no URLs."""
    for found in _SOURCE_NAME.finditer(data):
        yield found.span(found.lastindex or 0)
