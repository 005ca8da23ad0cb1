"""Rows of several sources in one form, and their order by host and time. Imports pyarrow, late.

Hosts are numbers here, in the order of their names' bytes: numbers are compared and sorted many times as fast as texts. A table of
working rows has the column `_RANK`, then those of the body (`workers.compactor.source.body_schema`), then the install.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

import pyarrow
from pyarrow import compute

from agent.model.table import HOST_COLUMN, INSTALL_COLUMN
from workers.compactor.source import TIME, LakePiece, LakeSource, UnfitSource, open_parquet

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

RANK = "_rank"
# Names of hosts have some 30 bytes.
HOSTS_MAX = 1_000_000
_FILE_TYPE = pyarrow.dictionary(pyarrow.int32(), pyarrow.utf8())
# First the number of the host, then the time.
Key = tuple[int, int]


class WorkingRows:
    """How the rows of some sources become working rows and back."""

    def __init__(self, sources: Sequence[LakeSource], body: pyarrow.Schema) -> None:
        self._body = body
        self.hosts = _hosts(sources)
        self._rank = {host: rank for rank, host in enumerate(self.hosts)}
        self.schema = pyarrow.schema([(RANK, pyarrow.int32()), *body, (INSTALL_COLUMN, pyarrow.utf8())])
        self.file_schema = pyarrow.schema([*body, (HOST_COLUMN, _FILE_TYPE), (INSTALL_COLUMN, _FILE_TYPE)])

    def first_key(self, piece: LakePiece) -> Key:
        """At or before its first row."""
        return self._rank[piece.first_host], piece.first_ns

    def last_key(self, piece: LakePiece) -> Key:
        """At or behind its last row."""
        return self._rank[piece.last_host], piece.last_ns

    def read(self, opened: "ParquetFile", source: LakeSource, piece: LakePiece) -> pyarrow.Table:
        """The rows of one row group, in the order in which they are stored. *Raises:* UnfitSource."""
        try:
            rows = opened.read_row_group(piece.index, use_threads=False)
            if rows.num_rows != piece.rows:
                raise UnfitSource(source.path, "a row group does not have the rows that it says", is_damaged=True)
            names = set(rows.schema.names)
            columns = [self._ranks(rows.column(HOST_COLUMN), source.path)]
            for field in self._body:
                column = rows.column(field.name) if field.name in names else pyarrow.nulls(len(rows), field.type)
                columns.append(column if column.type == field.type else column.cast(field.type))
            columns.append(_installs(rows, source))
            return pyarrow.Table.from_arrays(columns, schema=self.schema)
        except (OSError, pyarrow.ArrowException) as cause:
            # Its digest was right a moment ago: the disk, or a hand.
            raise UnfitSource(source.path, f"its rows cannot be read ({' '.join(str(cause).split())})", is_damaged=True) from cause

    def filed(self, rows: pyarrow.Table) -> pyarrow.Table:
        """Rows in order as a file holds them."""
        ranks = rows.column(RANK).combine_chunks()
        first, last = ranks[0].as_py(), ranks[-1].as_py()
        # Only the hosts that are there: the statistics of a row group are those of its dictionary.
        places = compute.subtract(ranks, pyarrow.scalar(first, pyarrow.int32()))
        hosts = pyarrow.DictionaryArray.from_arrays(places, pyarrow.array(self.hosts[first : last + 1], pyarrow.utf8()))
        installs = rows.column(INSTALL_COLUMN).combine_chunks().dictionary_encode()
        columns = [rows.column(field.name) for field in self._body]
        return pyarrow.Table.from_arrays([*columns, hosts, installs.cast(_FILE_TYPE)], schema=self.file_schema)

    def _ranks(self, column: pyarrow.ChunkedArray, path: str) -> pyarrow.ChunkedArray:
        chunks = []
        for chunk in column.chunks:
            coded = chunk if pyarrow.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
            try:
                ranks = [self._rank[host] for host in coded.dictionary.to_pylist()]
            except KeyError as unknown:
                raise UnfitSource(path, f"its row groups do not name the host {unknown}", is_damaged=True) from unknown
            chunks.append(pyarrow.array(ranks, pyarrow.int32()).take(coded.indices))
        return pyarrow.chunked_array(chunks, pyarrow.int32())


def _hosts(sources: Sequence[LakeSource]) -> list[str]:
    """All hosts of all sources, in the order of their names' bytes. Only row groups of several are read for it."""
    found: set[str] = set()
    for source in sources:
        opened: ParquetFile | None = None
        try:
            for piece in source.pieces:
                found.update((piece.first_host, piece.last_host))
                if piece.first_host != piece.last_host:
                    opened = opened or open_parquet(source.local)
                    column = opened.read_row_group(piece.index, columns=[HOST_COLUMN], use_threads=False).column(0)
                    found.update(cast("list[str]", compute.unique(column).to_pylist()))
        except (OSError, pyarrow.ArrowException) as cause:
            raise UnfitSource(source.path, "its column of hosts cannot be read", is_damaged=True) from cause
        finally:
            if opened is not None:
                opened.close()
        if len(found) > HOSTS_MAX:
            raise UnfitSource(source.path, f"it and the files before it have more than {HOSTS_MAX} hosts")
    return sorted(found, key=str.encode)


