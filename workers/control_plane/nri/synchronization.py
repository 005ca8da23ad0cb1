"""The parts of one synchronization, until its last has come. PURE."""

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
    Synchronized,
)
from workers.control_plane.nri.message import SessionCounters, parse_container, parse_pod
from workers.control_plane.nri.protobuf import BYTES, VARINT, fields, whole_fields

# A node of Kubernetes has at most some hundred pods; the largest that anybody tests has 1,000.
PODS_MAX, CONTAINERS_MAX = 10_000, 50_000
# Pieces that arrive are joined up to this size before they are looked at; larger ones are kept by the process once they were used.
PIECE_BYTES = 32 << 10


class Synchronization:
    """Pods and containers by id, so that a synchronization that begins again repeats nothing.

    Events between two parts change it, too: what they report is later than the parts before.
    """

    def __init__(self, counters: SessionCounters, *, pods_max: int = PODS_MAX, containers_max: int = CONTAINERS_MAX) -> None:
        self._counters = counters
        self._pods_max = pods_max
        self._containers_max = containers_max
        self._pods: dict[str, RuntimePod] = {}
        self._containers: dict[str, RuntimeContainer] = {}
        self._is_open = False
        self._rest = bytearray()
        """What came of a field that is not complete."""
        self._needed = PIECE_BYTES
        """How long it has to be before looking at it again is of use."""
        self._records = 0
        self._has_more = False

    def add_piece(self, data: bytes) -> None:
        """Take some bytes of the content of one Synchronize, cut anywhere.

        *Range:* records above the limits are counted and not decoded. *Raises:* ProtocolError.
        """
        self._rest += data
        if len(self._rest) >= self._needed:
            whole = bytes(self._rest)
            end, needed = whole_fields(whole)
            self._add_fields(whole[:end])
            del self._rest[:end]
            self._needed = max(needed - end, PIECE_BYTES)

    def end_part(self) -> bool:
        """The content of one Synchronize is complete; whether another one follows. *Raises:* ProtocolError."""
        self._add_fields(bytes(self._rest))
        self._is_open, self._has_more = self._has_more, False
        self._rest, self._needed, self._records = bytearray(), PIECE_BYTES, 0
        return self._is_open

    def _add_fields(self, data: bytes) -> None:
        for number, wire_type, begin, end in fields(data):
            if wire_type == BYTES and number in (1, 2):
                self._records += 1
                self._add_record(number, data, begin, end)
            elif number == 3 and wire_type == VARINT:
                self._has_more = begin != 0

    def _add_record(self, number: int, data: bytes, begin: int, end: int) -> None:
        # Records without an identity count, too: a message full of them costs no more than one full of pods.
        is_over = self._records > self._pods_max + self._containers_max
        if number == 1:
            if is_over or len(self._pods) >= self._pods_max:
                self._counters.pods_over_limit += 1
            else:
                self._add_pod(data[begin:end])
        elif is_over or len(self._containers) >= self._containers_max:
            self._counters.containers_over_limit += 1
        else:
            self._add_container(data[begin:end])

    def follow(self, event: RuntimeEvent) -> None:
        """An event that came between two parts; it is later than what the parts before said."""
        if not self._is_open:
            return
        match event:
            case PodStarted(pod):
                self._keep_pod(pod)
            case ContainerStarting(pod, container):
                self._keep_pod(pod)
                self._keep_container(container)
            case PodStopped(sandbox_id) | PodRemoved(sandbox_id):
                self._pods.pop(sandbox_id, None)
            case ContainerStopped(container_id) | ContainerRemoved(container_id):
                self._containers.pop(container_id, None)
            case _:
                assert isinstance(event, Synchronized), event

    def take(self) -> Synchronized:
        """The whole, after its last part; the next one begins empty."""
        whole = Synchronized(tuple(self._pods.values()), tuple(self._containers.values()))
        self._pods, self._containers = {}, {}
        return whole

    def _add_pod(self, record: bytes) -> None:
        pod = parse_pod(record, self._counters)
        if pod is None:
            self._counters.records_ignored += 1
        else:
            self._keep_pod(pod)

    def _add_container(self, record: bytes) -> None:
        container = parse_container(record)
        if container is None:
            self._counters.records_ignored += 1
        else:
            self._keep_container(container)

    def _keep_pod(self, pod: RuntimePod) -> None:
        if len(self._pods) < self._pods_max:
            self._pods[pod.sandbox_id] = pod

    def _keep_container(self, container: RuntimeContainer) -> None:
        if len(self._containers) < self._containers_max:
            self._containers[container.id] = container
