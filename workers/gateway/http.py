"""The part of HTTP/1.1 that the gateway speaks: one bounded request head in, one response out. PURE.

It reads no body and keeps no connection: every response says `Connection: close`.
*Source:* RFC 9110 (semantics), RFC 9112 (message syntax).
"""

import re
from enum import Enum

from msgspec import Struct

from agent.model.host import parse_host

# A scraper's head has about 400 bytes; 8 KiB is what common servers take at most.
HEAD_BYTES_MAX = 8 << 10

REASON_BY_STATUS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
PLAIN = "text/plain; charset=utf-8"

_REQUEST_LINE = re.compile(rb"([A-Z]{1,32}) ([!-~]+) HTTP/([0-9])\.([0-9])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*)")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_AUTHORITY = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
_SLASHES = re.compile("/{2,}")


class HttpRequest(Struct, frozen=True):
    """A request: the path without its query, the content of its Accept fields, the host that the client believes to ask.

    *Absent:* `host` is None where the client names none, which HTTP/1.0 allows and no browser does.
    """

    method: str
    path: str
    accept: str = ""
    host: str | None = None


class Refusal(Struct, frozen=True):
    """Why the bytes are no request that can be answered."""

    status: int
    sentence: str


def parse_request(received: bytes | bytearray) -> HttpRequest | Refusal | None:
    """The request whose head these bytes hold, or why there is none; None: more bytes are needed.

    *Range:* a head of more than HEAD_BYTES_MAX is refused, whether or not it has ended.
    """
    text = bytes(received[: HEAD_BYTES_MAX + 4]).lstrip(b"\r\n")
    if text and not text[:1].isupper():
        # No method begins like this; it may be a TLS handshake. Waiting for more would not help.
        return Refusal(400, "This is not an HTTP request.")
    end = _HEAD_END.search(text)
    if end is None or end.start() > HEAD_BYTES_MAX:
        return Refusal(431, f"A request head has at most {HEAD_BYTES_MAX} bytes.") if len(received) > HEAD_BYTES_MAX else None
    return _parse_head(text[: end.start()].split(b"\n"))


def _parse_head(lines: list[bytes]) -> HttpRequest | Refusal:
    first = _REQUEST_LINE.fullmatch(lines[0].removesuffix(b"\r"))
    if first is None:
        return Refusal(400, "The request line is not `METHOD path HTTP/1.1`.")
    method, target, major, minor = (part.decode("ascii") for part in first.groups())
    if major != "1":
        return Refusal(505, "This server speaks HTTP/1.1.")
    fields: list[tuple[bytes, str]] = []
    for line in lines[1:]:
        field = _FIELD.fullmatch(line.removesuffix(b"\r"))
        if field is None:
            return Refusal(400, "A header field is not `name: value`.")
        fields.append((field[1].lower(), field[2].decode("latin-1").strip(" \t")))
    host = _host_of(target, [value for name, value in fields if name == b"host"], is_required=minor != "0")
    if isinstance(host, Refusal):
        return host
    return HttpRequest(method, _path_of(target), ",".join(value for name, value in fields if name == b"accept"), host)


def _host_of(target: str, hosts: list[str], *, is_required: bool) -> str | Refusal | None:
    """The one host that the request names. *Source:* RFC 9112, 3.2; an authority in the target precedes the field."""
    if len(hosts) > 1 or (is_required and not hosts):
        return Refusal(400, "A request of HTTP/1.1 has one Host field.")
    absolute = _AUTHORITY.match(target)
    # An empty field is a request for no host at all: a name that is none of ours, and well-formed.
    found = [parse_host(text) if text else "" for text in (*([absolute[1]] if absolute else []), *hosts)]
    if None in found:
        return Refusal(400, "The host of the request is not `name` or `name:port`.")
    return found[0] if found else None


def _path_of(target: str) -> str:
    """A server has to take the absolute form too (RFC 9112, 3.2.2); proxies send it.

    A final slash and doubled slashes are ignored: people write the first, proxies that join two paths make the others.
    """
    path = _AUTHORITY.sub("", target, count=1).partition("?")[0]
    return _SLASHES.sub("/", path).removesuffix("/") or "/"


def response(status: int, body: bytes, content_type: str = PLAIN, *, with_body: bool = True) -> bytes:
    """The bytes of a whole response. `with_body` is false for HEAD, which gets the length and no body."""
    assert status in REASON_BY_STATUS, status
    head = (
        f"HTTP/1.1 {status} {REASON_BY_STATUS[status]}\r\n"
        f"Content-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n" + ("Allow: GET, HEAD\r\n" if status == 405 else "") + "Cache-Control: no-store\r\n"
        "Connection: close\r\n"
        "\r\n"
    )
    return head.encode("latin-1") + (body if with_body else b"")


def refusal_response(refusal: Refusal, *, with_body: bool = True) -> bytes:
    """The response to bytes that are no request, or none that is answered."""
    return response(refusal.status, f"{refusal.sentence}\n".encode(), with_body=with_body)


class MetricsFormat(Enum):
    """The formats in which metrics are shown; between equals in an Accept header the later one wins."""

    PLAIN = ("text/plain", ())
    OPENMETRICS = ("application/openmetrics-text", (("version", "1."),))
    PROTOBUF = (
        "application/vnd.google.protobuf",
        (("proto", "io.prometheus.client.metricfamily"), ("encoding", "delimited")),
    )


def preferred_format(accept: str) -> MetricsFormat:
    """The format that an Accept header prefers by the quality of its ranges; the plain text format where it names none.

    A range of another version, message or encoding, or of quality 0, does not count.
    """
    best: dict[MetricsFormat, float] = {}
    for media_range in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in media_range.split(";"))
        values = dict(parameter.partition("=")[::2] for parameter in parameters)
        for each in MetricsFormat:
            if media_type == each.value[0] and all(values.get(name, wanted).startswith(wanted) for name, wanted in each.value[1]):
                best[each] = max(best.get(each, 0.0), _quality(values.get("q", "1")))
    found = [(quality, number) for number, each in enumerate(MetricsFormat) if (quality := best.get(each, 0.0)) > 0]
    return list(MetricsFormat)[max(found)[1]] if found else MetricsFormat.PLAIN


def _quality(text: str) -> float:
    # Three decimals at most (RFC 9110, 12.4.2); anything else counts as not acceptable.
    return float(text) if re.fullmatch(r"[01](\.[0-9]{0,3})?", text) else 0.0
