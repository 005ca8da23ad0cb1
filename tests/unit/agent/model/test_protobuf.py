"""The wire format, read back by a decoder of its own."""

from harness.protobuf_fields import double_in, fields_of, numbers_in, signed_in
from hypothesis import given
from hypothesis import strategies as st

from agent.model.protobuf import delimited, double, packed, signed, text, varint, whole, zigzag


@given(st.integers(-(2**63), 2**64 - 1))
def test_whole_numbers_are_read_back(number: int) -> None:
    """A negative one as its two's complement."""
    found = fields_of(whole(5, number))
    assert found == ({5: [number % 2**64]} if number else {})
    assert len(varint(number)) <= 10


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_numbers_are_read_back(number: int) -> None:
    """Small ones are short on both sides of 0."""
    found = fields_of(signed(300, number))
    assert [signed_in(value) for value in found.get(300, [0])] == [number]
    assert -64 <= number < 64 or zigzag(number) > 127


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_packed_numbers_are_read_back(numbers: list[int]) -> None:
    """Nothing where there are none."""
    assert [number for value in fields_of(packed(2, numbers)).get(2, []) for number in numbers_in(value)] == numbers


def test_texts_bytes_and_doubles_are_read_back() -> None:
    """In the order in which they were written."""
    found = fields_of(text(1, "ü") + delimited(1, b"") + double(2, -0.5) + double(2, 0))
    assert found[1] == ["ü".encode(), b""]
    assert [double_in(value) for value in found[2]] == [-0.5, 0.0]
