"""The part of the protobuf encoding that OTLP needs: small, exact, and fast for points. PURE.

Fields stand in the order of their numbers, as the official encoder writes them, so its bytes are ours. *Source:*
protobuf.dev/programming-guides/encoding; opentelemetry-proto, metrics.proto, logs.proto, common.proto, resource.proto.
"""

from collections.abc import Iterable, Sequence
from struct import Struct as Layout

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_UINT64 = (1 << 64) - 1
_DOUBLE = Layout("<d")
_FIXED64 = Layout("<Q")
# Nearly every length and number is short.
_SHORT = tuple(bytes([number]) for number in range(128))
# What an attribute may hold; a longer text ends with `…`.
TEXT_LENGTH_MAX = 4096

AttributeValue = str | int | bool | float | Sequence[str]


def varint(value: int) -> bytes:
    """A whole number; a negative one as its two's complement of 64 bits."""
    if 0 <= value < 128:
        return _SHORT[value]
    value &= _UINT64
    packed = bytearray()
    while value > 127:
        packed.append(value & 127 | 128)
        value >>= 7
    packed.append(value)
    return bytes(packed)


def zigzag(value: int) -> bytes:
    """A `sint32` or `sint64`."""
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


def tag(number: int, wire_type: int) -> bytes:
    """What stands before a field."""
    return varint(number << 3 | wire_type)


def delimited(number: int, content: bytes) -> bytes:
    """A text, bytes or a message, also an empty one."""
    return tag(number, BYTES) + varint(len(content)) + content


def text(number: int, content: str) -> bytes:
    """A text. *Absent:* an empty one is the default, which is not sent. *Range:* the text must be valid Unicode."""
    return delimited(number, content.encode()) if content else b""


def number(field: int, value: int) -> bytes:
    """A varint. *Absent:* 0 is the default, which is not sent."""
    return tag(field, VARINT) + varint(value) if value else b""


def fixed64(field: int, value: int) -> bytes:
    """A `fixed64`. *Absent:* 0 is the default, which is not sent."""
    return tag(field, FIXED64) + _FIXED64.pack(value) if value else b""


def double(field: int, value: float) -> bytes:
    """A double whose presence counts (`optional` or in a `oneof`): 0 is sent."""
    return tag(field, FIXED64) + _DOUBLE.pack(value)


def packed_varints(field: int, values: Iterable[int]) -> bytes:
    """Repeated varints, packed. *Absent:* nothing where there is none."""
    short = _SHORT
    content = b"".join([short[value] if 0 <= value < 128 else varint(value) for value in values])
    return delimited(field, content) if content else b""


def any_value(value: AttributeValue) -> bytes:
    """An `AnyValue`: text, bool, int, double or an array of texts."""
    if isinstance(value, str):
        # In a `oneof` an empty text is something too.
        return delimited(1, _bounded(value).encode("utf-8", "replace"))
    if isinstance(value, bool):
        return tag(2, VARINT) + varint(value)
    if isinstance(value, int):
        return tag(3, VARINT) + varint(value)
    if isinstance(value, float):
        return double(4, value)
    return delimited(5, b"".join(delimited(1, any_value(each)) for each in value))


def attribute(field: int, key: str, value: AttributeValue) -> bytes:
    """A `KeyValue` as an element of the repeated field `field`."""
    return delimited(field, text(1, key) + delimited(2, any_value(value)))


def attributes(field: int, pairs: Iterable[tuple[str, AttributeValue]]) -> bytes:
    """Several, in this order."""
    return b"".join([attribute(field, key, value) for key, value in pairs])


def _bounded(value: str) -> str:
    return value if len(value) <= TEXT_LENGTH_MAX else value[: TEXT_LENGTH_MAX - 1] + "…"
