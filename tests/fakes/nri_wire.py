"""The wire of NRI as a runtime speaks it: frames, ttrpc messages and protobuf fields, both ways. PURE.

It is written from the description of the wire alone and shares no code with the agent, so that it can judge the agent.
*Source:* github.com/containerd/nri (`pkg/net/multiplex`, `pkg/api/api.proto`), github.com/containerd/ttrpc (`channel.go`).
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

PLUGIN_SERVICE, RUNTIME_SERVICE = 1, 2
REQUEST, RESPONSE = 1, 2
# The Go side reads a frame into a buffer of this size and gives up when it does not fit.
READ_BUFFER_BYTES = 4096
# ttrpc refuses to send or to take a message with more data.
MESSAGE_BYTES_MAX = 4 << 20
OK, UNKNOWN, INVALID_ARGUMENT, UNIMPLEMENTED = 0, 2, 3, 12

Value = int | bytes | str | Mapping[str | bytes, str | bytes]
Fields = dict[int, list[int | bytes]]


class WireError(Exception):
    """The peer broke a rule of the wire; the Go side would close the connection."""


# ---- protobuf --------------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    """A number of at most 64 bits; a negative one as its complement, as protobuf does."""
    number &= (1 << 64) - 1
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def field(number: int, value: Value | None) -> bytes:
    """One field; nothing for None and for the default values, as proto3 does. A mapping is a repeated pair of texts."""
    if isinstance(value, Mapping):
        return b"".join(field(number, field(1, key) + field(2, text)) for key, text in value.items())
    if not value:
        return b""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def repeated(number: int, values: Iterable[bytes]) -> bytes:
    """A field for each value, empty ones too."""
    return b"".join(varint(number << 3 | 2) + varint(len(value)) + value for value in values)


def fields(data: bytes) -> Fields:
    """The fields of a message by number. *Raises:* WireError."""
    found: Fields = {}
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        value: int | bytes
        match tag & 7:
            case 0:
                value, at = _read_varint(data, at)
            case 2:
                length, at = _read_varint(data, at)
                value, at = data[at : at + length], at + length
            case 1 | 5 as kind:
                width = 8 if kind == 1 else 4
                value, at = data[at : at + width], at + width
            case other:
                raise WireError(f"wire type {other}")
        if at > len(data):
            raise WireError("a field ends behind its message")
        found.setdefault(tag >> 3, []).append(value)
    return found


def number_of(message: Fields, number: int) -> int:
    """The last value of a number field; 0 where it is missing. *Raises:* WireError."""
    value = message.get(number, [0])[-1]
    if not isinstance(value, int):
        raise WireError(f"field {number} is no number")
    return value


def bytes_of(message: Fields, number: int) -> bytes:
    """The last value of a field of bytes; empty where it is missing. *Raises:* WireError."""
    value = message.get(number, [b""])[-1]
    if not isinstance(value, bytes):
        raise WireError(f"field {number} is no bytes")
    return value


def text_of(message: Fields, number: int) -> str:
    """The last value of a text field. *Raises:* WireError, also for what is no UTF-8: Go's protobuf refuses it."""
    try:
        return bytes_of(message, number).decode()
    except UnicodeDecodeError as cause:
        raise WireError(f"field {number} is no UTF-8") from cause


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while shift < 70:
        if at >= len(data):
            raise WireError("a number ends behind its message")
        byte = data[at]
        number |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return number & ((1 << 64) - 1), at
    raise WireError("a number has more than 70 bits")


# ---- ttrpc over frames -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """One ttrpc message of a connection; `data` is its request or response, `flags` must be 0 for the calls that NRI has."""

    connection: int
    stream: int
    kind: int
    flags: int
    data: bytes


def message_bytes(stream: int, kind: int, data: bytes) -> bytes:
    """Header and data of one ttrpc message."""
    return struct.pack(">IIBB", len(data), stream, kind, 0) + data


def request(stream: int, method: str, payload: bytes, timeout_ns: int, service: str = "nri.pkg.api.v1alpha1.Plugin") -> bytes:
    """A call as Go's client makes it."""
    return message_bytes(stream, REQUEST, field(1, service) + field(2, method) + field(3, payload) + field(4, timeout_ns))


def response(stream: int, payload: bytes = b"", code: int = OK, text: str = "") -> bytes:
    """An answer as Go's server gives it: the status is there only when it is not OK."""
    status = field(1, field(1, code) + field(2, text)) if code else b""
    return message_bytes(stream, RESPONSE, status + field(2, payload))


def frame(connection: int, payload: bytes) -> bytes:
    """One frame of the multiplexer."""
    return struct.pack(">II", connection, len(payload)) + payload


def frames(connection: int, message: bytes, sizes: Iterator[int] | None = None) -> bytes:
    """A message in frames: as Go's buffered writer cuts it (the first buffer, then all the rest), or in the given sizes."""
    if sizes is None:
        sizes = iter((READ_BUFFER_BYTES, max(len(message), 1)))
    parts = bytearray()
    at = 0
    while at < len(message):
        part = message[at : at + next(sizes)]
        parts += frame(connection, part)
        at += len(part)
    return bytes(parts)


class Reader:
    """Messages of what a plugin sends, by the rules of the Go side."""

    def __init__(self) -> None:
        self._input = bytearray()
        self._streams: dict[int, bytearray] = {PLUGIN_SERVICE: bytearray(), RUNTIME_SERVICE: bytearray()}
        self._last_request = -1
        self.largest_frame_bytes = 0
        self.dropped_frames = 0

    def receive(self, data: bytes) -> list[Message]:
        """Take what was read, give what is whole. *Raises:* WireError."""
        self._input += data
        while len(self._input) >= 8:
            connection, length = struct.unpack(">II", self._input[:8])
            if length > READ_BUFFER_BYTES:
                raise WireError(f"a frame of {length} bytes does not fit the reader's buffer of {READ_BUFFER_BYTES}")
            if len(self._input) < 8 + length:
                break
            payload = self._input[8 : 8 + length]
            del self._input[: 8 + length]
            self.largest_frame_bytes = max(self.largest_frame_bytes, length)
            if connection in self._streams:
                self._streams[connection] += payload
            else:
                self.dropped_frames += 1
        return [message for connection in self._streams for message in self._messages(connection)]

    def _messages(self, connection: int) -> Iterator[Message]:
        stream = self._streams[connection]
        while len(stream) >= 10:
            length, number, kind, flags = struct.unpack(">IIBB", stream[:10])
            if length > MESSAGE_BYTES_MAX:
                raise WireError(f"a message of {length} bytes")
            if len(stream) < 10 + length:
                return
            data = bytes(stream[10 : 10 + length])
            del stream[: 10 + length]
            yield self._checked(Message(connection, number, kind, flags, data))

    def _checked(self, message: Message) -> Message:
        expected = REQUEST if message.connection == RUNTIME_SERVICE else RESPONSE
        if message.kind != expected:
            raise WireError(f"a message of type {message.kind} on connection {message.connection}")
        if message.kind == REQUEST:
            if message.stream % 2 == 0 or message.stream <= self._last_request:
                raise WireError(f"stream {message.stream} after {self._last_request}: odd and increasing numbers are asked for")
            self._last_request = message.stream
        return message
