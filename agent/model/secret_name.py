"""Values that stand behind a name that says "secret": `--password x`, `PASSWORD=x`, `X-Api-Key: x`, `{"token": "x"}`. PURE.

A step goes from one secret word to the next and never back: what is masked is not looked at again, and what decides
whether a value is masked looks at a bounded number of bytes. So the cost grows as the command line does.
"""

import re
from collections.abc import Iterator

from agent.model.secret_value import LONG_OPTION, end_inside, end_of_argument, end_of_listed, end_of_literal, end_of_word

Span = tuple[int, int]

# What must be there for a name to be found, in lower case.
NAME_SIGNS = (
    "pass", "pwd", "secret", "token", "cred", "auth", "bearer", "cookie", "psk", "jwt", "key", "basic", "identified", "-signature",
    "&sig", "?sig",
)  # fmt: skip

_KEY = (
    rb"(?:api|app|access|account|secret|private|shared|auth|encryption|signing|master|license|subscription|functions|storage"
    rb"|service|consumer|session|webhook|client|security)[-_.]?key"
)
_WORD = (
    rb"pass(?:word|wd|phrase|code|key|wort)?|pwd|secret|token|credentials?|(?<![a-z])creds?|(?:proxy-)?authorization|bearer|cookie"
    rb"|psk|jwt|auth|(?:x-amz|x-goog)-signature|(?<=[?&])sig|" + _KEY
)
# The word stands at the name's end, at most a number or what kind of value it is behind it.
_NAME = re.compile(rb"(?:" + _WORD + rb")(?:[-_.]?(?:[0-9]{1,4}|base|value|plain|text|b64|base64))?(?![\w-]|\.\w)")
_NAME_BYTES = b"abcdefghijklmnopqrstuvwxyz0123456789_.-"
# A longer name counts as an option's: whatever it is, its value is safer masked.
_NAME_BYTES_MAX = 256
# What only ends like a secret: a filter, a model's vocabulary, a page of results.
_HARMLESS = re.compile(
    rb"(?:by|com|low|high|band|all|multi|tres|sur)[-_]?pass$"
    rb"|(?:eos|bos|pad|unk|stop|mask|sep|cls|end|start|next|last|first|prev|num|max|min|page|continuation)[-_]?token$"
)
# A switch that has no value: what follows is another argument.
_SWITCH = re.compile(rb"-+(?:no|ask|without|prompt|show|hide)(?:-|pass)")
_AFTER = re.compile(
    rb"""(?P<close>(?:\\{0,7}["'\]]){0,3})
    (?P<between> [\ \t]++(?::=|=>|[=:])[\ \t\r\n]*+ | (?:=>|:(?!=))[\ \t\r\n]*+ | :?=
    | \0 | [\ \t\r\n]++ | >(?!\s) | \([\ ]?(?=["']) )""",
    re.VERBOSE,
)
_SHELL_OPERATOR = (b";", b"|", b"&", b")", b"<", b">")
_SCHEME = re.compile(
    rb"(?:bearer|basic|digest|token|negotiate|ntlm|apikey|api-key|key|hmac|dpop|splunk|sso-key|aws4-hmac-sha256)[ \t\0]+"
)
# `--auth basic` is no secret, `--auth user:x` and `"auth": "dXNlcjp4..."` are.
_CREDENTIAL = re.compile(rb"""\\{0,7}["']?(?:[^\s\0:/"']{1,128}:[^\s\0/:]|[\w+/=-]{16})""")
_SCRIPT_OPTION = re.compile(rb"(?:^|[/\0-])(?:ba|da|z|k|a|fi|t?c)?sh(?:\0-[\w-]{0,20}){0,2}\0-[a-z]{0,7}c\0\Z")
_SCRIPT_BYTES_MAX = 80


def named_secrets(data: bytes, lower: bytes) -> Iterator[Span]:
    """The places of values behind secret names, in order; `lower` is `data` in lower case."""
    position = 0
    while (found := _NAME.search(lower, position)) is not None:
        span = _value_behind(data, lower, found.start(), found.end())
        position = found.end()
        if span is not None and span[1] > span[0]:
            yield span
            position = max(position, span[1])


