"""Protobuf as far as a CRI client of tests needs it: fields by number, written and read without a schema."""

from collections.abc import Iterator, Mapping

Value = int | str | bytes


def encode(fields: Mapping[int, Value | list[Value] | dict[str, str]]) -> bytes:
    """One message. Lists are repeated fields, dicts are maps of texts; absent fields are zero, as proto3 has it."""
    return b"".join(_field(number, value) for number, each in fields.items() for value in _values(each))


def _values(each: Value | list[Value] | dict[str, str]) -> list[Value]:
    if isinstance(each, dict):
        return [encode({1: key, 2: value}) for key, value in each.items()]
    return each if isinstance(each, list) else [each]


def _field(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def decode(data: bytes) -> dict[int, list[int | bytes]]:
    """By number the values of one message, in order. *Raises:* ValueError, IndexError for what is none."""
    found: dict[int, list[int | bytes]] = {}
    for number, value in _fields(data):
        found.setdefault(number, []).append(value)
    return found


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    place = 0
    while place < len(data):
        key, place = _read_varint(data, place)
        value: int | bytes
        match key & 7:
            case 0:
                value, place = _read_varint(data, place)
            case 1:
                value, place = data[place : place + 8], place + 8
            case 2:
                size, place = _read_varint(data, place)
                value, place = data[place : place + size], place + size
            case 5:
                value, place = data[place : place + 4], place + 4
            case other:
                raise ValueError(f"no wire type: {other}")
        yield key >> 3, value


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


class Message:
    """A decoded message; what is absent is zero, empty or nothing."""

    def __init__(self, data: bytes) -> None:
        self._fields = decode(data)

    def text(self, number: int) -> str:
        """The last value as a text."""
        value = self._fields.get(number, [b""])[-1]
        assert isinstance(value, bytes)
        return value.decode()

    def number(self, number: int) -> int:
        """The last value as a number."""
        value = self._fields.get(number, [0])[-1]
        assert isinstance(value, int)
        return value

    def message(self, number: int) -> "Message":
        """The last value as a message of its own."""
        value = self._fields.get(number, [b""])[-1]
        assert isinstance(value, bytes)
        return Message(value)

    def messages(self, number: int) -> "list[Message]":
        """All values as messages."""
        return [Message(value) for value in self._fields.get(number, []) if isinstance(value, bytes)]

    def texts(self, number: int) -> list[str]:
        """All values as texts."""
        return [value.decode() for value in self._fields.get(number, []) if isinstance(value, bytes)]
