"""The rows of a fleet's store: a bucket or a folder of Parquet files with its log. It imports pyarrow when files are read.

One snapshot answers a whole question, so that every table is seen at one moment. A file that was deleted meanwhile makes the
question be asked again, of a newer snapshot.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from agent.lake.bucket import Bucket, BucketFailure, FileGone
from agent.lake.log import LakeLog
from agent.lake.snapshot import LakeFile, LakeSnapshot, Wanted, read_lake
from agent.model.errors import BusyError
from agent.model.table import HOST_COLUMN
from agent.model.timebase import DAY
from agent.store.left_out import LeftOut, warnings_of

if TYPE_CHECKING:
    import pyarrow

T = TypeVar("T")

TABLES = (
    "process", "process_tail", "process_scan", "process_exit", "process_sketch", "occupancy", "gap", "export_gap", "pod_group",
)  # fmt: skip
TIMESTAMP = "timestamp"


class LakeRows:
    """A `agent.router.source.RowSource` of one snapshot."""

    def __init__(self, bucket: Bucket, snapshot: LakeSnapshot) -> None:
        self._bucket = bucket
        self._snapshot = snapshot
        self._left_out: dict[str, str] = {}
        self.is_delivered = True

    @property
    def shown(self) -> str:
        """See RowSource."""
        return self._bucket.shown

    def batches(
        self, table: str, since_ns: int, until_ns: int, columns: Sequence[str], rows_max: int
    ) -> "Iterator[pyarrow.RecordBatch]":
        """See RowSource. *Raises:* FileGone; BucketFailure."""
        for file in self._snapshot.of(table):
            if _may_hold(file.first_ns, file.last_ns, since_ns, until_ns):
                yield from self._rows_of(file, since_ns, until_ns, columns, rows_max)

    def _rows_of(
        self, file: LakeFile, since_ns: int, until_ns: int, columns: Sequence[str], rows_max: int
    ) -> "Iterator[pyarrow.RecordBatch]":
        import pyarrow
        from pyarrow import compute, parquet

        with self._bucket.open(file.path) as opened:
            try:
                with parquet.ParquetFile(opened, page_checksum_verification=True, pre_buffer=False) as read:
                    names = set(read.schema_arrow.names)
                    if not {TIMESTAMP, HOST_COLUMN} <= names:
                        self._left_out[file.path] = f"it has no columns {TIMESTAMP} and {HOST_COLUMN}"
                        return
                    groups = _row_groups(read.metadata, since_ns, until_ns)
                    wanted = [name for name in dict.fromkeys((TIMESTAMP, HOST_COLUMN, *columns)) if name in names]
                    for batch in read.iter_batches(batch_size=rows_max, row_groups=groups, columns=wanted) if groups else ():
                        at = batch.column(TIMESTAMP)
                        yield batch.filter(compute.and_(compute.greater_equal(at, since_ns), compute.less(at, until_ns)))
            except FileNotFoundError as gone:
                raise FileGone(file.path) from gone
            except _failures_of_bucket() as failure:
                where, remedy = f"{self.shown}/{file.path}", "look at the store, and ask again"
                raise BucketFailure(where, f"it cannot be read ({failure})", remedy, is_passing=True) from failure
            except (pyarrow.ArrowException, ValueError, OSError) as failure:
                self._left_out[file.path] = f"it is no readable Parquet file ({failure})"

    def marks(self, table: str) -> Mapping[str, int] | None:
        """See RowSource. *Absent:* None where no merger has stored any row."""
        marks = self._snapshot.state.marks
        return {host: mark.low_ns for host, mark in marks.get(table, {}).items()} if marks else None

    def warnings(self) -> list[str]:
        """See RowSource."""
        return warnings_of([LeftOut(path, reason) for path, reason in sorted(self._left_out.items())])


def with_lake(bucket: Bucket, since_ns: int, until_ns: int, ask: Callable[[LakeRows], T]) -> T:
    """What `ask` makes of the rows of a time; where files of it went meanwhile, of a newer snapshot. *Raises:* EvergaugeError."""
    # A day before for names of pods, a day behind for losses that were noticed late.
    span = Wanted(TABLES, since_ns - DAY, until_ns + DAY)
    try:
        return read_lake(bucket, LakeLog(bucket, "router"), span, lambda snapshot: ask(LakeRows(bucket, snapshot)))
    except FileGone as gone:
        raise BusyError(bucket.shown, f"files went while they were read, the last {gone.name}", "ask again") from gone


def _failures_of_bucket() -> tuple[type[Exception], ...]:
    """What reading a file of a bucket raises, where the library of buckets is in use: then a file is not to blame."""
    library = sys.modules.get("obstore.exceptions")
    return () if library is None else (library.BaseError,)


def _row_groups(metadata: object, since_ns: int, until_ns: int) -> list[int]:
    """The row groups that may hold rows of a time, by their statistics; without any it may."""
    found = []
    groups: int = metadata.num_row_groups  # type: ignore[attr-defined]  # pyarrow has no types
    for number in range(groups):
        group = metadata.row_group(number)  # type: ignore[attr-defined]
        for index in range(group.num_columns):
            column = group.column(index)
            if column.path_in_schema == TIMESTAMP:
                statistics = column.statistics
                has_ends = statistics is not None and statistics.has_min_max and isinstance(statistics.min, int)
                if not has_ends or _may_hold(statistics.min, statistics.max, since_ns, until_ns):
                    found.append(number)
    return found


def _may_hold(first_ns: int | None, last_ns: int | None, since_ns: int, until_ns: int) -> bool:
    return (first_ns is None or first_ns < until_ns) and (last_ns is None or last_ns >= since_ns)
