"""Waits for files of the cgroup file system to change: inotify(7), of which Python has nothing.

The kernel notifies of `memory.events` as of a file that is written to, for each file at most every 10 ms (`cgroup_file_notify` in
linux/kernel/cgroup/cgroup.c). A watch keeps the inode of a removed cgroup's file, so it is taken back when the cgroup is gone.
"""

import ctypes
import os
from contextlib import suppress

IN_MODIFY = 0x0000_0002
# Thousands of events; what is left is read the next time.
READ_BYTES_MAX = 64 << 10
_LIBC = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """One descriptor and its watches, by path. *Raises:* OSError: the user has as many as `fs.inotify.max_user_instances`."""

    def __init__(self) -> None:
        self.descriptor = _checked(_LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
        self._watches: dict[str, int] = {}

    @property
    def watches(self) -> int:
        """How many there are."""
        return len(self._watches)

    def watch(self, path: str) -> None:
        """Wait for it too. *Raises:* OSError: it is not there, or the user has as many watches as `fs.inotify.max_user_watches`."""
        if path not in self._watches:
            self._watches[path] = _checked(_LIBC.inotify_add_watch(self.descriptor, os.fsencode(path), IN_MODIFY), path)

    def forget(self, path: str) -> None:
        """Wait for it no longer."""
        watch = self._watches.pop(path, None)
        if watch is not None:
            # The kernel has taken it back itself where the file is gone for good.
            _LIBC.inotify_rm_watch(self.descriptor, watch)

    def drain(self) -> None:
        """Take what has come: what changed is read from the files, so it does not matter which notice was lost."""
        with suppress(BlockingIOError):
            os.read(self.descriptor, READ_BYTES_MAX)

    def close(self) -> None:
        """With all watches."""
        os.close(self.descriptor)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result
