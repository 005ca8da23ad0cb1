"""The messages of NRI, as this plugin needs them. PURE.

Of a container its arguments, environment and mounts are most of the bytes; they are passed over, never decoded. Texts are made
readable and bounded here, where they enter. *Source:* github.com/containerd/nri, pkg/api/api.proto (0.3 to 0.12).
"""

from sys import intern

from msgspec import Struct

from agent.model.foreign import readable
from workers.control_plane.container_runtime.event import ContainerState, RuntimeContainer, RuntimePod, uid_of
from workers.control_plane.nri.protobuf import BYTES, VARINT, fields, pack_bytes, pack_number, signed

# Containerd's and CRI-O's ids have 64 letters, a uid has 36.
ID_BYTES_MAX = 128
# Kubernetes allows 253 letters in a name, and fewer in most.
NAME_CHARACTERS_MAX = 253
# Kubernetes allows 317 letters in the key of a label (prefix, slash, name) and 63 in its value; a runtime allows more.
LABEL_KEY_CHARACTERS_MAX, LABEL_VALUE_CHARACTERS_MAX = 317, 1024
# Pods of real clusters have 5 to 20 labels. A rule that names a label above these limits does not match.
LABELS_MAX, LABEL_CHARACTERS_MAX = 128, 16_384
# Containerd's own notes. They are no labels of the pod, and CRI does not have them: a pod has the same labels over both.
_CONTAINERD_LABELS = b"io.cri-containerd."
# Entries that are looked at, so that a message full of small ones costs no more than its decoding.
LABELS_READ_MAX = 1024
# The kernel's longest pid. A larger number is none.
PID_MAX = 1 << 22
NS_PER_MS = 1_000_000
# The longest limit that a runtime can mean, a day: what is longer is as good as none.
LIMIT_MS_MAX = 86_400_000

_STATES = {
    1: ContainerState.CREATED,
    2: ContainerState.PAUSED,
    3: ContainerState.RUNNING,
    4: ContainerState.STOPPED,
}


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


class Configuration(Struct, frozen=True):
    """What a runtime says of itself. *Absent:* as in `session.Configured`."""

    runtime_name: str = ""
    runtime_version: str = ""
    nri_version: str = ""
    registration_timeout_ns: int = 0
    request_timeout_ns: int = 0


class Subject(Struct, frozen=True):
    """What a call is about: the encoded pod and container. `event` is 0 for a call that is its own method.

    *Absent:* empty where the call has none.
    """

    event: int
    pod: bytes
    container: bytes


def parse_configuration(data: bytes) -> Configuration:
    """The content of Configure. *Raises:* ProtocolError."""
    texts = {2: b"", 3: b"", 6: b""}
    limits_ns = {4: 0, 5: 0}
    for number, wire_type, begin, end in fields(data):
        if wire_type == BYTES and number in texts:
            texts[number] = data[begin:end]
        elif wire_type == VARINT and number in limits_ns:
            limits_ns[number] = min(LIMIT_MS_MAX, max(0, signed(begin, 64))) * NS_PER_MS
    name, version, nri_version = (readable(text, NAME_CHARACTERS_MAX) for text in texts.values())
    return Configuration(name, version, nri_version, limits_ns[4], limits_ns[5])


def parse_subject(data: bytes, *, is_state_change: bool) -> Subject:
    """The content of StateChange (event 1, pod 2, container 3), or of a method of its own (pod 1, container 2).

    *Raises:* ProtocolError.
    """
    event = 0
    # Parts of one message that come apart are one message: their fields follow each other.
    pods: list[bytes] = []
    containers: list[bytes] = []
    for number, wire_type, begin, end in fields(data):
        place = number - is_state_change
        if place == 1 and wire_type == BYTES:
            pods.append(data[begin:end])
        elif place == 2 and wire_type == BYTES:
            containers.append(data[begin:end])
        elif place == 0 and wire_type == VARINT:
            event = signed(begin, 32)
    return Subject(event, b"".join(pods), b"".join(containers))


def parse_id(record: bytes) -> str:
    """The id of an encoded pod or container. *Absent:* empty: it has none, or one that is too long. *Raises:* ProtocolError."""
    found = b""
    for number, wire_type, begin, end in fields(record):
        if number == 1 and wire_type == BYTES:
            found = record[begin:end]
    return parse_identity(found)


