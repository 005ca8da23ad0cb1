"""The series of what was stored since the last scrape: read in turns, so that no answer of the gateway waits for it. PURE.

Nothing is read while nobody scrapes. The first scrape begins SPAN_NS before it; after a pause, and where something between was
removed unread, everything begins again with a new start time: counters fall back to zero, and never jump.
"""

from collections.abc import Callable

from agent.model.errors import EvergaugeError, FormatError
from agent.model.rule_state import RuleState
from agent.model.timebase import MINUTE, S
from agent.store.batch import StoredBatch
from agent.store.place import Place
from workers.export.assigned_names import AssignedNames
from workers.export.series.table import SeriesFamily, SeriesTable
from workers.gateway.batch_source import BatchSource
from workers.gateway.metrics import Family, Labels, Number

# A unit that does nothing has its next row after 60 s at most.
SPAN_NS = 65 * S
# Reading what five minutes stored takes a busy node a second; Prometheus forgets a series after five minutes.
PAUSE_MAX_NS = 5 * MINUTE
# Encoded rows of one turn: some 10 ms.
TURN_BYTES = 64 << 10
# Batches of before the span are passed over by the head of their record.
SKIPPED_BYTES = 512 << 10


class MeasuredSeries:
    """What /metrics shows of stored rows. `begin`, then `turn` until it says that all is read."""

    def __init__(self, source: BatchSource, rules: Callable[[], RuleState | None], *, series_max: int, has_pids: bool) -> None:
        self.problem = ""
        self._source = source
        self._rules = rules
        self._names = AssignedNames()
        self._series_max = series_max
        self._has_pids = has_pids
        self._table: SeriesTable | None = None
        self._after: Place | None = None
        self._since_ns = 0
        self._until_ns = 0
        self._read_at_ns: int | None = None
        self._unreadable = 0

    def begin(self, wall_ns: int) -> None:
        """A scrape comes."""
        self.problem = ""
        self._until_ns = wall_ns
        self._names.refresh(self._rules())
        try:
            if not self._goes_on(wall_ns):
                self._table = SeriesTable(self._names, series_max=self._series_max, has_pids=self._has_pids)
                self._since_ns = wall_ns - SPAN_NS
                self._after = self._source.begin(self._since_ns)
        except EvergaugeError as failure:
            self._fail(failure)

    def turn(self) -> bool:
        """Read a portion; True: everything up to the scrape is read."""
        if self._table is None or self._after is None:
            return True
        try:
            batches = self._source.read(self._after, TURN_BYTES if self._since_ns == 0 else SKIPPED_BYTES)
        except EvergaugeError as failure:
            self._fail(failure)
            return True
        taken_bytes = 0
        for batch in batches:
            if batch.entry.stamp_wall_ns < self._since_ns:
                self._after = batch.behind
                continue
            self._since_ns = 0
            if taken_bytes >= TURN_BYTES:
                return False
            self._take(self._table, batch)
            self._after = batch.behind
            taken_bytes += len(batch.rows)
        if batches and batches[-1].entry.stamp_wall_ns <= self._until_ns:
            return False
        self._read_at_ns = self._until_ns
        self._table.read()
        self._table.settle(max(self._until_ns, self._table.newest_ns))
        return True

    def close_if_idle(self, wall_ns: int) -> None:
        """Nobody has scraped for long: hold nothing open, and forget the series."""
        if self._read_at_ns is None or wall_ns - self._read_at_ns > PAUSE_MAX_NS:
            self._source.close()
            self._table, self._after, self._read_at_ns = None, None, None

    def families(self) -> "list[SeriesFamily]":
        """What is shown of the rows; nothing where they cannot be read."""
        return [] if self._table is None else list(self._table.families())

    def own_families(self) -> list[Family]:
        """What is said about the series themselves."""
        readable = Family(
            "evergauge_metrics_readable", "gauge", "1 when the stored rows could be read.", {(): int(not self.problem)}
        )
        if self._table is None:
            return [readable]
        counts = self._table.count_by_table()
        # From zero on, so that the first series that is left out is an increase.
        left_out = _by_table(dict.fromkeys(counts, 0) | self._table.budget.left_out_total)
        about = "Series of stored rows that found no room within gateway.series_max."
        newest: dict[Labels, Number] = {(): self._table.newest_ns / S} if self._table.newest_ns else {}
        families = [
            readable,
            Family("evergauge_metrics_series", "gauge", "Series of stored rows.", _by_table(counts)),
            Family("evergauge_metrics_series_left_out_total", "counter", about, left_out),
            Family("evergauge_metrics_newest_row_timestamp_seconds", "gauge", "Time of the newest row.", newest),
            Family("evergauge_metrics_batches_unreadable_total", "counter", "Stored batches without rows.", {(): self._unreadable}),
        ]
        return [family for family in families if family.samples]

    def _goes_on(self, wall_ns: int) -> bool:
        """Whether the series of the last scrape go on."""
        if self._table is None or self._after is None or self._read_at_ns is None:
            return False
        # A clock that was set back would make every row a later one.
        return 0 <= wall_ns - self._read_at_ns <= PAUSE_MAX_NS and self._source.is_whole(self._after)

    def _take(self, table: SeriesTable, batch: StoredBatch) -> None:
        try:
            table.take(batch)
        except FormatError:
            self._unreadable += 1

    def _fail(self, failure: EvergaugeError) -> None:
        self.problem = str(failure)
        self._table, self._after, self._read_at_ns = None, None, None


def _by_table(counts: dict[str, int]) -> dict[Labels, Number]:
    return {(("table", table),): count for table, count in sorted(counts.items())}
