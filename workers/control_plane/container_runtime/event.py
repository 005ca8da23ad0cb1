"""What a container runtime reports about its pods and containers, over any wire. PURE data.

Texts are foreign: they are made readable (`agent.model.foreign`) and bounded before they stand here.
"""

from enum import StrEnum

from msgspec import Struct

from workers.resctrl.problem import ProblemKind


class ContainerState(StrEnum):
    """A container's state as its runtime names it."""

    UNKNOWN = "unknown"
    CREATED = "created"
    PAUSED = "paused"
    RUNNING = "running"
    STOPPED = "stopped"


class RuntimePod(Struct, frozen=True):
    """One pod sandbox. *Absent:* empty texts were not reported; `uid` is never empty and no path (`uid_of`).

    Two sandboxes may have one uid: the kubelet makes a new sandbox for a pod while the old one still stops.
    """

    sandbox_id: str
    uid: str
    namespace: str = ""
    name: str = ""
    labels: dict[str, str] = {}
    cgroup_parent: str = ""


class RuntimeContainer(Struct, frozen=True):
    """One container of a sandbox. `cgroups_path` is as in its OCI spec; `pid` is 0 where it was not reported."""

    id: str
    sandbox_id: str
    name: str = ""
    state: ContainerState = ContainerState.UNKNOWN
    cgroups_path: str = ""
    pid: int = 0


class StartOutcome(Struct, frozen=True):
    """What was done for a container between its creation and its first instruction.

    `group` is the group by the rules, None: a rule ignores the pod. `path` is its directory below the mount, empty: there is
    none, for the reason in `problem` and `detail`. `is_whole`: a whole pass found no thread of the container outside.
    *Units:* `elapsed_ns` from the request to the reply.
    """

    group: str | None
    path: str = ""
    is_new: bool = False
    is_whole: bool = False
    threads: int = 0
    problem: ProblemKind | None = None
    detail: str = ""
    elapsed_ns: int = 0


class Synchronized(Struct, frozen=True):
    """All pods and containers that there are; whatever else was known is gone."""

    pods: tuple[RuntimePod, ...]
    containers: tuple[RuntimeContainer, ...]


class PodStarted(Struct, frozen=True):
    """A pod has its sandbox."""

    pod: RuntimePod


class PodStopped(Struct, frozen=True):
    """A sandbox is stopped; its containers have ended."""

    sandbox_id: str


class PodRemoved(Struct, frozen=True):
    """A sandbox is gone."""

    sandbox_id: str


class ContainerStarting(Struct, frozen=True):
    """A container is about to run its first instruction, or (without an outcome) runs already."""

    pod: RuntimePod
    container: RuntimeContainer
    outcome: StartOutcome | None = None


class ContainerStopped(Struct, frozen=True):
    """A container has ended; the runtime still knows it."""

    container_id: str


class ContainerRemoved(Struct, frozen=True):
    """A container is gone."""

    container_id: str


RuntimeEvent = Synchronized | PodStarted | PodStopped | PodRemoved | ContainerStarting | ContainerStopped | ContainerRemoved


class RuntimeWire(StrEnum):
    """The protocol over which a runtime reports."""

    NRI = "nri"
    CRI = "cri"


class LinkState(Struct, frozen=True):
    """The state of the connection to the runtime. `problem` is empty while it works, else one sentence with what to do.

    `is_there` false: there is no socket at all, which is normal on a host without containers.
    """

    wire: RuntimeWire
    is_connected: bool
    is_there: bool = True
    problem: str = ""
    runtime: str = ""
    """Name and version as the runtime reports them, `containerd 1.7.24`; empty: not reported yet."""


def uid_of(uid: str, sandbox_id: str) -> str:
    """A pod's identity: its uid, or, for a pod that was made without one, its sandbox's id.

    Services and slices are known by their paths: a pod with a path for its uid would take the threads of one.
    """
    return uid if uid and not uid.startswith("/") else f"sandbox-{sandbox_id}"
