"""One response out."""

import pytest

from workers.http.request import HttpRequest, Refusal
from workers.http.response import (
    PAGE_HEADERS,
    REASON_BY_STATUS,
    not_modified,
    redirect,
    refusal_response,
    response,
    stream_head,
)


def test_a_response_is_whole_and_the_last() -> None:
    """Length, type, and the end of the connection; HEAD gets the same head without the body."""
    whole = response(200, b"alive\n")
    head, _, body = whole.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert {b"Content-Length: 6", b"Connection: close", b"Content-Type: text/plain; charset=utf-8"} <= set(lines)
    assert body == b"alive\n"
    assert response(200, b"alive\n", with_body=False) == head + b"\r\n\r\n"


def test_a_refused_method_hears_which_are_not() -> None:
    """RFC 9110 asks for the Allow field; a route that takes more says so itself."""
    assert b"\r\nAllow: GET, HEAD\r\n" in response(405, b"no\n")
    other = response(405, b"no\n", headers=(("Allow", "POST"),))
    assert b"\r\nAllow: POST\r\n" in other
    assert b"GET" not in other


@pytest.mark.parametrize("status", [204, 304])
def test_some_have_no_body(status: int) -> None:
    """Nor a length, nor a type."""
    whole = response(status, b"ignored", headers=(("ETag", '"a"'),))
    assert whole.endswith(b'\r\nETag: "a"\r\n\r\n')
    assert b"Content-" not in whole


@pytest.mark.parametrize("status", REASON_BY_STATUS)
def test_every_status_has_its_reason(status: int) -> None:
    """On the first line."""
    assert response(status, b"").startswith(f"HTTP/1.1 {status} {REASON_BY_STATUS[status]}\r\n".encode())


def test_a_header_takes_the_place_of_a_usual_one() -> None:
    """Whatever the case of its name."""
    whole = response(200, b"", headers=(("cache-control", "no-cache"), *PAGE_HEADERS))
    assert whole.count(b"ache-") == 1
    assert b"script-src 'self'; style-src 'self'" in whole
    assert b"unsafe" not in whole


def test_nothing_begins_a_line_of_its_own() -> None:
    """A value with a line end is a bug of the caller."""
    with pytest.raises(AssertionError):
        response(200, b"", headers=(("X", "a\r\nSet-Cookie: b"),))


def test_a_stream_has_no_length_and_is_handed_on() -> None:
    """It ends with its connection."""
    head = stream_head()
    assert b"Content-Length" not in head
    assert {b"Content-Type: text/event-stream", b"X-Accel-Buffering: no", b"Connection: close"} <= set(head.split(b"\r\n"))
    assert head.endswith(b"\r\n\r\n")


def test_who_needs_a_token_is_told_the_scheme() -> None:
    """RFC 9110, 11.6.1."""
    assert b"\r\nWWW-Authenticate: Bearer\r\n" in refusal_response(Refusal(401, "no"))
    assert b"WWW-Authenticate" not in refusal_response(Refusal(403, "no"))


def test_a_redirect_stays_at_this_server() -> None:
    """It names a path."""
    assert b"\r\nLocation: /x\r\nA: b\r\n" in redirect("/x", (("A", "b"),))
    with pytest.raises(AssertionError):
        redirect("https://other.example/")


@pytest.mark.parametrize(
    ("field", "expected"),
    [("", False), ('"a"', True), ('W/"a"', True), ('"b", "a"', True), ('"b"', False), ("*", True), ("a", False)],
)
def test_a_client_may_have_it_already(field: str, expected: bool) -> None:
    """Any of the tags that it names."""
    assert not_modified(HttpRequest("GET", "/", if_none_match=field), "a") is expected
