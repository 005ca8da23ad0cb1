"""Messages of ttrpc, the request protocol of NRI. PURE.

A message is a header of 10 bytes (length of the data and stream, 32 bits each, big-endian; type; flags) and its data. NRI uses only
calls of one request and one response. *Source:* github.com/containerd/ttrpc, PROTOCOL.md and request.proto.
"""

from struct import Struct as Layout

from msgspec import Struct

from agent.model.errors import ProtocolError
from agent.model.foreign import readable
from workers.control_plane.nri.protobuf import BYTES, VARINT, fields, pack_bytes, pack_number, signed

HEADER = Layout(">IIBB")
REQUEST, RESPONSE = 1, 2
DATA_BYTES_MAX = 4 << 20
# Service and method are names of a few dozen letters.
NAME_CHARACTERS_MAX = 128
MESSAGE_CHARACTERS_MAX = 512
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


class MessageReader:
    """Puts the messages of one stream of bytes together. *Range:* it holds at most one message and the piece it was just given."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def read(self, data: bytes | bytearray | memoryview) -> list[TtrpcMessage]:
        """The messages that these bytes complete.

        *Raises:* ProtocolError: a message is longer than any that ttrpc sends; found before its data are held.
        """
        self._buffer += data
        messages: list[TtrpcMessage] = []
        place = 0
        while len(self._buffer) - place >= HEADER.size:
            length, stream, kind, flags = HEADER.unpack_from(self._buffer, place)
            if length > DATA_BYTES_MAX:
                raise ProtocolError("nri", f"a ttrpc message of {length} bytes, more than {DATA_BYTES_MAX}")
            begin, end = place + HEADER.size, place + HEADER.size + length
            if end > len(self._buffer):
                break
            with memoryview(self._buffer) as view:
                messages.append(TtrpcMessage(stream, kind, flags, bytes(view[begin:end])))
            place = end
        del self._buffer[:place]
        return messages


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
