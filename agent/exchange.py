"""Exchanges two names of a file system in one step. *Source:* renameat2(2), linux/fs.h (RENAME_EXCHANGE)."""

import ctypes
import errno
import os

_AT_FDCWD = -100
_RENAME_EXCHANGE = 1 << 1

_LIBC = ctypes.CDLL(None, use_errno=True)

# What the kernel says where it cannot do it, whatever the names: a file system without it (EINVAL), two file systems (EXDEV),
# a kernel or a filter of system calls without it (ENOSYS, EPERM, EOPNOTSUPP).
_REASONS = {
    errno.EINVAL: "its file system cannot exchange two folders",
    errno.EXDEV: "the two folders lie on different file systems",
    errno.ENOSYS: "this kernel cannot exchange two folders",
    errno.EOPNOTSUPP: "its file system cannot exchange two folders",
}


def exchange(first: str, second: str) -> None:
    """Let each of two paths lead to what the other led to; nobody ever sees one of them missing.

    *Raises:* OSError; EINVAL, ENOSYS or EXDEV where the kernel, the file system or these two places cannot do it.
    """
    try:
        # glibc has it since 2.28, musl since 1.2.4.
        renameat2 = _LIBC.renameat2
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), first) from None
    if renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), first, None, second)


def why_impossible(cause: OSError) -> str | None:
    """Why no exchange can work there; None: this one failed for another reason, and the next may succeed."""
    return None if cause.errno is None else _REASONS.get(cause.errno)
