"""The tree of groups of one mount: made, filled, listed, removed, one at a time.

Every change is made under the lock of the root directory; reading takes none. Paths are relative to the root of the mount.
All failures are `ResctrlError`, with the kernel's own explanation where it gave one.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import ENODEV, ENOENT, ENOTCONN, ENOTDIR

from agent.model.heartbeat import beating
from workers.resctrl.failure import EXPLAINED, failure_of, mount_failure, not_mounted, status_text
from workers.resctrl.lock import WAIT_NS, ChangeLock
from workers.resctrl.mover import Mover
from workers.resctrl.name import KERNEL_NAMES, PREFIX, checked_prefix, group_name
from workers.resctrl.place import MON_GROUPS, GroupPlace, holder_of, inside, name_of, place_of, under
from workers.resctrl.ports import Filesystem
from workers.resctrl.problem import ProblemKind, ResctrlError
from workers.resctrl.report import Assigned, FoundGroup, Mounted
from workers.resctrl.task_list import TASKS_BYTES_MAX, parse_tasks

_STATUS_PATH = "info/last_cmd_status"
_STATUS_BYTES_MAX = 4096
# What a group answers that was removed, before or while it is asked.
GONE = frozenset({ENOENT, ENODEV})
# Behind these the whole mount may be gone.
_ASKS_FOR_THE_MOUNT = GONE | {ENOTDIR, ENOTCONN}


def _no_heartbeat() -> None:
    """The default: no watchdog."""


class GroupTree:
    """The groups of one mount, and which of them are ours: those whose name begins with `prefix`."""

    def __init__(
        self,
        filesystem: Filesystem,
        prefix: str = PREFIX,
        *,
        now_ns: Callable[[], int] = time.monotonic_ns,
        sleep_seconds: Callable[[float], object] = time.sleep,
        lock_wait_ns: int = WAIT_NS,
    ) -> None:
        self.filesystem = filesystem
        # Called every few milliseconds of whatever takes longer; who is watched over while this works puts the word there.
        self.heartbeat: Callable[[], None] = _no_heartbeat
        self.prefix = checked_prefix(prefix)
        self._lock = ChangeLock(filesystem, now_ns=now_ns, sleep_seconds=sleep_seconds, wait_ns=lock_wait_ns)
        self._mover = Mover(filesystem, self._status, lambda: self.heartbeat())

    def absolute(self, path: str) -> str:
        """The path as it stands in rows and sentences."""
        return inside(self.filesystem.root, path) if path else self.filesystem.root

    # ---- the mount ---------------------------------------------------------------------------------

    def ensure_mounted(self, auto_mount: bool) -> Mounted:
        """Check that resctrl is mounted; with `auto_mount`, mount it if it is not.

        *Raises:* ResctrlError NOT_MOUNTED, and when mounting fails NO_PERMISSION, UNSUPPORTED or IO.
        """
        if self._mount_id() is not None:
            return Mounted.ALREADY
        root = self.filesystem.root
        if not auto_mount:
            raise not_mounted(root)
        try:
            self.filesystem.mount()
        except OSError as problem:
            # Somebody else may have been quicker.
            if self._mount_id() is not None:
                return Mounted.ALREADY
            raise mount_failure(problem, root, self._elsewhere()) from problem
        if self._mount_id() is None:
            raise ResctrlError(ProblemKind.IO, root, "mounting succeeded, and still no resctrl is mounted here")
        return Mounted.NOW

    def check_writable(self) -> None:
        """*Raises:* ResctrlError NO_PERMISSION when this user, or this mount, allows no change; NOT_MOUNTED."""
        with self._translated("", "cannot be opened for writing"):
            if self._mount_id() is None:
                raise not_mounted(self.filesystem.root)
            if not self.filesystem.may_write():
                raise ResctrlError(
                    ProblemKind.NO_PERMISSION,
                    self.absolute("tasks"),
                    "does not open for writing",
                    "run as root, on a resctrl that is mounted read-write",
                )

    def check_monitored(self) -> None:
        """*Raises:* ResctrlError UNSUPPORTED where the mount allocates only and monitors nothing."""
        if MON_GROUPS not in self._names(""):
            raise self._unmonitored()

    def _unmonitored(self) -> ResctrlError:
        problem = "there is no such directory: this resctrl allocates only and monitors nothing"
        return ResctrlError(ProblemKind.UNSUPPORTED, self.absolute(MON_GROUPS), problem, errno=ENOENT)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock over several changes; every single one takes it by itself. *Raises:* ResctrlError LOCKED, NOT_MOUNTED."""
        with ExitStack() as held:
            with self._translated("", "cannot be locked"):
                if self._mount_id() is None:
                    raise not_mounted(self.filesystem.root)
                held.enter_context(self._lock.held())
            yield

    # ---- groups ------------------------------------------------------------------------------------

    def create_group(self, uid: str) -> str:
        """Make the group of a uid, in the root's `mon_groups`, which spends a monitoring id and no control id; its path.

        One that is there already is taken as it is. *Raises:* ResctrlError CAPACITY, BUSY, UNSUPPORTED, ...
        """
        return self.create_group_under("", uid)

    def create_group_under(self, control_group: str, uid: str) -> str:
        """The same inside a control group of another program, for threads that live there. *Raises:* ResctrlError."""
        return self.create_named(control_group, group_name(uid, self.prefix))

    def create_named(self, control_group: str, name: str) -> str:
        """The same by the name of the directory. *Raises:* ResctrlError; ValueError for a name that is not ours."""
        path = under(control_group, name)
        self._check_ours(path)
        with self.changing(), self._translated(path, "the group cannot be made"):
            try:
                self.filesystem.mkdir(path)
            except FileExistsError:
                pass
            except FileNotFoundError as problem:
                if control_group or self._mount_id() is None:
                    raise
                raise self._unmonitored() from problem
        return path

    def delete_group(self, path: str) -> bool:
        """Remove a group of ours, with its threads going to its parent; False when it was gone already. *Raises:* ResctrlError."""
        self._check_ours(path)
        with self.changing(), self._translated(path, "the group cannot be removed"):
            try:
                self.filesystem.rmdir(path)
            except FileNotFoundError:
                return False
        return True

    # ---- threads -----------------------------------------------------------------------------------

    def assign(self, path: str, thread_ids: Iterable[int]) -> Assigned:
        """Move threads into a group. What stands against single threads is in the result.

        *Raises:* ResctrlError IO with errno ENOENT or ENODEV when the group is gone, NO_PERMISSION, LOCKED, NOT_MOUNTED.
        """
        with self.changing(), self._translated(path, "threads cannot be moved into this group"):
            return self._mover.move(path, thread_ids)

    def assign_unlocked(self, path: str, thread_ids: Iterable[int]) -> Assigned:
        """The same without the lock, for threads that nobody else moves: the kernel takes each list in one step, and a group that
        is removed meanwhile only refuses it. *Raises:* ResctrlError like `assign`, but never LOCKED."""
        with self._translated(path, "threads cannot be moved into this group"):
            return self._mover.move(path, thread_ids)

    def release(self, path: str, thread_ids: Iterable[int]) -> Assigned:
        """Move those of the threads that are in a monitoring group back to the group that holds it.

        Threads that are elsewhere by now are left alone. *Raises:* ResctrlError.
        """
        with self.changing():
            leaving = self.list_group_tasks(path).intersection(thread_ids)
            with self._translated(path, "threads cannot be moved out of this group"):
                return self._mover.move(holder_of(path), leaving)

    def list_group_tasks(self, path: str) -> frozenset[int]:
        """The threads in a group; a control group lists those of its monitoring groups too. *Raises:* ResctrlError."""
        with self._translated(path, "its threads cannot be listed"):
            return parse_tasks(self.filesystem.read(inside(path, "tasks"), TASKS_BYTES_MAX))

    # ---- finding -----------------------------------------------------------------------------------

    def control_groups(self) -> list[str]:
        """The directories of the root that are groups; where the machine only monitors, these are monitoring groups."""
        return self._names("", KERNEL_NAMES)

    def survey(self) -> tuple[FoundGroup, ...]:
        """All groups, ours and those of others, in the order of their paths. *Raises:* ResctrlError."""
        roots = self.control_groups()
        found = [*roots, *(under("", name) for name in self._names(MON_GROUPS, may_be_gone=True))]
        for control in beating(roots, self.heartbeat):
            found += [under(control, name) for name in self._names(f"{control}/{MON_GROUPS}", may_be_gone=True)]
        return tuple(sorted(FoundGroup(path, place_of(path), self._is_ours(path)) for path in found))

    def list_groups(self) -> tuple[FoundGroup, ...]:
        """Our groups, wherever they stand. *Raises:* ResctrlError."""
        return tuple(group for group in self.survey() if group.is_ours)

    def directories_of(self, path: str) -> tuple[str, ...]:
        """All directories of a group, itself first: those of the same name inside control groups follow. *Raises:* ResctrlError."""
        if place_of(path) is GroupPlace.ROOT:
            return (path,)
        name = name_of(path)
        others = (under(control, name) for control in self.control_groups() if control != holder_of(path))
        return (path, *(other for other in others if name in self._names(other.rpartition("/")[0], may_be_gone=True)))

    def holders_of(self, thread_ids: Iterable[int]) -> dict[str, frozenset[int]]:
        """In which control group each of the threads lives; those found nowhere are left out. *Raises:* ResctrlError."""
        left = set(thread_ids)
        holders: dict[str, frozenset[int]] = {}
        for control in beating((*self.control_groups(), ""), self.heartbeat, 1):
            if not left:
                break
            with self.tolerating_gone():
                if here := self.list_group_tasks(control) & left:
                    holders[control] = here
                    left -= here
        return holders

    @contextmanager
    def tolerating_gone(self) -> Iterator[None]:
        """What is done inside ends quietly when its group is gone. *Raises:* ResctrlError for every other failure."""
        try:
            yield
        except ResctrlError as problem:
            if problem.kind is not ProblemKind.IO or problem.errno not in GONE:
                raise

    # ---- inside ------------------------------------------------------------------------------------

    def _names(self, path: str, without: frozenset[str] = frozenset(), *, may_be_gone: bool = False) -> list[str]:
        with self._translated(path, "the directory cannot be listed"):
            try:
                return sorted(set(self.filesystem.list_directories(path)) - without)
            except OSError as problem:
                if may_be_gone and problem.errno in GONE and self._mount_id() is not None:
                    return []
                raise

    def _is_ours(self, path: str) -> bool:
        return name_of(path).startswith(self.prefix)

    def _check_ours(self, path: str) -> None:
        place_of(path)
        if not self._is_ours(path):
            raise ValueError(f"{path!r} is no group of ours: its name does not begin with {self.prefix!r}")

    def _mount_id(self) -> int | None:
        try:
            return self.filesystem.mount_id()
        except OSError as problem:
            raise failure_of(problem, self.filesystem.root, "cannot be looked at") from problem

    def _elsewhere(self) -> list[str]:
        try:
            return self.filesystem.other_mounts()
        except OSError:
            # It only makes the sentence better.
            return []

    def _status(self) -> str:
        """The kernel's explanation of what failed last; empty where it has none to give."""
        with suppress(OSError):
            return status_text(self.filesystem.read(_STATUS_PATH, _STATUS_BYTES_MAX))
        return ""

    @contextmanager
    def _translated(self, path: str, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            if problem.errno in _ASKS_FOR_THE_MOUNT and self._mount_id() is None:
                raise not_mounted(self.filesystem.root, problem.errno) from problem
            status = self._status() if problem.errno in EXPLAINED else ""
            raise failure_of(problem, self.absolute(path), what, status=status) from problem
