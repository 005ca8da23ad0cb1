"""The ticks of the past for `agentctl top --at`: which one is shown for a moment, and which is before and after it."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from agent.cli.stored_rows import Named, StoredRows
from agent.cli.time_bounds import TimeBounds
from agent.cli.top_heading import HistoryMoment
from agent.model.foreign import readable
from agent.model.table import HOST_COLUMN, Table
from agent.model.timebase import S

# A tick is looked for this far around a moment before names of files say where the nearest is: the usual second, then pauses.
REACHES_NS = (15 * S, 600 * S)
# Beyond them, in a file that has rows on both sides of a moment, each look reaches this many times as far as the one before.
REACH_GROWTH = 4
# The last tick counts for a moment if it is at most this much earlier.
NEAR_NS = 60 * S
# Rows of a tick are read within this time of its beginning.
TICK_NS = 60 * S
NOTES_MAX = 3
# Files that are read when the nearest one has no tick of the wanted kind.
FILES_MAX = 8

SampleT = TypeVar("SampleT")


class HistorySource(Struct, frozen=True):
    """Where a view has its ticks: the table that has a row in each, the column that is equal in all rows of one, and the gaps."""

    rows: StoredRows
    column: str
    gaps: StoredRows | None = None


class HistoryReader(Generic[SampleT]):
    """Finds ticks. `sample_at` makes a sample of the tick at a stamp; None where its rows have gone."""

    def __init__(self, source: HistorySource, sample_at: Callable[[int], SampleT | None]) -> None:
        self._source = source
        self._sample_at = sample_at

    def at(self, asked_ns: int) -> tuple[SampleT | None, HistoryMoment]:
        """The tick that was the newest at a moment; where there is none near it, the nearest. *Raises:* EvergaugeError."""
        self._source.rows.left_out.clear()
        before_ns = self._nearest(asked_ns + 1, is_before=True, reaches=REACHES_NS[:1])
        if before_ns is not None and asked_ns - before_ns <= NEAR_NS:
            return self._sample_at(before_ns), HistoryMoment(asked_ns, is_near=True)
        before_ns = self._nearest(asked_ns + 1, is_before=True)
        after_ns = self._nearest(asked_ns, is_before=False)
        if before_ns is not None and asked_ns - before_ns <= NEAR_NS:
            return self._sample_at(before_ns), HistoryMoment(asked_ns, is_near=True)
        nearest = min(
            (stamp for stamp in (before_ns, after_ns) if stamp is not None), key=lambda at: abs(at - asked_ns), default=None
        )
        moment = HistoryMoment(asked_ns, False, before_ns, after_ns, (*self._left_out(), *self._gaps_at(asked_ns)))
        return (None if nearest is None else self._sample_at(nearest)), moment

    def step(self, shown_ns: int, *, is_before: bool) -> int | None:
        """The tick before or after a tick; None: it is the first, or the last. *Raises:* EvergaugeError."""
        return self._nearest(shown_ns if is_before else shown_ns + 1, is_before=is_before)

    def _nearest(self, at_ns: int, *, is_before: bool, reaches: tuple[int, ...] = REACHES_NS) -> int | None:
        """The last stamp before a moment, or the first from it on."""
        for reach_ns in reaches:
            found = self._stamps(at_ns - reach_ns, at_ns) if is_before else self._stamps(at_ns, at_ns + reach_ns)
            if found:
                return max(found) if is_before else min(found)
        if reaches is not REACHES_NS:
            return None
        return self._nearest_by_name(at_ns, is_before=is_before)

    def _nearest_by_name(self, at_ns: int, *, is_before: bool) -> int | None:
        """As `_nearest`, in the nearest files that say by their names that they may have such a tick."""
        ends = self._source.rows.ends()
        # A day that is one file may have a pause of any length: where the moment is in one, the names do not tell its ends.
        around = [at_ns - first if is_before else last + S - at_ns for first, last in ends if first < at_ns < last + S]
        if around and (found_ns := self._nearest_within(at_ns, max(around), is_before=is_before)) is not None:
            return found_ns
        if is_before:
            near = sorted({min(last + S, at_ns) for first, last in ends if first < at_ns}, reverse=True)
        else:
            near = sorted({max(first, at_ns) for first, last in ends if last + S > at_ns})
        # The nearest may end a moment too early or begin a moment too late: names have seconds, and its rows are no whole tick.
        for end_ns in near[:FILES_MAX]:
            found = self._stamps(end_ns - TICK_NS, end_ns) if is_before else self._stamps(end_ns, end_ns + TICK_NS)
            if found:
                return max(found) if is_before else min(found)
        return None

    def _nearest_within(self, at_ns: int, span_ns: int, *, is_before: bool) -> int | None:
        """As `_nearest`, farther and farther away until all of a span was looked at: of a long pause only its end is decoded."""
        reach_ns = REACHES_NS[-1]
        while reach_ns < span_ns + TICK_NS:
            reach_ns *= REACH_GROWTH
            found = self._nearest(at_ns, is_before=is_before, reaches=(reach_ns,))
            if found is not None:
                return found
        return None

    def _stamps(self, since_ns: int, until_ns: int) -> set[int]:
        """The stamps of ticks from one moment on and before another."""
        # The rows of a tick are a moment younger than its stamp.
        found = self._source.rows.values(TimeBounds(since_ns, until_ns + TICK_NS), self._source.column)
        return {stamp for stamp in found if since_ns <= stamp < until_ns}

    def _left_out(self) -> tuple[str, ...]:
        """What was not read on the way to the nearest ticks, in words; the rows of the moment may be in it."""
        left_out = self._source.rows.left_out
        if not left_out:
            return ()
        path, reason = next(iter(left_out.items()))
        more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        return (f"not read: {readable(path)}{more}, {reason}",)

    def _gaps_at(self, asked_ns: int) -> tuple[str, ...]:
        """What table gap says of a moment: each worker and reason once, NOTES_MAX at most."""
        if self._source.gaps is None:
            return ()
        # A gap is noticed when it ends; one that is older than a day is not looked for.
        rows = self._source.gaps.rows(TimeBounds(asked_ns, asked_ns + 86_400 * S))
        return tuple(dict.fromkeys(_told(row) for row in rows if _covers(row, asked_ns)))[:NOTES_MAX]


def _covers(gap: Named, at_ns: int) -> bool:
    since, until = gap.get("from_timestamp"), gap.get("until_timestamp")
    begins = isinstance(since, int) and since <= at_ns
    return begins and (not isinstance(until, int) or at_ns <= until)


def _told(gap: Named) -> str:
    return f"{gap.get('worker')} {gap.get('reason')}"


def source_of(state_dir: str, name: str, column: str, declared: Iterable[Table]) -> HistorySource:
    """The source of a view's main table."""
    known = {table.name: table for table in declared}
    return HistorySource(StoredRows(state_dir, known[name]), column, StoredRows(state_dir, known["gap"]))


def host_of(rows: Sequence[Named]) -> str:
    """The host that rows are of: what they say, else this one."""
    named = next((row[HOST_COLUMN] for row in rows if row.get(HOST_COLUMN)), None)
    return named if isinstance(named, str) else os.uname().nodename
