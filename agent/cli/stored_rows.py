"""Rows of one table within a range of time, from open spool and sealed files, each once. It imports pyarrow when files are read.

For views that show a moment of the past: a range is some seconds or an hour, and of each file only the row groups and columns
that it needs are decoded, batch by batch, so that memory does not grow with the day's size.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from agent.cli.held_files import HeldFile, HeldFiles
from agent.cli.sealed_listing import list_sealed, reaches_spool
from agent.cli.time_bounds import EVERYTHING, TimeBounds
from agent.model.errors import BusyError, FormatError
from agent.model.table import HOST_COLUMN, INSTALL_COLUMN, Table, Value
from agent.model.timebase import S
from agent.store.install import is_other, read_install
from agent.store.layout import DATA_FOLDER, parse_sealed_name
from agent.store.origin_form import form_in
from agent.store.record import Damage, Entry, Record, SegmentHead, TableForm, foreign_name, parse_head, parse_records, table_word
from agent.store.row_decoder import RowDecoder
from agent.store.sealed import owners_of, wanted_of
from agent.store.segment import created_wall_ns
from agent.store.spool_reader import list_segments, read_from, refusal

if TYPE_CHECKING:
    import pyarrow

TIMESTAMP = "timestamp"
ATTEMPTS = 3
BATCH_ROWS = 8_192
# As columns they are smaller, and each batch costs some time of its own.
HELD_BATCH_ROWS = 65_536
# A batch is stamped with its tick; its rows are read, and a new segment may take it in, within this time.
STAMP_SLACK_NS = 600 * S

Named = dict[str, Value]
RowsT = TypeVar("RowsT")


class StoredRows:
    """Reads a table of a state folder. Nothing is locked or changed, and nothing is held between two calls.

    Rows that a hub has stored of other hosts are passed over, unless `all_hosts`: then `host` says whose each is.
    """

    def __init__(self, state_dir: str, table: Table, *, all_hosts: bool = False) -> None:
        self._state_dir = os.path.realpath(state_dir)
        self._install = read_install(self._state_dir) or ""
        self._wanted = wanted_of(table, self._install)
        self._table = table
        self._all_hosts = all_hosts
        names = (table.name, foreign_name(table.name)) if all_hosts else (table.name,)
        self._words = frozenset(map(table_word, names))
        # Why files within the bounds of calls since this was last emptied were not read, by path.
        self.left_out: dict[str, str] = {}

    @property
    def table(self) -> str:
        """The name of the table."""
        return self._table.name

    def rows(self, bounds: TimeBounds, columns: Sequence[str] | None = None) -> list[Named]:
        """The rows by column name, in no order. *Raises:* EvergaugeError."""
        return [row for _, rows in self._read(bounds, columns) for row in rows]

    def scan(self, bounds: TimeBounds, columns: Sequence[str], equal: tuple[str, str], batch_rows: int) -> Iterator[list[Named]]:
        """The rows in which a column has this text, in parts of some rows, of which only one is held. *Raises:* EvergaugeError."""
        with self._chosen(bounds, None, self._spooled) as (spooled, files):
            name, text = equal
            yield [{column: row.get(column) for column in columns} for row in spooled if row.get(name) == text]
            for file in files:
                wanted = (*columns, *({name} - {*columns}))
                for batch in _batches(file, bounds, wanted, batch_rows, all_hosts=self._all_hosts):
                    yield _equal(batch, name, text).select(list(columns)).to_pylist()

    @contextmanager
    def held(self, bounds: TimeBounds, columns: Sequence[str]) -> Iterator["HeldRows"]:
        """The rows as columns, to be looked at again and again: those of the spool are decoded once, files stay open.

        *Raises:* EvergaugeError.
        """
        with self._chosen(bounds, columns, self._spooled_batches) as (spooled, files):
            yield HeldRows(spooled, files, all_hosts=self._all_hosts)

    def values(self, bounds: TimeBounds, column: str) -> set[int]:
        """The whole numbers that a column has within the bounds. *Raises:* EvergaugeError."""
        found: set[int] = set()
        for values, rows in self._read(bounds, tuple(dict.fromkeys((column, TIMESTAMP))), distinct=column):
            found |= values
            found.update(value for row in rows if isinstance(value := row.get(column), int))
        return found

    def ends(self) -> list[tuple[int, int]]:
        """First and last second of each sealed file, and of each stretch of the spool, in unix nanoseconds.

        *Range:* to the second for sealed files, to the tick for the spool. *Raises:* EvergaugeError.
        """
        listing = list_sealed(self._state_dir, self._table.name, self._table.prefix, EVERYTHING, frozenset())
        names = (parse_sealed_name(os.path.basename(path), self._table.prefix) for path in listing.paths)
        ends = [(name.first_wall_ns, name.last_wall_ns) for name in names if name is not None]
        for path in list_segments(self._state_dir):
            stamps = [record.entry.stamp_wall_ns for record in self._batches(path)[1]]
            if stamps:
                ends.append((min(stamps), max(stamps)))
        return ends

    def _read(
        self, bounds: TimeBounds, columns: Sequence[str] | None, *, distinct: str | None = None
    ) -> list[tuple[set[int], list[Named]]]:
        """What each file and segment gives: distinct values of one column where these are asked for, or else rows."""
        with self._chosen(bounds, columns, self._spooled) as (spooled, files):
            all_hosts = self._all_hosts
            return [(set(), spooled), *(_sealed(file, bounds, columns, distinct, all_hosts=all_hosts) for file in files)]

    @contextmanager
    def _chosen(
        self,
        bounds: TimeBounds,
        columns: Sequence[str] | None,
        spool: Callable[[TimeBounds, Sequence[str] | None, set[str]], list[RowsT]],
    ) -> Iterator[tuple[list[RowsT], Sequence[HeldFile]]]:
        """The rows of the spool as `spool` gives them, and the sealed files that have the others, held open meanwhile."""
        known: frozenset[str] = frozenset()
        for _ in range(ATTEMPTS):
            read: set[str] = set()
            # The spool comes first: of a segment that is sealed from now on, the files are left out.
            spooled = spool(bounds, columns, read)
            listing = list_sealed(self._state_dir, self._table.name, self._table.prefix, bounds, frozenset(read))
            if reaches_spool(listing, sorted(read), known):
                known |= listing.compacted.keys()
                continue
            held = HeldFiles()
            try:
                owners = owners_of(os.path.join(self._state_dir, DATA_FOLDER))
                chosen = held.choose(listing.paths, self._wanted, owners, verify=False)
                self.left_out |= {entry.path: entry.reason for entry in chosen.left_out}
                refused = next((entry for entry in chosen.left_out if entry.refused), None)
                if refused is not None and not chosen.files:
                    raise refusal(refused.path, PermissionError())
                if not chosen.has_gone:
                    yield spooled, chosen.files
                    return
            finally:
                held.close()
        raise BusyError("stored rows", "sealed files went while they were looked at", "ask again")

    def _spooled(self, bounds: TimeBounds, columns: Sequence[str] | None, read: set[str]) -> list[Named]:
        rows: list[Named] = []
        for form, host, record in self._records(bounds, read):
            rows += _within(_named(form, record.rows, host), bounds, columns)
        return rows

    def _spooled_batches(self, bounds: TimeBounds, columns: Sequence[str] | None, read: set[str]) -> "list[pyarrow.RecordBatch]":
        import pyarrow

        from agent.store.arrow import Conversion

        made: dict[tuple[TableForm, str], tuple[Conversion, list[pyarrow.RecordBatch]]] = {}
        for form, host, record in self._records(bounds, read):
            key = form, host
            # A batch that cannot be read costs no other; table gap records it when the segment is sealed.
            with suppress(FormatError):
                if key not in made:
                    made[key] = Conversion(*key, {TIMESTAMP, *(columns or ())}), []
                conversion, batches = made[key]
                batches.append(conversion.convert(record.rows).batch)
        # In one piece: a batch is one tick, and each look at one costs some time of its own.
        tables = [pyarrow.Table.from_batches(batches, schema=each.schema) for each, batches in made.values()]
        return [_filtered(batch, bounds) for table in tables for batch in table.combine_chunks().to_batches()]

    def _records(self, bounds: TimeBounds, read: set[str]) -> Iterator[tuple[TableForm, str, Record]]:
        """The batches of the spool that may have rows within the bounds, with their columns and host; `read` gets the ids of the
        segments."""
        for path in list_segments(self._state_dir):
            created_ns = created_wall_ns(os.path.basename(path))
            # A segment from the future was opened before the clock was set back, and has rows of the time since.
            if created_ns is not None and bounds.until_ns < created_ns - STAMP_SLACK_NS <= time.time_ns():
                continue
            head, records = self._batches(path)
            if head is None:
                continue
            read.add(head.segment)
            for record in records:
                stamp_ns = record.entry.stamp_wall_ns
                if bounds.overlaps(stamp_ns - STAMP_SLACK_NS, stamp_ns + STAMP_SLACK_NS):
                    origin, form = record.entry.origin, form_in(head, record.entry)
                    if form is not None:
                        yield form, head.host if origin is None else origin.host, record

    def _batches(self, path: str) -> tuple[SegmentHead | None, list[Record]]:
        """The head of a segment and its batches of the table.

        *Absent:* None and none of a segment that has gone, has no head or is another installation's.
        """
        try:
            data = read_from(path, 0)
        except FileNotFoundError:
            return None, []
        except OSError as cause:
            raise refusal(path, cause) from cause
        try:
            head, begin = parse_head(data)
        except FormatError:
            return None, []
        if is_other(head.install, self._install):
            return None, []
        if self._table.name not in head.tables:
            return head, []
        records = [record for record in parse_records(data, begin, self._words) if not isinstance(record, Damage)]
        return head, [record for record in records if record.entry.rows and self._wants(record.entry)]

    def _wants(self, entry: Entry) -> bool:
        # Two words may be one.
        return entry.measured_table == self._table.name and (entry.origin is None or self._all_hosts)


class HeldRows:
    """The rows of a time as columns. *Shape:* batches of some columns; one that a file lacks is missing in its batches."""

    def __init__(self, spooled: "list[pyarrow.RecordBatch]", files: Sequence[HeldFile], *, all_hosts: bool = False) -> None:
        self._spooled = spooled
        self._files = files
        self._all_hosts = all_hosts

    def batches(
        self, bounds: TimeBounds, columns: Sequence[str], coded: Sequence[str] = (), rows_max: int = HELD_BATCH_ROWS
    ) -> "Iterator[pyarrow.RecordBatch]":
        """The rows within narrower bounds, in no order, at most so many in a batch; the time is always among the columns.

        Texts that repeat (`coded`) stay dictionaries where a file has them so, which costs a tenth. *Raises:* FormatError.
        """
        wanted = dict.fromkeys((TIMESTAMP, *columns))
        for batch in self._spooled:
            kept = _filtered(batch.select([name for name in batch.schema.names if name in wanted]), bounds)
            yield from (kept.slice(begin, rows_max) for begin in range(0, len(kept), rows_max))
        for file in self._files:
            yield from _batches(file, bounds, tuple(wanted), rows_max, coded, all_hosts=self._all_hosts)


def _named(form: TableForm, encoded: bytes, host: str) -> Iterator[Named]:
    """The rows of a batch that fit their table; table gap records the others, and damaged batches, when the segment is sealed."""
    try:
        rows, _ = RowDecoder(form).decode(encoded)
    except FormatError:
        return
    for row in rows:
        yield {**dict(zip(form.names, row, strict=True)), HOST_COLUMN: host}


def _within(rows: Iterator[Named], bounds: TimeBounds, columns: Sequence[str] | None) -> list[Named]:
    kept = [row for row in rows if isinstance(at := row.get(TIMESTAMP), int) and bounds.overlaps(at, at + 1)]
    return kept if columns is None else [{name: row.get(name) for name in columns} for row in kept]


def _sealed(
    file: HeldFile, bounds: TimeBounds, columns: Sequence[str] | None, distinct: str | None, *, all_hosts: bool
) -> tuple[set[int], list[Named]]:
    """What a file gives. *Raises:* FormatError."""
    values: set[int] = set()
    rows: list[Named] = []
    for batch in _batches(file, bounds, columns, BATCH_ROWS, all_hosts=all_hosts):
        if distinct is None:
            rows += batch.to_pylist()
        else:
            values.update(value for value in batch.column(distinct).unique().to_pylist() if isinstance(value, int))
    return values, rows


def _batches(
    file: HeldFile,
    bounds: TimeBounds,
    columns: Sequence[str] | None,
    batch_rows: int,
    coded: Sequence[str] = (),
    *,
    all_hosts: bool = False,
) -> Iterator["pyarrow.RecordBatch"]:
    """The rows of a file within the bounds, those of other hosts only for `all_hosts`. *Raises:* FormatError."""
    import pyarrow
    from pyarrow import parquet

    there = dict(file.columns)
    names = None if columns is None else [name for name in columns if name in there]
    is_shared = INSTALL_COLUMN in there and not all_hosts
    if is_shared and names is not None:
        names.append(INSTALL_COLUMN)
    try:
        with parquet.ParquetFile(file.place, page_checksum_verification=True, read_dictionary=[*coded]) as opened:
            groups = [group for group in range(opened.num_row_groups) if _may_hold(opened.metadata.row_group(group), bounds)]
            for batch in opened.iter_batches(batch_size=batch_rows, row_groups=groups, columns=names) if groups else ():
                yield _filtered(own_rows(batch) if is_shared else batch, bounds)
    except (OSError, pyarrow.ArrowException) as cause:
        raise FormatError(file.path, f"it is no readable Parquet file ({cause})", "move it out of the data folder") from cause


def own_rows(batch: "pyarrow.RecordBatch") -> "pyarrow.RecordBatch":
    """This host's rows of a batch that has column `install`, without that column."""
    from pyarrow import compute

    kept = batch.filter(compute.is_null(batch.column(INSTALL_COLUMN)))
    return kept.drop_columns([INSTALL_COLUMN])


def _may_hold(group: object, bounds: TimeBounds) -> bool:
    """Whether a row group may hold a row within the bounds, by its statistics; without any it may."""
    columns: int = group.num_columns  # type: ignore[attr-defined]  # pyarrow has no types
    for index in range(columns):
        column = group.column(index)  # type: ignore[attr-defined]
        if column.path_in_schema == TIMESTAMP:
            found = column.statistics
            return found is None or not found.has_min_max or bounds.overlaps(found.min, found.max + 1)
    return True


def _filtered(batch: "pyarrow.RecordBatch", bounds: TimeBounds) -> "pyarrow.RecordBatch":
    from pyarrow import compute

    at = batch.column(TIMESTAMP)
    since, until = max(bounds.since_ns, -(1 << 63)), min(bounds.until_ns, (1 << 63) - 1)
    return batch.filter(compute.and_(compute.greater_equal(at, since), compute.less(at, until)))


def _equal(batch: "pyarrow.RecordBatch", name: str, text: str) -> "pyarrow.RecordBatch":
    from pyarrow import compute

    return batch.filter(compute.equal(batch.column(name), text))
