"""What a process may ask of the kernel about itself. *Source:* prctl(2), linux/prctl.h."""

import ctypes
import os
import signal

from agent.model.errors import BusyError, StorageError

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36

_LIBC = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int) -> None:
    """Set one thing. *Raises:* OSError."""
    if _LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), f"prctl({option})")


def die_with_parent(parent: int, name: str, of: str) -> None:
    """Have the kernel kill this process, the `name` of a worker (`of`), when that worker (`parent`) ends.

    *Raises:* BusyError when it has ended already; StorageError when the kernel refuses.
    """
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    except OSError as cause:
        raise StorageError(name, f"prctl failed ({cause.strerror})") from cause
    if os.getppid() != parent:
        raise BusyError(name, f"its {of} has ended", f"the next {of} begins again")
