"""Where the parts of the emulator meet. PURE protocols and plain data.

`emulation` holds the kernel's rules and knows nothing of FUSE; `fuse` knows the protocol and no rule; `processes` knows the
threads of this host. All failures are `OSError(errno)`; all times are CLOCK_MONOTONIC nanoseconds, handed in.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class Caller(NamedTuple):
    """Who asks: thread id and effective ids, as the FUSE request header tells them."""

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
    """One open file of the tree; it outlives the removal of its group and then fails with ENODEV."""

    def read(self, now_ns: int) -> bytes:
        """The whole content, evaluated now."""
        ...

    def write(self, content: bytes, caller: Caller, now_ns: int) -> None:
        """One write of a whole command; the kernel knows no partial one."""
        ...


class Threads(Protocol):
    """The threads of the host, as the emulation asks for them."""

    def exists(self, thread_id: int) -> bool: ...

    def owner(self, thread_id: int) -> tuple[int, int]:
        """Its (uid, suid). *Raises:* ProcessLookupError."""
        ...

    def live(self) -> Iterable[int]:
        """All live thread ids now."""
        ...


class Faults(Protocol):
    """What a script puts in the way. Paths are those of `Tree`."""

    def check(self, operation: str, path: str, now_ns: int) -> None:
        """Asked before `mkdir`, `rmdir`, `rename`, `open`, `read` and `write` (the words of `operation`), a rename by its old path.
        *Raises:* OSError, with which the operation then fails."""
        ...

    def value(self, path: str, now_ns: int) -> bytes | None:
        """What an event file shows instead of its value; None is the value itself."""
        ...


class Tree(Protocol):
    """The file tree by path, as FUSE asks for it. Paths have no leading slash; `""` is the root."""

    def attributes(self, path: str) -> Attributes: ...

    def list(self, path: str) -> list[tuple[str, bool]]:
        """The names in a directory with whether each is a directory; neither `.` nor `..`."""
        ...

    def open(self, path: str) -> OpenFile: ...

    def mkdir(self, path: str, mode: int, caller: Caller, now_ns: int) -> None: ...

    def rmdir(self, path: str, caller: Caller, now_ns: int) -> None: ...

    def rename(self, old: str, new: str, caller: Caller, now_ns: int) -> None: ...

    def set_mode(self, path: str, mode: int) -> None: ...

    def set_owner(self, path: str, uid: int, gid: int) -> None: ...

    def next_deadline_ns(self) -> int | None:
        """When `on_timer` has something to do: the limbo worker's next look at occupancy."""
        ...

    def on_timer(self, now_ns: int) -> None: ...


class ThreadEvents(Protocol):
    """What `processes` tells the emulation. The instants are the kernel's own, so that a fork that came before a move is judged by
    the group its parent had then, in whatever order the news arrive."""

    def on_fork(self, parent_thread: int, child_thread: int, at_ns: int) -> None: ...

    def on_exit(self, thread_id: int, at_ns: int) -> None: ...

    def on_rescan(self, live: Iterable[int], at_ns: int) -> None:
        """Events were lost: these are all live threads. Unknown ones are taken for children of the default group."""
        ...