def _installs(rows: pyarrow.Table, source: LakeSource) -> pyarrow.ChunkedArray | pyarrow.Array:
    """The installation of each row: where the file says none, that of who wrote it."""
    writer = source.marks.get("install") or None
    if INSTALL_COLUMN not in rows.schema.names:
        return pyarrow.repeat(pyarrow.scalar(writer, pyarrow.utf8()), len(rows))
    said = rows.column(INSTALL_COLUMN).cast(pyarrow.utf8())
    return said if writer is None else compute.fill_null(said, writer)


class Keys:
    """The keys of rows in order, where they lie."""

    def __init__(self, rows: pyarrow.Table) -> None:
        self._ranks = _values(rows.column(RANK), "i")
        self._times = _values(rows.column(TIME), "q")

    def __len__(self) -> int:
        return len(self._ranks)

    def __getitem__(self, index: int) -> Key:
        if index < 0:
            index += len(self)
        return self._ranks[index], self._times[index]

    def before(self, bound: Key) -> int:
        """How many rows have a smaller key."""
        return bisect_left(range(len(self)), bound, key=self.__getitem__)

    def up_to(self, bound: Key) -> int:
        """How many rows have no larger key."""
        return bisect_right(range(len(self)), bound, key=self.__getitem__)


def in_order(parts: Iterable[pyarrow.Table]) -> pyarrow.Table:
    """All rows by host and time; those of one host and time stay in the order in which they come."""
    rows = pyarrow.concat_tables(parts)
    if _is_in_order(rows):
        return rows
    # Stable: Arrow's documentation of `sort_indices`.
    order = compute.sort_indices(rows, sort_keys=[(RANK, "ascending"), (TIME, "ascending")])
    return rows.take(order)


def _is_in_order(rows: pyarrow.Table) -> bool:
    if rows.num_rows < 2:
        return True
    last = rows.num_rows - 1
    ranks, times = rows.column(RANK).combine_chunks(), rows.column(TIME).combine_chunks()
    former, later = ranks.slice(0, last), ranks.slice(1)
    is_next = compute.less(former, later)
    is_same = compute.and_(compute.equal(former, later), compute.less_equal(times.slice(0, last), times.slice(1)))
    return bool(compute.all(compute.or_(is_next, is_same)).as_py())


def _values(column: pyarrow.ChunkedArray, code: str) -> "memoryview[int]":
    """The numbers of a column without nulls, without a copy where they lie in one piece."""
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    assert array.null_count == 0
    values = cast("memoryview[int]", memoryview(array.buffers()[1]).cast("B").cast(code))  # type: ignore[call-overload]
    return values[array.offset : array.offset + len(array)]
