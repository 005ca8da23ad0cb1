"""The messages of CRI v1, as far as names need them. PURE.

*Source:* `api.proto` of cri-api, package `runtime.v1`; of containerd's own events `api/services/events/v1`. What the runtime
reports is foreign: texts are made readable and bounded as those of NRI are, and what is left out is counted.
"""

from msgspec import Struct

from agent.model.foreign import readable
from workers.control_plane.container_runtime.event import ContainerState, RuntimeContainer, RuntimePod, uid_of
from workers.control_plane.nri.message import NAME_CHARACTERS_MAX, SessionCounters, parse_identity, parse_labels
from workers.control_plane.nri.protobuf import BYTES, VARINT, fields, pack_bytes

VERSION = "/runtime.v1.RuntimeService/Version"
# What runtimes offered before v1: containerd up to 1.5, CRI-O up to 1.19.
VERSION_ALPHA = "/runtime.v1alpha2.RuntimeService/Version"
LIST_SANDBOXES = "/runtime.v1.RuntimeService/ListPodSandbox"
LIST_CONTAINERS = "/runtime.v1.RuntimeService/ListContainers"
CRI_EVENTS = "/runtime.v1.RuntimeService/GetContainerEvents"
CONTAINERD_EVENTS = "/containerd.services.events.v1.Events/Subscribe"

# A node has some hundred pods; this many are a runtime out of control.
ITEMS_MAX = 20_000
# CRI numbers them so; NRI has other numbers.
_STATES = (ContainerState.CREATED, ContainerState.RUNNING, ContainerState.STOPPED, ContainerState.UNKNOWN)


class RuntimeVersion(Struct, frozen=True):
    """Who answers. *Absent:* empty texts were not reported."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


class SandboxList(Struct, frozen=True):
    """The sandboxes of one answer, in the order of their ids.

    `left_out` have no identity or one that is too long, are repeated, or stand beyond ITEMS_MAX. `labels_dropped` are above the
    limits of one pod.
    """

    pods: tuple[RuntimePod, ...]
    left_out: int = 0
    labels_dropped: int = 0


class ContainerList(Struct, frozen=True):
    """The containers of one answer that have not ended, in the order of their ids. `left_out` as with sandboxes."""

    containers: tuple[RuntimeContainer, ...]
    left_out: int = 0


def version_request() -> bytes:
    """Asks who answers."""
    return pack_bytes(1, b"v1")


def sandboxes_request(*, only_ready: bool) -> bytes:
    """Asks for sandboxes; one that is not ready has ended, or its first process has."""
    # READY is 0 and is written out: a filter without a state would be none.
    return b"\x0a\x04\x12\x02\x08\x00" if only_ready else b""


def running_containers_request() -> bytes:
    """Asks for running containers: the others have no process."""
    return b"\x0a\x04\x12\x02\x08\x01"


def cri_events_request() -> bytes:
    """Asks for all events of CRI; there is no filter."""
    return b""


def containerd_events_request() -> bytes:
    """Asks containerd for starts and ends of Kubernetes' containers, and not for the exec probes, which are many."""
    topics = ("/tasks/start", "/tasks/delete")
    return b"".join(pack_bytes(1, f'namespace=="k8s.io",topic=="{topic}"'.encode()) for topic in topics)


def parse_version(data: bytes) -> RuntimeVersion:
    """*Raises:* ProtocolError for bytes that are no message."""
    texts = _texts(data, (2, 3))
    return RuntimeVersion(*(readable(texts[number], NAME_CHARACTERS_MAX) for number in (2, 3)))


def parse_sandboxes(data: bytes) -> SandboxList:
    """*Raises:* ProtocolError for bytes that are no message."""
    items, left_out = _items(data)
    counters = SessionCounters()
    pods = {pod.sandbox_id: pod for item in items if (pod := _parse_sandbox(item, counters)) is not None}
    in_order = tuple(pods[sandbox_id] for sandbox_id in sorted(pods))
    return SandboxList(in_order, left_out + len(items) - len(pods), counters.labels_dropped)


def parse_containers(data: bytes) -> ContainerList:
    """*Raises:* ProtocolError for bytes that are no message."""
    items, left_out = _items(data)
    known = {container.id: container for item in items if (container := _parse_container(item)) is not None}
    living = sorted(key for key, container in known.items() if container.state is not ContainerState.STOPPED)
    return ContainerList(tuple(known[key] for key in living), left_out + len(items) - len(known))


def _items(data: bytes) -> tuple[list[bytes], int]:
    items = [data[begin:end] for number, wire_type, begin, end in fields(data) if number == 1 and wire_type == BYTES]
    return items[:ITEMS_MAX], max(0, len(items) - ITEMS_MAX)


def _texts(data: bytes, wanted: tuple[int, ...]) -> dict[int, bytes]:
    """The last text of each number; empty where there is none."""
    texts = dict.fromkeys(wanted, b"")
    for number, wire_type, begin, end in fields(data):
        if wire_type == BYTES and number in texts:
            texts[number] = data[begin:end]
    return texts


def _parse_sandbox(item: bytes, counters: SessionCounters) -> RuntimePod | None:
    texts = {1: b"", 2: b""}
    labels: list[bytes] = []
    for number, wire_type, begin, end in fields(item):
        if wire_type != BYTES:
            continue
        if number in texts:
            texts[number] = item[begin:end]
        elif number == 5:
            labels.append(item[begin:end])
    sandbox_id = parse_identity(texts[1])
    if not sandbox_id:
        return None
    metadata = _texts(texts[2], (1, 2, 3))
    return RuntimePod(
        sandbox_id,
        uid_of(parse_identity(metadata[2]), sandbox_id),
        namespace=readable(metadata[3], NAME_CHARACTERS_MAX),
        name=readable(metadata[1], NAME_CHARACTERS_MAX),
        labels=parse_labels(labels, counters),
    )


def _parse_container(item: bytes) -> RuntimeContainer | None:
    texts = {1: b"", 2: b"", 3: b""}
    state = 0
    for number, wire_type, begin, end in fields(item):
        if wire_type == BYTES and number in texts:
            texts[number] = item[begin:end]
        elif wire_type == VARINT and number == 6:
            state = begin
    container_id, sandbox_id = parse_identity(texts[1]), parse_identity(texts[2])
    if not (container_id and sandbox_id):
        return None
    return RuntimeContainer(
        container_id,
        sandbox_id,
        name=readable(_texts(texts[3], (1,))[1], NAME_CHARACTERS_MAX),
        state=_STATES[state] if state < len(_STATES) else ContainerState.UNKNOWN,
    )
