"""One connection to a container runtime over NRI: bytes in, events and bytes out. PURE.

It reads no socket and no clock. The caller hands it what it received and sends what `take_output` gives. Every call of the runtime
is answered at once, empty and without an error, except StartContainer, which the caller answers. A call that this plugin does not
have is answered with code 12 (unimplemented), on which runtimes fall back to an older call.
*Source:* github.com/containerd/nri, pkg/api/api.proto and pkg/adaptation.
"""

from enum import IntEnum

from msgspec import Struct

from agent.model.errors import ProtocolError
from workers.control_plane.container_runtime.event import (
    ContainerRemoved,
    ContainerStarting,
    ContainerStopped,
    PodRemoved,
    PodStarted,
    PodStopped,
    RuntimeContainer,
    RuntimeEvent,
    RuntimePod,
)
from workers.control_plane.nri.message import (
    Configuration,
    SessionCounters,
    Subject,
    pack_registration,
    pack_subscription,
    pack_synchronized,
    parse_configuration,
    parse_container,
    parse_id,
    parse_pod,
    parse_subject,
)
from workers.control_plane.nri.mux import PLUGIN_CONNECTION, RUNTIME_CONNECTION, FrameReader, pack_frames
from workers.control_plane.nri.synchronization import Synchronization
from workers.control_plane.nri.ttrpc import (
    REQUEST,
    RESPONSE,
    MessageReader,
    PayloadTaker,
    TtrpcMessage,
    TtrpcRequest,
    TtrpcResponse,
    pack_request,
    pack_response,
    pack_unimplemented,
    parse_request,
    parse_response,
)

PLUGIN_NAME = "evergauge"
RUNTIME_SERVICE, PLUGIN_SERVICE = "nri.pkg.api.v1alpha1.Runtime", "nri.pkg.api.v1alpha1.Plugin"
# Two digits; plugins are called in the order of their indexes. None depends on this one.
PLUGIN_INDEX = "10"
REGISTRATION_STREAM = 1
# Starts that may wait for their answers at once. A runtime has one.
STARTS_MAX = 256


class NriEvent(IntEnum):
    """The numbers of the events that are wanted. *Source:* api.proto, Event; the same in every release since 0.3."""

    RUN_POD_SANDBOX = 1
    STOP_POD_SANDBOX = 2
    REMOVE_POD_SANDBOX = 3
    START_CONTAINER = 6
    STOP_CONTAINER = 10
    REMOVE_CONTAINER = 11


SUBSCRIBED = frozenset(NriEvent)
# A bit that a runtime does not know makes it refuse the plugin, so no later event is in it.
SUBSCRIPTION = sum(1 << (event - 1) for event in NriEvent)
# Since 0.12 each event has a method; before it, all of these but StopContainer came as StateChange.
EVENT_BY_METHOD = {
    "RunPodSandbox": NriEvent.RUN_POD_SANDBOX,
    "StopPodSandbox": NriEvent.STOP_POD_SANDBOX,
    "RemovePodSandbox": NriEvent.REMOVE_POD_SANDBOX,
    "StartContainer": NriEvent.START_CONTAINER,
    "StopContainer": NriEvent.STOP_CONTAINER,
    "RemoveContainer": NriEvent.REMOVE_CONTAINER,
}
# What nobody subscribed to, answered should it come: code 12 on one of these would fail the creation of a container.
ANSWERED_EMPTY = frozenset(
    {
        "CreateContainer",
        "PostCreateContainer",
        "PostStartContainer",
        "UpdateContainer",
        "PostUpdateContainer",
        "UpdatePodSandbox",
        "PostUpdatePodSandbox",
        "ValidateContainerAdjustment",
    }
)


class StartCall(Struct, frozen=True):
    """A StartContainer that waits for its answer. *Units:* `timeout_ns` is the runtime's own limit, 0: it named none."""

    stream: int
    timeout_ns: int = 0


class Registered(Struct, frozen=True):
    """The runtime has taken the registration; Configure follows."""


class RegistrationRefused(Struct, frozen=True):
    """The runtime refuses this plugin. `code` is gRPC's, `message` its own text."""

    code: int
    message: str


