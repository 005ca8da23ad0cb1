"""The fields of a protobuf message that somebody else wrote, one after another. PURE.

*Source:* protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator

from agent.model.errors import FormatError
from agent.model.protobuf import BYTES, FIXED32, FIXED64, VARINT

WHERE = "value of a message of a topic"
_FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
_VARINT_BYTES_MAX = 10
_FIELD_NUMBER_MAX = (1 << 29) - 1
_UINT64_MAX = (1 << 64) - 1


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The number and the value of each field, in their order: a whole number, or the bytes of everything else.

    *Raises:* FormatError where the bytes are no message.
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number <= _FIELD_NUMBER_MAX:
            raise FormatError(WHERE, f"a field of number {number}")
        if wire_type == VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire_type == BYTES:
            length, at = _varint(data, at)
        elif wire_type in _FIXED_BYTES:
            length = _FIXED_BYTES[wire_type]
        else:
            raise FormatError(WHERE, f"a field of wire type {wire_type}")
        if length > len(data) - at:
            raise FormatError(WHERE, "a field is cut short")
        yield number, data[at : at + length]
        at += length


def signed_of(number: int) -> int:
    """The number of a field of type sint64."""
    return number >> 1 ^ -(number & 1)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    # Most numbers have one byte: a message has a tag and a length for each text.
    if at < len(data) and (byte := data[at]) < 0x80:
        return byte, at + 1
    number = 0
    for place in range(_VARINT_BYTES_MAX):
        if at + place >= len(data):
            raise FormatError(WHERE, "a number is cut short")
        byte = data[at + place]
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            if number > _UINT64_MAX:
                break
            return number, at + place + 1
    raise FormatError(WHERE, "a number of more than 64 bits")
