"""Fields of messages of others: read, or refused in a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import FormatError
from agent.model.protobuf import delimited, double, signed, whole, zigzag
from agent.topic.field_reading import fields, signed_of


def read(data: bytes) -> list[tuple[int, int | bytes]]:
    """All fields, with bytes instead of views."""
    return [(number, value if isinstance(value, int) else bytes(value)) for number, value in fields(memoryview(data))]


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), st.integers(1, 2**64 - 1) | st.binary(max_size=200))))
def test_fields_are_read_in_their_order(written: list[tuple[int, int | bytes]]) -> None:
    """Numbers and bytes."""
    data = b"".join(whole(number, value) if isinstance(value, int) else delimited(number, value) for number, value in written)
    assert read(data) == written


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_numbers_are_read_back(number: int) -> None:
    """As sint64 has them."""
    assert signed_of(zigzag(number)) == number
    assert [signed_of(value) for _, value in read(signed(1, number)) if isinstance(value, int)] == ([number] if number else [])


def test_numbers_of_fixed_length_are_bytes() -> None:
    """Of 4 and of 8 bytes; a reader that does not know the field passes over it."""
    assert read(double(3, 0.0) + b"\x25abcd" + whole(1, 1)) == [(3, bytes(8)), (4, b"abcd"), (1, 1)]


@pytest.mark.parametrize(
    "data",
    [
        b"\x80",
        b"\x08",
        b"\x08\x80",
        b"\x08" + b"\x80" * 9,
        b"\x08" + b"\x80" * 10 + b"\x01",
        b"\x08" + b"\xff" * 9 + b"\x02",
        b"\x0a\x05abcd",
        b"\x0a",
        b"\x09abc",
        b"\x00\x01",
        b"\x0b",
        b"\x0f",
        b"\x80\x80\x80\x80\x10\x01",
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    """Cut short, too long, of no number, of groups and of types that nobody has."""
    with pytest.raises(FormatError):
        read(data)
