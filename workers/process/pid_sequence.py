"""Which processes may be new: those whose numbers the kernel has given since. PURE.

Listing `/proc` costs a step of the kernel for every process of the host, at every tick, although next to nobody is new. The kernel
gives numbers in rising order, and `/proc/loadavg` ends with the last one (of our own PID namespace). So only the numbers given
since are asked, and all processes are listed once in a while, after many starts, and wherever numbers turn out not to rise.
*Source:* linux/fs/proc/loadavg.c; `alloc_pid` of linux/kernel/pid.c; a number can also be asked for by clone3(2), `set_tid`.
"""

from agent.ports import KernelTree

LOADAVG_BYTES_MAX = 256
# Everything is listed once in this many ticks.
LISTING_TICKS = 16
# For so many ticks everything is listed after a process was met whose number had not been given in order.
DISTRUST_TICKS = 600
# Asking a number that no process has costs 2 us, listing a process 1.4. Threads take numbers too.
NUMBERS_LEAST = 64


def last_pid(loadavg: bytes) -> int | None:
    """The number given last. *Absent:* the text has none. *Source:* proc_loadavg(5)."""
    word = loadavg.rpartition(b" ")[2].strip()
    return int(word) if word.isdigit() and 0 < int(word) < 1 << 31 else None


class PidSequence:
    """Follows the numbers from tick to tick."""

    def __init__(self, tree: KernelTree) -> None:
        self._tree = tree
        # The number given last before this tick, before the last one, and before that: one that was given may show up later.
        self._last: list[int | None] = [None, None, None]
        self._is_ours: bool | None = None
        self._tick = 0
        self._distrusted_until = 0

    def given(self, known: int) -> range | None:
        """The numbers to ask, where `known` processes are known. *Absent:* all must be listed."""
        self._tick += 1
        self._last = [*self._last[1:], self._read()]
        first, _, last = self._last
        if first is None or last is None or last < first:
            return None
        if self._tick % LISTING_TICKS == 0 or self._tick < self._distrusted_until:
            return None
        return range(first + 1, last + 1) if last - first <= max(NUMBERS_LEAST, known // 2) else None

    def check(self, new: list[str]) -> None:
        """These were found by listing everything: were their numbers given in order?"""
        first, now = self._last[0], self._read()
        if first is not None and now is not None and now >= first and not all(first < int(name) <= now for name in new):
            self._distrusted_until = self._tick + DISTRUST_TICKS

    def _read(self) -> int | None:
        """LXCFS shows a file of its own in the place of the kernel's, which is seconds old."""
        try:
            if self._is_ours is None:
                self._is_ours = self._tree.device("loadavg") == self._tree.device()
            return last_pid(self._tree.read("loadavg", LOADAVG_BYTES_MAX)) if self._is_ours else None
        except OSError:
            return None
