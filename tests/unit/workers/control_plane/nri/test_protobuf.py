"""Fields of protobuf messages."""

import pytest
from fakes import nri_wire
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import ProtocolError
from workers.control_plane.nri.protobuf import (
    BYTES,
    FIELD_HEAD_BYTES_MAX,
    FIXED32,
    FIXED64,
    VARINT,
    fields,
    pack_bytes,
    pack_number,
    pack_varint,
    read_varint,
    signed,
    whole_fields,
)


def contents(data: bytes) -> list[tuple[int, int, int | bytes]]:
    """Number, wire type, and value or content of each field."""
    return [
        (number, wire_type, begin if wire_type == VARINT else data[begin:end]) for number, wire_type, begin, end in fields(data)
    ]


def test_all_wire_types_of_the_format_are_read() -> None:
    """Numbers, texts, and both fixed sizes; a field number above 15 has a tag of two bytes."""
    data = b"\x08\x96\x01" + b"\x12\x02hi" + b"\x19ABCDEFGH" + b"\x25abcd" + b"\xaa\x01\x01x"
    assert contents(data) == [
        (1, VARINT, 150),
        (2, BYTES, b"hi"),
        (3, FIXED64, b"ABCDEFGH"),
        (4, FIXED32, b"abcd"),
        (21, BYTES, b"x"),
    ]


@pytest.mark.parametrize("wire_type", [3, 4, 6, 7])
def test_groups_and_unknown_wire_types_are_refused(wire_type: int) -> None:
    """NRI has no groups; what follows a wire type of unknown length cannot be found."""
    with pytest.raises(ProtocolError, match=f"wire type {wire_type}"):
        list(fields(bytes([1 << 3 | wire_type, 0])))


@pytest.mark.parametrize("data", [b"\x00\x00", b"\x80\x80\x80\x80\x10\x00", b"\x80" * 5 + b"\x01\x00"])
def test_a_field_number_outside_the_format_is_refused(data: bytes) -> None:
    """0, and what is above 2^29 - 1."""
    with pytest.raises(ProtocolError, match="a protobuf field of number"):
        list(fields(data))


@pytest.mark.parametrize("data", [b"\x12\x05abcd", b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x19ABCDEFG", b"\x25abc"])
def test_a_field_longer_than_its_message_is_refused(data: bytes) -> None:
    """Also one that claims more bytes than any memory has."""
    with pytest.raises(ProtocolError, match="are left"):
        list(fields(data))


@pytest.mark.parametrize("data", [b"\x08", b"\x08\x80", b"\x80", b"\x12", b"\x12\x80", b"\x08" + b"\xff" * 10 + b"\x01"])
def test_a_number_without_an_end_is_refused(data: bytes) -> None:
    """It ends within ten bytes, and within its message."""
    with pytest.raises(ProtocolError, match="without an end"):
        list(fields(data))


def test_a_number_has_64_bits() -> None:
    """What is above them in the tenth byte does not count, as in the official runtimes."""
    assert read_varint(b"\xff" * 9 + b"\x7f", 0) == (2**64 - 1, 10)


def test_a_number_is_signed_as_its_field_is_declared() -> None:
    """A negative number of 32 bits is sent with all 64."""
    assert signed(2**64 - 1, 32) == -1
    assert signed(2**64 - 5, 64) == -5
    assert signed(2**31 - 1, 32) == 2**31 - 1
    assert signed(2**32 + 7, 32) == 7


def test_defaults_are_not_sent() -> None:
    """Zero and empty are what a missing field means."""
    assert pack_number(3, 0) == pack_bytes(3, b"") == b""


@given(st.integers(-(2**63), 2**64 - 1))
def test_numbers_round_trip(number: int) -> None:
    """Packed and read, and the same bytes as another encoder writes."""
    packed = pack_varint(number)
    assert packed == nri_wire.varint(number)
    assert read_varint(packed, 0) == (number % 2**64, len(packed))


@given(st.lists(st.binary(max_size=90), max_size=6), st.lists(st.integers(0, 2**64 - 1), max_size=3), st.integers(0, 700))
def test_of_a_message_that_still_arrives_only_whole_fields_are_used(texts: list[bytes], numbers: list[int], size: int) -> None:
    """Each prefix of a message has some, and with the bytes that one more needs there is one more."""
    message = b"\x19ABCDEFGH\x25abcd" + nri_wire.repeated(2, texts) + b"".join(nri_wire.field(1, number) for number in numbers)
    every = contents(message)
    end, needed = whole_fields(message[:size])
    assert contents(message[:end]) == every[: len(contents(message[:end]))]
    assert needed > min(size, len(message))
    more, _ = whole_fields((message + b"\x08" * 40)[:needed])
    assert more > end or needed == end + FIELD_HEAD_BYTES_MAX


@pytest.mark.parametrize("data", [b"\x0b" + b"\0" * 30, b"\xff" * 30, b"\x08" + b"\xff" * 30])
def test_a_message_that_still_arrives_may_be_refused(data: bytes) -> None:
    """Groups, and numbers without an end."""
    with pytest.raises(ProtocolError):
        whole_fields(data)


values = st.one_of(st.integers(1, 2**64 - 1), st.binary(min_size=1, max_size=300))


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), values), max_size=8))
def test_fields_round_trip(message: list[tuple[int, int | bytes]]) -> None:
    """Packed and read, and the same bytes as another encoder writes."""
    packed = b"".join(
        pack_number(number, value) if isinstance(value, int) else pack_bytes(number, value) for number, value in message
    )
    assert packed == b"".join(nri_wire.field(number, value) for number, value in message)
    assert [(number, VARINT if isinstance(value, int) else BYTES, value) for number, value in message] == contents(packed)


@given(st.binary(max_size=60))
def test_any_bytes_are_fields_or_refused(data: bytes) -> None:
    """No other exception, and every content lies within the bytes."""
    try:
        found = list(fields(data))
    except ProtocolError:
        return
    assert all(wire_type == VARINT or 0 <= begin <= end <= len(data) for _, wire_type, begin, end in found)


@pytest.mark.parametrize(
    ("data", "whole", "needed"),
    [
        (b"", 0, FIELD_HEAD_BYTES_MAX),
        (b"\x08\x01" + bytes(FIELD_HEAD_BYTES_MAX - 1), 2, 2 + FIELD_HEAD_BYTES_MAX),
        (b"\x12\x7f" + b"x" * FIELD_HEAD_BYTES_MAX, 0, 129),
        (b"\x08\x01\x19" + b"x" * 8 + b"\x12\x7f" + b"x" * FIELD_HEAD_BYTES_MAX, 11, 140),
    ],
)
def test_of_a_message_that_still_arrives_the_whole_fields_are_counted(data: bytes, whole: int, needed: int) -> None:
    """And how many bytes one more would need: a long text is not looked at again before it has come."""
    assert whole_fields(data) == (whole, needed)


def test_a_message_that_still_arrives_may_not_hold_what_no_message_holds() -> None:
    """It is refused before the rest has come."""
    with pytest.raises(ProtocolError, match="wire type 3"):
        whole_fields(b"\x0b" + bytes(FIELD_HEAD_BYTES_MAX))
