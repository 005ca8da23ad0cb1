"""Records to Parquet: one file per table and UTC date. The only module of the writer that imports pyarrow, and late.

All files are written and forced to the disk under hidden names first and renamed afterwards, so a reader finds whole
files only. Names and contents follow from the segment alone: sealing it again writes the same rows over the same names.
"""

import os
import re
from contextlib import suppress
from typing import Any

from agent.failpoint import failpoint
from agent.model.errors import FormatError
from agent.model.table import Row
from agent.model.timebase import DAY, civil_date, compact_utc, iso_utc
from workers.writer.digest import MAGIC, add_digest
from workers.writer.folder import make_folder, sync_folder
from workers.writer.readers import ReaderGroup
from workers.writer.record import Record, SegmentHead, TableForm, decode_rows
from workers.writer.report import SealedFile

# Bounds the memory of a sealer: so many rows over all files wait in memory, and no row group is larger.
ROWS_WAITING_MAX = 20_000
BYTES_WAITING_MAX = 16 << 20
# A segment spans two dates at most while the clock is sane; what goes beyond this counts as damage.
FILES_MAX = 256
# Year 9999: dates beyond it have no four digits.
_STAMP_END_NS = 2_932_897 * DAY
_UNFIT_FOR_NAMES = re.compile(r"[^A-Za-z0-9._-]")

_TYPES: dict[str, tuple[type, ...]] = {"int64": (int,), "float64": (float, int), "utf8": (str,), "bool": (bool,)}


def file_name(head: SegmentHead, form: TableForm) -> str:
    """The final name of a table's file: prefix, host, UTC time and id of the segment."""
    host = _UNFIT_FOR_NAMES.sub("_", head.host) or "_"
    return f"{form.prefix}{host}-{compact_utc(head.created_wall_ns)}-{head.segment}.parquet"


