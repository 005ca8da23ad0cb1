"""How far one sink has come: what is produced for it, what is settled, and from where it goes on. PURE.

Everything before `low` is settled. After an outage a sink may go on with the newest first: then spans ahead of `low` are settled
too, and what lies between is the backlog. There are so two lines to read on: the *live* one, at the end of the last span, and
the *backlog*, from `low` on up to the first span; while there is no span, the live line is at `low` and there is no backlog.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum, auto
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import astuple, replace

from agent.store.batch import StoredBatch
from agent.store.cursor import Cursor, ExportLedger, SegmentCount
from agent.store.keeping import Keeping, PrunedSegment
from agent.store.place import BEHIND_SEGMENT, Place
from agent.store.segment import generation_of
from workers.export.sink import SinkPosition

# Each outage during a backlog makes one more span; beyond so many the newest wait for their turn.
SPANS_MAX = 8


class ExportLine(Enum):
    """Where to read on."""

    LIVE = auto()
    BACKLOG = auto()


class Loss(Struct, frozen=True):
    """Rows that this sink never gets, as a row of table `export_gap` has them. `rows` None: nobody knows how many.

    Times: of the last batch settled before, and of the last one lost; None: unknown.
    """

    reason: str
    rows: int | None
    from_wall_ns: int | None
    until_wall_ns: int | None


class ExportProgress:
    """The cursor in memory. Batches of tables that are not `tables` (names that others build on) are read, and not counted.

    *Range:* `produced` is always the sum of delivered, rejected, pruned and pending; `check` asserts it.
    """

    def __init__(self, cursor: Cursor, tables: Collection[str]) -> None:
        self._cursor = cursor
        self._tables = frozenset(tables)
        self._segments = dict(cursor.segments)
        self._rejected = dict(cursor.ledger.rejected)
        self._produced, self._delivered = cursor.ledger.produced, cursor.ledger.delivered
        self._pruned = cursor.ledger.pruned
        self._low, self._ahead = cursor.low, list(cursor.ahead)
        self._scanned = cursor.scanned
        self._last, self._last_stamp = cursor.last, cursor.last_stamp_wall_ns
        self._deliveries = cursor.deliveries
        # Of what was scanned in this process: the first and the newest batch.
        self.first_stamp_wall_ns: int | None = None
        self.newest_stamp_wall_ns = cursor.last_stamp_wall_ns
        self._losses: list[Loss] = []

    # ---- what it is now ----

    @property
    def scanned(self) -> Place:
        """Up to there the rows are counted."""
        return self._scanned

    @property
    def low(self) -> Place:
        """Everything before it is settled."""
        return self._low

    @property
    def kept_needs(self) -> Place:
        """The earliest place that a new process would read, as the last process has kept it."""
        return self._cursor.needs

    @property
    def has_backlog(self) -> bool:
        """Whether there is a line besides the live one."""
        return bool(self._ahead)

    @property
    def pending_rows(self) -> int:
        """Counted and not settled."""
        return sum(count.rows - count.settled_rows for count in self._segments.values())

    @property
    def pending_bytes(self) -> int:
        """Their bytes, as they are stored."""
        return sum(count.bytes - count.settled_bytes for count in self._segments.values())

    @property
    def last_stamp_wall_ns(self) -> int | None:
        """The time of the batch that was settled last on the line of `low`; None: none was yet."""
        return self._last_stamp

    @property
    def end_of_spans(self) -> Place:
        """Behind everything that is settled."""
        return self._ahead[-1][1] if self._ahead else self._low

    @property
    def deliveries(self) -> int:
        """How many the sink has acknowledged."""
        return self._deliveries

    def position(self) -> SinkPosition:
        """What is settled, for the sink."""
        return SinkPosition(self._low, tuple(self._ahead), self._delivered)

    def lag_ns(self, batch: StoredBatch) -> int:
        """How much older a batch is than the newest that was found."""
        return 0 if self.newest_stamp_wall_ns is None else max(0, self.newest_stamp_wall_ns - batch.entry.stamp_wall_ns)

    def ledger(self) -> ExportLedger:
        """The account."""
        return ExportLedger(self._produced, self._delivered, self._pruned, dict(self._rejected))

    def check(self) -> None:
        """What must always hold."""
        assert self._produced == self.ledger().settled + self.pending_rows, "the ledger does not add up"
        places = [self._low, *(place for span in self._ahead for place in span)]
        assert all(not later.is_before(earlier) for earlier, later in pairwise(places)), "spans out of order"

    def cursor(self, needs: Place | None = None) -> Cursor:
        """As it is kept. `needs`: an earlier place than `low` that a new process would read."""
        earliest = self._low if needs is None or self._low.is_before(needs) else needs
        return replace(
            self._cursor,
            low=self._low,
            ahead=tuple(self._ahead),
            needs=earliest,
            scanned=self._scanned,
            ledger=self.ledger(),
            segments=dict(self._segments),
            last=self._last,
            last_stamp_wall_ns=self._last_stamp,
            deliveries=self._deliveries,
        )

    # ---- what happens ----

    def scan(self, batches: Iterable[StoredBatch]) -> None:
        """These follow `scanned` in the spool: count them as produced."""
        for batch in batches:
            assert not batch.place.is_before(self._scanned), "scanned twice"
            self._scanned = batch.behind
            stamp = batch.entry.stamp_wall_ns
            self.newest_stamp_wall_ns = max(stamp, self.newest_stamp_wall_ns or stamp)
            self.first_stamp_wall_ns = stamp if self.first_stamp_wall_ns is None else self.first_stamp_wall_ns
            if batch.table in self._tables:
                count = self._segments.get(batch.place.segment, SegmentCount())
                self._segments[batch.place.segment] = SegmentCount(
                    count.rows + batch.entry.rows, count.bytes + len(batch.rows), count.settled_rows, count.settled_bytes
                )
                self._produced += batch.entry.rows

    def move_on(self, reached: Place) -> bool:
        """Nothing is left before this place, which begins a segment; True: everything before it is settled now."""
        if not self._scanned.is_before(reached):
            return False
        is_settled = not self.end_of_spans.is_before(self._scanned)
        self._scanned = reached
        if is_settled and self._ahead:
            self._ahead[-1] = (self._ahead[-1][0], reached)
        elif is_settled:
            self._low = reached
            self._forget_settled()
        return is_settled

    def next_place(self, line: ExportLine) -> tuple[Place, Place]:
        """From where and up to where to read on this line."""
        if line is ExportLine.LIVE:
            return self.end_of_spans, self._scanned
        assert self._ahead
        return self._low, self._ahead[0][0]

    def open_live(self) -> bool:
        """Go on with what comes next, and leave what is pending for the backlog; False: there are too many spans already."""
        if len(self._ahead) >= SPANS_MAX or not self.end_of_spans.is_before(self._scanned):
            return False
        self._ahead.append((self._scanned, self._scanned))
        return True

    def close_backlog(self) -> None:
        """Nothing is left between `low` and the first span."""
        self._low = self._ahead.pop(0)[1]
        self._forget_settled()

    def pass_unreadable(self, line: ExportLine) -> bool:
        """Nothing can be read on this line any more: a backlog is done with, and what was counted on the live line is gone (a disk
        that fails, a file that somebody took away). False: there was nothing to pass."""
        if line is ExportLine.BACKLOG:
            self.close_backlog()
        elif not self.end_of_spans.is_before(self._scanned):
            return False
        elif self._ahead:
            self._ahead[-1] = (self._ahead[-1][0], self._scanned)
        else:
            self._low = self._scanned
            self._forget_settled()
        return True

    def deliver(self, line: ExportLine, batches: Sequence[StoredBatch], rejected: int = 0, reason: str = "") -> None:
        """The sink answers for these, the next ones on their line, save so many rows that it refused for good."""
        rows = self._settle(line, batches)
        refused = min(rows, rejected)
        self._delivered += rows - refused
        if refused:
            self._rejected[reason] = self._rejected.get(reason, 0) + refused
        self._deliveries += 1

    def reject(self, line: ExportLine, batches: Sequence[StoredBatch], reason: str) -> int:
        """These can never be delivered; how many rows they are."""
        rows = self._settle(line, batches)
        if rows:
            self._rejected[reason] = self._rejected.get(reason, 0) + rows
        return rows

    def keep_up(self, keeping: Keeping, present: Collection[str]) -> None:
        """Pass what the writer had to remove before it could be sent. `present`: the ids of the segments that are there.

        Only between two deliveries: what is under way may be of such a segment.
        """
        for each in keeping.pruned:
            self._pass_pruned(each, present)
        since = keeping.since.get(self._cursor.sink)
        if since is not None and self._low.segment and self._low.generation + 1 < since:
            # The writer has not kept anything for this sink for a while: it was not configured.
            self._pass_unkept(since)

    def take_losses(self) -> list[Loss]:
        """What was lost since the last call."""
        losses, self._losses = self._losses, []
        return losses

    # ---- inside ----

    def _settle(self, line: ExportLine, batches: Sequence[StoredBatch]) -> int:
        assert batches
        rows = 0
        for batch in batches:
            if batch.table in self._tables:
                count = self._segments[batch.place.segment]
                rows += batch.entry.rows
                settled = count.settled_rows + batch.entry.rows
                # One that stands for many has no bytes of its own.
                settled_bytes = count.bytes if settled == count.rows else count.settled_bytes + len(batch.rows)
                self._segments[batch.place.segment] = SegmentCount(count.rows, count.bytes, settled, settled_bytes)
        last = batches[-1]
        if line is ExportLine.LIVE and self._ahead:
            self._ahead[-1] = (self._ahead[-1][0], last.behind)
        else:
            self._low = last.behind
            self._last_stamp = last.entry.stamp_wall_ns
            self._forget_settled()
        self._last = last.identity
        return rows

    def _pass_pruned(self, pruned: PrunedSegment, present: Collection[str]) -> None:
        end = Place(pruned.segment, BEHIND_SEGMENT)
        if not self._low.is_before(end) or pruned.segment in present:
            return
        gone = self._take_counts(pruned.segment)
        known = None if pruned.rows is None else sum(rows for table, rows in pruned.rows.items() if table in self._tables)
        total = gone.rows if known is None else max(gone.rows, known)
        self._produced += total - gone.rows
        self._lose(pruned.reason, total - gone.settled_rows, pruned.last_wall_ns, is_known=known is not None)
        self._go_behind(end)

    def _pass_unkept(self, since: int) -> None:
        end = Place(f"{since - 1:08x}ffffffff", BEHIND_SEGMENT)
        gone = self._take_counts(end.segment)
        self._lose("not_configured", gone.rows - gone.settled_rows, None, is_known=False)
        self._go_behind(end)

    def _take_counts(self, last: str) -> SegmentCount:
        """The sum of the counts of all segments up to one, which are not looked at any more."""
        taken = [self._segments.pop(each) for each in list(self._segments) if _key(each) <= _key(last)]
        return SegmentCount(*(sum(each[field] for each in map(astuple, taken)) for field in range(4)))

    def _lose(self, reason: str, rows: int, until_wall_ns: int | None, *, is_known: bool = True) -> None:
        self._pruned += rows
        if rows or not is_known:
            self._losses.append(Loss(reason, rows if is_known else None, self._last_stamp, until_wall_ns))

    def _go_behind(self, end: Place) -> None:
        self._low = end
        self._ahead = [(max(begin, end, key=_order), span_end) for begin, span_end in self._ahead if end.is_before(span_end)]
        if self._scanned.is_before(end):
            self._scanned = end
        self._forget_settled()

    def _forget_settled(self) -> None:
        """Segments before `low` are done with. What of them was counted and could not be read again is lost."""
        for segment in [each for each in self._segments if _key(each) < _key(self._low.segment)]:
            count = self._segments.pop(segment)
            self._lose("unreadable", count.rows - count.settled_rows, None)


def _key(segment: str) -> tuple[int, str]:
    return (generation_of(segment), segment)


def _order(place: Place) -> tuple[int, str, int]:
    return (place.generation, place.segment, place.offset)


def new_cursor(sink: str, kind: str, identity: str, install: str) -> Cursor:
    """The cursor of a sink that is new: it begins with the oldest that the spool still has."""
    return Cursor(sink, kind, identity, install)


def shown(ledger: ExportLedger, pending: int) -> Mapping[str, object]:
    """The account as statistics have it."""
    rejected = sum(ledger.rejected.values())
    return {
        "produced": ledger.produced,
        "delivered": ledger.delivered,
        "rejected": rejected,
        "rejected_by_reason": dict(ledger.rejected),
        "pruned": ledger.pruned,
        "pending": pending,
    }
