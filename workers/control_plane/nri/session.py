"""One connection to a container runtime over NRI: bytes in, events and bytes out. PURE.

It reads no socket and no clock. The caller hands it what it received and sends what `take_output` gives. Every call of the runtime
is answered at once, empty and without an error, except StartContainer, which the caller answers. A call that this plugin does not
have is answered with code 12 (unimplemented), on which runtimes fall back to an older call.
*Source:* github.com/containerd/nri, pkg/api/api.proto and pkg/adaptation.
"""

from msgspec import Struct

from workers.control_plane.container_runtime.event import RuntimeContainer, RuntimeEvent, RuntimePod

PLUGIN_NAME = "evergauge"
# Two digits; plugins are called in the order of their indexes. None depends on this one.
PLUGIN_INDEX = "10"


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

    *Absent:* empty texts and limits of 0 were not reported; runtimes before NRI 0.8 report no version, some no limits.
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


class SessionCounters(Struct):
    """What was left out and why, since the connection began."""

    frames_dropped: int = 0
    """Frames of connections that nobody opened."""
    messages_ignored: int = 0
    """Messages of a type that is not known, or that answer nothing."""
    calls_unknown: int = 0
    """Calls of a service or method that is not served; they were answered with code 12."""
    records_ignored: int = 0
    """Pods and containers without an identity, or with one that is too long."""
    pods_over_limit: int = 0
    containers_over_limit: int = 0
    labels_dropped: int = 0
    """Labels above the limits of one pod."""


class PluginSession:
    """The plugin's side of one connection."""

    def __init__(self, name: str = PLUGIN_NAME, index: str = PLUGIN_INDEX) -> None:
        self._name = name
        self._index = index
        self.counters = SessionCounters()

    def begin(self) -> None:
        """Queue the registration. Its deadline is the caller's."""
        raise NotImplementedError

    def receive(self, data: bytes | bytearray | memoryview) -> list[SessionEvent]:
        """What follows from bytes as they arrive, cut anywhere; oldest first.

        *Raises:* ProtocolError: the bytes are no NRI; the connection is of no use any more.
        """
        raise NotImplementedError

    def answer(self, call: StartCall) -> None:
        """Queue the empty answer of a StartContainer. An answered call is not answered again."""
        raise NotImplementedError

    def take_output(self) -> bytes:
        """Everything that is to be sent, in frames that every runtime can read; empty: nothing."""
        raise NotImplementedError
