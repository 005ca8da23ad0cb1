"""Frames of the connections over one socket."""

import pytest
from fakes.nri_wire import Reader, frame
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import ProtocolError
from workers.control_plane.nri.mux import PAYLOAD_BYTES_MAX, SENT_PAYLOAD_BYTES_MAX, FrameReader, pack_frames


def streams(reader: FrameReader, *pieces: bytes) -> dict[int, bytes]:
    """The bytes of each connection."""
    found: dict[int, bytes] = {}
    for piece in pieces:
        for connection, part in reader.read(piece):
            found[connection] = found.get(connection, b"") + bytes(part)
    return found


def test_interleaved_frames_are_two_streams() -> None:
    """Each connection has its own bytes in their order, however its frames alternate with those of the other."""
    data = frame(1, b"ab") + frame(2, b"AB") + frame(1, b"cd") + frame(2, b"") + frame(2, b"CD")
    assert streams(FrameReader((1, 2)), data) == {1: b"abcd", 2: b"ABCD"}


def test_frames_may_be_cut_at_every_byte() -> None:
    """Header and payload may arrive in any two parts."""
    data = frame(1, b"first") + frame(2, b"second") + frame(1, b"third")
    for cut in range(len(data) + 1):
        assert streams(FrameReader((1, 2)), data[:cut], data[cut:]) == {1: b"firstthird", 2: b"second"}, cut


def test_frames_may_arrive_byte_by_byte() -> None:
    """One byte at a time is enough."""
    data = frame(1, b"first") + frame(2, b"second")
    assert streams(FrameReader((1, 2)), *(data[at : at + 1] for at in range(len(data)))) == {1: b"first", 2: b"second"}


def test_a_frame_of_an_unknown_connection_is_dropped_and_counted() -> None:
    """What comes after it is read as if it had not been there."""
    reader = FrameReader((1, 2))
    assert streams(reader, frame(1, b"a") + frame(7, b"lost" * 2000) + frame(0, b"") + frame(1, b"b")) == {1: b"ab"}
    assert reader.frames_dropped == 2


def test_a_frame_above_the_limit_is_refused_at_its_header() -> None:
    """Nothing of its payload needs to have come, on any connection."""
    assert not FrameReader((1,)).read((1).to_bytes(4) + PAYLOAD_BYTES_MAX.to_bytes(4))
    for connection in (1, 9):
        with pytest.raises(ProtocolError, match="a frame of 4194315 bytes"):
            FrameReader((1,)).read(connection.to_bytes(4) + (PAYLOAD_BYTES_MAX + 1).to_bytes(4))


def test_no_sent_frame_is_longer_than_a_runtime_reads() -> None:
    """A long message becomes several frames, of which none has more than 4,096 bytes; the runtime's rules accept them."""
    message = bytes(range(256)) * 100
    reader = Reader()
    reader.receive(pack_frames(1, message[: 3 * SENT_PAYLOAD_BYTES_MAX + 1]))
    assert reader.largest_frame_bytes == SENT_PAYLOAD_BYTES_MAX
    assert {1: message} == streams(FrameReader((1,)), pack_frames(1, message))
    assert pack_frames(1, b"") == b""


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=9000)), max_size=6), st.data())
def test_what_is_packed_is_read(messages: list[tuple[int, bytes]], data: st.DataObject) -> None:
    """Any messages on two connections arrive whole, however the bytes are cut."""
    sent = b"".join(pack_frames(connection, message) for connection, message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    pieces = [sent[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    expected = {
        connection: whole
        for connection in (1, 2)
        if (whole := b"".join(message for number, message in messages if number == connection))
    }
    assert expected == streams(FrameReader((1, 2)), *pieces)


def test_a_frame_of_which_a_part_is_to_come_is_unfinished() -> None:
    """From the first byte of its header to the last one of its payload."""
    reader = FrameReader((1,))
    data = frame(1, b"ab")
    for place, byte in enumerate(data):
        assert reader.is_unfinished is (place > 0)
        reader.read(bytes([byte]))
    assert not reader.is_unfinished
