"""A folder as the place of files: each is whole, on the disk, and named once and for all. Touches the file system."""

import errno
import os
from contextlib import suppress

from agent.model.foreign import readable
from agent.paths import NO_FOLDER_SYNC
from agent.store.foreign_file import open_regular
from agent.store.left_out import LeftOut
from workers.export.object.store import StoreFailure
from workers.export.sink import Later, Paused

_CHUNK_BYTES = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)
# What may pass without a person: a disk or a server that does not answer, or has no room for a moment.
_PASSING = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
# File systems without a second name for a file say so.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


class FolderStore:
    """See `workers.export.object.store.Store`. The folder is there before: it may be a mount that is missing now."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes) -> bool:
        path = os.path.join(self._folder, name)
        folder = os.path.dirname(path)
        # One name for each file, so that a process that was killed leaves one at most.
        unfinished = os.path.join(folder, f".{os.path.basename(name)}.new")
        try:
            self._look()
            os.makedirs(folder, mode=0o750, exist_ok=True)
            if not os.path.lexists(path):
                _write(unfinished, content)
                _name(unfinished, path)
            with suppress(FileNotFoundError):
                os.unlink(unfinished)
            self._force_names(folder)
            return _holds(path, content)
        except OSError as cause:
            with suppress(OSError):
                os.unlink(unfinished)
            raise StoreFailure(self._verdict(cause)) from cause

    def probe(self) -> str:
        try:
            self._look()
        except OSError as cause:
            raise StoreFailure(self._verdict(cause)) from cause
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise StoreFailure(self._verdict(OSError(errno.EACCES, os.strerror(errno.EACCES))))
        return ""

    def _look(self) -> None:
        if not os.path.isdir(self._folder):
            raise FileNotFoundError(errno.ENOENT, "there is no such folder")

    def _force_names(self, folder: str) -> None:
        """The names on the disk, up to the sink's own folder: also those that a killed process made."""
        while True:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            except OSError as cause:
                if cause.errno not in NO_FOLDER_SYNC:
                    raise
            finally:
                os.close(descriptor)
            if len(folder) <= len(self._folder):
                return
            folder = os.path.dirname(folder)

    def _verdict(self, cause: OSError) -> Later | Paused:
        where = readable(self._folder)
        if cause.errno in _FULL:
            return Later(f"folder {where} is full ({cause.strerror}); free space there")
        if cause.errno in _PASSING:
            return Later(f"folder {where} cannot be written now ({cause.strerror})")
        problem = f"folder {where} cannot be written ({cause.strerror})"
        return Paused(f"{problem}; make it, mount it, or let the agent's user write there")


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o640)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name(unfinished: str, path: str) -> None:
    """Give it its name unless somebody else has taken that."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        return
    except OSError as cause:
        if cause.errno not in _NO_LINKS:
            raise
        # Then two agents that write one name at once are not told apart; names have host and segment in them.
        if not os.path.lexists(path):
            os.rename(unfinished, path)


def _holds(path: str, content: bytes) -> bool:
    """Whether a file has exactly this content."""
    descriptor = open_regular(path)
    if isinstance(descriptor, LeftOut):
        return False
    try:
        if os.fstat(descriptor).st_size != len(content):
            return False
        # A process that was killed may have left it without forcing it to the disk.
        os.fsync(descriptor)
        view = memoryview(content)
        for begin in range(0, len(content), _CHUNK_BYTES):
            if os.pread(descriptor, _CHUNK_BYTES, begin) != view[begin : begin + _CHUNK_BYTES]:
                return False
        return True
    finally:
        os.close(descriptor)
