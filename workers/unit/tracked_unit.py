"""One unit that is measured: a pod, one of its containers, a service, scope, slice or workload. PURE."""

from msgspec import Struct

from agent.model.absence import Absence
from agent.model.rule import UnitKind
from workers.unit.value import VALUES_COUNT, Values

# What a descriptor is until its file is read for the first time, and while there is no such file.
NOT_OPEN, NO_FILE = -1, -2
# net_received_bytes to sockets_tcp, in the order of the table.
NETWORK_COLUMNS_COUNT = 8


class Instant(Struct, frozen=True):
    """One moment by both clocks."""

    now_ns: int
    wall_ns: int


class DirectoryState(Struct, frozen=True):
    """What the kernel says of a directory: its inode, which is never used twice, its links and when it was made or changed."""

    inode: int
    links: int
    modified_ns: int


class TrackedUnit:
    """*Absent:* `container` where the row is of the whole unit; `pod` where this is none of a pod's containers.

    `cgroup` is the path as rows have it, `path` as the kernel has it: they differ where its bytes are no text. `home` is the folder
    of the hierarchy that its directory was found in, and `state` what that was then. `values` is what was read last, `told` the
    counters as of its last row, None before the first. `network` is filled by a part (`workers.unit.part`), as are reasons in
    `absences`, by a name of its own.
    """

    __slots__ = (
        "absences", "active_at_ns", "cgroup", "charged", "container", "containers", "descriptors", "home", "is_gone",
        "kind", "kind_word", "later_at_ns", "limits", "limits_at_ns", "listed_links", "looked_at_ns", "network",
        "number", "path", "pod", "rest_at_ns", "started_wall_ns", "state", "texts", "told", "told_at_ns", "uid",
        "values",
    )  # fmt: skip

    def __init__(
        self, uid: str, kind: UnitKind, cgroup: str, *, container: str | None = None, pod: "TrackedUnit | None" = None
    ) -> None:
        self.uid = uid
        self.kind = kind
        # Of an enumeration it takes a call each time.
        self.kind_word: str = kind.value
        self.cgroup = cgroup
        self.container = container
        self.pod = pod
        # By the names of their directories.
        self.containers: dict[str, TrackedUnit] = {}
        self.listed_links = 0
        self.path = cgroup
        self.home = ""
        self.state = DirectoryState(0, 0, 0)
        self.started_wall_ns: int | None = None
        self.number = 0
        self.descriptors: list[int] = []
        # None: not read yet. An empty file is one that was read.
        self.texts: list[bytes | None] = []
        self.values: Values = [None] * VALUES_COUNT
        self.told: Values | None = None
        self.told_at_ns = 0
        self.active_at_ns = 0
        self.looked_at_ns = 0
        # When the files are due that are read later, and the memory charged when they were read.
        self.later_at_ns = 0
        self.charged = 0
        # When all of its files were read.
        self.rest_at_ns: int | None = None
        self.limits: tuple[int | float | None, ...] = (None, None, None, None)
        self.limits_at_ns: int | None = None
        self.network: list[int | None] = [None] * NETWORK_COLUMNS_COUNT
        self.absences: dict[str, Absence] = {}
        self.is_gone = False

    @property
    def key(self) -> tuple[str, str | None]:
        """What tells it from all others at one time."""
        return self.uid, self.container
