"""The messages of CRI v1, as far as names need them. PURE.

*Source:* `api.proto` of cri-api, package `runtime.v1`; of containerd's own events `api/services/events/v1`. What the runtime
reports is foreign: texts are made readable and bounded, unknown fields are skipped, an item without an id is left out and counted.
"""

from msgspec import Struct

from agent.model.errors import ProtocolError
from agent.model.foreign import readable
from workers.control_plane.container_runtime.event import ContainerState, RuntimeContainer, RuntimePod, uid_of
from workers.control_plane.cri.protobuf import fields, text_field

VERSION = "/runtime.v1.RuntimeService/Version"
# What runtimes offered before v1: containerd up to 1.5, CRI-O up to 1.19.
VERSION_ALPHA = "/runtime.v1alpha2.RuntimeService/Version"
LIST_SANDBOXES = "/runtime.v1.RuntimeService/ListPodSandbox"
LIST_CONTAINERS = "/runtime.v1.RuntimeService/ListContainers"
CRI_EVENTS = "/runtime.v1.RuntimeService/GetContainerEvents"
CONTAINERD_EVENTS = "/containerd.services.events.v1.Events/Subscribe"

# A node has some hundred pods; this many are a runtime out of control.
ITEMS_MAX = 20_000
LABELS_MAX = 256
# The longest key of a Kubernetes label has 253 + 1 + 63 characters, a pod's name 253.
TEXT_CHARACTERS_MAX = 320
ID_CHARACTERS_MAX = 128
# CRI numbers them so; NRI has other numbers.
_STATES = (ContainerState.CREATED, ContainerState.RUNNING, ContainerState.STOPPED, ContainerState.UNKNOWN)
_READY, _RUNNING = 0, 1


class RuntimeVersion(Struct, frozen=True):
    """Who answers. *Absent:* empty texts were not reported."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


class SandboxList(Struct, frozen=True):
    """The sandboxes of one answer, in the order of their ids. `left_out`: without an id, or beyond ITEMS_MAX."""

    pods: tuple[RuntimePod, ...]
    left_out: int = 0


class ContainerList(Struct, frozen=True):
    """The containers of one answer that have not ended, in the order of their ids. `left_out` as with sandboxes."""

    containers: tuple[RuntimeContainer, ...]
    left_out: int = 0


def version_request() -> bytes:
    """Asks who answers."""
    return text_field(1, "v1")


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
    return b"".join(text_field(1, f'namespace=="k8s.io",topic=="{topic}"') for topic in topics)


def parse_version(payload: bytes) -> RuntimeVersion:
    """*Raises:* ProtocolError for bytes that are no message."""
    name = version = ""
    for number, value in fields(payload):
        if number == 2:
            name = _text(value)
        elif number == 3:
            version = _text(value)
    return RuntimeVersion(name, version)


def parse_sandboxes(payload: bytes) -> SandboxList:
    """*Raises:* ProtocolError for bytes that are no message."""
    items, left_out = _items(payload)
    pods = {pod.sandbox_id: pod for item in items if (pod := _parse_sandbox(item)) is not None}
    return SandboxList(tuple(pods[key] for key in sorted(pods)), left_out + len(items) - len(pods))


def parse_containers(payload: bytes) -> ContainerList:
    """*Raises:* ProtocolError for bytes that are no message."""
    items, left_out = _items(payload)
    parsed = [_parse_container(item) for item in items]
    known = {container.id: container for container in parsed if container is not None}
    living = sorted(key for key, container in known.items() if container.state is not ContainerState.STOPPED)
    return ContainerList(tuple(known[key] for key in living), left_out + len(items) - len(known))


def _items(payload: bytes) -> tuple[list[bytes], int]:
    items = [_bytes(value) for number, value in fields(payload) if number == 1]
    return items[:ITEMS_MAX], max(0, len(items) - ITEMS_MAX)


def _parse_sandbox(item: bytes) -> RuntimePod | None:
    sandbox_id, metadata = "", b""
    labels: dict[str, str] = {}
    for number, value in fields(item):
        if number == 1:
            sandbox_id = _text(value, ID_CHARACTERS_MAX)
        elif number == 2:
            metadata = _bytes(value)
        elif number == 5 and len(labels) < LABELS_MAX:
            key, label = _parse_entry(_bytes(value))
            labels[key] = label
    if not sandbox_id:
        return None
    name, uid, namespace = _parse_sandbox_metadata(metadata)
    return RuntimePod(sandbox_id, uid_of(uid, sandbox_id), namespace=namespace, name=name, labels=labels)


def _parse_sandbox_metadata(metadata: bytes) -> tuple[str, str, str]:
    texts = {1: "", 2: "", 3: ""}
    for number, value in fields(metadata):
        if number in texts:
            texts[number] = _text(value)
    return texts[1], texts[2], texts[3]


def _parse_container(item: bytes) -> RuntimeContainer | None:
    container_id = sandbox_id = name = ""
    state = _STATES[0]
    for number, value in fields(item):
        if number == 1:
            container_id = _text(value, ID_CHARACTERS_MAX)
        elif number == 2:
            sandbox_id = _text(value, ID_CHARACTERS_MAX)
        elif number == 3:
            name = _first_text(_bytes(value))
        elif number == 6:
            state = _state(value)
    return RuntimeContainer(container_id, sandbox_id, name=name, state=state) if container_id else None


def _state(value: int | bytes) -> ContainerState:
    if not isinstance(value, int):
        raise ProtocolError("CRI socket", "a container's state is no number")
    return _STATES[value] if value < len(_STATES) else ContainerState.UNKNOWN


def _first_text(message: bytes) -> str:
    text = ""
    for number, value in fields(message):
        if number == 1:
            text = _text(value)
    return text


def _parse_entry(entry: bytes) -> tuple[str, str]:
    key = text = ""
    for number, value in fields(entry):
        if number == 1:
            key = _text(value)
        elif number == 2:
            text = _text(value)
    return key, text


def _text(value: int | bytes, characters_max: int = TEXT_CHARACTERS_MAX) -> str:
    return readable(_bytes(value), characters_max)


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ProtocolError("CRI socket", "a text of a message is a number")
    return value
