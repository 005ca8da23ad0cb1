"""The settings that every sink over HTTP has, and what cannot be used together. PURE."""

import re
from collections.abc import Mapping

from msgspec import Struct

from agent.endpoint import Endpoint
from agent.model.errors import ConfigError
from agent.model.timebase import MS, S
from agent.setting import AnySetting, Duration, Switch, Text
from workers.export.sink import SinkValues

# As the exporters of OpenTelemetry wait.
TIMEOUT = Duration("timeout", 10 * S, 100 * MS, 600 * S, "how long one request may take in all, its answer included")
CONNECT_TIMEOUT = Duration(
    "connect_timeout", 5 * S, 100 * MS, 60 * S, "how long it may take to reach the sink, as a part of `timeout`"
)
CA_FILE = Text("ca_file", "", "PEM file of the authorities that sign the sink's certificate; empty: those of the system")
CERT_FILE = Text("cert_file", "", "PEM file of the certificate that the agent shows; empty: none")
KEY_FILE = Text("key_file", "", "PEM file of its key; empty: it is in cert_file")
SERVER_NAME = Text("server_name", "", "the name that the sink's certificate must have; empty: the host of the endpoint")
TLS_VERIFY = Switch(
    "tls_verify", True, "whether the sink's certificate is checked; false only for tests, anybody can then read along"
)
TOKEN_FILE = Text("token_file", "", "file of a bearer token, read again at each connection; empty: none")
TOKEN_VARIABLE = Text("token_variable", "", "name of the environment variable that holds a bearer token; empty: none")
USERNAME = Text("username", "", "user of HTTP basic authentication, with password_file; empty: none")
PASSWORD_FILE = Text("password_file", "", "file of the password, read again at each connection")
HEADERS_FILE = Text(
    "headers_file", "", "file of further headers, one `Name: value` a line, read again at each connection; empty: none"
)

HTTP_OPTIONS: tuple[AnySetting, ...] = (
    TIMEOUT,
    CONNECT_TIMEOUT,
    CA_FILE,
    CERT_FILE,
    KEY_FILE,
    SERVER_NAME,
    TLS_VERIFY,
    TOKEN_FILE,
    TOKEN_VARIABLE,
    USERNAME,
    PASSWORD_FILE,
    HEADERS_FILE,
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
HEADER_VALUE = re.compile(r"[\x21-\x7e\x80-\xff]([\x20-\x7e\x80-\xff\t]*[\x21-\x7e\x80-\xff])?")
# These say what the request is, so they are not a file's to set.
_OWN = frozenset({"host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "user-agent"})
_OF_TLS = (CA_FILE, CERT_FILE, KEY_FILE, SERVER_NAME)


class HttpSetup(Struct, frozen=True):
    """How requests are made. `variables`: the environment, for `token_variable`. `secret_headers`: added to each request.

    `what`: the other side in words, such as `an OTLP receiver`.
    """

    what: str
    timeout_ns: int = TIMEOUT.default
    connect_timeout_ns: int = CONNECT_TIMEOUT.default
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    is_verified: bool = True
    token_file: str = ""
    token_variable: str = ""
    username: str = ""
    password_file: str = ""
    headers_file: str = ""
    variables: Mapping[str, str] = {}
    secret_headers: Mapping[str, str] = {}


def http_setup(values: SinkValues, what: str, variables: Mapping[str, str]) -> HttpSetup:
    """The setup that a section asks for."""
    return HttpSetup(
        what,
        values.of(TIMEOUT),
        values.of(CONNECT_TIMEOUT),
        values.of(CA_FILE),
        values.of(CERT_FILE),
        values.of(KEY_FILE),
        values.of(SERVER_NAME),
        values.of(TLS_VERIFY),
        values.of(TOKEN_FILE),
        values.of(TOKEN_VARIABLE),
        values.of(USERNAME),
        values.of(PASSWORD_FILE),
        values.of(HEADERS_FILE),
        variables,
    )


def check_http(values: SinkValues, endpoint: Endpoint) -> None:
    """*Raises:* ConfigError for settings of a section that do not go together. No file is looked at."""
    if not endpoint.is_tls:
        for option in _OF_TLS:
            if values.of(option):
                raise ConfigError(option.key, "the endpoint is http://, which has no certificates", "write https://")
    if values.of(KEY_FILE) and not values.of(CERT_FILE):
        raise ConfigError(KEY_FILE.key, "a key without a certificate", "set cert_file too")
    if bool(values.of(USERNAME)) != bool(values.of(PASSWORD_FILE)):
        raise ConfigError(USERNAME.key, "username and password_file belong together", "set both or neither")
    if ":" in values.of(USERNAME):
        raise ConfigError(USERNAME.key, "a user of basic authentication has no colon in it", "write the name alone")
    tokens = [option.key for option in (TOKEN_FILE, TOKEN_VARIABLE, USERNAME) if values.of(option)]
    if len(tokens) > 1:
        raise ConfigError(tokens[1], f"the section has {tokens[0]} too", "keep one of them")


def checked_header(name: str, value: str, where: str) -> str:
    """The value, where the header can be sent. *Raises:* ConfigError without the value."""
    if _HEADER_NAME.fullmatch(name) is None or HEADER_VALUE.fullmatch(value) is None:
        raise ConfigError(where, "it is no header", "write `Name: value`")
    if name.lower() in _OWN:
        raise ConfigError(where, f"{name} is set by the agent itself", "take it out")
    return value
