"""Where a sink of OTLP sends to, from its section and from the variables of OpenTelemetry for what the section leaves open. PURE.

*Source:* opentelemetry-specification, protocol/exporter.md. The variables never make a sink: without a section there is none.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from agent.endpoint import Endpoint, parse_endpoint
from agent.model.errors import ConfigError
from agent.model.timebase import MS
from agent.setting import MIB, AnySetting, Size, Switch, Text
from workers.export.http_option import (
    CA_FILE,
    CERT_FILE,
    HTTP_OPTIONS,
    KEY_FILE,
    TIMEOUT,
    HttpSetup,
    check_http,
    checked_header,
    http_setup,
)
from workers.export.sink import SinkValues

DEFAULT_ENDPOINT = "http://127.0.0.1:4318"
METRICS_PATH, LOGS_PATH = "/v1/metrics", "/v1/logs"
WHAT = "an OTLP receiver"
_PREFIX = "OTEL_EXPORTER_OTLP_"
_HEADERS_MAX = 64

ENDPOINT = Text(
    "endpoint",
    "",
    f"base URL, to which {METRICS_PATH} and {LOGS_PATH} are added; empty: OTEL_EXPORTER_OTLP_ENDPOINT, else {DEFAULT_ENDPOINT}",
)
METRICS = Switch("metrics", True, "whether metrics are sent")
LOGS = Switch("logs", True, "whether events and gaps are sent as log records")
GZIP = Switch("gzip", True, "whether requests are compressed")
REQUEST_MOST = Size(
    "request_most", 4 * MIB, 64 << 10, 64 * MIB, "largest request, before it is compressed; larger ones are divided"
)
COMMAND_LINES = Switch("command_lines", False, "whether process.command_line is sent; secrets are masked where they are known")
ZERO_POINTS = Switch("zero_points", True, "whether a sum of 0 has a point; without them 0 and unknown look the same")

OTLP_OPTIONS: tuple[AnySetting, ...] = (
    ENDPOINT,
    METRICS,
    LOGS,
    GZIP,
    REQUEST_MOST,
    COMMAND_LINES,
    ZERO_POINTS,
    *HTTP_OPTIONS,
)


class OtlpSetup(Struct, frozen=True):
    """`metrics`, `logs`: where each signal goes, and how; None: it is not sent."""

    metrics: tuple[Endpoint, HttpSetup] | None
    logs: tuple[Endpoint, HttpSetup] | None
    is_zipped: bool
    request_most: int


def otlp_setup(values: SinkValues, variables: Mapping[str, str]) -> OtlpSetup:
    """*Raises:* ConfigError for what cannot be used."""

    def signal(name: str, path: str) -> tuple[Endpoint, HttpSetup]:
        endpoint = _endpoint(values, variables, name, path)
        check_http(values, endpoint)
        return endpoint, _http(values, variables, name, endpoint)

    is_zipped = values.of(GZIP) and _variable(variables, "METRICS", "COMPRESSION") != "none"
    return OtlpSetup(
        signal("METRICS", METRICS_PATH) if values.of(METRICS) else None,
        signal("LOGS", LOGS_PATH) if values.of(LOGS) else None,
        is_zipped,
        values.of(REQUEST_MOST),
    )


def check_otlp(values: SinkValues) -> str:
    """The sentence for a section that cannot be used; empty: it can."""
    try:
        # Where a variable may name the endpoint, it may be one with TLS; what does not go together is wrong with any.
        check_http(values, parse_endpoint(values.of(ENDPOINT)) if values.of(ENDPOINT) else Endpoint(True, "localhost", 443))
    except ConfigError as failure:
        return failure.sentence
    if not values.of(METRICS) and not values.of(LOGS):
        return "metrics and logs are both false: nothing would be sent; take the section out"
    return ""


def _endpoint(values: SinkValues, variables: Mapping[str, str], name: str, path: str) -> Endpoint:
    """That of a signal. A variable of the signal is the whole URL, a common one is the base."""
    if base := values.of(ENDPOINT):
        return parse_endpoint(base).below(path)
    if whole := variables.get(f"{_PREFIX}{name}_ENDPOINT"):
        return parse_endpoint(whole, key=f"{_PREFIX}{name}_ENDPOINT")
    base = variables.get(f"{_PREFIX}ENDPOINT") or DEFAULT_ENDPOINT
    return parse_endpoint(base, key=f"{_PREFIX}ENDPOINT").below(path)


def _http(values: SinkValues, variables: Mapping[str, str], name: str, endpoint: Endpoint) -> HttpSetup:
    setup = http_setup(values, WHAT, variables)
    if not _is_set(values, TIMEOUT) and (word := _variable(variables, name, "TIMEOUT")):
        setup = replace(setup, timeout_ns=_milliseconds(word))
    if endpoint.is_tls:
        if not _is_set(values, CA_FILE):
            setup = replace(setup, ca_file=_variable(variables, name, "CERTIFICATE"))
        if not _is_set(values, CERT_FILE) and not _is_set(values, KEY_FILE):
            cert, key = _variable(variables, name, "CLIENT_CERTIFICATE"), _variable(variables, name, "CLIENT_KEY")
            setup = replace(setup, cert_file=cert, key_file=key if cert else "")
    return replace(setup, secret_headers=_headers(_variable(variables, name, "HEADERS")))


def _is_set(values: SinkValues, setting: AnySetting) -> bool:
    return setting.key in values.values


def _variable(variables: Mapping[str, str], name: str, word: str) -> str:
    """That of the signal before that of all."""
    return variables.get(f"{_PREFIX}{name}_{word}") or variables.get(f"{_PREFIX}{word}") or ""


def _milliseconds(word: str) -> int:
    if not word.isascii() or not word.isdigit() or not 0 < int(word) * MS <= TIMEOUT.most:
        raise ConfigError(f"{_PREFIX}TIMEOUT", "it is no number of milliseconds", "write 10000 for ten seconds")
    return max(int(word) * MS, TIMEOUT.least)


def _headers(text: str) -> dict[str, str]:
    """`key=value,key=value`, percent-encoded. *Raises:* ConfigError, without any of the text."""
    headers: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, value = part.partition("=")
        headers[name.strip()] = checked_header(name.strip(), _unquoted(value.strip()), f"{_PREFIX}HEADERS")
        if len(headers) > _HEADERS_MAX:
            raise ConfigError(f"{_PREFIX}HEADERS", f"more than {_HEADERS_MAX} headers", "take some out")
    return headers


def _unquoted(value: str) -> str:
    first, *rest = value.split("%")
    parts = [first.encode()]
    for each in rest:
        try:
            parts.append(bytes([int(each[:2], 16)]) + each[2:].encode())
        except ValueError:
            parts.append(b"%" + each.encode())
    return b"".join(parts).decode("latin-1")
