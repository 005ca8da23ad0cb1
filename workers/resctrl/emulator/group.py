"""One resource group: the root, a control group or a monitoring group. PURE."""

from collections.abc import Iterator
from enum import Enum

from workers.resctrl.emulator.traffic import Monitor


class GroupKind(Enum):
    """The kinds of group. The root is a control group with everything that no other group has."""

    ROOT = "root"
    CONTROL = "control"
    MONITORING = "monitoring"


class Owned:
    """What chmod and chown change on one file or directory."""

    __slots__ = ("gid", "mode", "uid")

    def __init__(self, mode: int, uid: int, gid: int):
        self.mode = mode
        self.uid = uid
        self.gid = gid


class EmulatedGroup:
    """A group and what belongs to it. `threads` are its own, without those of its children. The root's are not kept: it has all
    threads that no other group has."""

    __slots__ = (
        "changed",
        "children",
        "closid",
        "cpus",
        "created_at_wall_ns",
        "directory_mode",
        "gid",
        "ids",
        "kind",
        "monitor",
        "name",
        "parent",
        "removed",
        "rmid",
        "serial",
        "successor",
        "threads",
        "uid",
    )

    def __init__(
        self, kind: GroupKind, name: str, parent: "EmulatedGroup | None", ids: tuple[int, int], monitor: Monitor, serial: int
    ):
        self.kind = kind
        self.name = name
        self.parent = parent
        # The ids that it got at its start and gives back at its end; `closid` changes when it moves to another control group.
        self.ids = ids
        self.closid, self.rmid = ids
        self.monitor = monitor
        self.serial = serial
        self.children: dict[str, EmulatedGroup] = {}
        self.threads: set[int] = set()
        self.cpus = 0
        self.uid = self.gid = 0
        self.directory_mode = 0o755
        self.created_at_wall_ns = 0
        self.changed: dict[str, Owned] = {}
        self.removed = False
        self.successor: EmulatedGroup | None = None

    @property
    def path(self) -> str:
        """Relative to the root of the tree, without a slash before or after; the root's is empty."""
        if self.kind is GroupKind.ROOT:
            return ""
        if self.kind is GroupKind.CONTROL or self.parent is None:
            return self.name
        above = self.parent.path
        return f"{above}/mon_groups/{self.name}" if above else f"mon_groups/{self.name}"

    @property
    def is_control(self) -> bool:
        """Whether it has its own CLOSID and its counts include its children's."""
        return self.kind is not GroupKind.MONITORING


class EmulatedGroups:
    """All groups, found by path."""

    def __init__(self, root: EmulatedGroup):
        self.root = root
        self.controls: dict[str, EmulatedGroup] = {}

    def everyone(self) -> Iterator[EmulatedGroup]:
        """All groups: the root, its monitoring groups, then each control group with its own."""
        for control in self.control_groups():
            yield control
            yield from control.children.values()

    def control_groups(self) -> Iterator[EmulatedGroup]:
        """The root first."""
        yield self.root
        yield from self.controls.values()

    def split(self, path: str) -> tuple[EmulatedGroup, str]:
        """The innermost group of a path, and the rest of the path."""
        parts = path.split("/")
        group = self.root
        if parts[0] in self.controls:
            group = self.controls[parts.pop(0)]
        if len(parts) >= 2 and parts[0] == "mon_groups" and parts[1] in group.children:
            group = group.children[parts[1]]
            del parts[:2]
        return group, "/".join(parts)
