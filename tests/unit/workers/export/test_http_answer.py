"""Answers over HTTP: every way to say where the body ends, every cut, every bound."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import ProtocolError
from agent.model.timebase import S
from workers.export.http_answer import (
    BODY_BYTES_MAX,
    RETRY_AFTER_NS_MAX,
    CutAnswerError,
    HttpAnswer,
    read_answer,
    retry_after_ns,
)

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3;x=1\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"


def in_pieces(data: bytes, size: int) -> Callable[[int], bytes]:
    """What a connection gives that receives so many bytes at a time, and then ends."""
    pieces = iter([data[at : at + size] for at in range(0, len(data), size)])
    return lambda _size: next(pieces, b"")


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("data", [PLAIN, CHUNKED, INTERIM + PLAIN])
def test_bodies_are_read_however_they_come(data: bytes, size: int) -> None:
    """By length and in chunks, behind interim answers, in pieces of any size."""
    answer = read_answer(in_pieces(data, size))
    assert (answer.body, answer.is_cut, answer.keeps_open) == (b"hello", False, True)
    assert answer.status == (400 if b"chunked" in data else 200)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    """Such a connection takes no other request."""
    answer = read_answer(in_pieces(b"HTTP/1.1 200 OK\n\nhello", 3))
    assert (answer.body, answer.keeps_open) == (b"hello", False)


@pytest.mark.parametrize(
    "head", [b"HTTP/1.0 200 OK\r\nContent-Length: 0", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close"]
)
def test_a_connection_that_is_closed_is_not_used_again(head: bytes) -> None:
    """Version 1.0 and `Connection: close` say so."""
    assert not read_answer(in_pieces(head + b"\r\n\r\n", 100)).keeps_open


def test_bytes_behind_an_answer_end_the_connection() -> None:
    """They would be taken for the answer to the next request."""
    assert not read_answer(in_pieces(PLAIN + b"more", 1000)).keeps_open


def test_an_answer_without_content_has_no_body() -> None:
    """204 and 304 have none, whatever their headers say."""
    answer = read_answer(in_pieces(b"HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\n", 100))
    assert (answer.body, answer.keeps_open) == (b"", True)


@pytest.mark.parametrize("data", [PLAIN, CHUNKED, INTERIM + PLAIN])
def test_every_prefix_is_a_cut_answer(data: bytes) -> None:
    """Wherever the connection ends, it is told; nothing at all is told apart."""
    for length in range(len(data)):
        with pytest.raises(CutAnswerError) as failure:
            read_answer(in_pieces(data[:length], 7))
        assert failure.value.is_silent == (length == 0)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"\0\0\x12\x04\0\0\0\0\0\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 99 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    """Other protocols, damaged heads, heads without an end."""
    with pytest.raises(ProtocolError) as failure:
        read_answer(in_pieces(data, 16 << 10))
    assert not isinstance(failure.value, CutAnswerError)


@pytest.mark.parametrize("head", [b"Content-Length: 999999999", b"X: 1", b"Transfer-Encoding: chunked"])
def test_a_body_is_read_up_to_its_bound(head: bytes) -> None:
    """The rest stays unread, and the connection is given up."""
    chunk = b"%x\r\n" % 0x20000 if b"chunked" in head else b""
    answer = read_answer(in_pieces(b"HTTP/1.1 500 X\r\n" + head + b"\r\n\r\n" + chunk + b"y" * 0x20000, 999))
    assert (len(answer.body), answer.is_cut, answer.keeps_open) == (BODY_BYTES_MAX, True, False)


@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_bytes_are_an_answer_or_refused(data: bytes, size: int) -> None:
    """Nothing else is raised, and it ends."""
    for begin in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        try:
            answer = read_answer(in_pieces(begin + data, size))
        except ProtocolError:
            continue
        assert answer.status >= 200


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("0", 0),
        ("7", 7 * S),
        ("99999999999999999999", RETRY_AFTER_NS_MAX),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 30 * S),
        ("Fri, 31 Dec 9999 23:59:60 GMT", RETRY_AFTER_NS_MAX),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Foo 1994 08:49:37 GMT", None),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_how_long_to_wait(word: str, expected: int | None) -> None:
    """Seconds or a date; a date in the past, as after a clock that was set, means at once; never more than an hour."""
    wall_ns = 784_111_807 * S  # Sun, 06 Nov 1994 08:50:07 GMT
    assert retry_after_ns(HttpAnswer(503, {"retry-after": word}), wall_ns) == expected


@pytest.mark.parametrize(
    ("headers", "body", "is_page"),
    [
        ({"content-type": "text/html; charset=utf-8"}, b"x", True),
        ({"content-type": "Application/XHTML+xml"}, b"x", True),
        ({"content-type": "text/plain"}, b"  <!DOCTYPE html><p>", True),
        ({}, b"<HTML>", True),
        ({}, b"no <html> here", False),
        ({"content-type": "application/json"}, b"{}", False),
    ],
)
def test_a_page_for_people_is_known_by_its_type_or_by_how_it_begins(headers: dict[str, str], body: bytes, is_page: bool) -> None:
    """Proxies and web servers answer with one; some do not say its type."""
    assert HttpAnswer(200, headers, body).is_page is is_page
