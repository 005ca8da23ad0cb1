"""Tells whether the host takes memory from processes that sleep. PURE.

The memory of a process that does not run changes only when the kernel takes pages from it. Pages of files are reclaimed all the
time on a host that reads much, and few of them are mapped; pages of processes only when memory is short.
"""

from agent.ports import KernelTree

# The file has some 200 lines, 6 KB.
VMSTAT_BYTES_MAX = 64 << 10


def reclaimed_pages(vmstat: bytes) -> int:
    """Pages that were taken from processes since boot, and those written to swap. *Source:* linux/mm/vmstat.c.

    `pgsteal_anon` is there since Linux 5.8. Most pages are in both: only whether the sum moves says something.
    """
    words = [line.partition(b" ") for line in vmstat.split(b"\n") if line.startswith((b"pgsteal_anon ", b"pswpout "))]
    return sum(int(number) for _, _, number in words if number.isdigit())


class ReclaimWatch:
    """Compares with the last reading."""

    def __init__(self, tree: KernelTree) -> None:
        self._tree = tree
        self._pages: int | None = None

    def has_moved(self) -> bool:
        """Whether memory was reclaimed since the last call; not known (no such file, the first call) counts as not."""
        try:
            pages = reclaimed_pages(self._tree.read("vmstat", VMSTAT_BYTES_MAX))
        except OSError:
            return False
        before, self._pages = self._pages, pages
        return before not in (None, pages)
