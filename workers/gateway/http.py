"""The words of HTTP/1.1 that the gateway speaks: one bounded request head in, one response out. PURE.

It reads no body and keeps no connection: every response says `Connection: close`.
*Source:* RFC 9110 (semantics), RFC 9112 (message syntax).
"""

import re

from msgspec import Struct

# A scraper's head has about 400 bytes; 8 KiB is what common servers take at most.
HEAD_BYTES_MAX = 8 << 10

REASON_BY_STATUS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
PLAIN = "text/plain; charset=utf-8"

_REQUEST_LINE = re.compile(rb"([A-Z]{1,32}) ([!-~]+) HTTP/([0-9])\.([0-9])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*)")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_AUTHORITY = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


class Request(Struct, frozen=True):
    """What a client asks: the path without its query, and the content of its Accept fields."""

    method: str
    path: str
    accept: str = ""


class Refusal(Struct, frozen=True):
    """Why the bytes are no request that can be answered."""

    status: int
    sentence: str


def parse_request(received: bytes | bytearray) -> Request | Refusal | None:
    """The request whose head these bytes hold, or why there is none; None: more bytes are needed.

    *Range:* a head of more than HEAD_BYTES_MAX is refused, whether or not it has ended.
    """
    text = bytes(received[: HEAD_BYTES_MAX + 4]).lstrip(b"\r\n")
    if text and not text[:1].isupper():
        # No method begins so (a TLS greeting, for one): nothing is gained by waiting for more of it.
        return Refusal(400, "This is not an HTTP request.")
    end = _HEAD_END.search(text)
    if end is None or end.start() > HEAD_BYTES_MAX:
        return Refusal(431, f"A request head has at most {HEAD_BYTES_MAX} bytes.") if len(received) > HEAD_BYTES_MAX else None
    return _parse_head(text[: end.start()].split(b"\n"))


def _parse_head(lines: list[bytes]) -> Request | Refusal:
    first = _REQUEST_LINE.fullmatch(lines[0].removesuffix(b"\r"))
    if first is None:
        return Refusal(400, "The request line is not `METHOD path HTTP/1.1`.")
    method, target, major, _minor = (part.decode("ascii") for part in first.groups())
    if major != "1":
        return Refusal(505, "This server speaks HTTP/1.1.")
    accepted: list[str] = []
    for line in lines[1:]:
        field = _FIELD.fullmatch(line.removesuffix(b"\r"))
        if field is None:
            return Refusal(400, "A header field is not `name: value`.")
        if field[1].lower() == b"accept":
            accepted.append(field[2].decode("latin-1"))
    return Request(method, _path_of(target), ",".join(accepted))


def _path_of(target: str) -> str:
    # A server has to take the absolute form too (RFC 9112, 3.2.2); proxies send it.
    return _AUTHORITY.sub("", target, count=1).partition("?")[0] or "/"


def response(status: int, body: bytes, content_type: str = PLAIN, *, with_body: bool = True) -> bytes:
    """The bytes of a whole response. `with_body` is false for HEAD: the length is told, the body is not sent."""
    head = (
        f"HTTP/1.1 {status} {REASON_BY_STATUS[status]}\r\n"
        f"Content-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n" + ("Allow: GET, HEAD\r\n" if status == 405 else "") + "Cache-Control: no-store\r\n"
        "Connection: close\r\n"
        "\r\n"
    )
    return head.encode("latin-1") + (body if with_body else b"")


def refusal_response(refusal: Refusal) -> bytes:
    """What a client hears whose bytes were no request."""
    return response(refusal.status, f"{refusal.sentence}\n".encode())


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept header prefers OpenMetrics 1 to the plain text format, by the quality of its ranges.

    A range that names a version other than 1.x, or quality 0, does not count; between equals OpenMetrics wins.
    """
    best = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for media_range in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in media_range.split(";"))
        values = dict(parameter.partition("=")[::2] for parameter in parameters)
        if media_type not in best or (media_type != "text/plain" and not values.get("version", "1.").startswith("1.")):
            continue
        best[media_type] = max(best[media_type], _quality(values.get("q", "1")))
    return best["application/openmetrics-text"] >= max(best["text/plain"], 0.001)


def _quality(text: str) -> float:
    # Three decimals at most (RFC 9110, 12.4.2); anything else counts as not acceptable.
    return float(text) if re.fullmatch(r"[01](\.[0-9]{0,3})?", text) else 0.0
