"""Calls of gRPC over one HTTP/2 connection, without the connection: bytes in, events and bytes out. PURE.

Only the thread `cri` may import this, and only when it is needed: `h2` costs some 5 MiB.
"""

from typing import assert_never

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings
from msgspec import Struct

from agent.model.errors import ProtocolError
from workers.control_plane.cri.frame_guard import FrameGuard
from workers.control_plane.cri.grpc_frame import (
    GrpcCode,
    GrpcStatus,
    MessageSplitter,
    check_response,
    framed,
    request_headers,
    status_of,
)

# A list of 1,000 pods comes without waiting for our permission to go on.
_WINDOW_BYTES = 4 << 20
_HEADER_BYTES_MAX = 16 << 10
# One stream of events and one call; more open ones are a bug.
CALLS_MAX = 8
_WHERE = "CRI socket"


class GrpcMessage(Struct, frozen=True):
    """A message has come on a call."""

    call: int
    payload: bytes


class GrpcEnded(Struct, frozen=True):
    """A call is over; nothing more comes on it."""

    call: int
    status: GrpcStatus


class GoneAway(Struct, frozen=True):
    """The runtime takes no more calls on this connection; open ones may still be answered."""

    code: int


GrpcEvent = GrpcMessage | GrpcEnded | GoneAway
_CallEvent = DataReceived | ResponseReceived | TrailersReceived | StreamEnded | StreamReset


class _Call:
    def __init__(self, bytes_max: int) -> None:
        self.splitter = MessageSplitter(bytes_max)
        self.status: GrpcStatus | None = None


class GrpcSession:
    """The client's end of one connection. Every request is small enough for any window that a runtime grants."""

    def __init__(self) -> None:
        # The names of our own headers are right, and those of the runtime are only looked up.
        config = H2Configuration(
            client_side=True,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._connection = H2Connection(config)
        # Replaced as a whole: what is set in the old ones is not sent with the first frame, and then both ends count differently.
        self._connection.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW_BYTES,
                SettingCodes.MAX_HEADER_LIST_SIZE: _HEADER_BYTES_MAX,
            },
        )
        self._guard = FrameGuard()
        self._calls: dict[int, _Call] = {}
        self._connection.initiate_connection()
        self._connection.increment_flow_control_window(_WINDOW_BYTES)

    def begin(self, method: str, message: bytes, *, deadline_ns: int | None, bytes_max: int) -> int:
        """Queue a call. Gives its number. *Raises:* ProtocolError where the runtime allows no further one."""
        assert len(self._calls) < CALLS_MAX
        try:
            call = self._connection.get_next_available_stream_id()
            self._connection.send_headers(call, request_headers(method, deadline_ns))
            self._connection.send_data(call, framed(message), end_stream=True)
        except H2Error as cause:
            raise ProtocolError(_WHERE, f"a call cannot be made: {cause}") from cause
        self._calls[call] = _Call(bytes_max)
        return call

    def receive(self, data: bytes) -> list[GrpcEvent]:
        """What has come. *Raises:* ProtocolError: the connection is of no more use."""
        self._guard.check(data)
        try:
            events = self._connection.receive_data(data)
        except (H2Error, ValueError, LookupError) as cause:
            # The library raises its own exceptions. The others are for a parser that lets one through: it must not end the thread.
            raise ProtocolError(_WHERE, f"what listens breaks the rules of HTTP/2: {cause}") from cause
        found: list[GrpcEvent] = []
        for event in events:
            self._take(event, found)
        return found

    def take_output(self) -> bytes:
        """The bytes to send."""
        return self._connection.data_to_send()

    def _take(self, event: Event, found: list[GrpcEvent]) -> None:
        match event:
            case ConnectionTerminated():
                found.append(GoneAway(int(event.error_code or 0)))
            case DataReceived() | ResponseReceived() | TrailersReceived() | StreamEnded() | StreamReset():
                call = self._calls.get(event.stream_id)
                # A runtime may break a call off that it has answered; that is no news.
                if call is not None:
                    self._take_of_call(call, event, found)

    def _take_of_call(self, call: _Call, event: _CallEvent, found: list[GrpcEvent]) -> None:
        number = event.stream_id
        match event:
            case DataReceived():
                self._connection.acknowledge_received_data(event.flow_controlled_length, number)
                found += [GrpcMessage(number, payload) for payload in call.splitter.feed(event.data)]
            case ResponseReceived() | TrailersReceived():
                headers = {_bytes(name): _bytes(value) for name, value in event.headers}
                if isinstance(event, ResponseReceived):
                    check_response(headers)
                call.status = status_of(headers) or call.status
            case StreamEnded():
                found.append(GrpcEnded(number, self._end_of(call)))
                del self._calls[number]
            case StreamReset():
                problem = f"the runtime broke the call off (HTTP/2 error {int(event.error_code)})"
                found.append(GrpcEnded(number, GrpcStatus(GrpcCode.UNAVAILABLE, problem)))
                del self._calls[number]
            case _:
                assert_never(event)

    def _end_of(self, call: _Call) -> GrpcStatus:
        if call.status is None or (call.status.is_ok and not call.splitter.is_between_messages):
            raise ProtocolError(_WHERE, "a call ended in the middle of its answer")
        return call.status


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