class Configured(Struct, frozen=True):
    """The runtime has asked for the events that are wanted; the answer is queued.

    *Absent:* empty texts and limits of 0 were not reported: limits come since NRI 0.8, the version of NRI after 0.10.
    """

    runtime_name: str
    runtime_version: str
    nri_version: str = ""
    registration_timeout_ns: int = 0
    request_timeout_ns: int = 0


class Reported(Struct, frozen=True):
    """Something happened; the answer is queued. A synchronization in parts is reported once, after its last part."""

    event: RuntimeEvent


class StartRequested(Struct, frozen=True):
    """A container is about to run its first instruction, and waits for `PluginSession.answer`."""

    call: StartCall
    pod: RuntimePod
    container: RuntimeContainer


class RuntimeShutDown(Struct, frozen=True):
    """The runtime is about to end; the answer is queued."""


SessionEvent = Registered | RegistrationRefused | Configured | Reported | StartRequested | RuntimeShutDown


class PluginSession:
    """The plugin's side of one connection."""

    def __init__(self, name: str = PLUGIN_NAME, index: str = PLUGIN_INDEX) -> None:
        self._name = name
        self._index = index
        self.counters = SessionCounters()
        self._frames = FrameReader((PLUGIN_CONNECTION, RUNTIME_CONNECTION))
        self._messages = {PLUGIN_CONNECTION: MessageReader(self._taker_of), RUNTIME_CONNECTION: MessageReader()}
        self._synchronization = Synchronization(self.counters)
        self._output: list[bytes] = []
        self._starts: set[int] = set()
        self._stream = 0
        """The last stream on which the runtime called."""
        self._is_registering = False

    def begin(self) -> None:
        """Queue the registration. Its deadline is the caller's."""
        assert not self._is_registering, "a connection registers once"
        self._is_registering = True
        payload = pack_registration(self._name, self._index)
        self._send(RUNTIME_CONNECTION, pack_request(REGISTRATION_STREAM, RUNTIME_SERVICE, "RegisterPlugin", payload))

    def receive(self, data: bytes | bytearray | memoryview) -> list[SessionEvent]:
        """What follows from bytes as they arrive, cut anywhere; oldest first.

        Registered may come after Configured: the runtime does not wait for its own answer.
        *Raises:* ProtocolError: the bytes are no NRI; the connection is of no use any more. What these bytes reported before
        that is lost, and comes back with the synchronization of the next connection.
        """
        events: list[SessionEvent] = []
        for connection, piece in self._frames.read(data):
            for message in self._messages[connection].read(piece):
                if connection == PLUGIN_CONNECTION and message.kind == REQUEST:
                    events += self._on_request(message)
                elif connection == RUNTIME_CONNECTION and message.kind == RESPONSE and self._is_awaited(message.stream):
                    events.append(self._on_registration(parse_response(message.data)))
                else:
                    self.counters.messages_ignored += 1
        self.counters.frames_dropped = self._frames.frames_dropped
        return events

    def answer(self, call: StartCall) -> None:
        """Queue the empty answer of a StartContainer. An answered call is not answered again."""
        if call.stream in self._starts:
            self._starts.remove(call.stream)
            self._answer(call.stream)

    def take_output(self) -> bytes:
        """Everything that is to be sent, in frames that every runtime can read; empty: nothing."""
        output, self._output = b"".join(self._output), []
        return output

    @property
    def is_unfinished(self) -> bool:
        """Whether the runtime has begun to say something of which a part is to come."""
        return self._frames.is_unfinished or any(reader.is_unfinished for reader in self._messages.values())

    def _taker_of(self, request: TtrpcRequest) -> PayloadTaker | None:
        is_synchronization = request.service == PLUGIN_SERVICE and request.method == "Synchronize"
        return self._synchronization.add_piece if is_synchronization else None

    # ---- what the runtime answers ------------------------------------------------------------------

    def _is_awaited(self, stream: int) -> bool:
        return self._is_registering and stream == REGISTRATION_STREAM

    def _on_registration(self, response: TtrpcResponse) -> SessionEvent:
        # A second answer answers nothing.
        self._is_registering = False
        return RegistrationRefused(response.code, response.message) if response.code else Registered()

    # ---- what the runtime calls --------------------------------------------------------------------

    def _on_request(self, message: TtrpcMessage) -> list[SessionEvent]:
        if message.stream % 2 == 0 or message.stream <= self._stream:
            # An answer on it could be taken for that of another call.
            raise ProtocolError("nri", f"a call on stream {message.stream} after one on {self._stream}")
        self._stream = message.stream
        request = parse_request(message.data)
        call = StartCall(message.stream, request.timeout_ns)
        if request.service != PLUGIN_SERVICE:
            return self._on_unknown(message.stream, request)
        match request.method:
            case "Configure":
                return self._on_configure(message.stream, parse_configuration(request.payload))
            case "Synchronize":
                return self._on_synchronize(message.stream, request.payload)
            case "StateChange":
                subject = parse_subject(request.payload, is_state_change=True)
                return self._on_event(subject.event, subject, call)
            case "Shutdown":
                self._answer(message.stream)
                return [RuntimeShutDown()]
            case method if method in EVENT_BY_METHOD:
                return self._on_event(EVENT_BY_METHOD[method], parse_subject(request.payload, is_state_change=False), call)
            case method if method in ANSWERED_EMPTY:
                self._answer(message.stream)
                return []
            case _:
                return self._on_unknown(message.stream, request)

    def _on_unknown(self, stream: int, request: TtrpcRequest) -> list[SessionEvent]:
        self.counters.calls_unknown += 1
        self._send(PLUGIN_CONNECTION, pack_unimplemented(stream, f"{request.service}/{request.method}"))
        return []

    def _on_configure(self, stream: int, said: Configuration) -> list[SessionEvent]:
        self._answer(stream, pack_subscription(SUBSCRIPTION))
        return [
            Configured(
                said.runtime_name, said.runtime_version, said.nri_version, said.registration_timeout_ns, said.request_timeout_ns
            )
        ]

    def _on_synchronize(self, stream: int, payload: bytes) -> list[SessionEvent]:
        # A long one has come before, in pieces.
        self._synchronization.add_piece(payload)
        has_more = self._synchronization.end_part()
        self._answer(stream, pack_synchronized(has_more=has_more))
        return [] if has_more else [Reported(self._synchronization.take())]

    def _on_event(self, event: int, subject: Subject, call: StartCall) -> list[SessionEvent]:
        """Answer and report one event of a pod or container; a start is answered later."""
        if event == NriEvent.START_CONTAINER:
            return self._on_start(subject, call)
        self._answer(call.stream)
        if event not in SUBSCRIBED:
            return []
        report = self._parse_event(event, subject)
        if report is None:
            self.counters.records_ignored += 1
            return []
        self._synchronization.follow(report)
        return [Reported(report)]

    def _parse_event(self, event: int, subject: Subject) -> RuntimeEvent | None:
        """What is reported; None: its pod or container has no identity."""
        if event == NriEvent.RUN_POD_SANDBOX:
            pod = parse_pod(subject.pod, self.counters)
            return None if pod is None else PodStarted(pod)
        if event in (NriEvent.STOP_POD_SANDBOX, NriEvent.REMOVE_POD_SANDBOX):
            sandbox_id = parse_id(subject.pod)
            if not sandbox_id:
                return None
            return PodStopped(sandbox_id) if event == NriEvent.STOP_POD_SANDBOX else PodRemoved(sandbox_id)
        container_id = parse_id(subject.container)
        if not container_id:
            return None
        return ContainerStopped(container_id) if event == NriEvent.STOP_CONTAINER else ContainerRemoved(container_id)

    def _on_start(self, subject: Subject, call: StartCall) -> list[SessionEvent]:
        container = parse_container(subject.container)
        pod = parse_pod(subject.pod, self.counters)
        if container is None or pod is None:
            self.counters.records_ignored += 1
            self._answer(call.stream)
            return []
        report = ContainerStarting(pod, container)
        self._synchronization.follow(report)
        if len(self._starts) >= STARTS_MAX:
            # A runtime has one call open at a time; one that has this many does not wait for answers.
            self._answer(call.stream)
            return [Reported(report)]
        self._starts.add(call.stream)
        return [StartRequested(call, pod, container)]

    # ---- what is sent ------------------------------------------------------------------------------

    def _answer(self, stream: int, payload: bytes = b"") -> None:
        self._send(PLUGIN_CONNECTION, pack_response(stream, payload))

    def _send(self, connection: int, message: bytes) -> None:
        self._output.append(pack_frames(connection, message))
