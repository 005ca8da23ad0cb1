"""The Parquet files of one segment: one per table and UTC date. It brings pyarrow, and that late.

All files are written and forced to the disk under hidden names first and renamed afterwards, so a reader finds whole
files only. Names and contents follow from the segment alone: sealing it again writes the same rows, and a file that an
earlier sealing of it left under another name (it read less of the segment) goes first. The rows are in the spool meanwhile.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from agent.failpoint import failpoint
from agent.model.errors import FormatError
from agent.model.message import encode
from agent.model.row_check import TIMESTAMP, BadRow
from agent.model.tables import GAP
from agent.model.timebase import DAY, HOUR, civil_date
from agent.store.layout import HIDDEN_FOLDER, SealedName, date_folder, file_name, parse_sealed_name
from agent.store.parquet_writer import FileMarks, ParquetFile
from agent.store.record import Entry, EntryOrigin, OtherForm, Record, SegmentHead, TableForm
from agent.store.spool_reader import OtherHost
from workers.writer.folder import make_folder, sync_folder
from workers.writer.foreign import STAMP_END_NS
from workers.writer.gap import bad_rows_gap
from workers.writer.readers import ReaderGroup
from workers.writer.report import RefusedRows, SealedFile
from workers.writer.shared_tables import SharedTables

if TYPE_CHECKING:
    import pyarrow

    from agent.store.arrow import Conversion, Converted

# Bounds the memory of a sealer: at most this many rows of all files wait in memory, and no row group is larger.
ROWS_WAITING_MAX = 20_000
BYTES_WAITING_MAX = 16 << 20
# A segment spans two dates at most while the clock is sane; what goes beyond this counts as damage.
FILES_MAX = 256
# Rows are counted for at most this many different problems; further problems count with the last.
PROBLEMS_MAX = 16
# Of them, those that other hosts can be the first to have: tables of newer versions, and dates of wrong clocks.
FOREIGN_FILES_MAX = FILES_MAX // 2
# Rows of another host may be so much older or newer than the stamp of their batch. A report may wait for a writer for hours.
OLDER_MAX_NS, NEWER_MAX_NS = 1 * DAY, 1 * HOUR
# Of what a decoder says about bytes that are no rows.
_PROBLEM_CHARACTERS_MAX = 100


class _Place(Struct, frozen=True):
    """Where the file of a table and date belongs, without the times of its rows."""

    table: str
    folder: str
    prefix: str


class _TableFile:
    """One Parquet file in the making. Record batches wait in memory until they are worth a row group."""

    def __init__(self, place: _Place, file: ParquetFile, schema: "pyarrow.Schema", segment: str, host: str) -> None:
        self.place = place
        self.file = file
        self.schema = schema
        self.rows_waiting = self.bytes_waiting = 0
        self._segment = segment
        self._host = host
        self._waiting: list[Any] = []
        self._first_wall_ns: int | None = None
        self._last_wall_ns: int | None = None

    def add(self, converted: "Converted", stamp_wall_ns: int) -> None:
        """Take one batch in; rows without a time of their own have that of their batch."""
        first = stamp_wall_ns if converted.first_wall_ns is None else converted.first_wall_ns
        last = stamp_wall_ns if converted.last_wall_ns is None else converted.last_wall_ns
        self._first_wall_ns = first if self._first_wall_ns is None else min(self._first_wall_ns, first)
        self._last_wall_ns = last if self._last_wall_ns is None else max(self._last_wall_ns, last)
        batch = converted.in_schema(self.schema)
        self._waiting.append(batch)
        self.rows_waiting += batch.num_rows
        self.bytes_waiting += batch.nbytes

    def flush(self) -> None:
        """Write what waits as one row group."""
        self.file.write_group(self._waiting)
        self._waiting.clear()
        self.rows_waiting = self.bytes_waiting = 0

    def finish(self, readers: ReaderGroup) -> None:
        """Everything is on the disk, under the hidden name."""
        self.flush()
        self.file.close()
        failpoint("sealer.file_written")
        self.file.force(lambda descriptor: readers.share_file(descriptor, self.final_path))

    @property
    def final_path(self) -> str:
        """Its path, once all rows are in."""
        assert self._first_wall_ns is not None
        assert self._last_wall_ns is not None
        name = SealedName(
            self.place.prefix, self._host, self._first_wall_ns, self._last_wall_ns, is_compacted=False, segment=self._segment
        )
        return os.path.join(self.place.folder, file_name(name))

    def publish(self) -> None:
        """Give the file its name, in place of what an earlier sealing of the same segment left."""
        final_path = self.final_path
        for name in os.listdir(self.place.folder):
            found = parse_sealed_name(name, self.place.prefix)
            is_previous = found is not None and not found.is_compacted and found.segment == self._segment
            if is_previous and name != os.path.basename(final_path):
                os.unlink(os.path.join(self.place.folder, name))
        failpoint("sealer.before_rename")
        os.rename(self.file.path, final_path)
        failpoint("sealer.renamed")


class SegmentFiles:
    """The files of one segment. `refused` counts the rows that were not stored, by table, column and problem.

    `shared`: which columns rows of other hosts have in it. They lie in the files of their tables like this host's own.
    """

    def __init__(
        self, head: SegmentHead, data_directory: str, readers: ReaderGroup | None = None, shared: SharedTables | None = None
    ) -> None:
        self._head = head
        self._shared = shared or SharedTables(head)
        self._readers = readers or ReaderGroup()
        self._data_directory = data_directory
        self._hidden_directory = os.path.join(data_directory, HIDDEN_FOLDER)
        self._files: dict[tuple[str, str], _TableFile] = {}
        self._conversions: dict[tuple[str, OtherForm | None], Conversion] = {}
        self._foreign_files: set[tuple[str, str]] = set()
        self._refused: dict[tuple[str, BadRow], int] = {}
        make_folder(data_directory, self._readers)
        make_folder(self._hidden_directory)

    @property
    def refused(self) -> tuple[RefusedRows, ...]:
        """The rows that did not fit their table, counted by problem."""
        found = self._refused.items()
        return tuple(RefusedRows(table, bad.column, bad.problem, rows) for (table, bad), rows in found)

    def add(self, record: Record) -> int:
        """Take one batch and give the number of its rows that are stored; the others become a row of table `gap`.

        *Raises:* FormatError when its bytes are no rows of a known table; OSError.
        """
        entry = record.entry
        if entry.origin is not None:
            return self._add_foreign(record, entry.origin)
        form = self._head.tables.get(entry.table)
        if form is None:
            raise FormatError("spool record", f"its segment has no table {entry.table!r}")
        if not 0 <= entry.stamp_wall_ns < STAMP_END_NS:
            raise FormatError("spool record", f"its stamp {entry.stamp_wall_ns} is no time of this era")
        converted = self._conversion(entry.table, form).convert(record.rows)
        if converted.bad:
            self._refuse(entry, converted.bad)
        if converted.batch.num_rows:
            self._file(entry.table, form, entry.stamp_wall_ns).add(converted, entry.stamp_wall_ns)
            self._flush_largest()
        return int(converted.batch.num_rows)

    def _add_foreign(self, record: Record, origin: EntryOrigin) -> int:
        """The same for another host's batch. What cannot be stored of it is refused; the segment is not damaged by it.

        *Raises:* OSError.
        """
        entry, form = record.entry, self._shared.columns(record.entry)
        if isinstance(form, TableForm) and not self._has_room(origin.table, entry.stamp_wall_ns):
            form = f"the segment spans more than {FOREIGN_FILES_MAX} tables and dates of other hosts"
        if isinstance(form, str):
            self._refuse(entry, [BadRow("", form)] * entry.rows)
            return 0
        try:
            conversion = self._conversion(origin.table, form, origin.form)
            converted = conversion.convert(record.rows, OtherHost(origin.host, origin.install))
        except FormatError as failure:
            self._refuse(entry, [BadRow("", f"no rows: {failure.problem}"[:_PROBLEM_CHARACTERS_MAX])] * entry.rows)
            return 0
        bad = list(converted.bad)
        rows = converted.batch.num_rows
        if rows and not _is_about(converted, entry.stamp_wall_ns):
            # The name of the file says between which times its rows are, and by it files are found and removed.
            bad += [BadRow(TIMESTAMP, "of another day than its batch")] * rows
            rows = 0
        if bad:
            self._refuse(entry, bad)
        if rows:
            self._file(origin.table, form, entry.stamp_wall_ns).add(converted, entry.stamp_wall_ns)
            self._flush_largest()
        return int(rows)

    def _has_room(self, table: str, stamp_wall_ns: int) -> bool:
        """Whether another host's batch has a file, or can have one: this host's own rows have the other half of them."""
        if not 0 <= stamp_wall_ns < STAMP_END_NS:
            return False
        key = table, civil_date(stamp_wall_ns)
        if key not in self._files and len(self._foreign_files) >= FOREIGN_FILES_MAX:
            return False
        if key not in self._files:
            self._foreign_files.add(key)
        return True

    def finish(self) -> tuple[SealedFile, ...]:
        """Write, force to the disk and rename all. *Raises:* OSError, and then no file or some files have their names."""
        files = [self._files[key] for key in sorted(self._files)]
        for file in files:
            file.finish(self._readers)
        for file in files:
            make_folder(file.place.folder, self._readers)
            file.publish()
        for folder in sorted(self._folders(files)):
            sync_folder(folder)
        return tuple(SealedFile(table=file.place.table, path=file.final_path, rows=file.file.rows) for file in files)

    def discard(self) -> None:
        """Remove what was not finished: a failed sealing must not fill the disk that it found full. *Raises:* nothing."""
        for file in self._files.values():
            file.file.forget()
            with suppress(OSError):
                os.unlink(file.file.path)

    def _refuse(self, entry: Entry, bad: Sequence[BadRow]) -> None:
        """Count bad rows, and account for them in table `gap`, beside the rows of the segment that were good."""
        for each in bad:
            key = (entry.measured_table, each)
            if key not in self._refused and len(self._refused) >= PROBLEMS_MAX:
                key = next(reversed(self._refused))
            self._refused[key] = self._refused.get(key, 0) + 1
        form = self._head.tables.get(GAP.name)
        if form is None or form.names != GAP.column_names:
            # A segment of another version's: only its report has them.
            return
        row = bad_rows_gap(entry, len(bad)).row(entry.stamp_wall_ns)
        converted = self._conversion(GAP.name, form).convert(encode([row]))
        assert not converted.bad, "a row of the writer's own fits its table"
        self._file(GAP.name, form, entry.stamp_wall_ns).add(converted, entry.stamp_wall_ns)

    def _folders(self, files: list[_TableFile]) -> set[str]:
        dates = {file.place.folder for file in files}
        # The names of new folders stand in the folders above them.
        return dates | {os.path.dirname(date) for date in dates} | ({self._data_directory} if dates else set())

    def _conversion(self, table: str, form: TableForm, other: OtherForm | None = None) -> "Conversion":
        from agent.store.arrow import Conversion

        found = self._conversions.get((table, other))
        if found is None:
            is_shared = self._shared.form(table) is not None
            found = self._conversions[table, other] = Conversion(form, self._head.host, is_shared=is_shared)
        return found

    def _file(self, table: str, form: TableForm, stamp_wall_ns: int) -> _TableFile:
        from agent.store.arrow import schema_of

        date = civil_date(stamp_wall_ns)
        found = self._files.get((table, date))
        if found is None:
            if len(self._files) >= FILES_MAX:
                raise FormatError("spool record", f"its segment spans more than {FILES_MAX} tables and dates")
            head = self._head
            place = _Place(table, os.path.join(self._data_directory, table, date_folder(date)), form.prefix)
            hidden_path = os.path.join(self._hidden_directory, f"{table}-{date}-{head.segment}.parquet")
            united = self._shared.form(table) or form
            marks = FileMarks(
                table, head.segment, head.host, head.install, united.version, head.agent_version, head.created_wall_ns, head.run,
                foreign_columns=self._shared.foreign_columns(table),
            )  # fmt: skip
            schema = schema_of(united, is_shared=self._shared.form(table) is not None)
            file = ParquetFile(hidden_path, schema, marks)
            found = self._files[table, date] = _TableFile(place, file, schema, head.segment, head.host)
        return found

    def _flush_largest(self) -> None:
        files = self._files.values()
        too_many = sum(file.rows_waiting for file in files) >= ROWS_WAITING_MAX
        if too_many or sum(file.bytes_waiting for file in files) >= BYTES_WAITING_MAX:
            max(files, key=lambda file: file.bytes_waiting).flush()


def _is_about(converted: "Converted", stamp_wall_ns: int) -> bool:
    """Whether the rows of a batch are of about the time that the batch says."""
    first, last = converted.first_wall_ns, converted.last_wall_ns
    if first is None or last is None:
        return False
    return stamp_wall_ns - OLDER_MAX_NS <= first and last <= stamp_wall_ns + NEWER_MAX_NS
