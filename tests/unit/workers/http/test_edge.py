"""Who may see pages and /v1."""

import re

import pytest

from workers.http.edge import TOKEN_CHARACTERS_MAX, Edge, edge_of, token_of
from workers.http.request import HttpRequest

TOKEN = b"correct-horse-battery"


def edge(address: str = "0.0.0.0", *, token: bytes = TOKEN, has_tls: bool = True, trusted_proxy: str = "") -> Edge:
    """A server's rule."""
    return edge_of(address, token=token, has_tls=has_tls, trusted_proxy=trusted_proxy, section="gateway", cookie="evergauge-1")


def status(rule: Edge, request: HttpRequest) -> int:
    """Of the answer; 200: it is served."""
    answer = rule.answer(request)
    return 200 if answer is None else int(answer.split(b" ")[1])


def asked(path: str = "/v1/x", **fields: object) -> HttpRequest:
    """A request from another host."""
    known = {"host": "node", "authority": "node:9464", "peer": "10.0.0.9"}
    return HttpRequest("GET", path, **(known | fields))  # type: ignore[arg-type]  # the fields are the tests' own


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "127.4.5.6", "localhost.invalid"])
def test_on_the_loopback_device_everybody_is_served(address: str) -> None:
    """Without a token, and without a problem."""
    rule = edge(address, token=b"", has_tls=False)
    assert (rule.problem, status(rule, asked(peer="127.0.0.1"))) == ("", 200)


def test_a_token_that_is_set_is_asked_for_on_the_loopback_device_too() -> None:
    """Who sets one wants it; TLS is not needed there."""
    rule = edge("127.0.0.1", has_tls=False)
    assert status(rule, asked()) == 401
    assert status(rule, asked(authorization=f"Bearer {TOKEN.decode()}")) == 200


@pytest.mark.parametrize(
    ("token", "has_tls", "named"),
    [
        (b"", False, "gateway.tls_cert_file with gateway.tls_key_file and gateway.token_file"),
        (TOKEN, False, "set gateway.tls_cert_file with gateway.tls_key_file, or"),
        (b"", True, "set gateway.token_file, or"),
    ],
)
def test_beyond_it_a_sentence_says_what_to_set(token: bytes, has_tls: bool, named: str) -> None:
    """And a reverse proxy is the other way."""
    rule = edge(token=token, has_tls=has_tls)
    assert named in rule.problem
    assert "gateway.trusted_proxy" in rule.problem
    assert status(rule, asked(authorization=f"Bearer {TOKEN.decode()}")) == 403


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ("", 401),
        (f"Bearer {TOKEN.decode()}", 200),
        (f"bearer   {TOKEN.decode()} ", 200),
        (f"Basic {TOKEN.decode()}", 401),
        ("Bearer x", 401),
        (f"Bearer {TOKEN.decode()}x", 401),
        ("Bearer ", 401),
        ("Bearer é", 401),
    ],
)
def test_a_bearer_token_opens(authorization: str, expected: int) -> None:
    """The whole token and nothing else."""
    rule = edge()
    assert rule.problem == ""
    assert status(rule, asked(authorization=authorization)) == expected


def test_a_browser_gets_a_cookie_for_its_token() -> None:
    """The address loses it; the cookie is for this server alone and no script can read it."""
    rule = edge()
    answer = rule.answer(asked("/fleet", query={"token": [TOKEN.decode()], "q": ["a b"]})) or b""
    assert answer.startswith(b"HTTP/1.1 302 ")
    assert b"\r\nLocation: /fleet?q=a%20b\r\n" in answer
    assert TOKEN not in answer
    found = re.search(rb"\r\nSet-Cookie: (evergauge-1=[0-9a-f]{64}); Path=/; HttpOnly; SameSite=Strict; Secure\r\n", answer)
    assert found is not None
    cookie = found[1].decode()
    assert status(rule, asked(cookie=f"other=1; {cookie}")) == 200
    assert status(rule, asked(cookie=cookie.replace("evergauge-1", "evergauge-2"))) == 401
    assert status(rule, asked(cookie=cookie[:-1])) == 401
    assert status(edge(token=TOKEN + b"2"), asked(cookie=cookie)) == 401


