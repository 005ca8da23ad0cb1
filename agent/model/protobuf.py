"""The little of protobuf's wire format that exports write: fields of known types, in the order in which they are given. PURE.

An own encoder of some lines, because the package `protobuf` costs some MiB in each process and pins its generated code to its
version. *Source:* protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterable
from struct import Struct as Layout

_DOUBLE = Layout("<d")
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SEVEN_BITS = 0x7F
_TWO_BYTES_MAX = (1 << 14) - 1
_WORD_BITS = 64
# Most lengths, references and differences are small.
_SMALL = tuple(bytes((number,)) for number in range(128))


def varint(number: int) -> bytes:
    """*Range:* 0 to 2^64 - 1; a negative number is written as its two's complement, as int64 has it."""
    if 0 <= number <= _SEVEN_BITS:
        return _SMALL[number]
    if 0 < number <= _TWO_BYTES_MAX:
        return bytes((number & _SEVEN_BITS | 0x80, number >> 7))
    if number < 0:
        number += 1 << _WORD_BITS
    found = bytearray()
    while number > _SEVEN_BITS:
        found.append(number & _SEVEN_BITS | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def zigzag(number: int) -> int:
    """A signed number as `sint32` and `sint64` write it: small ones stay small."""
    return number << 1 if number >= 0 else (-number << 1) - 1


def tag(field: int, wire_type: int) -> bytes:
    """What stands before a field's value."""
    return varint(field << 3 | wire_type)


def whole(field: int, number: int) -> bytes:
    """A field of a whole number; nothing for 0, the default."""
    return tag(field, VARINT) + varint(number) if number else b""


def signed(field: int, number: int) -> bytes:
    """A field of a zigzag number; nothing for 0, the default."""
    return whole(field, zigzag(number))


def double(field: int, number: float) -> bytes:
    """A field of a floating point number, also where it is 0."""
    return tag(field, FIXED64) + _DOUBLE.pack(number)


def delimited(field: int, content: bytes) -> bytes:
    """A field of bytes: a message or packed numbers."""
    return varint(field << 3 | BYTES) + varint(len(content)) + content


def text(field: int, content: str) -> bytes:
    """A field of text."""
    return delimited(field, content.encode())


def packed(field: int, numbers: Iterable[int]) -> bytes:
    """A packed field of whole numbers; nothing where there are none."""
    small = _SMALL
    content = b"".join([small[number] if 0 <= number <= _SEVEN_BITS else varint(number) for number in numbers])
    return delimited(field, content) if content else b""
