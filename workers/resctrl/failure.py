"""From errno to the kind of failure, with a sentence and a remedy. PURE."""

from collections.abc import Sequence
from errno import EACCES, EBUSY, EINVAL, ENODEV, ENOSPC, ENOSYS, ENOTSUP, EPERM, EROFS

from workers.resctrl.problem import ProblemKind, ResctrlError

_KINDS = {
    EACCES: ProblemKind.NO_PERMISSION,
    EPERM: ProblemKind.NO_PERMISSION,
    EROFS: ProblemKind.NO_PERMISSION,
    ENOSPC: ProblemKind.CAPACITY,
    EBUSY: ProblemKind.BUSY,
}
_REMEDIES = {
    ProblemKind.NO_PERMISSION: "run as root, on a resctrl that is mounted read-write (for the service: scripts/install again)",
    ProblemKind.CAPACITY: "every monitoring id is in use: remove groups that nobody needs any more",
    ProblemKind.BUSY: "freed monitoring ids wait until the cache has forgotten them: try again in a second",
}
# The kernel explains these in info/last_cmd_status; after the others it has nothing to say.
EXPLAINED = frozenset({EINVAL, EPERM, ENOSPC, EBUSY, ENODEV})
_UNSUPPORTED_AT_MOUNT = frozenset({ENODEV, EINVAL, ENOTSUP, ENOSYS})
MOUNT_BY_HAND = "mount it (mount -t resctrl resctrl {root}) or let the agent do it (resctrl.auto_mount)"


def failure_of(problem: OSError, path: str, what: str, *, status: str = "") -> ResctrlError:
    """The failure of an operation on `path` (absolute). `what` says what could not be done; `status` is the kernel's sentence."""
    kind = _KINDS.get(problem.errno or 0, ProblemKind.IO)
    return ResctrlError(
        kind, path, f"{what}: {problem.strerror or problem}", _REMEDIES.get(kind, ""), errno=problem.errno, status=status
    )


def not_mounted(root: str, errno: int | None = None) -> ResctrlError:
    """Nothing is mounted at `root`."""
    return ResctrlError(ProblemKind.NOT_MOUNTED, root, "no resctrl is mounted here", MOUNT_BY_HAND.format(root=root), errno=errno)


def mount_failure(problem: OSError, root: str, elsewhere: Sequence[str]) -> ResctrlError:
    """The failure of mounting at `root`; `elsewhere` are the places where resctrl is mounted already."""
    code = problem.errno or 0
    if code in (EACCES, EPERM):
        kind, remedy = ProblemKind.NO_PERMISSION, "mounting needs CAP_SYS_ADMIN: run as root, or mount it before the agent starts"
    elif code in _UNSUPPORTED_AT_MOUNT:
        kind, remedy = ProblemKind.UNSUPPORTED, "this kernel or CPU has no resctrl (see rdt_a, cqm_llc in /proc/cpuinfo)"
    elif code == EBUSY and elsewhere:
        kind, remedy = (
            ProblemKind.IO,
            f"it is mounted at {', '.join(elsewhere)}, and only one mount can be: name that by resctrl.mount",
        )
    elif code == EBUSY:
        kind, remedy = ProblemKind.IO, "it is mounted in another mount namespace, and only one mount can be: unmount that"
    else:
        kind, remedy = ProblemKind.IO, ""
    return ResctrlError(kind, root, f"resctrl cannot be mounted: {problem.strerror or problem}", remedy, errno=problem.errno)


class SourceError(ResctrlError):
    """The thread source failed. `errno` stays None, so that nobody takes its ENOENT for that of a group; `__cause__` has it."""

    def __init__(self, path: str, problem: OSError) -> None:
        super().__init__(ProblemKind.IO, path, f"the threads of the group cannot be known: {problem.strerror or problem}")


def empty_thread_set(path: str) -> ResctrlError:
    """There is no thread to put into the group."""
    return ResctrlError(
        ProblemKind.EMPTY_THREAD_SET, path, "there is no thread to put into this group", "nothing to do until one starts"
    )


def status_text(content: bytes) -> str:
    """The kernel's explanation in one line; empty where it has none."""
    lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines() if line.strip()]
    return "" if lines == ["ok"] else ". ".join(lines)
