"""One supervisor per folder: an flock that the kernel releases when its holder dies, however it dies."""

import fcntl
import os
import time

from agent.model.errors import BusyError, StorageError

TRIES = 10
TRY_SECONDS = 0.01
# A pid and a path.
NOTE_BYTES_MAX = 4096 + 32


class FolderLock:
    """Held from construction to the end of the process. *Raises:* BusyError naming the holder, StorageError.

    `note` is one line for the next holder, who finds it as its `former_note`, whatever became of this one.
    """

    def __init__(self, path: str, *, what: str, remedy: str, note: str = "") -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as cause:
            raise StorageError(path, f"cannot be written: {cause.strerror}", "give the agent a folder that it can write") from cause
        try:
            self._take()
        except BlockingIOError as cause:
            holder = self._lines()[0].strip() or "unknown"
            os.close(self._descriptor)
            raise BusyError(path, f"another agent (pid {holder}) uses this {what}", remedy) from cause
        self.former_note = self._lines()[1]
        data = os.fsencode(f"{os.getpid()}\n{note}\n" if note else f"{os.getpid()}\n")
        try:
            # In this order: a full disk cannot refuse what lies in a block that is there.
            os.pwrite(self._descriptor, data, 0)
            os.ftruncate(self._descriptor, len(data))
        except OSError as cause:
            raise StorageError(path, f"cannot be written: {cause.strerror}", "make room") from cause

    def _take(self) -> None:
        # A fork server that ends without a successor holds it for a moment, while it removes the sockets.
        for _ in range(TRIES):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(TRY_SECONDS)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _lines(self) -> tuple[str, str]:
        lines = os.fsdecode(os.pread(self._descriptor, NOTE_BYTES_MAX, 0)).split("\n")
        return lines[0], lines[1] if len(lines) > 2 else ""
