"""Where `agentctl top` has its samples from: the end of the open spool, else the newest sealed file.

Only what was appended since the last look is read. Nothing is locked or changed.
"""

import os
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from agent.cli.top_sample import HOST_TABLES, PROCESS_TABLE, TICK_TABLES, Named, Sample, sample_of
from agent.model.errors import FormatError
from agent.model.table import INSTALL_COLUMN
from agent.store.install import is_other, read_install
from agent.store.layout import DATA_FOLDER
from agent.store.record import Damage, Record, SegmentHead, TableForm, parse_head, parse_records, table_word
from agent.store.segment import generation_in_sealed
from agent.store.spool_reader import list_segments, read_from, refusal, sealed_files

# A new segment may hold no tick yet; the one before it holds the last.
SEGMENTS_BACK = 2
# A segment of a quarter of an hour has thousands of records; a minute of them is in its last bytes.
END_BYTES = 1 << 20

SampleT = TypeVar("SampleT")
SampleT_co = TypeVar("SampleT_co", covariant=True)


class TickCollector(Protocol[SampleT_co]):
    """What makes samples of the batches of some tables. It keeps a bounded number of ticks."""

    def put(self, table: str, stamp_wall_ns: int, form: TableForm, rows: bytes) -> None:
        """Take a batch in."""
        ...

    def newest(self, host: str) -> SampleT_co | None:
        """The newest whole sample, None when there is none. *Raises:* FormatError when its rows are damaged."""
        ...


class SampleFollower(Generic[SampleT]):
    """Follows some tables of the spool, the main one first, from segment to segment; those of other installations are left out.

    `damaged` counts stretches of bytes that were no record. Of a segment that is opened at least `span_ns` is read.
    """

    def __init__(self, state_dir: str, tables: tuple[str, ...], ticks: TickCollector[SampleT], *, span_ns: int = 0) -> None:
        self._state_dir = state_dir
        self._tables = tables
        self._words = frozenset(map(table_word, tables))
        self._path = ""
        self._offset = 0
        self._head: SegmentHead | None = None
        # Of the last segment that had one: the newest may be without a head yet, and the tick is in the one before it.
        self._host: str | None = None
        self._ticks = ticks
        self._span_ns = span_ns
        self._sample: SampleT | None = None
        self.damaged = 0

    def poll(self) -> SampleT | None:
        """The newest whole sample, None before the first. *Raises:* PermissionRefused, StorageError."""
        paths = list_segments(self._state_dir)
        # What was appended to the segment at hand is read before the next is opened.
        start = paths.index(self._path) if self._path in paths else max(0, len(paths) - SEGMENTS_BACK)
        for path in paths[max(start, len(paths) - SEGMENTS_BACK) :]:
            if path != self._path:
                self._path, self._offset, self._head = path, 0, None
            self._read_on()
        if self._host is not None:
            try:
                self._sample = self._ticks.newest(self._host) or self._sample
            except FormatError:
                self.damaged += 1
        return self._sample

    def _read_on(self) -> None:
        try:
            data = read_from(self._path, self._offset)
        except FileNotFoundError:
            # Sealed and removed since it was listed.
            return
        except OSError as cause:
            raise refusal(self._path, cause) from cause
        begin = 0
        if self._head is None:
            try:
                head, begin = parse_head(data)
            except FormatError:
                # The head is being written, or is damaged for good; the next look begins here again.
                return
            if is_other(head.install, read_install(self._state_dir) or ""):
                return
            self._head, self._host = head, head.host
            self._take(self._end_of(data, begin), len(data), self._head)
        else:
            self._take(parse_records(data, 0, self._words), len(data), self._head)

    def _end_of(self, data: bytes, begin: int) -> list[Record | Damage]:
        """The last records of a segment that is opened, with two ticks of the main table at least where there are as many."""
        size = END_BYTES
        while len(data) - size > begin:
            found = list(parse_records(data, len(data) - size, self._words))
            records = [each for each in found if isinstance(each, Record)]
            stamps = {each.entry.stamp_wall_ns for each in records if each.entry.table == self._tables[0]}
            if len(stamps) > 1 and max(stamps) - min(stamps) >= self._span_ns:
                # What stands before the first record is the end of one that began earlier, and no damage.
                return found if isinstance(found[0], Record) else found[1:]
            size *= 8
        return list(parse_records(data, begin, self._words))

    def _take(self, records: Iterable[Record | Damage], end: int, head: SegmentHead) -> None:
        for found in records:
            if isinstance(found, Damage):
                if found.torn:
                    # A record that is being written: the next look begins at it again.
                    end = found.offset
                else:
                    self.damaged += 1
                continue
            entry = found.entry
            if entry.rows and entry.table in self._tables and entry.table in head.tables:
                self._ticks.put(entry.table, entry.stamp_wall_ns, head.tables[entry.table], found.rows)
        self._offset += end


def newest_sealed_sample(state_dir: str) -> Sample | None:
    """The last tick of processes that was sealed, None when there is none. *Raises:* FormatError, StorageError."""
    rows = {table: newest_sealed_rows(state_dir, table) for table in (*TICK_TABLES, *HOST_TABLES)}
    stamps = [stamp for row in rows[PROCESS_TABLE] if isinstance(stamp := row.get("timestamp"), int)]
    return sample_of(max(stamps), os.uname().nodename, rows) if stamps else None


def newest_sealed_rows(state_dir: str, table: str) -> list[Named]:
    """The last rows of the newest whole Parquet file of a table, none when there is no such file or table.

    *Raises:* FormatError, PermissionRefused, StorageError.
    """
    # Its patterns and footers cost 5 ms; top needs them only where there is no open spool.
    from agent.store.sealed import choose, owners_of, wanted_of
    from workers.registry import tables

    declared = next((known for known in tables() if known.name == table), None)
    if declared is None:
        return []
    owners = owners_of(os.path.join(state_dir, DATA_FOLDER))
    # From the newest on, until one is whole and the agent's own. The path begins with a date, and the clock may have been wrong
    # for a while.
    for path in sorted(sealed_files(state_dir, table), key=lambda path: (generation_in_sealed(path), path), reverse=True):
        found = choose([path], wanted_of(declared, read_install(state_dir) or ""), owners)
        if found.files and (rows := _last_rows(path)):
            return rows
        if any(entry.refused for entry in found.left_out):
            raise refusal(path, PermissionError())
    return []


def _last_rows(path: str) -> list[Named]:
    """This host's rows of the last row group of a Parquet file that has any."""
    # pyarrow costs 100 ms; top needs it only where there is no open spool.
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            for group in reversed(range(file.num_row_groups)):
                rows: list[Named] = file.read_row_group(group).to_pylist()
                # A hub's files have rows of other hosts too.
                if own := [row for row in rows if row.pop(INSTALL_COLUMN, None) is None]:
                    return own
    except (OSError, pyarrow.ArrowException) as cause:
        raise FormatError(path, f"it is no readable Parquet file ({cause})", "move it out of the data folder") from cause
    return []
