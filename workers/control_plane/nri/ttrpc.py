"""Messages of ttrpc, the request protocol of NRI. PURE.

A message is a header of 10 bytes (length of the data and stream, 32 bits each, big-endian; type; flags) and its data. NRI uses only
calls of one request and one response. *Source:* github.com/containerd/ttrpc, PROTOCOL.md and request.proto.
"""

from collections.abc import Callable
from struct import Struct as Layout

from msgspec import Struct

from agent.model.errors import ProtocolError
from agent.model.foreign import readable
from workers.control_plane.nri.protobuf import (
    BYTES,
    FIELD_HEAD_BYTES_MAX,
    VARINT,
    fields,
    pack_bytes,
    pack_number,
    read_varint,
    signed,
)

HEADER = Layout(">IIBB")
REQUEST, RESPONSE = 1, 2
DATA_BYTES_MAX = 4 << 20
# Service and method are names of a few dozen letters.
NAME_CHARACTERS_MAX = 128
MESSAGE_CHARACTERS_MAX = 512
# A call of one container has 3 kB; what is longer is a synchronization.
LONG_BYTES = 16 << 10
_PAYLOAD = 3
# Service and method.
_HEAD_FIELDS_MAX = 3
# gRPC's code for a service or method that is not served.
UNIMPLEMENTED = 12


class TtrpcMessage(Struct, frozen=True):
    """One message as it came."""

    stream: int
    kind: int
    flags: int
    data: bytes


class TtrpcRequest(Struct, frozen=True):
    """What is called, with which payload. *Units:* `timeout_ns` is the caller's limit, 0: it named none."""

    service: str
    method: str
    payload: bytes
    timeout_ns: int = 0


class TtrpcResponse(Struct, frozen=True):
    """What a call came to: `code` is gRPC's, 0 for success; `message` its text, for a person."""

    code: int
    message: str
    payload: bytes


# Takes the payload of a long request as it arrives; None: it is wanted as a whole.
PayloadTaker = Callable[[bytes], None]


class _Incoming(Struct):
    """A message of which the header has come. `missing` counts its data that are neither in `head` nor handed on."""

    stream: int
    kind: int
    flags: int
    missing: int
    is_looked_at: bool = False
    head: bytes = b""
    payload_missing: int = 0
    take: PayloadTaker | None = None


class MessageReader:
    """Puts the messages of one stream of bytes together.

    The payload of a long request can be handed on as it arrives, so that its 4 MiB are never held in one piece, which the process
    would keep. *Range:* it holds at most one message and the piece it was just given.
    """

    def __init__(self, taker_of: Callable[[TtrpcRequest], PayloadTaker | None] = lambda _request: None) -> None:
        """`taker_of` gets a long request without its payload, and gives what takes that."""
        self._buffer = bytearray()
        self._incoming: _Incoming | None = None
        self._taker_of = taker_of

    def read(self, data: bytes | bytearray | memoryview) -> list[TtrpcMessage]:
        """The messages that these bytes complete; one whose payload was handed on has the rest of its data.

        *Raises:* ProtocolError: a message is longer than any that ttrpc sends; found before its data are held.
        """
        self._buffer += data
        messages: list[TtrpcMessage] = []
        place = 0
        while (after := self._step(place, messages)) is not None:
            place = after
        del self._buffer[:place]
        return messages

    @property
    def is_unfinished(self) -> bool:
        """Whether a message has begun of which a part is to come."""
        return bool(self._buffer) or self._incoming is not None

    def _step(self, place: int, messages: list[TtrpcMessage]) -> int | None:
        """Take what comes next from a place; the place after it, None: more bytes are needed."""
        incoming, held = self._incoming, len(self._buffer) - place
        if incoming is None:
            if held < HEADER.size:
                return None
            length, stream, kind, flags = HEADER.unpack_from(self._buffer, place)
            if length > DATA_BYTES_MAX:
                raise ProtocolError("nri", f"a ttrpc message of {length} bytes, more than {DATA_BYTES_MAX}")
            self._incoming = _Incoming(stream, kind, flags, length)
            return place + HEADER.size
        if incoming.payload_missing:
            return self._hand_on(incoming, place, min(held, incoming.payload_missing))
        if incoming.missing >= LONG_BYTES and not incoming.is_looked_at and incoming.kind == REQUEST:
            return self._look(incoming, place) if held >= LONG_BYTES else None
        if held < incoming.missing:
            return None
        data = incoming.head + self._bytes(place, place + incoming.missing)
        messages.append(TtrpcMessage(incoming.stream, incoming.kind, incoming.flags, data))
        self._incoming = None
        return place + incoming.missing

    def _look(self, incoming: _Incoming, place: int) -> int:
        """Find out whether somebody takes the payload of a long request."""
        incoming.is_looked_at = True
        found = find_payload(self._bytes(place, place + LONG_BYTES))
        if found is None or found.begin + found.length > incoming.missing:
            return place
        head = self._bytes(place, place + found.head_length)
        incoming.take = self._taker_of(parse_request(head))
        if incoming.take is None:
            return place
        incoming.head, incoming.payload_missing = head, found.length
        incoming.missing -= found.begin
        return place + found.begin

    def _hand_on(self, incoming: _Incoming, place: int, length: int) -> int | None:
        if not length:
            return None
        assert incoming.take is not None
        incoming.take(self._bytes(place, place + length))
        incoming.payload_missing -= length
        incoming.missing -= length
        return place + length

    def _bytes(self, begin: int, end: int) -> bytes:
        with memoryview(self._buffer) as view:
            return bytes(view[begin:end])


