"""What can go wrong with resctrl, by kind. PURE."""

from enum import StrEnum

from agent.model.errors import EvergaugeError, ExitCode


class ProblemKind(StrEnum):
    """The closed list of kinds; the words are shown to operators and stored in tables and must stay."""

    NOT_MOUNTED = "not_mounted"
    """There is no resctrl at this path, or it was unmounted."""
    NO_PERMISSION = "no_permission"
    """EACCES, EPERM, EROFS: this user, or this mount, allows no change."""
    CAPACITY = "capacity"
    """ENOSPC: every monitoring id is in use; another group must be removed first."""
    BUSY = "busy"
    """EBUSY: ids are free but still in limbo, until the cache has forgotten them; try again in a second."""
    LOCKED = "locked"
    """Another program holds the lock of the root directory; try again soon."""
    UNSUPPORTED = "unsupported"
    """ENODEV, EINVAL, ENOTSUP, ENOSYS at mount: this kernel or CPU has no resctrl."""
    EMPTY_THREAD_SET = "empty_thread_set"
    """There is no thread yet (a container that has not started); nothing was done."""
    TIMEOUT = "timeout"
    """It was not done in time: a container's start came to its deadline, or an earlier change has not returned."""
    IO = "io"
    """Everything else, with path and errno."""


class ResctrlError(EvergaugeError):
    """A failure of one operation. `errno` is None where the kernel gave none; `status` is the kernel's own sentence
    (`info/last_cmd_status`), empty where it said nothing."""

    code = ExitCode.UNAVAILABLE

    def __init__(self, kind: ProblemKind, path: str, problem: str, remedy: str = "", *, errno: int | None = None, status: str = ""):
        self.kind = kind
        self.path = path
        self.errno = errno
        self.status = status
        super().__init__(path, f"{problem} ({status})" if status else problem, remedy)
