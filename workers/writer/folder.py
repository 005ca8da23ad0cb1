"""Folders and files of the writer's own, with failures that name them. Touches the file system."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from agent.failpoint import failpoint
from agent.model.errors import StorageError
from agent.model.foreign import readable
from agent.paths import NO_FOLDER_SYNC
from workers.writer.readers import ReaderGroup

_FULL = (errno.ENOSPC, errno.EDQUOT)
# Something of another kind stands where a file or folder of ours belongs.
_IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENOTEMPTY)
# What passes by itself, or stays the same for every other file there: a new file would not help.
_PASSING = (*_FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.EINTR, errno.EAGAIN, errno.ENOMEM)


def storage_error(path: str, cause: OSError) -> StorageError:
    """The failure in words, with the remedy that fits its kind. The path may be foreign."""
    where = readable(path)
    if cause.errno in _FULL:
        if cause.errno == errno.ENOSPC and lacks_inodes(path):
            remedy = f"remove files on it (`df -i {where}` counts them); writing goes on by itself"
            return StorageError(where, "its file system has no inode left for one more file", remedy)
        return StorageError(where, "the disk or the quota is full", "free space there; writing goes on by itself")
    if cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        remedy = "let the agent's user write there"
        if cause.errno == errno.EPERM:
            remedy += f", or take an immutable flag away (lsattr {where}; chattr -i)"
        return StorageError(where, f"cannot be written ({cause.strerror})", remedy)
    if cause.errno in _IN_THE_WAY:
        return StorageError(where, f"something else is in the way ({cause.strerror})", "move it away")
    return StorageError(where, f"input or output failed ({cause.strerror or cause})", "look at the disk and the kernel's log")


def is_passing(cause: OSError) -> bool:
    """Whether a failed write may succeed later in the same file, as opposed to a file that takes no more (EFBIG, ESTALE, EIO)."""
    return cause.errno in _PASSING


def lacks_inodes(path: str) -> bool:
    """Whether the file system of `path`, or of the nearest folder above it that exists, can hold no further file."""
    while True:
        try:
            found = os.statvfs(path)
        except FileNotFoundError:
            above = os.path.dirname(path)
            if above == path:
                return False
            path = above
        except OSError:
            return False
        else:
            # File systems without a table of inodes (btrfs) say 0 of 0.
            return found.f_files > 0 and found.f_favail == 0


def make_folder(path: str, readers: ReaderGroup | None = None) -> None:
    """The folder and those above it that are missing, each readable by its owner and the readers alone.

    One that is there keeps its mode: what is in it may have to be opened first (`workers.writer.handover`).
    *Raises:* StorageError.
    """
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        above = os.path.dirname(path)
        if above == path:
            break
        path = above
    # os.makedirs would make those above it with the mode that the umask leaves.
    for each in reversed(missing):
        try:
            os.mkdir(each, mode=0o700)
        except OSError as cause:
            # Another process of ours was faster.
            if not os.path.isdir(each):
                raise storage_error(each, cause) from cause
        else:
            if readers is not None:
                readers.share_folder(each)


@contextmanager
def opened_folder(name: str, parent: int | None = None) -> Iterator[int]:
    """A descriptor of a folder that is no symbolic link, below `parent`. *Raises:* OSError (ENOTDIR: it is something else)."""
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sync_folder(path: str) -> None:
    """Force the names in a folder to the disk, where its file system can do that. *Raises:* OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        failpoint("folder.before_sync")
        os.fsync(descriptor)
    except OSError as cause:
        if cause.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def read_file(path: str, bytes_max: int) -> bytes:
    """The beginning of a file, up to `bytes_max`. *Raises:* StorageError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _read_whole(descriptor, min(os.fstat(descriptor).st_size, bytes_max))
        finally:
            os.close(descriptor)
    except OSError as cause:
        raise storage_error(path, cause) from cause


def _read_whole(descriptor: int, size: int) -> bytes:
    parts: list[bytes] = []
    missing = size
    while missing > 0:
        part = os.read(descriptor, missing)
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