def _value_behind(data: bytes, lower: bytes, word: int, name_end: int) -> Span | None:
    window = lower[max(0, word - _NAME_BYTES_MAX) : word]
    before = len(window) - len(window.rstrip(_NAME_BYTES))
    start = word - before
    name = lower[start:name_end]
    after = _AFTER.match(data, name_end)
    if after is None or _HARMLESS.search(name):
        return None
    at, between = after.end(), after["between"]
    if between[:1] == b"(" or (name == b"password" and between.isspace() and data[at : at + 1] in (b"'", b'"')):
        # SQL: `PASSWORD 'x'`, `password('x')`.
        return at, end_of_literal(data, at)
    if between == b">":
        return (at, end_of_listed(data, at)) if lower[start - 1 : start] == b"<" else None
    if between.strip(b"\0 \t\r\n"):
        is_in_path = lower[start - 1 : start] == b"/" and not _is_word_start(data, start - 1)
        if _is_no_value(data, name, at, between if not after["close"] else b"", is_in_path=is_in_path):
            return None
        return _assigned(data, lower, start, at, after["close"])
    is_option = name.startswith(b"-") or before >= _NAME_BYTES_MAX or lower[max(0, start - 5) : max(0, start - 1)].endswith(b"set")
    if not is_option or after["close"] or _SWITCH.match(name) or (_is_auth(name) and not _CREDENTIAL.match(data, at)):
        return None
    return _next_value(data, at, is_argument=between == b"\0")


def _next_value(data: bytes, at: int, *, is_argument: bool) -> Span | None:
    """The word or the argument behind an option."""
    if LONG_OPTION.match(data, at):
        return None
    if is_argument:
        return at, end_of_argument(data, at)
    return None if data[at : at + 1] in _SHELL_OPERATOR else (at, end_of_word(data, at))


def _is_no_value(data: bytes, name: bytes, at: int, between: bytes, *, is_in_path: bool) -> bool:
    """Whether what is assigned cannot be a secret. Looks at a bounded number of bytes."""
    head = data[at : at + 2]
    # `/host/secret:/inside/secret:ro` mounts a folder, `secret://x` and `token::x` are names.
    if between == b":" and (is_in_path or head[:1] in (b":", b"/")):
        return True
    if name.strip(b"-") in (b"pwd", b"oldpwd"):
        return head[:1] in (b"/", b".", b"~", b"")
    return _is_auth(name) and not _CREDENTIAL.match(data, at)


def _is_word_start(data: bytes, at: int) -> bool:
    return at == 0 or data[at - 1 : at] in (b" ", b"\t", b"\n", b"\0", b"'", b'"')


def _is_auth(name: bytes) -> bool:
    return name.endswith(b"auth") and not name.endswith(b"masterauth")


def _assigned(data: bytes, lower: bytes, start: int, at: int, close: bytes) -> Span:
    """The value behind `=` or `:`. Where it ends depends on what stands before the name."""
    if close:
        return at, end_of_literal(data, at)
    if data[at : at + 1] == b"\0":
        # `Authorization:` is one argument, what it says the next.
        if data[at - 1 : at] == b"=":
            return at, at
        at += 1
        at = _behind_scheme(lower, at)
        return at, end_of_argument(data, at)
    at = _behind_scheme(lower, at)
    before = data[start - 1 : start] if start else b"\0"
    if before == b"/" and _is_word_start(data, start - 1):
        # `/password:x`, as programs from Windows take it.
        before = data[start - 2 : start - 1] if start > 1 else b"\0"
    is_header = data[at - 1 : at] in (b":", b" ") and before == b"="
    if (before == b"\0" or is_header) and not _is_script(lower, start):
        return at, end_of_argument(data, at)
    if before in (b'"', b"'"):
        return at, end_inside(data, at, before)
    if before in (b"\0", b" ", b"\t", b"\n", b"\r") or is_header:
        return at, _end_of_words(data, at)
    return at, end_of_listed(data, at)


def _behind_scheme(lower: bytes, at: int) -> int:
    scheme = _SCHEME.match(lower, at)
    return at if scheme is None else scheme.end()


def _is_script(lower: bytes, start: int) -> bool:
    """Whether the argument that begins here is a shell's script, behind `-c` or `-lc`."""
    return _SCRIPT_OPTION.search(lower, max(0, start - _SCRIPT_BYTES_MAX), start) is not None


def _end_of_words(data: bytes, at: int) -> int:
    """The end of a word, and of those that it is listed with: `Cookie: a=1; b=2`."""
    end = end_of_word(data, at)
    while data[end - 1 : end] in (b";", b",") and data[end : end + 1] == b" " and data[end + 1 : end + 2] not in (b"", b" ", b"-"):
        end = end_of_word(data, end + 1)
    return end
