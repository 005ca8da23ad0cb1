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
from agent.model.timebase import DAY, civil_date, compact_utc, iso_utc
from agent.store.digest import MAGIC, add_digest
from agent.store.record import Record, SegmentHead, TableForm
from workers.writer.folder import make_folder, sync_folder
from workers.writer.readers import ReaderGroup
from workers.writer.report import SealedFile

# Bounds the memory of a sealer: so many rows over all files wait in memory, and no row group is larger.
ROWS_WAITING_MAX = 20_000
BYTES_WAITING_MAX = 16 << 20
# A segment spans two dates at most while the clock is sane; what goes beyond this counts as damage.
FILES_MAX = 256
# Year 9999: dates beyond it have no four digits.
_STAMP_END_NS = 2_932_897 * DAY
_UNFIT_FOR_NAMES = re.compile(r"[^A-Za-z0-9._-]")


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
        from agent.store.arrow import record_batch

        schema = self._schema(record.entry.table, form)
        batch = record_batch(record.rows, form).replace_schema_metadata(schema.metadata)
        if batch.num_rows:
            self._file(record.entry.table, form, record.entry.stamp_wall_ns).add(batch)
            self._flush_largest()
        return int(batch.num_rows)

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
    from agent.store.arrow import schema_of

    return schema_of(form).with_metadata(
        {
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
    )
