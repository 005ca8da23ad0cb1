"""What OTLP needs of the protobuf encoding beyond agent.model.protobuf: times, attributes, and texts that may be left out. PURE.

Fields stand in the order of their numbers, as the official encoder writes them, so its bytes are ours. *Source:*
protobuf.dev/programming-guides/encoding; opentelemetry-proto, metrics.proto, logs.proto, common.proto, resource.proto.
"""

from collections.abc import Iterable, Sequence
from struct import Struct as Layout

from agent.model.protobuf import FIXED64, VARINT, delimited, double, tag, varint

_FIXED64 = Layout("<Q")
# What an attribute may hold; a longer text ends with `…`.
TEXT_LENGTH_MAX = 4096

AttributeValue = str | int | bool | float | Sequence[str]


def text(number: int, content: str) -> bytes:
    """A text. *Absent:* an empty one is the default, which is not sent. *Range:* the text must be valid Unicode."""
    return delimited(number, content.encode()) if content else b""


def fixed64(field: int, value: int) -> bytes:
    """A `fixed64`. *Absent:* 0 is the default, which is not sent."""
    return tag(field, FIXED64) + _FIXED64.pack(value) if value else b""


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
