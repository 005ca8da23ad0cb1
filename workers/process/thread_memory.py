"""The memory of a process whose first thread has ended: the line of a thread that goes on has it. PURE.

Listing the threads of a process takes longer the more it has, so it is done only when the thread that told last has ended, and a
breaker stops it while that costs too much.
"""

from collections.abc import Callable
from contextlib import suppress

from agent.model.absence import Absence
from agent.model.errors import KernelFormatError
from agent.model.proc_stat import STAT_BYTES_MAX, parse_stat
from agent.model.timebase import MS
from workers.process.breaker import BreakerLimits, Metered, ReadOutcome
from workers.process.tracked_process import TrackedProcess

# All threads of a process share its memory, so the first that still has it tells. Those that have ended are passed over.
THREADS_TRIED_MAX = 16
# Listings in one scan; further processes wait for the next.
LISTINGS_MAX = 64
TASK_LIMITS = BreakerLimits(cost_ns_max=50 * MS)


class ThreadMemory:
    """Finds the pages. Without `listings` they cost nothing. *Source:* proc_pid_task(5)."""

    def __init__(self, read: Callable[[str, int], bytes], list_names: Callable[[str], list[str]], listings: Metered | None) -> None:
        """`read` takes a path and the most bytes. Both raise OSError."""
        self._read = read
        self._list_names = list_names
        self._listings = listings
        self._left = LISTINGS_MAX
        self._listed = self._spent_ns = 0

    def begin_tick(self) -> None:
        """A scan begins."""
        self._left = LISTINGS_MAX if self._listings is None else self._listings.breaker.begin_tick(LISTINGS_MAX)
        self._listed = self._spent_ns = 0

    def end_tick(self) -> None:
        """The scan is over: its listings are judged."""
        if self._listings is not None:
            self._listings.breaker.end_tick(ReadOutcome(self._listed, cost_ns=self._spent_ns))

    def pages_of(self, process: TrackedProcess) -> tuple[int | None, Absence]:
        """Resident pages. *Absent:* no thread has told them, for this reason."""
        folder = f"{process.name}/task"
        if process.thread is not None and (pages := self._pages(folder, process.thread)):
            return pages, Absence.UNREADABLE
        process.thread = None
        if self._left <= 0:
            is_open = self._listings is not None and self._listings.breaker.is_open
            return None, Absence.BREAKER_OPEN if is_open else Absence.OVER_BUDGET
        for name in self._names(folder, process.name):
            if pages := self._pages(folder, name):
                process.thread = name
                return pages, Absence.UNREADABLE
        return None, Absence.UNREADABLE

    def _names(self, folder: str, first: str) -> list[str]:
        self._left -= 1
        self._listed += 1
        begun_ns = 0 if self._listings is None else self._listings.cpu_ns()
        names: list[str] = []
        with suppress(OSError):
            names = [name for name in self._list_names(folder) if name != first]
        if self._listings is not None:
            self._spent_ns += self._listings.cpu_ns() - begun_ns
        return names[:THREADS_TRIED_MAX]

    def _pages(self, folder: str, name: str) -> int | None:
        """None: the thread has ended or begins to end, and has no memory any more."""
        try:
            return parse_stat(self._read(f"{folder}/{name}/stat", STAT_BYTES_MAX)).rss_pages
        except (OSError, KernelFormatError):
            return None
