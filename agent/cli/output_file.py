"""A file that gets its name only when it is finished: written without a name or under a hidden one, synced, renamed."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from agent.model.errors import MisuseError, PermissionRefused, StorageError
from agent.model.foreign import readable
from agent.paths import sync_folder

# What file systems answer that have no files without a name (open(2), O_TMPFILE).
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.ENOTSUP)
BUFFER_BYTES = 1 << 20


def _failure(path: str, cause: OSError) -> StorageError | PermissionRefused:
    if isinstance(cause, PermissionError):
        return PermissionRefused(readable(path), "this user may not write there", "name another --output")
    return StorageError(readable(path), f"it cannot be written ({cause.strerror or cause})", "nothing was left there")


def _resolved(path: str) -> str:
    """Where the file will lie. A link stays one: what it points to is replaced. *Raises:* MisuseError."""
    target = os.path.realpath(path)
    try:
        mode = os.stat(target).st_mode
    except OSError:
        return target
    if not stat.S_ISREG(mode):
        # A rename would put a file in the place of /dev/null.
        raise MisuseError("--output", f"{readable(path)} is no regular file", "write to standard output instead: `> FILE`")
    return target


@contextmanager
def finished_file(path: str) -> Iterator[BinaryIO]:
    """What is written in the block; the file has its name after the block, and after a failure in it nothing is there.

    *Raises:* MisuseError, StorageError, PermissionRefused.
    """
    target = _resolved(path)
    folder, name = os.path.split(target)
    if not name:
        raise MisuseError("--output", "the name of a file is missing", "write --output FILE")
    # Not made of the name, which may be as long as a name can be.
    hidden = os.path.join(folder, f".agentctl-{secrets.token_hex(8)}.unfinished")
    try:
        descriptor, is_named = _open(folder, hidden)
    except OSError as cause:
        raise _failure(path, cause) from cause
    try:
        with os.fdopen(descriptor, "wb", buffering=BUFFER_BYTES, closefd=False) as file:
            yield file
            file.flush()
        _keep_mode(descriptor, target)
        os.fsync(descriptor)
        if not is_named:
            _name(descriptor, folder, os.path.basename(hidden))
            is_named = True
        os.rename(hidden, target)
        is_named = False
        sync_folder(folder)
    except BrokenPipeError:
        # A file has no reader that can leave: it was standard error.
        raise
    except OSError as cause:
        raise _failure(path, cause) from cause
    finally:
        if is_named:
            with suppress(OSError):
                os.unlink(hidden)
        os.close(descriptor)


def _open(folder: str, hidden: str) -> tuple[int, bool]:
    """The file, and whether it has a name that must be removed after a failure. *Raises:* OSError."""
    flags = os.O_WRONLY | os.O_CLOEXEC
    try:
        # Even SIGKILL leaves nothing of it behind.
        return os.open(folder, flags | os.O_TMPFILE, 0o666), False
    except OSError as cause:
        if cause.errno not in _NO_NAMELESS:
            raise
    return os.open(hidden, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666), True


def _name(descriptor: int, folder: str, name: str) -> None:
    """Give a file that has none a name. *Raises:* OSError. *Source:* open(2), O_TMPFILE."""
    beside = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Python follows the link of /proc only where a folder is given by its descriptor.
        os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=beside, follow_symlinks=True)
    finally:
        os.close(beside)


def _keep_mode(descriptor: int, target: str) -> None:
    """Give the new file the mode of the file that it replaces."""
    with suppress(FileNotFoundError):
        os.fchmod(descriptor, stat.S_IMODE(os.stat(target).st_mode) & 0o777)