def parse_pod(record: bytes, counters: SessionCounters) -> RuntimePod | None:
    """One pod; None: it has no id, or one that is too long. *Raises:* ProtocolError."""
    texts = {1: b"", 2: b"", 3: b"", 4: b""}
    linux: list[bytes] = []
    labels: list[bytes] = []
    for number, wire_type, begin, end in fields(record):
        if wire_type != BYTES:
            continue
        if number in texts:
            texts[number] = record[begin:end]
        elif number == 5:
            labels.append(record[begin:end])
        elif number == 8:
            linux.append(record[begin:end])
    sandbox_id = parse_identity(texts[1])
    if not sandbox_id:
        return None
    return RuntimePod(
        sandbox_id=sandbox_id,
        uid=uid_of(parse_identity(texts[3]), sandbox_id),
        namespace=readable(texts[4], NAME_CHARACTERS_MAX),
        name=readable(texts[2], NAME_CHARACTERS_MAX),
        labels=parse_labels(labels, counters),
        cgroup_parent=_text(b"".join(linux), 3),
    )


def parse_container(record: bytes) -> RuntimeContainer | None:
    """One container; None: it or its pod has no id, or one that is too long.

    When a container is about to start, its state is `created`, and `pid` is that of runc's init in the runtime's own namespace of
    pids. It waits in the container's cgroup with six threads, of which one becomes the container's first program.
    `cgroups_path` is as in the OCI specification: a path from the root of each hierarchy, or `slice:prefix:name` for systemd.
    *Raises:* ProtocolError. *Source:* seen with containerd 1.7.24 and 2.1.9 and runc 1.1.5.
    """
    texts = {1: b"", 2: b"", 3: b""}
    numbers = {4: 0, 12: 0}
    linux: list[bytes] = []
    for number, wire_type, begin, end in fields(record):
        if wire_type == BYTES:
            if number in texts:
                texts[number] = record[begin:end]
            elif number == 11:
                linux.append(record[begin:end])
        elif wire_type == VARINT and number in numbers:
            numbers[number] = begin
    container_id, sandbox_id = parse_identity(texts[1]), parse_identity(texts[2])
    if not (container_id and sandbox_id):
        return None
    return RuntimeContainer(
        id=container_id,
        sandbox_id=sandbox_id,
        name=readable(texts[3], NAME_CHARACTERS_MAX),
        state=_STATES.get(numbers[4], ContainerState.UNKNOWN),
        cgroups_path=_text(b"".join(linux), 5),
        pid=numbers[12] if numbers[12] <= PID_MAX else 0,
    )


def pack_registration(name: str, index: str) -> bytes:
    """The content of RegisterPlugin. The version of NRI is left out: this plugin is built on no release of it."""
    return pack_bytes(1, name.encode()) + pack_bytes(2, index.encode())


def pack_subscription(mask: int) -> bytes:
    """The answer to Configure. A failure policy (0.12) is left out: by default a runtime goes on without a plugin that failed."""
    assert mask, "a mask of 0 subscribes to everything"
    return pack_number(2, mask)


def pack_synchronized(*, has_more: bool) -> bytes:
    """The answer to one part of a synchronization, which repeats whether another follows."""
    return pack_number(2, has_more)


def parse_identity(text: bytes) -> str:
    """An id or uid as text. *Absent:* empty: there is none, or it is too long."""
    # A cut identity could be that of another pod.
    return readable(text) if len(text) <= ID_BYTES_MAX else ""


def _text(record: bytes, wanted: int) -> str:
    """A path in an encoded message."""
    found = b""
    for number, wire_type, begin, end in fields(record):
        if number == wanted and wire_type == BYTES:
            found = record[begin:end]
    return readable(found)


def parse_labels(entries: list[bytes], counters: SessionCounters) -> dict[str, str]:
    """The labels of a pod, the last of one key, without containerd's own; above the limits those first by their keys."""
    labels: dict[str, str] = {}
    for entry in entries[:LABELS_READ_MAX]:
        key = value = b""
        for number, wire_type, begin, end in fields(entry):
            if wire_type == BYTES and number == 1:
                key = entry[begin:end]
            elif wire_type == BYTES and number == 2:
                value = entry[begin:end]
        if key.startswith(_CONTAINERD_LABELS):
            continue
        # Pods of one kind have the same keys: one object serves all.
        labels[intern(readable(key, LABEL_KEY_CHARACTERS_MAX))] = readable(value, LABEL_VALUE_CHARACTERS_MAX)
    counters.labels_dropped += max(0, len(entries) - LABELS_READ_MAX)
    if len(labels) <= LABELS_MAX and sum(len(key) + len(value) for key, value in labels.items()) <= LABEL_CHARACTERS_MAX:
        return labels
    return _first_labels(labels, counters)


def _first_labels(labels: dict[str, str], counters: SessionCounters) -> dict[str, str]:
    # By the keys and not as they came: the runtime sends them in another order each time.
    kept: dict[str, str] = {}
    room = LABEL_CHARACTERS_MAX
    for key in sorted(labels)[:LABELS_MAX]:
        room -= len(key) + len(labels[key])
        if room < 0:
            break
        kept[key] = labels[key]
    counters.labels_dropped += len(labels) - len(kept)
    return kept
