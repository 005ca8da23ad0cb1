"""The sockets among the open files of a process. It is read aside: listing them takes locks of that process."""

import os
from contextlib import suppress
from errno import EACCES, ENOENT, EPERM, ESRCH

from agent.model.absence import Absence

# Reading one costs 1.5 us.
FILES_MAX = 2048
# In one tick altogether.
FILES_PER_TICK_MAX = 8192
_PREFIX = "socket:["
_REASONS = {ENOENT: Absence.VANISHED, ESRCH: Absence.VANISHED, EACCES: Absence.NO_PERMISSION, EPERM: Absence.NO_PERMISSION}


class SocketLister:
    """Reads below one proc root: at most `files_max` open files of a process, and FILES_PER_TICK_MAX between two calls of
    `begin_tick`."""

    def __init__(self, proc_root: str, files_max: int = FILES_MAX) -> None:
        self._root = proc_root
        self._files_max = files_max
        self._left = FILES_PER_TICK_MAX
        self._namespace = self._namespace_of("self")

    def begin_tick(self) -> None:
        """As many files as may be read may be read again."""
        self._left = FILES_PER_TICK_MAX

    def read(self, name: str) -> frozenset[int] | Absence:
        """The inodes of a process's sockets, or why they are not known: `incomplete` where this tick's files are used up.

        *Raises:* OSError of another kind than a process that is gone or refuses.

        *Source:* proc_pid_fd(5); since Linux 6.2 the size of the folder is how many there are.
        """
        try:
            if self._namespace is not None and self._namespace_of(name) not in (None, self._namespace):
                return Absence.OTHER_NETWORK_NAMESPACE
            folder = os.open(f"{self._root}/{name}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as failure:
            if (reason := _REASONS.get(failure.errno or 0)) is None:
                raise
            return reason
        try:
            return self._read_folder(folder)
        finally:
            os.close(folder)

    def _read_folder(self, folder: int) -> frozenset[int] | Absence:
        if os.fstat(folder).st_size > self._files_max:
            return Absence.TOO_MANY
        found: set[int] = set()
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number >= self._files_max:
                    return Absence.TOO_MANY
                if self._left <= 0:
                    return Absence.INCOMPLETE
                self._left -= 1
                # Closed meanwhile.
                with suppress(FileNotFoundError):
                    link = os.readlink(entry.name, dir_fd=folder)
                    if link.startswith(_PREFIX):
                        found.add(int(link[len(_PREFIX) : -1]))
        return frozenset(found)

    def _namespace_of(self, name: str) -> int | None:
        """The number of its network namespace. *Absent:* it cannot be read, which its open files cannot either."""
        try:
            return os.stat(f"{self._root}/{name}/ns/net").st_ino
        except OSError:
            return None
