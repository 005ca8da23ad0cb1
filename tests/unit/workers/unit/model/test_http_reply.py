"""Answers as they arrive: in any parts, cut anywhere, with any bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import ProtocolError
from workers.unit.model.http_reply import HEAD_BYTES_MAX, HttpReply

BODY = b"vllm:num_requests_waiting 3\n" * 40
CHUNKS = b"".join(b"%x;x=y\r\n%s\r\n" % (len(part), part) for part in (BODY[:100], BODY[100:101], BODY[101:])) + b"0\r\n\r\n"
FORMS = {
    "length": b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY,
    "end": b"HTTP/1.0 200\r\n\r\n" + BODY,
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "both": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: Chunked\r\nContent-Length: 9\r\n\r\n" + CHUNKS,
}


def taken(parts: list[bytes], body_bytes_max: int = len(BODY)) -> HttpReply:
    """The reply after these parts and the end of the connection."""
    reply = HttpReply(body_bytes_max)
    for part in (*(part for part in parts if part), b""):
        if reply.take(part):
            break
    return reply


@pytest.mark.parametrize("form", FORMS)
@given(cuts=st.lists(st.integers(0, 2000), max_size=6))
def test_an_answer_in_any_parts(form: str, cuts: list[int]) -> None:
    """By its length, in chunks, or up to its end: the same body; one of exactly the size that is allowed."""
    answer = FORMS[form]
    places = [0, *sorted(min(cut, len(answer)) for cut in cuts), len(answer)]
    reply = taken([answer[start:end] for start, end in pairwise(places)])
    assert (reply.status, bytes(reply.body)) == (200, BODY)


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_that_is_cut(form: str) -> None:
    """It is no answer wherever that can be known; without a length and without chunks it cannot."""
    answer = FORMS[form]
    whole_from = {"end": answer.index(b"\r\n\r\n") + 4, "chunks": len(answer) - 2, "both": len(answer) - 2}
    for end in range(len(answer)):
        if end >= whole_from.get(form, len(answer)):
            assert taken([answer[:end]]).status == 200
            continue
        with pytest.raises(ProtocolError):
            taken([answer[:end]])


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_that_is_too_long(form: str) -> None:
    """By one byte."""
    with pytest.raises(ProtocolError, match="too long"):
        taken([FORMS[form]], len(BODY) - 1)


def test_it_is_whole_as_soon_as_that_is_known() -> None:
    """A server may keep the connection open whatever it is asked; what comes behind is not of the answer."""
    for form in ("length", "chunks"):
        reply = HttpReply(len(BODY))
        assert reply.take(FORMS[form] + b"more")
        assert bytes(reply.body) == BODY
    reply = HttpReply(0)
    assert reply.take(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    assert reply.take(b"") is True


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"garbage\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 2000\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"\r\n\r\n", b"\xff" * 100,
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * HEAD_BYTES_MAX, b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1" + b"0" * 15 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 300,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcde\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 5000 + b"0\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_answer(answer: bytes) -> None:
    """Nothing else than ProtocolError."""
    with pytest.raises(ProtocolError):
        taken([answer], 1 << 20)


@given(st.lists(st.binary(max_size=60), max_size=6), st.sampled_from([b"", *(form[:60] for form in FORMS.values())]))
def test_any_bytes(parts: list[bytes], before: bytes) -> None:
    """It ends, with an answer or without."""
    try:
        reply = taken([before, *parts], 100)
    except ProtocolError:
        return
    assert 100 <= reply.status <= 999
    assert len(reply.body) <= 100
