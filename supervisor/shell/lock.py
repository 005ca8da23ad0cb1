"""One supervisor per folder: an flock that the kernel releases when its holder dies, however it dies."""

import fcntl
import os

from agent.model.errors import BusyError, StorageError


class FolderLock:
    """Held from construction to the end of the process. *Raises:* BusyError naming the holder, StorageError."""

    def __init__(self, path: str, *, what: str, remedy: str) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as cause:
            raise StorageError(path, f"cannot be written: {cause.strerror}", "give the agent a folder that it can write") from cause
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as cause:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise BusyError(path, f"another agent (pid {holder}) uses this {what}", remedy) from cause
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
