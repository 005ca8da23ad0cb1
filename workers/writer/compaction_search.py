"""Looks for days that are due to be compacted, a little in each turn of the loop.

Once a day it walks all dates of all tables; in between it looks at those alone that were not finished or got a file since.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from msgspec import Struct

from agent.model.errors import StorageError
from agent.model.timebase import DAY, MINUTE, MS
from agent.ports import Clock
from agent.store.layout import parse_date_folder
from workers.writer.compaction_plan import DayFolder, Due, LeftAlone, Unfinished, Verdict, Waiting, judge, waiting
from workers.writer.spool import Spool

# A turn of the loop looks at folders for this time and one folder more: batches and the heartbeat come first.
SLICE_NS = 5 * MS
# Time after which a day whose segments wait is looked at again; a seal looks immediately.
LOOK_NS = 10 * MINUTE
# More than ten tables give in 27 years.
FOLDERS_MAX = 100_000


class Candidate(Struct, frozen=True):
    """A day that is due; `folder` is `date=…`."""

    table: str
    folder: str
    due: Due


class DaySearch:
    """`find` gives one day that is due after the other; `on_left_alone` is told a day that one of its entries keeps as it is."""

    def __init__(
        self,
        data: str,
        prefixes: Mapping[str, str],
        spool: Spool,
        clock: Clock,
        on_left_alone: Callable[[str, str, LeftAlone], None],
    ) -> None:
        self._data = data
        self._prefixes = prefixes
        self._spool = spool
        self._clock = clock
        self._on_left_alone = on_left_alone
        # Days that were not finished at the last look, or got a file since.
        self._pending: set[tuple[str, str]] = set()
        self._walk: Iterator[tuple[str, str]] | None = None
        self._walk_day = -1
        self._look_at_ns = 0

    @property
    def next_at_ns(self) -> int:
        """When `find` has something to look at."""
        return 0 if self._walk is not None else self._look_at_ns

    @property
    def is_walking(self) -> bool:
        """There are days left to look at."""
        return self._walk is not None

    @property
    def is_new_day(self) -> bool:
        """All dates are due to be walked: what was found the day before may have been cleared up."""
        return self._clock.wall_ns() // DAY != self._walk_day

    def add(self, table: str, folder: str) -> None:
        """A file came into this day."""
        self._pending.add((table, folder))
        self._look_at_ns = 0

    def find(self, now_ns: int) -> Candidate | None:
        """Look at folders for a moment; the first day that is due."""
        if now_ns < self.next_at_ns:
            return None
        until_ns = self._clock.now_ns() + SLICE_NS
        if self._walk is None:
            self._walk = self._folders()
        for table, folder in self._walk:
            candidate = self._judge(table, folder)
            if candidate is not None or self._clock.now_ns() >= until_ns:
                return candidate
        self._walk = None
        self._look_at_ns = now_ns + LOOK_NS
        return None

    def is_still_due(self, candidate: Candidate) -> bool:
        """Whether nothing has changed about a day since it was found."""
        return self._verdict(candidate.table, candidate.folder) == candidate.due

    def give_up(self) -> None:
        """Look at no other day before the next date."""
        self._walk = None
        self._pending.clear()
        self._look_at_ns = self._clock.now_ns() + LOOK_NS

    def prefix(self, table: str) -> str:
        """How the names of a table's files begin."""
        return self._prefixes.get(table, f"{table}-")

    def _folders(self) -> Iterator[tuple[str, str]]:
        """The days to look at, the newest first: their rows are asked for most."""
        found = set(self._pending)
        if self.is_new_day:
            self._walk_day = self._clock.wall_ns() // DAY
            found |= self._all_folders()
        yield from sorted(found, key=lambda day: (day[1], day[0]), reverse=True)

    def _all_folders(self) -> set[tuple[str, str]]:
        found: set[tuple[str, str]] = set()
        for table in _names(self._data):
            if not table.startswith(".") and len(found) < FOLDERS_MAX:
                dates = sorted(name for name in _names(os.path.join(self._data, table)) if parse_date_folder(name) is not None)
                # Should there be too many, it is the oldest that are not looked at.
                found.update((table, name) for name in dates[-(FOLDERS_MAX - len(found)) :])
        return found

    def _judge(self, table: str, folder: str) -> Candidate | None:
        verdict = self._verdict(table, folder)
        if isinstance(verdict, Due | Unfinished):
            self._pending.add((table, folder))
        else:
            self._pending.discard((table, folder))
        if isinstance(verdict, LeftAlone):
            self._on_left_alone(table, folder, verdict)
        return Candidate(table, folder, verdict) if isinstance(verdict, Due) else None

    def on_ended(self, candidate: Candidate, *, is_settled: bool) -> None:
        """A day was compacted, or cannot be (`is_settled`); else it is looked at again."""
        if is_settled:
            self._pending.discard((candidate.table, candidate.folder))

    def _verdict(self, table: str, folder: str) -> Verdict:
        names = _names(os.path.join(self._data, table, folder))
        wall_ns = self._clock.wall_ns()
        return judge(DayFolder(table, folder, self.prefix(table), tuple(names)), self._waiting(wall_ns), wall_ns)

    def _waiting(self, wall_ns: int) -> Waiting:
        try:
            return waiting(self._spool.names(), "" if self._spool.is_empty else self._spool.name, wall_ns)
        except StorageError:
            # Nobody knows what waits there, so that nothing is finished. The spool's own condition says why.
            return Waiting(frozenset(), ((0, wall_ns),))


def _names(path: str) -> list[str]:
    """What lies in a folder; nothing in one that is not there or cannot be listed: the quota's round tells that."""
    with suppress(OSError):
        return os.listdir(path)
    return []
