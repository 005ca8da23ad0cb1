"""One supervisor per folder: an flock that the kernel releases when its holder dies, however it dies."""

import fcntl
import os
import time

from agent.model.errors import BusyError, StorageError

# A holder that lives is not waited for longer than this.
TRIES = 10
# A fork server that no supervisor took over holds the lock at its end, while it removes the sockets of its dead supervisor, whose
# number is in the file: microseconds, unless it gets no processor.
TRIES_AFTER_A_DEATH = 200
TRY_SECONDS = 0.01
# A pid and a path.
NOTE_BYTES_MAX = 4096 + 32


class FolderLock:
    """Held from construction to the end of the process. *Raises:* BusyError naming the holder, StorageError.

    `note` is one line for the next holder, which finds it as its `previous_note`, however this one ends.
    """

    def __init__(self, path: str, *, what: str, remedy: str, note: str = "") -> None:
        self.path = path
        self._what = what
        self._remedy = remedy
        self._note = note
        self._descriptor, self.previous_note = self._hold(may_wait=True)

    def is_there(self) -> bool:
        """Whether a process that opens the path meets this lock."""
        try:
            return os.path.samestat(os.lstat(self.path), os.fstat(self._descriptor))
        except OSError:
            return False

    def make_again(self) -> None:
        """The file was removed: hold a new one. Never waits. *Raises:* as the construction."""
        lost = self._descriptor
        self._descriptor, _note = self._hold(may_wait=False)
        os.close(lost)

    def _hold(self, *, may_wait: bool) -> tuple[int, str]:
        """The locked file, and the note that its last holder left in it."""
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as cause:
            problem = f"cannot be written: {cause.strerror}"
            raise StorageError(self.path, problem, "give the agent a folder that it can write") from cause
        try:
            _take(descriptor, may_wait=may_wait)
        except BlockingIOError as cause:
            holder = _lines(descriptor)[0].strip() or "unknown"
            os.close(descriptor)
            raise BusyError(self.path, f"another agent (pid {holder}) uses this {self._what}", self._remedy) from cause
        previous_note = _lines(descriptor)[1]
        data = os.fsencode(f"{os.getpid()}\n{self._note}\n" if self._note else f"{os.getpid()}\n")
        try:
            # In this order: a full disk cannot refuse a write into a block that is there.
            os.pwrite(descriptor, data, 0)
            os.ftruncate(descriptor, len(data))
        except OSError as cause:
            os.close(descriptor)
            raise StorageError(self.path, f"cannot be written: {cause.strerror}", "make room") from cause
        return descriptor, previous_note


def _take(descriptor: int, *, may_wait: bool) -> None:
    """*Raises:* BlockingIOError when another process holds it."""
    tries = 0
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not may_wait or tries >= (TRIES if _names_the_living(descriptor) else TRIES_AFTER_A_DEATH):
                raise
            tries += 1
            time.sleep(TRY_SECONDS)


def _names_the_living(descriptor: int) -> bool:
    """Whether the process that noted itself in the file last is there, or nobody can say."""
    pid = _lines(descriptor)[0]
    return not pid.isdecimal() or os.path.exists(f"/proc/{pid}") or not os.path.exists("/proc/self")


def _lines(descriptor: int) -> tuple[str, str]:
    lines = os.fsdecode(os.pread(descriptor, NOTE_BYTES_MAX, 0)).split("\n")
    return lines[0], lines[1] if len(lines) > 2 else ""
