"""What another process holds open, held by the test too: its locks last until both have closed it (pidfd_getfd(2))."""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

_PIDFD_GETFD = 438


def descriptor_of(pid: int, path: Path) -> int:
    """A descriptor of what the process has open at this path; the caller closes it. *Raises:* OSError, LookupError: it has none."""
    for number in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            if os.readlink(f"/proc/{pid}/fd/{number}") == str(path):
                return _taken(pid, int(number))
    raise LookupError(f"process {pid} does not have {path} open")


def _taken(pid: int, number: int) -> int:
    process = os.pidfd_open(pid)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor: int = libc.syscall(_PIDFD_GETFD, process, number, 0)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return descriptor
    finally:
        os.close(process)
