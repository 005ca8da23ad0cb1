"""The responses of HTTP/1.1: whole ones, and heads of streams that end with their connection. PURE.

*Source:* RFC 9110, RFC 9112 (6.3: a body without a length ends with the connection); Content Security Policy Level 3.
"""

from workers.http.request import HttpRequest, Refusal

REASON_BY_STATUS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    302: "Found",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    411: "Length Required",
    413: "Content Too Large",
    421: "Misdirected Request",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
PLAIN = "text/plain; charset=utf-8"
JSON = "application/json"
EVENT_STREAM = "text/event-stream"

Headers = tuple[tuple[str, str], ...]
# For everything that a browser may show or run: nothing but what this server itself gives, and no other page around it.
PAGE_HEADERS: Headers = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
# For documents of /v1: they are data, and no other page may read them.
DATA_HEADERS: Headers = (("X-Content-Type-Options", "nosniff"), ("Cross-Origin-Resource-Policy", "same-origin"))

# They have no body (RFC 9110, 15.3.5 and 15.4.5).
_WITHOUT_BODY = frozenset({204, 304})


def response(status: int, body: bytes, content_type: str = PLAIN, *, with_body: bool = True, headers: Headers = ()) -> bytes:
    """The bytes of a whole response. `with_body` is false for HEAD, which gets the length and no body.

    `headers` are added to the usual ones; one with the name of a usual one takes its place.
    """
    has_body = status not in _WITHOUT_BODY
    usual: Headers = (("Cache-Control", "no-store"), ("Connection", "close"))
    if has_body:
        usual = (("Content-Type", content_type), ("Content-Length", str(len(body))), *usual)
    if status == 405:
        usual = (*usual, ("Allow", "GET, HEAD"))
    return _head(status, usual, headers) + (body if with_body and has_body else b"")


def stream_head(content_type: str = EVENT_STREAM, headers: Headers = DATA_HEADERS) -> bytes:
    """The head of a body that has no end but its connection's. Proxies are asked to hand it on as it comes."""
    usual: Headers = (
        ("Content-Type", content_type),
        ("Cache-Control", "no-cache, no-store"),
        ("X-Accel-Buffering", "no"),
        ("Connection", "close"),
    )
    return _head(200, usual, headers)


def refusal_response(refusal: Refusal, *, with_body: bool = True) -> bytes:
    """The response to bytes that are no request, or none that is answered."""
    headers: Headers = (("WWW-Authenticate", "Bearer"),) if refusal.status == 401 else ()
    return response(refusal.status, f"{refusal.sentence}\n".encode(), with_body=with_body, headers=headers)


def redirect(where: str, headers: Headers = ()) -> bytes:
    """The response that sends a browser to another path of this server."""
    assert where.startswith("/"), where
    return response(302, b"", headers=(("Location", where), *headers))


def not_modified(request: HttpRequest, tag: str) -> bool:
    """Whether the client has the content with this tag already. *Source:* RFC 9110, 13.1.2."""
    wanted = (word.strip().removeprefix("W/") for word in request.if_none_match.split(","))
    return any(word in (f'"{tag}"', "*") for word in wanted)


def _head(status: int, usual: Headers, headers: Headers) -> bytes:
    assert status in REASON_BY_STATUS, status
    own = {name.lower() for name, _ in headers}
    lines = [f"HTTP/1.1 {status} {REASON_BY_STATUS[status]}"]
    for name, value in (*(each for each in usual if each[0].lower() not in own), *headers):
        # Nothing of a request may begin a line of the response.
        assert {"\r", "\n"}.isdisjoint(value), name
        lines.append(f"{name}: {value}")
    return "\r\n".join((*lines, "", "")).encode("latin-1")
