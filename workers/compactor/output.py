"""The files that a compaction writes, one after another, each up to the largest size. Imports pyarrow, late."""

import os
from typing import TYPE_CHECKING

import pyarrow
from msgspec import Struct
from pyarrow import compute

from agent.store.parquet_writer import FileMarks, ParquetFile, encodings_of
from workers.compactor.plan import FILE_BYTES_MAX
from workers.compactor.source import TIME
from workers.compactor.working_rows import RANK, WorkingRows

if TYPE_CHECKING:
    from collections.abc import Callable

# As large as DuckDB's own row groups: one thread reads one of them.
ROWS_MAX = 122_880
# Decoded. The writer holds a compressed copy of it beside.
BYTES_MAX = 32 << 20


class MergedFile(Struct, frozen=True):
    """One file, on this host's disk. *Units:* times are those of its first and last row by time."""

    local: str
    rows: int
    bytes: int
    first_ns: int
    last_ns: int
    hosts_min: str
    hosts_max: str


class _Span(Struct, frozen=True):
    first_rank: int
    last_rank: int
    first_ns: int
    last_ns: int


class CompactedOutput:
    """Takes rows in order, and gives files. *Raises:* OSError."""

    def __init__(
        self, folder: str, rows: WorkingRows, marks: "Callable[[int], FileMarks]", file_bytes_max: int = FILE_BYTES_MAX
    ) -> None:
        self._folder = folder
        self._rows = rows
        self._marks = marks
        # A row group and the footer still come.
        self._file_bytes = file_bytes_max - file_bytes_max // 16
        self.files: list[MergedFile] = []
        self._pending: list[pyarrow.Table] = []
        self._pending_rows = self._pending_bytes = 0
        self._file: ParquetFile | None = None
        self._span: _Span | None = None

    @property
    def row_count(self) -> int:
        """Of all files that are finished."""
        return sum(file.rows for file in self.files)

    def add(self, rows: pyarrow.Table) -> None:
        """Take the next rows."""
        while rows.num_rows:
            room = max(1, self._fitting(rows))
            self._keep(rows.slice(0, room))
            rows = rows.slice(room)

    def finish(self) -> None:
        """Write what is left."""
        self._write_group()
        self._close()

    def forget(self) -> None:
        """Write nothing more. *Raises:* nothing."""
        if self._file is not None:
            self._file.forget()
            self._file = None

    def _fitting(self, rows: pyarrow.Table) -> int:
        """How many of the rows have room in the row group at hand."""
        per_row = max(1, int(rows.nbytes) // int(rows.num_rows))
        return min(int(rows.num_rows), ROWS_MAX - self._pending_rows, (BYTES_MAX - self._pending_bytes) // per_row)

    def _keep(self, rows: pyarrow.Table) -> None:
        self._pending.append(rows)
        self._pending_rows += rows.num_rows
        self._pending_bytes += rows.nbytes
        if self._pending_rows >= ROWS_MAX or self._pending_bytes >= BYTES_MAX * 15 // 16:
            self._write_group()

    def _write_group(self) -> None:
        if not self._pending:
            return
        rows = pyarrow.concat_tables(self._pending).combine_chunks()
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0
        if self._file is None:
            schema = self._rows.file_schema
            path = os.path.join(self._folder, f"merged-{len(self.files)}")
            self._file = ParquetFile(path, schema, self._marks(len(self.files)), encodings_of(schema))
        self._span = _span_of(rows, self._span)
        self._file.write_group([self._rows.filed(rows)])
        if os.path.getsize(self._file.path) >= self._file_bytes:
            self._close()

    def _close(self) -> None:
        if self._file is None:
            return
        assert self._span is not None
        self._file.close()
        self._file.force()
        size, span, hosts = os.path.getsize(self._file.path), self._span, self._rows.hosts
        self.files.append(
            MergedFile(
                self._file.path, self._file.rows, size, span.first_ns, span.last_ns, hosts[span.first_rank], hosts[span.last_rank]
            )
        )
        self._file = self._span = None


def _span_of(rows: pyarrow.Table, before: _Span | None) -> _Span:
    """Of rows in order, and of those before them."""
    ranks, times = rows.column(RANK), compute.min_max(rows.column(TIME)).as_py()
    found = _Span(ranks[0].as_py(), ranks[-1].as_py(), times["min"], times["max"])
    if before is None:
        return found
    return _Span(before.first_rank, found.last_rank, min(before.first_ns, found.first_ns), max(before.last_ns, found.last_ns))
