"""The interfaces between the parts of the emulator. PURE protocols and plain data.

`emulation` has the kernel's rules and no FUSE; `fuse` has the protocol and no rule; `processes` has the threads of this host.
All failures are `OSError(errno)`; all times are CLOCK_MONOTONIC nanoseconds, handed in.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class Caller(NamedTuple):
    """The caller of a request: thread id and effective ids, from the FUSE request header."""

    thread_id: int
    uid: int
    gid: int


class Attributes(NamedTuple):
    """What stat(2) shows. Sizes are 0, as in kernfs; `inode` is stable as long as the node lives."""

    inode: int
    mode: int
    uid: int
    gid: int
    changed_at_wall_ns: int
    links: int


class OpenFile(Protocol):
    """One open file of the tree. It outlives its group, and then fails with ENODEV."""

    def read(self, now_ns: int) -> bytes:
        """The whole content, evaluated now. *Raises:* OSError."""
        ...

    def write(self, content: bytes, caller: Caller, now_ns: int) -> None:
        """Writes a whole command; the kernel has no partial writes here. *Raises:* OSError."""
        ...


class Threads(Protocol):
    """The threads of the host."""

    def exists(self, thread_id: int) -> bool:
        """Whether there is such a thread."""
        ...

    def owner(self, thread_id: int) -> tuple[int, int]:
        """Its (uid, suid). *Raises:* ProcessLookupError."""
        ...

    def live(self) -> Iterable[int]:
        """All live thread ids now."""
        ...


class Faults(Protocol):
    """Scripted faults. Paths are those of `Tree`."""

    def check(self, operation: str, path: str, now_ns: int) -> None:
        """Asked before `mkdir`, `rmdir`, `rename`, `open`, `read` and `write` (the values of `operation`); a rename has its
        old path. *Raises:* OSError, with which the operation then fails."""
        ...

    def value(self, path: str, now_ns: int) -> bytes | None:
        """What an event file shows instead of its value. *Absent:* None: its value."""
        ...


class Tree(Protocol):
    """The file tree by path, as FUSE asks for it. Paths have no leading slash; `""` is the root."""

    def attributes(self, path: str) -> Attributes:
        """*Raises:* OSError: ENOENT, ENOTDIR."""
        ...

    def list(self, path: str) -> list[tuple[str, bool]]:
        """The names in a directory with whether each is a directory; neither `.` nor `..`."""
        ...

    def open(self, path: str) -> OpenFile:
        """*Raises:* OSError: ENOENT, ENOTDIR, EISDIR."""
        ...

    def mkdir(self, path: str, mode: int, caller: Caller, now_ns: int) -> None:
        """*Raises:* OSError as the kernel's mkdir of resctrl does."""
        ...

    def rmdir(self, path: str, caller: Caller, now_ns: int) -> None:
        """*Raises:* OSError as the kernel's rmdir of resctrl does."""
        ...

    def rename(self, old: str, new: str, caller: Caller, now_ns: int) -> None:
        """*Raises:* OSError as the kernel's rename of resctrl does."""
        ...

    def set_mode(self, path: str, mode: int) -> None:
        """*Raises:* OSError: ENOENT."""
        ...

    def set_owner(self, path: str, uid: int, gid: int) -> None:
        """*Raises:* OSError: ENOENT."""
        ...

    def next_deadline_ns(self) -> int | None:
        """When `on_timer` has something to do: the next check of ids in limbo."""
        ...

    def on_timer(self, now_ns: int) -> None:
        """The deadline has come."""
        ...


class ThreadEvents(Protocol):
    """What `processes` reports to the emulation. The instants are the kernel's own, so that a fork before a move gets the
    group that its parent had then, in whatever order the events arrive."""

    def on_fork(self, parent_thread: int, child_thread: int, at_ns: int) -> None:
        """A thread made another one."""
        ...

    def on_exit(self, thread_id: int, at_ns: int) -> None:
        """A thread ended and was reaped."""
        ...

    def on_rescan(self, live: Iterable[int], at_ns: int) -> None:
        """Events were lost: these are all live threads. Unknown ones are taken for children of the default group."""
        ...
