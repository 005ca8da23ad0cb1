"""The requests of HTTP/1.1 that are understood: one bounded head, and at most a small body of known length. PURE.

No connection is kept for a second request, and no body in chunks is read (docs/decisions/0089-one-room-for-http.md).
*Source:* RFC 9110 (semantics), RFC 9112 (message syntax).
"""

import re

from msgspec import Struct
from msgspec.structs import replace

from agent.model.host import parse_host
from workers.http.query import parse_query

# A scraper's head has about 400 bytes; 8 KiB is what common servers take at most.
HEAD_BYTES_MAX = 8 << 10
# A question or an order of a few hundred bytes.
BODY_BYTES_MAX = 16 << 10
# Methods whose body is read; of any other it is not looked at.
_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_REQUEST_LINE = re.compile(rb"([A-Z]{1,32}) ([!-~]+) HTTP/([0-9])\.([0-9])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*)")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_AUTHORITY = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
_SLASHES = re.compile("/{2,}")
_LENGTH = re.compile(r"[0-9]{1,10}")

_Fields = list[tuple[bytes, str]]


class HttpRequest(Struct, frozen=True):
    """A request: the path without its query, the content of its Accept fields, the host that the client believes to ask, the
    parameters of its query (`parse_query`), the fields that somebody asks for here, and the bytes of its body.

    `authority`: the host with its port, in small letters, as it was sent.
    `peer`: the client's IP address, which the server adds; "" where nobody has.
    *Absent:* `host` is None where the client names none, which HTTP/1.0 allows and no browser does; other fields that were not
    sent are "", `origin` and `last_event_id` None.
    """

    method: str
    path: str
    accept: str = ""
    host: str | None = None
    authority: str = ""
    query: dict[str, list[str]] = {}
    last_event_id: str | None = None
    authorization: str = ""
    origin: str | None = None
    fetch_site: str = ""
    if_none_match: str = ""
    cookie: str = ""
    content: bytes = b""
    peer: str = ""

    def parameter(self, name: str, default: str = "") -> str:
        """The last value of a parameter that is given once."""
        values = self.query.get(name)
        return values[-1] if values else default


class Refusal(Struct, frozen=True):
    """Why the bytes are no request that can be answered."""

    status: int
    sentence: str


def parse_request(received: bytes | bytearray) -> HttpRequest | Refusal | None:
    """The request that these bytes hold, or why there is none; None: more bytes are needed.

    *Range:* a head of more than HEAD_BYTES_MAX is refused, whether or not it has ended; so is a body of more than BODY_BYTES_MAX,
    or one whose length is not known before it comes.
    """
    skipped = len(received) - len(received.lstrip(b"\r\n")) if received[:1] in (b"\r", b"\n") else 0
    text = bytes(received[skipped : HEAD_BYTES_MAX + 4])
    if text and not text[:1].isupper():
        # No method begins like this; it may be a TLS handshake. Waiting for more would not help.
        return Refusal(400, "This is not an HTTP request.")
    end = _HEAD_END.search(text)
    if end is None or end.start() > HEAD_BYTES_MAX:
        return Refusal(431, f"A request head has at most {HEAD_BYTES_MAX} bytes.") if len(received) > HEAD_BYTES_MAX else None
    fields: _Fields = []
    found = _parse_head(text[: end.start()].split(b"\n"), fields)
    if isinstance(found, Refusal) or found.method not in _WITH_BODY:
        return found
    body_bytes = _body_bytes(fields)
    if isinstance(body_bytes, Refusal):
        return body_bytes
    begin = skipped + end.end()
    if len(received) < begin + body_bytes:
        return None
    return replace(found, content=bytes(received[begin : begin + body_bytes])) if body_bytes else found


def _parse_head(lines: list[bytes], fields: _Fields) -> HttpRequest | Refusal:
    first = _REQUEST_LINE.fullmatch(lines[0].removesuffix(b"\r"))
    if first is None:
        return Refusal(400, "The request line is not `METHOD path HTTP/1.1`.")
    method, target, major, minor = (part.decode("ascii") for part in first.groups())
    if major != "1":
        return Refusal(505, "This server speaks HTTP/1.1.")
    for line in lines[1:]:
        field = _FIELD.fullmatch(line.removesuffix(b"\r"))
        if field is None:
            return Refusal(400, "A header field is not `name: value`.")
        fields.append((field[1].lower(), field[2].decode("latin-1").strip(" \t")))
    host = _host_of(target, _values(fields, b"host"), is_required=minor != "0")
    if isinstance(host, Refusal):
        return host
    path, _, rest = _AUTHORITY.sub("", target, count=1).partition("?")
    query = parse_query(rest.partition("#")[0])
    if query is None:
        return Refusal(400, "The query of the request is not `name=value&...` in UTF-8 with two digits after each `%`.")
    return HttpRequest(
        method,
        _one_path(path),
        ",".join(_values(fields, b"accept")),
        host,
        _authority_of(target, fields),
        query,
        _single(fields, b"last-event-id"),
        _single(fields, b"authorization") or "",
        _single(fields, b"origin"),
        _single(fields, b"sec-fetch-site") or "",
        ",".join(_values(fields, b"if-none-match")),
        "; ".join(_values(fields, b"cookie")),
    )


def _authority_of(target: str, fields: _Fields) -> str:
    absolute = _AUTHORITY.match(target)
    return (absolute[1] if absolute else "".join(_values(fields, b"host"))).lower()


def _values(fields: _Fields, wanted: bytes) -> list[str]:
    return [value for name, value in fields if name == wanted]


def _single(fields: _Fields, wanted: bytes) -> str | None:
    """The value of a field that comes once; of more they are joined, so that the value is none that is allowed."""
    values = _values(fields, wanted)
    return ", ".join(values) if values else None


def _body_bytes(fields: _Fields) -> int | Refusal:
    """How long the body is. *Source:* RFC 9112, 6.3; without both fields there is none."""
    if _values(fields, b"transfer-encoding"):
        return Refusal(411, "A body is sent with Content-Length, not in chunks.")
    lengths = set(_values(fields, b"content-length"))
    if not lengths:
        return 0
    if len(lengths) > 1 or not _LENGTH.fullmatch(text := lengths.pop()):
        return Refusal(400, "Content-Length is not one whole number.")
    body_bytes = int(text)
    return body_bytes if body_bytes <= BODY_BYTES_MAX else Refusal(413, f"A body has at most {BODY_BYTES_MAX} bytes.")


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


def _one_path(path: str) -> str:
    """A server has to take the absolute form too (RFC 9112, 3.2.2); proxies send it.

    A final slash and doubled slashes are ignored: people write the first, proxies that join two paths make the others.
    """
    return _SLASHES.sub("/", path).removesuffix("/") or "/"
