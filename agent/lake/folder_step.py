"""The steps of which a folder's bucket is made: each relative to an open folder, none following a link. Touches the file system."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from agent.failpoint import failpoint
from agent.lake.bucket import Content
from agent.model.checksum import blake2b
from agent.paths import NO_FOLDER_SYNC

CHUNK_BYTES = 1 << 20
# Names that end so, and begin with a dot, are files that are being written.
UNFINISHED = ".new"
_LOCK = ".lock"


def entries(folder: int, after: str) -> Iterator[tuple[str, bool, int, int]]:
    """Of a folder the files and folders that can be the lake's: name, whether it is a folder, bytes, time of the last change.

    Files whose names are not behind `after` are not looked at: a log has many.
    """
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.startswith(".") or not entry.name.isascii():
                continue
            if entry.name <= after and not entry.is_dir(follow_symlinks=False):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(status.st_mode):
                yield entry.name, True, 0, 0
            elif stat.S_ISREG(status.st_mode):
                yield entry.name, False, status.st_size, status.st_mtime_ns


@contextmanager
def locked(folder: int) -> Iterator[None]:
    """Nobody else exchanges in this folder meanwhile; the lock goes with the process that holds it."""
    descriptor = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640, dir_fd=folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write(folder: int, name: str, content: Content) -> None:
    """Make a file of this content, and force it to the disk. *Raises:* OSError, and then it is not there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(name, flags, 0o640, dir_fd=folder)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view[:CHUNK_BYTES]) :]
        os.fsync(descriptor)
        failpoint("lake.written")
    except OSError:
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
        raise
    finally:
        os.close(descriptor)


def holds(descriptor: int, content: Content) -> bool:
    """Whether a file has exactly this content."""
    if os.fstat(descriptor).st_size != len(content):
        return False
    # Who put it may have been killed before it was on the disk.
    os.fsync(descriptor)
    view = memoryview(content)
    for begin in range(0, len(content), CHUNK_BYTES):
        if os.pread(descriptor, CHUNK_BYTES, begin) != view[begin : begin + CHUNK_BYTES]:
            return False
    return True


def force(folder: int) -> None:
    """Force the names in a folder to the disk, where its file system can do that. *Raises:* OSError."""
    try:
        os.fsync(folder)
    except OSError as cause:
        if cause.errno not in NO_FOLDER_SYNC:
            raise


def is_older(folder: int, name: str, bound_ns: int) -> bool:
    """Whether something was changed before a moment; not where it is gone."""
    try:
        return os.lstat(name, dir_fd=folder).st_mtime_ns < bound_ns
    except FileNotFoundError:
        return False


def exists(folder: int, name: str) -> bool:
    """Whether anything has this name."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def unfinished_name(name: str) -> str:
    """One of its own for each attempt: two processes never write into one file."""
    return f".{last(name)[:200]}.{os.getpid()}-{os.urandom(6).hex()}{UNFINISHED}"


def tag_of(content: bytes) -> str:
    """By which a content is exchanged for another."""
    return blake2b(content, digest_size=16).hexdigest()


def parent(name: str) -> str:
    """The folder of a name; empty for the lake's own."""
    return name.rpartition("/")[0]


def last(name: str) -> str:
    """A name without its folder."""
    return name.rpartition("/")[2]
