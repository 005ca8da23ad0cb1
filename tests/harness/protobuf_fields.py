"""Protobuf messages taken apart by their fields, without knowing their types."""

from struct import unpack

Field = int | bytes
Fields = dict[int, list[Field]]


def fields_of(message: bytes) -> Fields:
    """The values of each field, in order: whole numbers, or the bytes of doubles, texts, messages and packed numbers."""
    found: Fields = {}
    at = 0
    while at < len(message):
        key, at = varint_at(message, at)
        value: Field
        if key & 7 == 0:
            value, at = varint_at(message, at)
        elif key & 7 == 1:
            value, at = message[at : at + 8], at + 8
        else:
            assert key & 7 == 2, key
            length, at = varint_at(message, at)
            value, at = message[at : at + length], at + length
            assert len(value) == length
        found.setdefault(key >> 3, []).append(value)
    return found


def varint_at(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins there, and where it ends."""
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        at += 1
        shift += 7
        if data[at - 1] < 0x80:
            return number, at


def numbers_in(packed: Field) -> list[int]:
    """The numbers of a packed field."""
    assert isinstance(packed, bytes)
    found, at = [], 0
    while at < len(packed):
        number, at = varint_at(packed, at)
        found.append(number)
    return found


def double_in(value: Field) -> float:
    """The number of a double field."""
    assert isinstance(value, bytes)
    (number,) = unpack("<d", value)
    assert isinstance(number, float)
    return number


def signed_in(number: Field) -> int:
    """The number of a zigzag field."""
    assert isinstance(number, int)
    return (number >> 1) ^ -(number & 1)


def text_in(value: Field) -> str:
    """The text of a field."""
    assert isinstance(value, bytes)
    return value.decode()


def message_in(value: Field) -> Fields:
    """The fields of a message that is a field."""
    assert isinstance(value, bytes)
    return fields_of(value)
