"""Reads below one open directory, behind `agent.ports.KernelTree`.

Every path is relative to the directory opened once, so that a mount changed under the agent is noticed
as an error and never read by mistake.
"""

import os
import stat
import time
from collections.abc import Sequence

from agent.kernel_file import read_to_end

READ_BYTES_MAX = 1 << 20
# A directory's own name and its `.`; each sub-directory's `..` is one more. A file system that does not count them says 1. Most
# cgroups have none, and the names of their thirty files need not be read for that.
# *Source:* `kernfs_refresh_inode` in linux/fs/kernfs/inode.c.
_LINKS_OF_LEAF = 2


class OpenKernelTree:
    """One root: `/proc`, a cgroup mount, or a folder of a test."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._descriptor: int | None = None

    @property
    def _root(self) -> int:
        # Opened at the first use: a root that is not there is an error of a reading, which its reader reports, and not
        # one of a worker's start, which would repeat for ever.
        if self._descriptor is None:
            self._descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._descriptor

    def list_names(self, path: str = ".") -> list[str]:
        """The names in a directory. *Raises:* OSError."""
        if path == ".":
            return os.listdir(self._root)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._root)
        try:
            return os.listdir(descriptor)
        finally:
            os.close(descriptor)

    def list_directories(self, path: str = ".") -> list[str]:
        """The names of the sub-directories; symbolic links are none. *Raises:* OSError."""
        found = os.stat(path, dir_fd=self._root)
        if found.st_nlink == _LINKS_OF_LEAF and stat.S_ISDIR(found.st_mode):
            return []
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._root)
        try:
            with os.scandir(descriptor) as entries:
                return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        finally:
            os.close(descriptor)

    def open(self, path: str) -> int:
        """A descriptor to read again and again. *Raises:* OSError."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._root)

    def read_open(self, descriptor: int, bytes_max: int, offset: int = 0) -> bytes:
        """The content from its beginning: the kernel makes it again at offset 0, and goes on at another. *Raises:* OSError."""
        return os.pread(descriptor, bytes_max, offset)

    def read_clocks(self, clocks: Sequence[int]) -> list[int | None]:
        """The time of each clock in ns; None: there is no such clock. No step of Python is made for one that can be read."""
        times: list[int | None] = []
        left = iter(clocks)
        while True:
            try:
                # What was read before a failure stays in the list, and the iterator has passed the one that failed.
                times.extend(map(time.clock_gettime_ns, left))
            except OSError:
                times.append(None)
            else:
                return times

    def close(self, descriptor: int) -> None:
        """Give a descriptor back."""
        os.close(descriptor)

    def read(self, path: str, bytes_max: int) -> bytes:
        """Open, read up to `bytes_max`, close. *Raises:* OSError."""
        descriptor = self.open(path)
        try:
            return read_to_end(descriptor, min(bytes_max, READ_BYTES_MAX))
        finally:
            os.close(descriptor)

    def owner(self, path: str) -> int:
        """The user id that owns a file or directory now. *Raises:* OSError."""
        return os.stat(path, dir_fd=self._root, follow_symlinks=False).st_uid

    def device(self, path: str = ".") -> int:
        """The number of the file system that a file or directory lies in. *Raises:* OSError."""
        # Distributions mount `cpu,cpuacct` and link `cpu` to it: what a listing shows counts.
        return os.stat(path, dir_fd=self._root).st_dev
