"""Whole minutes of one node, cut out of what its agent has stored, with their rows decoded."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct

from agent.model.row_check import TIMESTAMP
from agent.model.table import Row
from agent.model.timebase import MINUTE, S
from agent.store.batch import StoredBatch
from agent.store.record import TableForm
from agent.store.row_decoder import RowDecoder

SCAN, SKETCH = "process_scan", "process_sketch"
# What these hold is written when something becomes known, before the first whole minute, and once in every day.
NAME_TABLES = frozenset(("pod_group", "container_name"))
WINDOW = "window_start"
# A minute of which more ticks are missing is left out.
TICKS_LEAST = 57


class RecordedBatch(Struct, frozen=True):
    """The rows of one batch. `offset_ns`: when it was sent, from the beginning of its minute on; sketches come after its end."""

    table: str
    form: TableForm
    worker: str
    offset_ns: int
    rows: Sequence[Row]


class NodeMinute(Struct, frozen=True):
    """What a node stored of one minute of UTC, in the order in which it was sent, with the sketches of that minute.

    `last_tick_ns`: the time of its last tick, from its beginning on.
    """

    begin_ns: int
    batches: tuple[RecordedBatch, ...]
    last_tick_ns: int

    @property
    def rows(self) -> int:
        """All of them."""
        return sum(len(batch.rows) for batch in self.batches)


class Recording(Struct, frozen=True):
    """Whole minutes of a node, and the names of its pods and containers, which it stores before them."""

    minutes: tuple[NodeMinute, ...]
    names: NodeMinute | None


def recording_of(batches: Sequence[StoredBatch]) -> Recording:
    """What can be made of stored batches."""
    named = [batch for batch in batches if batch.table in NAME_TABLES]
    return Recording(tuple(minutes_of(batch for batch in batches if batch.table not in NAME_TABLES)), _names_of(named))


def minutes_of(batches: Iterable[StoredBatch]) -> list[NodeMinute]:
    """The minutes that were recorded whole, each with its sketches. Rows that do not fit their columns are left out."""
    by_minute: dict[int, list[RecordedBatch]] = defaultdict(list)
    for batch in batches:
        rows, _ = RowDecoder(batch.form).decode(batch.rows)
        if rows:
            minute = _minute_of(batch, rows)
            offset_ns = batch.entry.stamp_wall_ns - minute
            by_minute[minute].append(RecordedBatch(batch.table, batch.form, batch.entry.worker, offset_ns, rows))
    return [_minute(begin_ns, found) for begin_ns, found in sorted(by_minute.items()) if _is_whole(found)]


def _names_of(batches: Sequence[StoredBatch]) -> NodeMinute | None:
    """All of them as sent at the beginning."""
    found = []
    for batch in batches:
        rows, _ = RowDecoder(batch.form).decode(batch.rows)
        found.append(RecordedBatch(batch.table, batch.form, batch.entry.worker, 0, rows))
    begin_ns = min((batch.entry.stamp_wall_ns for batch in batches), default=0)
    return NodeMinute(begin_ns, tuple(batch for batch in found if batch.rows), 0) if found else None


def _minute_of(batch: StoredBatch, rows: Sequence[Row]) -> int:
    """The window of a sketch; else the minute of the first row, which may be read a moment before the batch is sent."""
    names = batch.form.names
    at = rows[0][names.index(WINDOW if WINDOW in names else TIMESTAMP)]
    assert isinstance(at, int)
    return at - at % MINUTE


def _ticks(batches: Sequence[RecordedBatch]) -> list[int]:
    at = [batch.form.names.index(TIMESTAMP) for batch in batches if batch.table == SCAN]
    scans = [batch for batch in batches if batch.table == SCAN]
    return [int(str(row[place])) for place, batch in zip(at, scans, strict=True) for row in batch.rows]


def _is_whole(batches: Sequence[RecordedBatch]) -> bool:
    return len(_ticks(batches)) >= TICKS_LEAST and any(batch.table == SKETCH for batch in batches)


def _minute(begin_ns: int, batches: Sequence[RecordedBatch]) -> NodeMinute:
    last = max(_ticks(batches)) - begin_ns
    assert last < MINUTE, last / S
    return NodeMinute(begin_ns, tuple(sorted(batches, key=lambda batch: batch.offset_ns)), last)
