"""Reads below one proc root, with as many `stat` files kept open as this process may have.

A kept descriptor costs a third of opening, and answers ESRCH after the process has ended: it can never show another
process under the same number.
"""

from collections.abc import Callable
from errno import EMFILE, ENFILE

from agent.model.proc_stat import STAT_BYTES_MAX
from agent.ports import KernelTree

# Given back when this process may open no more files: `cgroup` and `cmdline` must still be opened, and sockets connected.
SPARE_DESCRIPTORS = 16
# Every so many files there is a word that the work goes on; opening and reading one takes some 20 us.
FILES_PER_BEAT = 256


class ProcFiles:
    """The `stat` files that are kept open, by process; everything else is opened for each reading."""

    def __init__(self, tree: KernelTree, beat: Callable[[], None]) -> None:
        self.tree = tree
        self._beat = beat
        self._kept: dict[str, int] = {}
        self._kept_max = 1 << 30

    @property
    def kept(self) -> int:
        """How many are kept open."""
        return len(self._kept)

    def keep(self, name: str) -> None:
        """Keep the `stat` of a process open, unless there are as many as this process may have. *Raises:* OSError."""
        if len(self._kept) >= self._kept_max:
            return
        try:
            self._kept[name] = self.tree.open(f"{name}/stat")
        except OSError as refused:
            self.make_room(refused)

    def give_back(self, name: str) -> None:
        """Keep the `stat` of this process open no longer, if it is."""
        descriptor = self._kept.pop(name, None)
        if descriptor is not None:
            self.tree.close(descriptor)

    def read_stat(self, name: str) -> bytes:
        """The line of a process. *Raises:* OSError."""
        descriptor = self._kept.get(name)
        if descriptor is None:
            return self.read(f"{name}/stat", STAT_BYTES_MAX)
        return self.tree.read_open(descriptor, STAT_BYTES_MAX)

    def read(self, path: str, bytes_max: int) -> bytes:
        """A file that is not kept open. *Raises:* OSError."""
        try:
            return self.tree.read(path, bytes_max)
        except OSError as refused:
            self.make_room(refused)
            return self.tree.read(path, bytes_max)

    def make_room(self, refused: OSError) -> None:
        """Give some descriptors back, and keep no more from now on. *Raises:* the refusal, when that does not help."""
        if refused.errno not in (EMFILE, ENFILE) or not self._kept:
            raise refused
        for _ in range(min(SPARE_DESCRIPTORS, len(self._kept))):
            self.tree.close(self._kept.popitem()[1])
        self._kept_max = len(self._kept)

    def close(self) -> None:
        """Give everything back."""
        while self._kept:
            self.tree.close(self._kept.popitem()[1])
            if len(self._kept) % FILES_PER_BEAT == 0:
                self._beat()