def test_without_tls_the_cookie_is_not_kept_for_tls_alone() -> None:
    """On the loopback device."""
    answer = edge("127.0.0.1", has_tls=False).answer(asked("/", query={"token": [TOKEN.decode()]})) or b""
    assert b"Secure" not in answer
    assert b"\r\nLocation: /\r\n" in answer


@pytest.mark.parametrize(
    ("path", "token", "expected"),
    [("/", "wrong", 401), ("/v1/x", TOKEN.decode(), 401), ("/", "", 401), ("/", "é" * 20, 401)],
)
def test_only_a_page_takes_a_token_from_its_address(path: str, token: str, expected: int) -> None:
    """Programs have a header for it."""
    assert status(edge(), asked(path, query={"token": [token]})) == expected


def test_a_wrong_token_is_told_from_none() -> None:
    """So that a person knows what to do."""
    assert b"A token is needed" in (edge().answer(asked()) or b"")
    assert b"not the token of this server" in (edge().answer(asked(authorization="Bearer x")) or b"")


def test_a_proxy_that_is_named_is_believed_and_nobody_else() -> None:
    """It authenticates people itself."""
    rule = edge(token=b"", has_tls=False, trusted_proxy="10.0.0.2")
    assert rule.problem == ""
    assert status(rule, asked(peer="10.0.0.2")) == 200
    assert status(rule, asked(peer="10.0.0.3")) == 403
    assert status(edge(token=b"", has_tls=False, trusted_proxy="fd00:0::1"), asked(peer="fd00::1")) == 200
    # A token that anybody can read on the way opens nothing.
    assert status(edge(has_tls=False, trusted_proxy="10.0.0.2"), asked(authorization=f"Bearer {TOKEN.decode()}")) == 403


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, 200),
        ("http://node:9464", 200),
        ("https://NODE:9464", 200),
        ("http://node", 403),
        ("http://node:3000", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
@pytest.mark.parametrize("path", ["/", "/v1/node"])
def test_a_page_of_another_origin_is_refused(path: str, origin: str | None, expected: int) -> None:
    """Also one of this host at another port, and whatever it brings."""
    assert status(edge("127.0.0.1", token=b"", has_tls=False), asked(path, origin=origin)) == expected
    assert status(edge(), asked(path, origin=origin, authorization=f"Bearer {TOKEN.decode()}")) == expected


@pytest.mark.parametrize(
    ("site", "expected"), [("", 200), ("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)]
)
def test_documents_are_not_for_what_another_page_embeds(site: str, expected: int) -> None:
    """A link to a page may be anywhere."""
    rule = edge("127.0.0.1", token=b"", has_tls=False)
    assert status(rule, asked("/v1/node", fetch_site=site)) == expected
    assert status(rule, asked("/", fetch_site=site)) == 200


def test_a_refused_head_has_no_body() -> None:
    """As any answer to HEAD."""
    request = HttpRequest("HEAD", "/v1/x", peer="10.0.0.9")
    for rule in (edge(), edge(token=b""), edge()):
        assert (rule.answer(request) or b"").endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("text", "token"), [(b" 0123456789abcdef\n", b"0123456789abcdef"), (b"x" * TOKEN_CHARACTERS_MAX, b"x" * TOKEN_CHARACTERS_MAX)]
)
def test_a_token_is_read_from_a_file(text: bytes, token: bytes) -> None:
    """Without the line end that editors write."""
    assert token_of(text) == token


@pytest.mark.parametrize(
    "text", [b"", b"0123456789abcde", b"x" * (TOKEN_CHARACTERS_MAX + 1), b"two words of sixteen", "é".encode() * 20]
)
def test_what_is_no_token_says_why(text: bytes) -> None:
    """Too short, too long, or not one word."""
    with pytest.raises(ValueError, match="a token has"):
        token_of(text)
