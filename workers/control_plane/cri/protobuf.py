"""The wire format of protobuf, read without its runtime. PURE."""

from collections.abc import Iterator

from agent.model.errors import ProtocolError

_WHERE = "CRI socket"
_VARINT, _FIXED64, _TEXT, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES_MAX = 10


def text_field(number: int, text: str) -> bytes:
    """A field with a text. *Range:* numbers below 16, texts below 128 bytes: a request has no others."""
    data = text.encode()
    assert 0 < number < 16
    assert len(data) < 128
    return bytes([number << 3 | _TEXT, len(data)]) + data


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field in order: whole numbers as int, what has a length as bytes; others are skipped.

    *Raises:* ProtocolError.
    """
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _TEXT:
            length, at = _varint(message, at)
            if length > end - at:
                raise ProtocolError(_WHERE, "a message ends in the middle of a field")
            yield tag >> 3, message[at : at + length]
            at += length
        elif kind == _VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
            if at > end:
                raise ProtocolError(_WHERE, "a message ends in the middle of a field")
        else:
            raise ProtocolError(_WHERE, f"a field has the unknown wire type {kind}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(message[at : at + _VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise ProtocolError(_WHERE, "a number in a message does not end")
