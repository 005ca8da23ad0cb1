"""The part of the protobuf encoding that NRI needs. PURE.

A message is read as its fields; its parser picks those that it needs, and no other is decoded. NRI has no groups, so
their wire types are refused. *Source:* protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator

from agent.model.errors import ProtocolError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
# A varint of 64 bits.
VARINT_BYTES_MAX = 10
# The tag of a field and its length or value.
FIELD_HEAD_BYTES_MAX = 2 * VARINT_BYTES_MAX
FIELD_NUMBER_MAX = (1 << 29) - 1
_UINT64 = (1 << 64) - 1


def fields(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message in their order: number, wire type and two integers that depend on the type.

    A varint has its value and 0. All others have the begin and the end of their content in `data`.
    *Raises:* ProtocolError: the bytes are no message.
    """
    place, end = 0, len(data)
    while place < end:
        tag = data[place]
        place += 1
        if tag > 127:
            tag, place = read_varint(data, place - 1)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number <= FIELD_NUMBER_MAX:
            raise ProtocolError("nri", f"a protobuf field of number {number}")
        if wire_type == BYTES:
            # Nearly all fields are short texts, whose length is one byte.
            length, place = (data[place], place + 1) if place < end and data[place] < 128 else read_varint(data, place)
            begin, place = place, place + length
        elif wire_type == VARINT:
            value, place = read_varint(data, place)
            yield number, VARINT, value, 0
            continue
        elif wire_type in _FIXED_BYTES:
            begin, place = place, place + _FIXED_BYTES[wire_type]
        else:
            raise ProtocolError("nri", f"a protobuf field of wire type {wire_type}")
        if place > end:
            raise ProtocolError("nri", f"a protobuf field of {place - begin} bytes where {end - begin} are left")
        yield number, wire_type, begin, place


def whole_fields(data: bytes) -> tuple[int, int]:
    """How many bytes from the beginning of a message that still arrives are whole fields, and how many one more would need.

    The last few bytes are never whole fields: a number among them could go on. *Raises:* ProtocolError.
    """
    place, end = 0, len(data)
    while end - place >= FIELD_HEAD_BYTES_MAX:
        tag, after = read_varint(data, place)
        wire_type = tag & 7
        if wire_type in (VARINT, BYTES):
            value, after = read_varint(data, after)
            after += value if wire_type == BYTES else 0
        elif wire_type in _FIXED_BYTES:
            after += _FIXED_BYTES[wire_type]
        else:
            raise ProtocolError("nri", f"a protobuf field of wire type {wire_type}")
        if after > end:
            return place, after
        place = after
    return place, place + FIELD_HEAD_BYTES_MAX


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    """The number at a place, unsigned and of 64 bits, and the place after it.

    *Raises:* ProtocolError: it does not end within its longest form or within the data.
    """
    value = 0
    for shift, byte in enumerate(data[place : place + VARINT_BYTES_MAX]):
        value |= (byte & 127) << (7 * shift)
        if byte < 128:
            return value & _UINT64, place + shift + 1
    raise ProtocolError("nri", "a protobuf number without an end")


def signed(value: int, bits: int) -> int:
    """A varint as the signed number of 32 or 64 bits that a field is declared as."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def pack_varint(value: int) -> bytes:
    """A number of up to 64 bits; a negative one is packed as its two's complement."""
    value &= _UINT64
    packed = bytearray()
    while value > 127:
        packed.append(value & 127 | 128)
        value >>= 7
    packed.append(value)
    return bytes(packed)


def pack_number(number: int, value: int) -> bytes:
    """A field that is a number, a boolean or an enumeration. *Absent:* 0 is the default, which is not sent."""
    return pack_varint(number << 3 | VARINT) + pack_varint(value) if value else b""


def pack_bytes(number: int, content: bytes) -> bytes:
    """A field that is a text, bytes or a message. *Absent:* empty content is the default, which is not sent."""
    return pack_varint(number << 3 | BYTES) + pack_varint(len(content)) + content if content else b""