class _TableFile:
    """One Parquet file in the making. Record batches wait in memory until they are worth a row group."""

    def __init__(self, schema: Any, table: str, hidden_path: str, final_path: str) -> None:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        self.table = table
        self.hidden_path = hidden_path
        self.final_path = final_path
        self.rows = self.rows_waiting = self.bytes_waiting = 0
        self._waiting: list[Any] = []
        self._schema = schema
        # A file of Arrow's own instead of a path keeps its file system layer out of the process.
        self._sink = pa.OSFile(hidden_path, "wb")
        # The checksums are for the readers of single pages; the digest below is for the file.
        self._writer = ParquetWriter(self._sink, schema, compression="zstd", write_page_checksum=True)

    def add(self, batch: Any) -> None:
        self._waiting.append(batch)
        self.rows += batch.num_rows
        self.rows_waiting += batch.num_rows
        self.bytes_waiting += batch.nbytes

    def flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            group = pa.Table.from_batches(self._waiting, schema=self._schema).combine_chunks()
            self._writer.write_table(group, row_group_size=ROWS_WAITING_MAX)
        self._waiting.clear()
        self.rows_waiting = self.bytes_waiting = 0

    def finish(self, readers: ReaderGroup) -> None:
        self.flush()
        self._writer.close()
        self._sink.close()
        add_digest(self.hidden_path)
        failpoint("sealer.file_written")
        descriptor = os.open(self.hidden_path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            readers.share_file(descriptor, self.final_path)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def forget(self) -> None:
        """Write nothing more: else Arrow finishes the file when Python forgets it, and complains of a full disk once more."""
        self._writer.is_open = False


class ParquetFiles:
    """The files of one segment."""

    def __init__(self, head: SegmentHead, data_directory: str, readers: ReaderGroup | None = None) -> None:
        self._head = head
        self._readers = readers or ReaderGroup()
        self._data_directory = data_directory
        self._hidden_directory = os.path.join(data_directory, ".tmp")
        self._files: dict[tuple[str, str], _TableFile] = {}
        self._schemas: dict[str, Any] = {}
        make_folder(data_directory, self._readers)
        make_folder(self._hidden_directory)

    def add(self, record: Record) -> int:
        """Take one batch and give the number of its rows. *Raises:* FormatError when it does not fit its table; OSError."""
        form = self._head.tables.get(record.entry.table)
        if form is None:
            raise FormatError("spool record", f"its segment has no table {record.entry.table!r}")
        batch = _batch_of(decode_rows(record.rows), form, self._schema(record.entry.table, form))
        if batch is not None:
            self._file(record.entry.table, form, record.entry.stamp_wall_ns).add(batch)
            self._flush_largest()
        return 0 if batch is None else int(batch.num_rows)

    def finish(self) -> tuple[SealedFile, ...]:
        """Write, force to the disk and rename all. *Raises:* OSError, and then no file or some files have their names."""
        files = [self._files[key] for key in sorted(self._files)]
        for file in files:
            file.finish(self._readers)
        for file in files:
            folder = os.path.dirname(file.final_path)
            make_folder(folder, self._readers)
            failpoint("sealer.before_rename")
            os.rename(file.hidden_path, file.final_path)
            failpoint("sealer.renamed")
        for folder in sorted(self._folders(files)):
            sync_folder(folder)
        return tuple(SealedFile(table=file.table, path=file.final_path, rows=file.rows) for file in files)

    def discard(self) -> None:
        """Remove what was not finished: a failed sealing must not fill the disk that it found full. *Raises:* nothing."""
        for file in self._files.values():
            file.forget()
            with suppress(OSError):
                os.unlink(file.hidden_path)

    def _folders(self, files: list[_TableFile]) -> set[str]:
        dates = {os.path.dirname(file.final_path) for file in files}
        # The names of new folders stand in the folders above them.
        return dates | {os.path.dirname(date) for date in dates} | ({self._data_directory} if dates else set())

    def _schema(self, table: str, form: TableForm) -> Any:
        if table not in self._schemas:
            self._schemas[table] = _schema_of(self._head, table, form)
        return self._schemas[table]

    def _file(self, table: str, form: TableForm, stamp_wall_ns: int) -> _TableFile:
        if not 0 <= stamp_wall_ns < _STAMP_END_NS:
            raise FormatError("spool record", f"its stamp {stamp_wall_ns} is no time of this era")
        date = civil_date(stamp_wall_ns)
        found = self._files.get((table, date))
        if found is None:
            if len(self._files) >= FILES_MAX:
                raise FormatError("spool record", f"its segment spans more than {FILES_MAX} tables and dates")
            name = file_name(self._head, form)
            final_path = os.path.join(self._data_directory, table, f"date={date}", name)
            hidden_path = os.path.join(self._hidden_directory, f"{table}-{date}-{name}")
            found = self._files[table, date] = _TableFile(self._schemas[table], table, hidden_path, final_path)
        return found

    def _flush_largest(self) -> None:
        files = self._files.values()
        too_many = sum(file.rows_waiting for file in files) >= ROWS_WAITING_MAX
        if too_many or sum(file.bytes_waiting for file in files) >= BYTES_WAITING_MAX:
            max(files, key=lambda file: file.bytes_waiting).flush()


def _schema_of(head: SegmentHead, table: str, form: TableForm) -> Any:
    import pyarrow as pa

    types = {"int64": pa.int64(), "float64": pa.float64(), "utf8": pa.utf8(), "bool": pa.bool_()}
    if not set(form.dtypes) <= set(types) or len(form.dtypes) != len(form.names):
        raise FormatError("spool segment", f"its table {table} has columns of types that this version does not know")
    metadata = {
        "host": head.host,
        "run": head.run,
        "schema_version": str(form.version),
        "agent_version": head.agent_version,
        "table": table,
        "segment": head.segment,
        "created": iso_utc(head.created_wall_ns),
        # A reader that misses the block knows by this that there was one.
        "digest": MAGIC.decode(),
    }
    return pa.schema([(name, types[dtype]) for name, dtype in zip(form.names, form.dtypes, strict=True)], metadata=metadata)


def _batch_of(rows: list[Row], form: TableForm, schema: Any) -> Any | None:
    """The rows as one record batch; None for no rows. *Raises:* FormatError."""
    import pyarrow as pa

    if not rows:
        return None
    if {len(row) for row in rows} != {len(form.names)}:
        raise FormatError("spool record", f"a row has not the {len(form.names)} values of its table")
    columns = zip(*rows, strict=True)
    arrays = [_array(list(values), dtype, field.type) for values, dtype, field in zip(columns, form.dtypes, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: list[Any], dtype: str, arrow_type: Any) -> Any:
    import pyarrow as pa

    found = set(map(type, values)) - {type(None)}
    # Arrow would cut 1.5 to 1 for an integer column and take True for 1.0: the types are compared here.
    if not found <= set(_TYPES[dtype]):
        raise FormatError("spool record", f"values of {dtype} are {', '.join(sorted(kind.__name__ for kind in found))}")
    if dtype == "float64" and int in found:
        values = [None if value is None else float(value) for value in values]
    try:
        return pa.array(values, type=arrow_type)
    except (pa.ArrowException, OverflowError) as cause:
        raise FormatError("spool record", f"values do not fit {dtype}: {cause}") from cause
