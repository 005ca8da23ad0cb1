"""What each version of NRI knows, and what pods and containers look like on its wire. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from fakes.nri_wire import field as wire_field


class Event(IntEnum):
    """Numbers of events, as in `api.proto`."""

    RUN_POD = 1
    STOP_POD = 2
    REMOVE_POD = 3
    CREATE = 4
    POST_CREATE = 5
    START = 6
    POST_START = 7
    UPDATE = 8
    POST_UPDATE = 9
    STOP = 10
    REMOVE = 11
    UPDATE_POD = 12
    POST_UPDATE_POD = 13
    VALIDATE = 14


# What is a call of its own in every version; the others are events of StateChange before 0.12.
ALWAYS_CALLS = {Event.CREATE: "CreateContainer", Event.UPDATE: "UpdateContainer", Event.STOP: "StopContainer"}
DEDICATED = {
    Event.RUN_POD: "RunPodSandbox",
    Event.STOP_POD: "StopPodSandbox",
    Event.REMOVE_POD: "RemovePodSandbox",
    Event.POST_CREATE: "PostCreateContainer",
    Event.START: "StartContainer",
    Event.POST_START: "PostStartContainer",
    Event.POST_UPDATE: "PostUpdateContainer",
    Event.REMOVE: "RemoveContainer",
    Event.POST_UPDATE_POD: "PostUpdatePodSandbox",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """One version of NRI. `last` is the highest event that it knows."""

    version: str
    last: Event
    splits: bool
    """Whether a synchronisation that is too large is split."""
    dedicated: bool
    """Whether events are calls of their own first."""
    names_itself: bool
    """Whether Configure carries the version."""

    @property
    def mask(self) -> int:
        """Every bit that it knows."""
        return (1 << self.last) - 1


DIALECTS = {
    dialect.version: dialect
    for dialect in (
        Dialect("0.3.0", Event.REMOVE, splits=False, dedicated=False, names_itself=False),
        Dialect("0.4.0", Event.REMOVE, splits=False, dedicated=False, names_itself=False),
        Dialect("0.6.1", Event.REMOVE, splits=False, dedicated=False, names_itself=False),
        Dialect("0.8.0", Event.REMOVE, splits=True, dedicated=False, names_itself=False),
        Dialect("0.10.0", Event.VALIDATE, splits=True, dedicated=False, names_itself=False),
        Dialect("0.11.0", Event.VALIDATE, splits=True, dedicated=False, names_itself=True),
        Dialect("0.12.0", Event.VALIDATE, splits=True, dedicated=True, names_itself=True),
    )
}
NEWEST = DIALECTS["0.12.0"]
CREATED, PAUSED, RUNNING, STOPPED = 1, 2, 3, 4
Text = str | bytes


@dataclass(slots=True)
class FakePod:
    """A pod sandbox as a runtime knows it; texts may be bytes that are no UTF-8."""

    id: Text
    uid: Text = ""
    namespace: Text = "default"
    name: Text = ""
    labels: Mapping[Text, Text] = field(default_factory=dict)
    cgroup_parent: Text = ""
    annotations: Mapping[Text, Text] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """As `PodSandbox`."""
        return b"".join((
            wire_field(1, self.id),
            wire_field(2, self.name),
            wire_field(3, self.uid),
            wire_field(4, self.namespace),
            wire_field(5, self.labels),
            wire_field(6, self.annotations),
            wire_field(7, "runc"),
            wire_field(8, wire_field(3, self.cgroup_parent)),
        ))  # fmt: skip


@dataclass(slots=True)
class FakeContainer:
    """A container as a runtime knows it. `padding` is further data (its environment), to make a message long."""

    id: Text
    pod_id: Text
    name: Text = "main"
    state: int = CREATED
    cgroups_path: Text = ""
    pid: int = 0
    labels: Mapping[Text, Text] = field(default_factory=dict)
    padding: int = 0

    def encoded(self) -> bytes:
        """As `Container`."""
        return b"".join((
            wire_field(1, self.id),
            wire_field(2, self.pod_id),
            wire_field(3, self.name),
            wire_field(4, self.state),
            wire_field(5, self.labels),
            wire_field(7, "/bin/main"),
            wire_field(8, b"PADDING=" + b"x" * self.padding if self.padding else b""),
            wire_field(11, wire_field(5, self.cgroups_path)),
            wire_field(12, self.pid),
        ))  # fmt: skip


def pod_of(number: int, *, driver: str = "cgroupfs") -> FakePod:
    """A pod with everything that a kubelet gives it, by its number."""
    uid = f"{number:08x}-3c1d-4e5f-8a9b-0123456789ab"
    parent = f"/kubepods/besteffort/pod{uid}"
    if driver == "systemd":
        parent = f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{uid.replace('-', '_')}.slice"
    labels: dict[Text, Text] = {"app": f"app-{number % 7}", "pod-template-hash": f"{number:08x}", "tier": "backend"}
    return FakePod(f"{number:064x}", uid, f"team-{number % 5}", f"app-{number % 7}-{number:05x}", labels, parent)


def container_of(
    pod: FakePod, number: int = 0, *, state: int = CREATED, padding: int = 0, driver: str = "cgroupfs"
) -> FakeContainer:
    """A container of a pod that `pod_of` made."""
    assert isinstance(pod.id, str)
    assert isinstance(pod.cgroup_parent, str)
    identity = f"{number + 1:08x}{pod.id[8:]}"
    path = f"{pod.cgroup_parent}/{identity}"
    if driver == "systemd":
        path = f"{pod.cgroup_parent.rpartition('/')[2]}:cri-containerd:{identity}"
    return FakeContainer(identity, pod.id, f"main-{number}", state, path, padding=padding)
