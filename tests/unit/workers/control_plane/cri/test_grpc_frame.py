"""Messages, statuses and headers of gRPC."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import ProtocolError
from agent.model.timebase import MS, S
from workers.control_plane.cri.grpc_frame import (
    GrpcError,
    GrpcStatus,
    MessageSplitter,
    check_response,
    framed,
    request_headers,
    status_of,
)


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_messages_come_whole_however_their_bytes_are_cut(messages: list[bytes], cut: int) -> None:
    """What was framed comes out, in order, in pieces of any length."""
    splitter = MessageSplitter()
    data = b"".join(framed(message) for message in messages)
    found = [message for at in range(0, len(data), cut) for message in splitter.feed(data[at : at + cut])]
    assert messages == found
    assert splitter.is_between_messages


def test_every_beginning_of_a_message_waits_for_the_rest() -> None:
    """Nothing is given before the last byte."""
    data = framed(b"abc")
    for cut in range(1, len(data)):
        splitter = MessageSplitter()
        assert splitter.feed(data[:cut]) == []
        assert not splitter.is_between_messages


def test_an_oversize_message_is_refused_at_its_announcement() -> None:
    """Its length is looked at before anything is kept for it."""
    with pytest.raises(ProtocolError, match=r"of 11 bytes is announced, at most 10"):
        MessageSplitter(10).feed(b"\0\0\0\0\x0b")
    assert MessageSplitter(10).feed(framed(b"0123456789")) == [b"0123456789"]


def test_a_compressed_message_is_refused() -> None:
    """Nobody asked for compression."""
    with pytest.raises(ProtocolError, match="compressed"):
        MessageSplitter().feed(b"\1\0\0\0\0")


@pytest.mark.parametrize(("deadline_ns", "text"), [(2 * S, "2000m"), (1, "1m"), (1500 * MS, "1500m")])
def test_the_runtime_is_told_the_deadline(deadline_ns: int, text: str) -> None:
    """In milliseconds, at least one."""
    headers = dict(request_headers("/a.B/C", deadline_ns))
    assert (headers[":path"], headers["grpc-timeout"]) == ("/a.B/C", text)


def test_a_stream_has_no_deadline() -> None:
    """It goes on until one of both ends it."""
    assert "grpc-timeout" not in dict(request_headers("/a.B/C", None))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b":status": b"200"},
        {b":status": b"404", b"content-type": b"application/grpc"},
        {b":status": b"200", b"content-type": b"text/html\n"},
    ],
)
def test_another_http_service_is_recognized(headers: dict[bytes, bytes]) -> None:
    """A status that is not 200, or another kind of content, is no gRPC."""
    with pytest.raises(ProtocolError, match="does not speak gRPC"):
        check_response(headers)


def test_the_head_of_an_answer_is_accepted() -> None:
    """With any encoding of its messages named."""
    check_response({b":status": b"200", b"content-type": b"application/grpc+proto"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", ""),
        (b"unknown service", "unknown service"),
        (b"gr%C3%BC%c3%9fe", "grüße"),
        (b"100%, %zz, %2, %", "100%, %zz, %2, %"),
        (b"line%0Aline", "line\\nline"),
        (b"%ff", "\\xff"),
        (b"x" * 5_000, "x" * 299 + "…"),
    ],
)
def test_the_message_of_a_status_is_readable(text: bytes, message: str) -> None:
    """Escapes are resolved, wrong ones stay, control characters do not, and it is bounded."""
    assert status_of({b"grpc-status": b"12", b"grpc-message": text}) == GrpcStatus(12, message)


def test_a_call_without_status_has_none() -> None:
    """The head of an answer has none yet."""
    assert status_of({}) is None


@pytest.mark.parametrize("text", [b"", b"-1", b"OK", b"1000", "²".encode()])
def test_a_status_that_is_no_number_is_refused(text: bytes) -> None:
    """Nothing is guessed from it."""
    with pytest.raises(ProtocolError, match="not a number"):
        status_of({b"grpc-status": text})


def test_only_status_0_is_good() -> None:
    """Any other is a failure."""
    assert GrpcStatus(0).is_ok
    assert not GrpcStatus(2).is_ok


@pytest.mark.parametrize(("status", "end"), [(GrpcStatus(7), "status 7"), (GrpcStatus(7, "no"), "status 7: no")])
def test_a_failed_call_names_its_status(status: GrpcStatus, end: str) -> None:
    """And the runtime's own words, where there are any."""
    assert GrpcError("/s: Version", status).sentence == f"/s: Version: {end}"
