"""How a process ended: from its parent's wait, or from the kernel's own note where somebody else was its parent."""

import fcntl
import os
import struct
from contextlib import suppress

# struct pidfd_info, first version (64 bytes), since 6.13; its exit status since 6.15. *Source:* linux/pidfd.h.
_INFO_BYTES = 64
_PIDFD_GET_INFO = 3 << 30 | _INFO_BYTES << 16 | 0xFF << 8 | 11
_INFO_EXIT = 1 << 3
_EXIT_CODE_AT = 60


def wait_child(pidfd: int) -> int | None:
    """The wait status of our own child that has ended, which is gone afterwards. *Raises:* ChildProcessError: it is not ours."""
    ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    if ended is None:
        return None
    return ended.si_status << 8 if ended.si_code == os.CLD_EXITED else ended.si_status


def noted_status(pidfd: int) -> int | None:
    """The wait status of a process that has ended and was waited for by its parent. *Absent:* this kernel notes none."""
    info = bytearray(_INFO_BYTES)
    struct.pack_into("<Q", info, 0, _INFO_EXIT)
    with suppress(OSError):
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
        mask, status = struct.unpack_from("<Q", info, 0)[0], struct.unpack_from("<i", info, _EXIT_CODE_AT)[0]
        if mask & _INFO_EXIT:
            return int(status)
    return None


def code_and_signal(status: int) -> tuple[int | None, int | None]:
    """Exit code or signal of a wait status."""
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status), None
    return None, os.WTERMSIG(status)
