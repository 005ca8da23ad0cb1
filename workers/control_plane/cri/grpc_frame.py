"""Messages, statuses and headers of gRPC as they stand in HTTP/2. PURE.

*Source:* the gRPC project's document "gRPC over HTTP2".
"""

from enum import IntEnum

from msgspec import Struct

from agent.model.errors import EvergaugeError, ExitCode, ProtocolError
from agent.model.foreign import readable

# What containerd sends at most by default, and what the kubelet accepts at most.
ANSWER_BYTES_MAX = 16 << 20
# A message has a byte that says whether it is compressed, and its length in four bytes.
_PREFIX_BYTES = 5
# A runtime's message of an error is one sentence.
_MESSAGE_CHARACTERS_MAX = 300
_WHERE = "CRI socket"


class GrpcCode(IntEnum):
    """The status codes that decide what is done next; any other is a plain failure."""

    OK = 0
    UNIMPLEMENTED = 12
    UNAVAILABLE = 14


class GrpcStatus(Struct, frozen=True):
    """How a call ended. *Range:* `message` is readable and bounded; `code` is any whole number below 1000."""

    code: int
    message: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the call did what was asked."""
        return self.code == GrpcCode.OK


class GrpcError(EvergaugeError):
    """The runtime answered a call with a status that is not OK."""

    code = ExitCode.UNAVAILABLE

    def __init__(self, where: str, status: GrpcStatus) -> None:
        self.status = status
        super().__init__(where, f"status {status.code}" + (f": {status.message}" if status.message else ""))


def framed(message: bytes) -> bytes:
    """A message as it is sent: not compressed."""
    return b"\0" + len(message).to_bytes(4, "big") + message


class MessageSplitter:
    """Cuts the bytes of one stream into messages, however they are divided."""

    def __init__(self, bytes_max: int = ANSWER_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._kept = bytearray()

    @property
    def is_between_messages(self) -> bool:
        """Whether no part of a message is left over."""
        return not self._kept

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now. *Raises:* ProtocolError for a compressed or an oversize one."""
        self._kept += data
        found: list[bytes] = []
        begin = 0
        while (length := self._length_at(begin)) is not None and len(self._kept) >= begin + _PREFIX_BYTES + length:
            found.append(bytes(self._kept[begin + _PREFIX_BYTES : begin + _PREFIX_BYTES + length]))
            begin += _PREFIX_BYTES + length
        del self._kept[:begin]
        return found

    def _length_at(self, begin: int) -> int | None:
        if len(self._kept) < begin + _PREFIX_BYTES:
            return None
        if self._kept[begin] != 0:
            raise ProtocolError(_WHERE, "a message is compressed, which nobody asked for")
        length = int.from_bytes(self._kept[begin + 1 : begin + _PREFIX_BYTES], "big")
        if length > self._bytes_max:
            raise ProtocolError(_WHERE, f"a message of {length} bytes is announced, at most {self._bytes_max} are accepted")
        return length


def request_headers(method: str, deadline_ns: int | None) -> list[tuple[str, str]]:
    """The headers of a call of `/package.Service/Method`; the runtime gives up at the deadline, too."""
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        # What gRPC's own clients send over a Unix socket.
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "evergauge"),
    ]
    if deadline_ns is not None:
        headers.append(("grpc-timeout", f"{max(1, deadline_ns // 1_000_000)}m"))
    return headers


def check_response(headers: dict[bytes, bytes]) -> None:
    """Nothing for the head of a gRPC answer. *Raises:* ProtocolError for that of another HTTP service."""
    status, kind = headers.get(b":status", b""), headers.get(b"content-type", b"")
    if status != b"200" or not kind.startswith(b"application/grpc"):
        raise ProtocolError(
            _WHERE,
            f"what listens does not speak gRPC: HTTP status {readable(status, 20)}, content {readable(kind, 80) or 'unknown'}",
        )


def status_of(trailers: dict[bytes, bytes]) -> GrpcStatus | None:
    """The status at the end of a call. *Absent:* None where there is none. *Raises:* ProtocolError for one that is no number."""
    text = trailers.get(b"grpc-status")
    if text is None:
        return None
    if not (text.isdigit() and len(text) <= 3):
        raise ProtocolError(_WHERE, f"the status of a call is {readable(text, 20)}, not a number")
    return GrpcStatus(int(text), readable(_percent_decoded(trailers.get(b"grpc-message", b"")), _MESSAGE_CHARACTERS_MAX))


def _percent_decoded(text: bytes) -> bytes:
    # Longer texts are cut anyway, and three bytes may stand for one.
    head, *parts = text[: 12 * _MESSAGE_CHARACTERS_MAX].split(b"%")
    return head + b"".join(_byte(part[:2]) + part[2:] if _is_hexadecimal(part[:2]) else b"%" + part for part in parts)


def _is_hexadecimal(digits: bytes) -> bool:
    return len(digits) == 2 and all(digit in b"0123456789abcdefABCDEF" for digit in digits)


def _byte(digits: bytes) -> bytes:
    return bytes([int(digits, 16)])
