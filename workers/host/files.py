"""Kernel files that are kept open and read from their beginning at each tick."""

from collections.abc import Callable
from errno import EACCES, ENODEV, ENOENT, ENOTDIR, EOPNOTSUPP, EPERM

from agent.model.absence import Absence
from agent.model.errors import KernelFormatError
from agent.ports import KernelTree
from agent.side_reader import T
from workers.framework.descriptor_pool import DescriptorPool

_REASONS = {
    ENOENT: Absence.NOT_IN_KERNEL,
    ENOTDIR: Absence.NOT_IN_KERNEL,
    ENODEV: Absence.NOT_IN_KERNEL,
    # `/proc/pressure` of Linux before 5.2, when it was switched off at boot.
    EOPNOTSUPP: Absence.NOT_IN_KERNEL,
    EACCES: Absence.NO_PERMISSION,
    EPERM: Absence.NO_PERMISSION,
}
# One read gives at most a page of a file that the kernel writes line by line, whole lines, of which none is longer than 1 KiB
# (fs/seq_file.c): what is shorter than this was all.
WHOLE_BYTES = 3072


def reason_of(failure: OSError) -> Absence:
    """Why a file has no content."""
    return _REASONS.get(failure.errno or 0, Absence.UNREADABLE)


class KeptFiles:
    """The files of one tree, by path. `reasons` has those that could not be read or understood at the last tick."""

    def __init__(self, tree: KernelTree) -> None:
        self._tree = tree
        self._pool: DescriptorPool[str] = DescriptorPool(tree)
        self.reasons: dict[str, Absence] = {}

    @property
    def kept(self) -> int:
        """How many are open."""
        return len(self._pool)

    def parsed(self, path: str, bytes_max: int, parse: Callable[[bytes], T]) -> T | Absence:
        """What `parse` makes of a file, or why there is nothing."""
        try:
            found = parse(self._read(path, bytes_max))
        except OSError as failure:
            # The next tick opens it again.
            self._pool.give_back(path)
            reason = reason_of(failure)
        except KernelFormatError:
            reason = Absence.UNREADABLE
        else:
            self.reasons.pop(path, None)
            return found
        self.reasons[path] = reason
        return reason

    def close(self) -> None:
        """Give every descriptor back."""
        self._pool.close()

    def _read(self, path: str, bytes_max: int) -> bytes:
        descriptor = self._pool.get(path)
        if descriptor is None:
            descriptor = self._pool.keep(path, path)
        if descriptor is None:
            return self._tree.read(path, bytes_max)
        part = content = self._tree.read_open(descriptor, bytes_max)
        while len(part) >= WHOLE_BYTES and len(content) < bytes_max:
            part = self._tree.read_open(descriptor, bytes_max - len(content), len(content))
            content += part
        return content
