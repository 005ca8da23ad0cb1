"""A container runtime's end of CRI without a socket: it answers calls of gRPC, well or badly, as it is told."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset, WindowUpdated

from workers.control_plane.container_runtime.event import ContainerState, RuntimeContainer, RuntimePod
from workers.control_plane.cri.message import (
    CONTAINERD_EVENTS,
    CRI_EVENTS,
    LIST_CONTAINERS,
    LIST_SANDBOXES,
    VERSION,
)

UNIMPLEMENTED = 12
_STATES = {ContainerState.CREATED: 0, ContainerState.RUNNING: 1, ContainerState.STOPPED: 2, ContainerState.UNKNOWN: 3}


def varint(value: int) -> bytes:
    """A number in protobuf."""
    packed = bytearray()
    while value > 127:
        packed.append(value & 127 | 128)
        value >>= 7
    return bytes([*packed, value])


def number_field(number: int, value: int) -> bytes:
    """A field with a number."""
    return varint(number << 3) + varint(value)


def bytes_field(number: int, content: bytes | str) -> bytes:
    """A field with a text, bytes or a message."""
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(data)) + data


def map_field(number: int, entries: dict[str, str]) -> bytes:
    """A field with a map of texts."""
    return b"".join(bytes_field(number, bytes_field(1, key) + bytes_field(2, text)) for key, text in entries.items())


def sandbox_item(pod: RuntimePod, *, is_ready: bool = True) -> bytes:
    """One sandbox as ListPodSandbox has it, with fields that no name needs."""
    metadata = bytes_field(1, pod.name) + bytes_field(2, pod.uid) + bytes_field(3, pod.namespace) + number_field(4, 1)
    state = number_field(3, 0 if is_ready else 1) + number_field(4, 1_700_000_000)
    about = map_field(5, pod.labels) + map_field(6, {"note": "x" * 40}) + bytes_field(7, "runc")
    return bytes_field(1, pod.sandbox_id) + bytes_field(2, metadata) + state + about


def container_item(container: RuntimeContainer) -> bytes:
    """One container as ListContainers has it."""
    metadata = bytes_field(1, container.name) + number_field(2, 1)
    image = bytes_field(4, bytes_field(1, "localhost/work:1")) + bytes_field(5, "sha256:0")
    state = number_field(6, _STATES[container.state]) + number_field(7, 1_700_000_000)
    head = bytes_field(1, container.id) + bytes_field(2, container.sandbox_id)
    return head + bytes_field(3, metadata) + image + state + map_field(8, {"a": "b"})


def list_answer(items: Iterable[bytes]) -> bytes:
    """The answer of a list."""
    return b"".join(bytes_field(1, item) for item in items)


@dataclass
class PeerState:
    """What the runtime has and how it behaves; tests change it while it runs."""

    name: str = "containerd"
    version: str = "1.7.24"
    pods: list[RuntimePod] = field(default_factory=list)
    not_ready: list[RuntimePod] = field(default_factory=list)
    containers: list[RuntimeContainer] = field(default_factory=list)
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    """The status that a method is answered with."""
    silent: set[str] = field(default_factory=set)
    """Methods that are never answered."""
    answers: dict[str, bytes] = field(default_factory=dict)
    """What a method is answered with instead, with gRPC's prefix, if that is what it should have."""
    headers: list[tuple[str, str]] = field(default_factory=lambda: [(":status", "200"), ("content-type", "application/grpc")])
    calls: list[str] = field(default_factory=list)


