"""Who may see pages and the documents of /v1. PURE.

On the loopback device everybody who is on this host. Beyond it only who brings the token, over TLS, or comes from the one reverse
proxy that the settings name, which authenticates people itself. Pages of other origins never get an answer here, wherever this
server is: a browser sends their requests too (docs/decisions/0089-one-room-for-http.md).
"""

from msgspec import Struct

from agent.model.host import parse_host
from workers.http.host import is_beyond_loopback
from workers.http.query import format_query
from workers.http.request import HttpRequest, Refusal
from workers.http.response import redirect, refusal_response

# 16 letters and digits at random are 95 bits.
TOKEN_CHARACTERS_MIN = 16
TOKEN_CHARACTERS_MAX = 512

# A browser says how a request came about; these are its own page's, and a person's who typed an address.
_OWN_SITE = frozenset({"", "same-origin", "none"})


class Edge(Struct, frozen=True):
    """The rule of one server. `problem`: why it serves neither pages nor /v1, and what to set; "" where it does.

    `cookie`: the name under which a browser keeps what it got for the token. Cookies of one host are shared by all its ports, so
    each server has a name of its own.
    """

    problem: str = ""
    token: bytes = b""
    is_beyond_loopback: bool = False
    has_tls: bool = False
    trusted_proxy: str = ""
    cookie: str = "evergauge"

    def answer(self, request: HttpRequest) -> bytes | None:
        """The response to a request for a page or a document of /v1 that is not served, or not yet. None: it is served."""
        with_body = request.method != "HEAD"
        if (refusal := self._foreign(request)) is not None:
            return refusal_response(refusal, with_body=with_body)
        if self.trusted_proxy and request.peer == self.trusted_proxy:
            return None
        if self.token:
            return self._with_token(request)
        if self.is_beyond_loopback:
            return refusal_response(Refusal(403, "This is served to the reverse proxy alone."), with_body=with_body)
        return None

    def _foreign(self, request: HttpRequest) -> Refusal | None:
        """Why a request of another origin is refused; links to a page are followed from anywhere."""
        is_document = request.path.startswith("/v1")
        is_own = request.origin is None or request.origin.lower() in (
            f"http://{request.authority}",
            f"https://{request.authority}",
        )
        if is_own and (not is_document or request.fetch_site in _OWN_SITE):
            return None
        return Refusal(403, "Pages of another origin may not ask here.")

    def _with_token(self, request: HttpRequest) -> bytes | None:
        if self._is_token(_bearer(request.authorization)) or self._is_cookie(request.cookie):
            return None
        given = request.parameter("token")
        if request.method == "GET" and not request.path.startswith("/v1") and self._is_token(given.encode()):
            return self._exchanged(request)
        sentence = "A token is needed: send `Authorization: Bearer ...`, or open this address with ?token=... once."
        if given or request.authorization:
            sentence = "This is not the token of this server."
        return refusal_response(Refusal(401, sentence), with_body=request.method != "HEAD")

    def _exchanged(self, request: HttpRequest) -> bytes:
        """The token leaves the address, where it would be kept in histories, and becomes a cookie that no script can read."""
        rest = format_query({name: values for name, values in request.query.items() if name != "token"})
        where = f"{request.path}?{rest}" if rest else request.path
        secure = "; Secure" if self.has_tls else ""
        cookie = f"{self.cookie}={_cookie_value(self.token)}; Path=/; HttpOnly; SameSite=Strict{secure}"
        return redirect(where, (("Set-Cookie", cookie), ("Referrer-Policy", "no-referrer")))

    def _is_token(self, given: bytes) -> bool:
        # Imported where a token is set: few servers have one.
        from hmac import compare_digest

        return compare_digest(given, self.token)

    def _is_cookie(self, cookies: str) -> bool:
        from hmac import compare_digest

        wanted = _cookie_value(self.token).encode()
        pairs = (each.strip().partition("=") for each in cookies.split(";"))
        return any(name == self.cookie and compare_digest(value.encode(), wanted) for name, _, value in pairs)


def edge_of(address: str, *, token: bytes = b"", has_tls: bool = False, trusted_proxy: str = "", section: str, cookie: str) -> Edge:
    """The rule of a server at `address` whose settings are in `section`.

    *Range:* beyond the loopback device it has a `problem` unless it has TLS and a token, or a trusted proxy.
    """
    is_beyond = is_beyond_loopback(address)
    proxy = parse_host(f"[{trusted_proxy}]" if ":" in trusted_proxy else trusted_proxy) or ""
    problem = ""
    if is_beyond and not proxy and not (token and has_tls):
        lacking = " and ".join(
            ([] if has_tls else [f"{section}.tls_cert_file with {section}.tls_key_file"])
            + ([] if token else [f"{section}.token_file"])
        )
        problem = (
            f"pages and /v1 are not served: {address} can be reached from other hosts; set {lacking}, "
            f"or {section}.trusted_proxy to the address of a reverse proxy that authenticates people"
        )
    # A token over a connection that anybody can read is none.
    usable = token if has_tls or not is_beyond else b""
    return Edge(problem, usable, is_beyond, has_tls, proxy, cookie)


def token_of(text: bytes) -> bytes:
    """The token of a file's content, without the spaces around it. *Raises:* ValueError that says why it is none."""
    token = text.strip()
    if not token.isascii() or any(byte <= 0x20 or byte == 0x7F for byte in token):
        raise ValueError("a token has letters, digits and signs of ASCII without spaces between them")
    if not TOKEN_CHARACTERS_MIN <= len(token) <= TOKEN_CHARACTERS_MAX:
        raise ValueError(f"a token has {TOKEN_CHARACTERS_MIN} to {TOKEN_CHARACTERS_MAX} characters")
    return token


def _bearer(authorization: str) -> bytes:
    scheme, _, value = authorization.partition(" ")
    return value.strip().encode() if scheme.lower() == "bearer" else b""


def _cookie_value(token: bytes) -> str:
    """Not the token itself: what a browser keeps opens nothing but pages, and says nothing about the token."""
    from hashlib import sha256

    return sha256(b"evergauge cookie\0" + token).hexdigest()
