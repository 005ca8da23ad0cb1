"""Reads below one proc root, with as many `stat` files kept open as this process may have.

A kept descriptor costs a third of opening, and answers ESRCH after the process has ended: it can never show another
process under the same number.
"""

from collections.abc import Callable

from agent.model.proc_stat import STAT_BYTES_MAX
from agent.ports import KernelTree
from workers.framework.descriptor_pool import DescriptorPool

# The heartbeat is called once per this many files; opening and reading one takes some 20 us.
FILES_PER_BEAT = 256


class ProcFiles:
    """The `stat` files that are kept open, by process; everything else is opened for each reading."""

    def __init__(self, tree: KernelTree, beat: Callable[[], None]) -> None:
        self.tree = tree
        self.pool: DescriptorPool[str] = DescriptorPool(tree)
        self._beat = beat

    @property
    def kept(self) -> int:
        """How many are kept open."""
        return len(self.pool)

    def keep(self, name: str) -> None:
        """Keep the `stat` of a process open, up to the limit of open files. *Raises:* OSError. *Source:* proc_pid_stat(5)."""
        self.pool.keep(name, f"{name}/stat")

    def give_back(self, name: str) -> None:
        """Keep the `stat` of this process open no longer, if it is."""
        self.pool.give_back(name)

    def read_stat(self, name: str) -> bytes:
        """The line of a process. *Raises:* OSError. *Source:* proc_pid_stat(5)."""
        descriptor = self.pool.get(name)
        if descriptor is None:
            return self.read(f"{name}/stat", STAT_BYTES_MAX)
        return self.tree.read_open(descriptor, STAT_BYTES_MAX)

    def read(self, path: str, bytes_max: int) -> bytes:
        """A file that is not kept open. *Raises:* OSError."""
        return self.pool.with_room(lambda: self.tree.read(path, bytes_max))

    def close(self) -> None:
        """Give everything back."""
        self.pool.close(self._beat, FILES_PER_BEAT)
