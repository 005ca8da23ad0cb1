"""The file tree of the emulation: names, modes, and the rules for making, removing and moving groups. PURE.

All failures are OSError with the errno of the kernel. *Source:* fs/resctrl/rdtgroup.c, fs/kernfs/dir.c.
"""

from errno import EEXIST, EINVAL, EISDIR, ENODEV, ENOENT, ENOTDIR, EPERM
from stat import S_IFDIR, S_IMODE, S_ISDIR

from workers.resctrl.emulator.command import refusal
from workers.resctrl.emulator.group import EmulatedGroup, GroupKind, Owned
from workers.resctrl.emulator.layout import Layout, Parts
from workers.resctrl.emulator.node import NAMES_MAX, Node
from workers.resctrl.emulator.ports import Attributes, Caller, Faults, OpenFile
from workers.resctrl.emulator.registry import Registry

Path = str


class EmulatedTree:
    """Implements `ports.Tree`. Paths have no leading slash; the root's is empty."""

    def __init__(self, parts: Parts, registry: Registry, faults: Faults | None, now_ns: int):
        self.profile = parts.profile
        self.faults = faults
        self._now_ns = now_ns
        self._status = parts.status
        self._registry = registry
        self._groups = registry.groups
        self._layout = Layout(self, parts)
        registry.counters.on_mode_change = self._layout.build

    def _find(self, path: Path) -> tuple[EmulatedGroup, str, Node]:
        group, rest = self._groups.split(path)
        node = self._layout.shapes[group.kind].nodes.get(rest)
        if node is not None:
            return group, rest, node
        nodes = self._layout.shapes[group.kind].nodes
        while rest not in nodes:
            rest = rest.rpartition("/")[0]
        raise refusal(ENOENT if S_ISDIR(nodes[rest].mode) else ENOTDIR)

    def attributes(self, path: Path) -> Attributes:
        """What stat(2) shows of a path. *Raises:* OSError: ENOENT, ENOTDIR."""
        group, rest, node = self._find(path)
        owned = group.changed.get(rest)
        mode, uid, gid = (owned.mode, owned.uid, owned.gid) if owned else (self._mode_of(group, node), group.uid, group.gid)
        links = 1
        if S_ISDIR(node.mode):
            links = 2 + sum(1 for _, is_directory in self._names(group, rest) if is_directory)
        return Attributes(group.serial * NAMES_MAX + node.number, mode, uid, gid, group.created_at_wall_ns, links)

    @staticmethod
    def _mode_of(group: EmulatedGroup, node: Node) -> int:
        return S_IFDIR | group.directory_mode if S_ISDIR(node.mode) else node.mode

    def _names(self, group: EmulatedGroup, rest: str) -> list[tuple[str, bool]]:
        names = list(self._layout.shapes[group.kind].names[rest])
        if rest == "mon_groups":
            names += [(name, True) for name in group.children]
        elif rest == "" and group.kind is GroupKind.ROOT:
            names += [(name, True) for name in self._groups.controls]
        return names

    def list(self, path: Path) -> list[tuple[str, bool]]:
        """The names in a directory, with whether each is a directory. *Raises:* OSError: ENOENT, ENOTDIR."""
        group, rest, node = self._find(path)
        if not S_ISDIR(node.mode):
            raise refusal(ENOTDIR)
        return self._names(group, rest)

    def open(self, path: Path) -> OpenFile:
        """An open file. *Raises:* OSError: ENOENT, ENOTDIR, EISDIR, and what a fault orders."""
        self._check("open", path, self._now_ns)
        group, _, node = self._find(path)
        if node.open is None:
            raise refusal(EISDIR)
        return node.open(group)

    def set_mode(self, path: Path, mode: int) -> None:
        """chmod(2). *Raises:* OSError: ENOENT, ENOTDIR."""
        owned = self._own(path)
        owned.mode = owned.mode & ~0o7777 | S_IMODE(mode)

    def set_owner(self, path: Path, uid: int, gid: int) -> None:
        """chown(2). *Raises:* OSError: ENOENT, ENOTDIR."""
        owned = self._own(path)
        owned.uid, owned.gid = uid, gid

    def _own(self, path: Path) -> Owned:
        group, rest, node = self._find(path)
        return group.changed.setdefault(rest, Owned(self._mode_of(group, node), group.uid, group.gid))

    def _check(self, operation: str, path: Path, now_ns: int) -> None:
        self._now_ns = max(self._now_ns, now_ns)
        if self.faults is not None:
            self.faults.check(operation, path, now_ns)

    def mkdir(self, path: Path, mode: int, caller: Caller, now_ns: int) -> None:
        """Makes a control group in the root, or a monitoring group in a `mon_groups`.

        *Raises:* OSError as the kernel: EEXIST, EINVAL, EPERM, ENODEV, ENOENT, ENOTDIR; ENOSPC or EBUSY without a free id.
        """
        self._check("mkdir", path, now_ns)
        self.on_timer(now_ns)
        above, _, name = path.rpartition("/")
        group, rest, node = self._find(above)
        if not S_ISDIR(node.mode):
            raise refusal(ENOTDIR)
        if any(name == known for known, _ in self._names(group, rest)):
            raise refusal(EEXIST)
        if "\n" in name:
            raise refusal(EINVAL)
        if group.kind is GroupKind.ROOT and rest == "" and self.profile.allocates:
            self._status.clear()
            new = self._registry.make_control(name, now_ns)
        else:
            if _is_info(group, rest):
                raise refusal(ENODEV)
            self._status.clear()
            if rest != "mon_groups" or name == "mon_groups":
                raise refusal(EPERM)
            new = self._registry.make_monitoring(group, name, now_ns)
        new.uid, new.gid = caller.uid, caller.gid
        new.directory_mode = S_IMODE(mode)

    def rmdir(self, path: Path, caller: Caller, now_ns: int) -> None:
        """Removes a group; its threads go to the parent. *Raises:* OSError: EPERM if it is no group, ENOENT, ENOTDIR."""
        self._check("rmdir", path, now_ns)
        self.on_timer(now_ns)
        group, rest, node = self._find(path)
        if not S_ISDIR(node.mode):
            raise refusal(ENOTDIR)
        if rest or group.kind is GroupKind.ROOT or group.parent is None:
            raise refusal(EPERM)
        if group.kind is GroupKind.MONITORING:
            self._registry.remove_monitoring(group, now_ns)
        else:
            self._registry.remove_control(group, now_ns)

    def rename(self, old: Path, new: Path, caller: Caller, now_ns: int) -> None:
        """Moves a monitoring group. *Raises:* OSError: EPERM for anything else, EEXIST, ENOENT, ENOTDIR."""
        self._check("rename", old, now_ns)
        self.on_timer(now_ns)
        group, rest, node = self._find(old)
        above, _, name = new.rpartition("/")
        target, target_rest, target_node = self._find(above)
        if not S_ISDIR(target_node.mode):
            raise refusal(ENOTDIR)
        if old == new:
            return
        if _is_info(group, rest) or _is_info(target, target_rest):
            raise refusal(ENOENT)
        self._status.clear()
        if not S_ISDIR(node.mode):
            raise self._status.refuse(EPERM, "Source and destination must be directories")
        if group.kind is not GroupKind.MONITORING or rest or group.parent is None:
            raise self._status.refuse(EPERM, "Source must be a MON group\n")
        if target_rest != "mon_groups" or name == "mon_groups":
            raise self._status.refuse(EPERM, "Destination must be a mon_groups subdirectory\n")
        self._registry.rename_monitoring(group, target, name)

    def next_deadline_ns(self) -> int | None:
        """When ids in limbo are checked next. *Absent:* None without any."""
        return self._registry.next_deadline_ns()

    def on_timer(self, now_ns: int) -> None:
        """Checks whether ids in limbo can be used again."""
        self._registry.check_limbo(now_ns)


def _is_info(group: EmulatedGroup, rest: str) -> bool:
    return group.kind is GroupKind.ROOT and rest.split("/", 1)[0] == "info"
