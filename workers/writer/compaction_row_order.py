"""The order of rows in time: whether they are in it, which are of a window. Imports `pyarrow.compute`, where it pays.

That module takes 40 ms of CPU to be imported, as much as a tenth of a usual day's compaction; rows that are in order already
are told by looking at the times themselves, 40 ns for each, which a day of many rows would pay more for than for the import.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workers.writer.compaction_source import TIME
from workers.writer.compaction_window import Window

if TYPE_CHECKING:
    import pyarrow

# With at least this many rows in a day the import is worth its time.
IMPORT_ROWS_MIN = 1_000_000


def within(part: "pyarrow.Table", window: Window, day_rows: int) -> "pyarrow.Table":
    """The rows of a window, of a part that reaches beyond it."""
    times = part.column(TIME).combine_chunks()
    if is_in_order(times, day_rows):
        values = _values(times)
        begin, end = bisect_left(values, window.begin_ns), bisect_left(values, window.end_ns)
        return part.slice(begin, end - begin)
    from pyarrow import compute

    return part.filter(compute.and_(compute.greater_equal(times, window.begin_ns), compute.less(times, window.end_ns)))


def in_order(piece: "pyarrow.Table", day_rows: int) -> "pyarrow.Table":
    """The rows by time; those of one instant stay in the order in which they were stored."""
    times = piece.column(TIME).combine_chunks()
    if is_in_order(times, day_rows):
        return piece
    from pyarrow import compute

    # Stable: Arrow's documentation of `sort_indices`.
    return piece.take(compute.sort_indices(times))


def is_in_order(times: "pyarrow.Array", day_rows: int) -> bool:
    """Whether no time is before the one that precedes it."""
    if len(times) < 2:
        return True
    if day_rows < IMPORT_ROWS_MIN:
        values = list(_values(times))
        return values == sorted(values)
    from pyarrow import compute

    last = len(times) - 1
    return bool(compute.all(compute.less_equal(times.slice(0, last), times.slice(1))).as_py())


def _values(times: "pyarrow.Array") -> Sequence[int]:
    """The times where they lie, without a copy. A source has no null among them."""
    assert times.null_count == 0
    return memoryview(times.buffers()[1]).cast("q")[times.offset : times.offset + len(times)]