class CriPeer:
    """One connection's end at the runtime."""

    def __init__(self, state: PeerState) -> None:
        self.state = state
        self.connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.connection.initiate_connection()
        self.streams: list[int] = []
        """Open streams of events."""
        self._methods: dict[int, str] = {}
        self._requests: dict[int, bytes] = {}
        self._waiting: dict[int, tuple[bytes, tuple[int, str] | None]] = {}

    def receive(self, data: bytes) -> None:
        """Take bytes in, answer what was called."""
        for event in self.connection.receive_data(data):
            match event:
                case RequestReceived():
                    self._methods[event.stream_id] = dict(event.headers)[":path"]  # type: ignore[index,assignment]  # texts, as configured
                    self._requests[event.stream_id] = b""
                case DataReceived():
                    self._requests[event.stream_id] += event.data
                    self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case StreamEnded():
                    self._answer(event.stream_id, self._methods[event.stream_id], self._requests.pop(event.stream_id)[5:])
                case StreamReset():
                    self._waiting.pop(event.stream_id, None)
                    self.streams = [stream for stream in self.streams if stream != event.stream_id]
                case WindowUpdated():
                    self._send_waiting()

    def take_output(self) -> bytes:
        """The bytes to send."""
        return self.connection.data_to_send()

    def emit(self, payload: bytes = b"\x0a\x02hi") -> None:
        """An event on every open stream."""
        for stream in self.streams:
            self._send(stream, prefixed(payload), None)

    def end_streams(self, code: int, message: str = "") -> None:
        """End every stream of events with a status."""
        for stream in self.streams:
            self._send(stream, b"", (code, message))
        self.streams = []

    def reset_streams(self) -> None:
        """Break every stream of events off."""
        for stream in self.streams:
            self.connection.reset_stream(stream, 2)
        self.streams = []

    def _answer(self, stream: int, method: str, request: bytes) -> None:
        state = self.state
        state.calls.append(method)
        if method in state.silent:
            return
        if method in state.refused:
            self._refuse(stream, *state.refused[method])
            return
        if state.headers[0][1] != "200":
            self.connection.send_headers(stream, state.headers, end_stream=True)
            return
        if method in (CRI_EVENTS, CONTAINERD_EVENTS) and method not in state.answers:
            self.connection.send_headers(stream, state.headers)
            self.streams.append(stream)
            return
        content = self._content(method, request)
        if content is None:
            self._refuse(stream, UNIMPLEMENTED, f"unknown method {method}")
            return
        self.connection.send_headers(stream, state.headers)
        self._send(stream, content, (0, ""))

    def _content(self, method: str, request: bytes) -> bytes | None:
        state = self.state
        makers: dict[str, Callable[[], bytes]] = {
            VERSION: lambda: bytes_field(1, "0.1.0") + bytes_field(2, state.name) + bytes_field(3, state.version),
            LIST_SANDBOXES: lambda: list_answer(self._sandboxes(only_ready=bool(request))),
            LIST_CONTAINERS: lambda: list_answer(container_item(container) for container in state.containers),
        }
        if method in state.answers:
            return state.answers[method]
        return prefixed(makers[method]()) if method in makers else None

    def _sandboxes(self, *, only_ready: bool) -> list[bytes]:
        ready = [sandbox_item(pod) for pod in self.state.pods]
        return ready if only_ready else ready + [sandbox_item(pod, is_ready=False) for pod in self.state.not_ready]

    def _refuse(self, stream: int, code: int, message: str) -> None:
        # Without a body there is one block of headers only.
        trailers = [("grpc-status", str(code)), ("grpc-message", message)]
        self.connection.send_headers(stream, [*self.state.headers, *trailers], end_stream=True)

    def _send(self, stream: int, data: bytes, end: tuple[int, str] | None) -> None:
        waiting, _ = self._waiting.pop(stream, (b"", None))
        self._waiting[stream] = (waiting + data, end)
        self._send_waiting()

    def _send_waiting(self) -> None:
        for stream, (data, end) in list(self._waiting.items()):
            while data and (room := self._room(stream)):
                self.connection.send_data(stream, data[:room])
                data = data[room:]
            if data:
                self._waiting[stream] = (data, end)
                continue
            del self._waiting[stream]
            if end is not None:
                trailers = [("grpc-status", str(end[0])), ("grpc-message", end[1])]
                self.connection.send_headers(stream, trailers, end_stream=True)

    def _room(self, stream: int) -> int:
        return min(self.connection.local_flow_control_window(stream), self.connection.max_outbound_frame_size)


def prefixed(message: bytes) -> bytes:
    """A message with gRPC's prefix."""
    return b"\0" + len(message).to_bytes(4, "big") + message
