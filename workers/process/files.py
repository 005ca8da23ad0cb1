"""Reads below one proc root, with as many files kept open as this process may have.

A kept descriptor costs a third of opening, and answers ESRCH after the process has ended: it can never show another
process under the same number.
"""

from collections.abc import Callable
from contextlib import suppress

from agent.model.proc_stat import STAT_BYTES_MAX
from agent.ports import KernelTree
from workers.framework.descriptor_pool import DescriptorPool

# The heartbeat is called once per this many files; opening and reading one takes some 20 us.
FILES_PER_BEAT = 256
# Three numbers of 64 bits, two blanks and a line break.
SCHEDSTAT_BYTES_MAX = 64


def side_read(tree: KernelTree, bytes_max: int) -> Callable[[str], bytes]:
    """What a side reader does with a word: read an open descriptor (a number), or a path. *Raises:* OSError."""

    def read(word: str) -> bytes:
        return tree.read_open(int(word), bytes_max) if word.isdecimal() else tree.read(word, bytes_max)

    return read


class ProcFiles:
    """Files of processes that are read again and again stay open; everything else is opened for each reading."""

    def __init__(self, tree: KernelTree, beat: Callable[[], None]) -> None:
        self.tree = tree
        # By path.
        self.pool: DescriptorPool[str] = DescriptorPool(tree)
        self._beat = beat

    @property
    def kept(self) -> int:
        """How many files are kept open."""
        return len(self.pool)

    def is_kept(self, name: str) -> bool:
        """Whether the `stat` of this process is kept open."""
        return self.pool.get(f"{name}/stat") is not None

    def keep(self, name: str) -> None:
        """Keep the `stat` of a process open, up to the limit of open files. *Raises:* OSError. *Source:* proc_pid_stat(5)."""
        self._keep(f"{name}/stat")

    def give_back(self, name: str) -> None:
        """Keep nothing of this process open any longer."""
        self.pool.give_back(f"{name}/stat")
        self.pool.give_back(f"{name}/schedstat")
        self.pool.give_back(f"{name}/io")
        self.pool.give_back(f"{name}/cmdline")

    def read_stat(self, name: str) -> bytes:
        """The line of a process. *Raises:* OSError. *Source:* proc_pid_stat(5)."""
        return self._read(f"{name}/stat", STAT_BYTES_MAX)

    def keep_and_read_stat(self, name: str) -> bytes:
        """The line of a process, whose file stays open up to the limit. *Raises:* OSError."""
        return self._keep_and_read(f"{name}/stat", STAT_BYTES_MAX)

    def read_schedstat(self, name: str) -> bytes:
        """Run time, waiting time and time slices of the first thread; the file stays open. *Raises:* OSError.

        *Source:* linux/Documentation/scheduler/sched-stats.rst.
        """
        return self._keep_and_read(f"{name}/schedstat", SCHEDSTAT_BYTES_MAX)

    def read(self, path: str, bytes_max: int) -> bytes:
        """A file that is not kept open. *Raises:* OSError."""
        return self.pool.with_room(lambda: self.tree.read(path, bytes_max))

    def word_of(self, path: str) -> str:
        """How `side_read` finds a file that is read again and again: by its descriptor, or by its path where it cannot be kept."""
        descriptor = self.pool.get(path)
        if descriptor is None:
            with suppress(OSError):
                descriptor = self.pool.keep(path, path)
        return path if descriptor is None else str(descriptor)

    def close(self) -> None:
        """Give everything back."""
        self.pool.close(self._beat, FILES_PER_BEAT)

    def _keep(self, path: str) -> None:
        if self.pool.get(path) is None:
            self.pool.keep(path, path)

    def _keep_and_read(self, path: str, bytes_max: int) -> bytes:
        descriptor = self.pool.get(path)
        if descriptor is None:
            self.pool.keep(path, path)
            return self._read(path, bytes_max)
        return self.tree.read_open(descriptor, bytes_max)

    def _read(self, path: str, bytes_max: int) -> bytes:
        descriptor = self.pool.get(path)
        if descriptor is None:
            return self.read(path, bytes_max)
        return self.tree.read_open(descriptor, bytes_max)
