"""What a receiver of OTLP answers: partial success, and the status of an error, read from protobuf or JSON. PURE.

*Source:* opentelemetry-proto, docs/specification.md; google/rpc/status.proto.
"""

import msgspec
from msgspec import Struct

from agent.model.errors import ProtocolError
from agent.model.foreign import readable
from agent.model.protobuf import BYTES, FIXED32, FIXED64, VARINT
from workers.export.http_answer import HttpAnswer
from workers.export.http_verdict import TEXT_LENGTH_MAX, plain_text

_VARINT_BYTES_MAX = 10
_REJECTED_MAX = (1 << 63) - 1


class PartialSuccess(Struct, frozen=True):
    """How many points or records were refused for good, and what the receiver says about it. Without refused ones: a warning."""

    rejected: int = 0
    message: str = ""


class _JsonPartial(Struct, frozen=True):
    rejectedDataPoints: int | str = 0
    rejectedLogRecords: int | str = 0
    errorMessage: str = ""


class _JsonAnswer(Struct, frozen=True):
    partialSuccess: _JsonPartial | None = None


_JSON = msgspec.json.Decoder(_JsonAnswer)


def partial_success(answer: HttpAnswer) -> PartialSuccess | None:
    """What a 2xx answer says; None: it cannot be read, but its status says that the request was taken."""
    if not answer.body:
        return PartialSuccess()
    if answer.is_cut:
        return None
    try:
        if answer.media_type == "application/json":
            return _of_json(answer.body)
        for field, content in _fields(answer.body):
            if field == 1 and isinstance(content, bytes):
                return _of_protobuf(content)
    except (ProtocolError, msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    return PartialSuccess()


def error_text(answer: HttpAnswer) -> str:
    """What an error answer says: the message of its status, or its plain text; empty: nothing readable."""
    if answer.media_type == "application/x-protobuf" and not answer.is_cut:
        try:
            for field, content in _fields(answer.body):
                if field == 2 and isinstance(content, bytes):
                    return readable(content, TEXT_LENGTH_MAX)
        except ProtocolError:
            return ""
        return ""
    return plain_text(answer)


def _of_json(body: bytes) -> PartialSuccess:
    found = _JSON.decode(body).partialSuccess
    if found is None:
        return PartialSuccess()
    rejected = int(found.rejectedDataPoints) or int(found.rejectedLogRecords)
    return PartialSuccess(max(0, min(rejected, _REJECTED_MAX)), readable(found.errorMessage, TEXT_LENGTH_MAX))


def _of_protobuf(content: bytes) -> PartialSuccess:
    rejected, message = 0, ""
    for field, value in _fields(content):
        if field == 1 and isinstance(value, int):
            # An int64; a negative one says nothing.
            rejected = value if value <= _REJECTED_MAX else 0
        elif field == 2 and isinstance(value, bytes):
            message = readable(value, TEXT_LENGTH_MAX)
    return PartialSuccess(rejected, message)


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """Number and content of each field; fixed ones are left out. *Raises:* ProtocolError."""
    found: list[tuple[int, int | bytes]] = []
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        wire_type = key & 7
        if wire_type == VARINT:
            value, place = _varint(data, place)
            found.append((key >> 3, value))
        elif wire_type == BYTES:
            length, place = _varint(data, place)
            if place + length > len(data):
                raise ProtocolError("answer", "a field is cut short")
            found.append((key >> 3, data[place : place + length]))
            place += length
        elif wire_type in (FIXED64, FIXED32):
            place += 8 if wire_type == FIXED64 else 4
        else:
            raise ProtocolError("answer", f"a field of wire type {wire_type}")
    return found


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(data[place : place + _VARINT_BYTES_MAX]):
        value |= (byte & 127) << (7 * shift)
        if byte < 128:
            return value & ((1 << 64) - 1), place + shift + 1
    raise ProtocolError("answer", "a number without an end")
