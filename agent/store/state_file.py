"""Small files of the agent's own state: read without waiting for anybody, written in whole or not at all."""

import os

from agent.failpoint import failpoint
from agent.paths import sync_folder
from agent.store.digest import read_range
from agent.store.foreign_file import open_regular
from agent.store.left_out import LeftOut


def read_state_file(path: str, bytes_max: int) -> bytes | None:
    """What is in a file, at most one byte more than `bytes_max`.

    *Absent:* None where there is none, or something else has its name: nobody waits for a pipe. *Raises:* OSError.
    """
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return None
    if isinstance(descriptor, LeftOut):
        if descriptor.refused:
            raise PermissionError(0, descriptor.reason)
        return None
    try:
        return read_range(descriptor, 0, bytes_max + 1)
    finally:
        os.close(descriptor)


def create_unfinished(path: str) -> int:
    """A descriptor of an empty file that gets its name later; what a killed process has left there goes. *Raises:* OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    return os.open(path, flags, 0o600)


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of it. The system may take a part where the disk is nearly full, and says so only to the next write.

    *Raises:* OSError.
    """
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def replace_state_file(path: str, data: bytes) -> None:
    """Put a file in place as a whole: readers find the old one or the new one, after a power failure too.

    *Raises:* OSError; then the old one stays.
    """
    unfinished = f"{path}.new"
    descriptor = create_unfinished(unfinished)
    try:
        write_at(descriptor, data, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    failpoint("state_file.written")
    os.rename(unfinished, path)
    failpoint("state_file.named")
    sync_folder(os.path.dirname(path))