class PayloadPlace(Struct, frozen=True):
    """Where the payload of a request is: the fields before it end at `head_length`, its content begins at `begin`."""

    head_length: int
    begin: int
    length: int


def find_payload(data: bytes) -> PayloadPlace | None:
    """The payload's place from the first bytes of a request, where service and method come before it.

    *Absent:* it does not begin within them. *Raises:* ProtocolError.
    """
    place = 0
    for _ in range(_HEAD_FIELDS_MAX):
        if len(data) - place < FIELD_HEAD_BYTES_MAX:
            return None
        tag, after = read_varint(data, place)
        if tag & 7 != BYTES:
            return None
        length, after = read_varint(data, after)
        if tag >> 3 == _PAYLOAD:
            return PayloadPlace(place, after, length)
        place = after + length
    return None


def parse_request(data: bytes) -> TtrpcRequest:
    """The data of a request. The last of repeated fields counts. *Raises:* ProtocolError."""
    service = method = payload = b""
    timeout_ns = 0
    for number, wire_type, begin, end in fields(data):
        match number, wire_type:
            case 1, 2:
                service = data[begin:end]
            case 2, 2:
                method = data[begin:end]
            case 3, 2:
                payload = data[begin:end]
            case 4, 0:
                timeout_ns = max(0, signed(begin, 64))
    return TtrpcRequest(readable(service, NAME_CHARACTERS_MAX), readable(method, NAME_CHARACTERS_MAX), payload, timeout_ns)


def parse_response(data: bytes) -> TtrpcResponse:
    """The data of a response; one without a status is a success. *Raises:* ProtocolError."""
    payload = b""
    # Parts of one message that come apart are one message: their fields follow each other.
    statuses: list[bytes] = []
    for number, wire_type, begin, end in fields(data):
        if wire_type == BYTES and number == 1:
            statuses.append(data[begin:end])
        elif wire_type == BYTES and number == 2:
            payload = data[begin:end]
    status = b"".join(statuses)
    code, message = 0, b""
    for number, wire_type, begin, end in fields(status):
        if number == 1 and wire_type == VARINT:
            code = signed(begin, 32)
        elif number == 2 and wire_type == BYTES:
            message = status[begin:end]
    return TtrpcResponse(code, readable(message, MESSAGE_CHARACTERS_MAX), payload)


def pack_request(stream: int, service: str, method: str, payload: bytes, timeout_ns: int = 0) -> bytes:
    """A whole request message."""
    data = pack_bytes(1, service.encode()) + pack_bytes(2, method.encode()) + pack_bytes(3, payload) + pack_number(4, timeout_ns)
    return HEADER.pack(len(data), stream, REQUEST, 0) + data


def pack_response(stream: int, payload: bytes = b"") -> bytes:
    """A whole response message of a success, which needs no status."""
    data = pack_bytes(2, payload)
    return HEADER.pack(len(data), stream, RESPONSE, 0) + data


def pack_unimplemented(stream: int, method: str) -> bytes:
    """A whole response message that says that the method is not served."""
    data = pack_bytes(1, pack_number(1, UNIMPLEMENTED) + pack_bytes(2, f"{method} is not served by this plugin".encode()))
    return HEADER.pack(len(data), stream, RESPONSE, 0) + data
