"""Opens a file of a folder in which anybody may have put anything: without waiting, without following a link."""

import errno
import os
import stat

from agent.store.left_out import LeftOut

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(path: str, owners: frozenset[int] | None = None) -> int | LeftOut:
    """A descriptor of a regular file, or why there is none. `owners`: whose files are taken; None: everybody's.

    *Raises:* FileNotFoundError when it is gone.
    """
    try:
        # A named pipe would wait for its writer, a device might do something: neither is read from below.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY)
    except FileNotFoundError:
        raise
    except OSError as cause:
        return LeftOut(path, _why(path, cause), refused=isinstance(cause, PermissionError))
    try:
        status = os.fstat(descriptor)
    except OSError as cause:
        os.close(descriptor)
        return LeftOut(path, _why(path, cause))
    kind = kind_of(status.st_mode)
    if kind is None and (owners is None or status.st_uid in owners):
        return descriptor
    os.close(descriptor)
    return LeftOut(path, kind or f"it belongs to user {status.st_uid}")


def kind_of(mode: int) -> str | None:
    """What a thing of a folder is; None for a regular file."""
    if stat.S_ISREG(mode):
        return None
    return next((word for is_kind, word in _KINDS if is_kind(mode)), "no regular file")


def _why(path: str, cause: OSError) -> str:
    if cause.errno == errno.ELOOP:
        return "a symbolic link"
    # open(2): a socket.
    if cause.errno == errno.ENXIO:
        return "a socket"
    if isinstance(cause, PermissionError):
        return "this user may not read it"
    return f"it cannot be read: {cause.strerror}"
