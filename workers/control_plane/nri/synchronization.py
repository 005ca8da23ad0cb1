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
from workers.control_plane.nri.protobuf import BYTES, VARINT, fields

# A node of Kubernetes has at most some hundred pods; the largest that anybody tests has 1,000.
PODS_MAX, CONTAINERS_MAX = 10_000, 50_000


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

    def add_part(self, data: bytes) -> bool:
        """Take the content of one Synchronize; whether another part follows.

        *Range:* records above the limits are counted and not decoded. *Raises:* ProtocolError.
        """
        pods_left, containers_left = self._pods_max - len(self._pods), self._containers_max - len(self._containers)
        has_more = False
        for number, wire_type, begin, end in fields(data):
            if number == 1 and wire_type == BYTES:
                pods_left -= 1
                if pods_left >= 0:
                    self._add_pod(data[begin:end])
            elif number == 2 and wire_type == BYTES:
                containers_left -= 1
                if containers_left >= 0:
                    self._add_container(data[begin:end])
            elif number == 3 and wire_type == VARINT:
                has_more = begin != 0
        self._counters.pods_over_limit += max(0, -pods_left)
        self._counters.containers_over_limit += max(0, -containers_left)
        self._is_open = has_more
        return has_more

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
            case Synchronized():
                pass

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
