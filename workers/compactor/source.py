"""The files that a compaction reads: each is proved to be whole and the agent's own first. Imports pyarrow, late.

What cannot be used is left where it is and named; it keeps nothing else from being compacted.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from agent.lake.path import parse_landing_path
from agent.model.table import HOST_COLUMN, INSTALL_COLUMN
from agent.store.digest import DigestVerdict, check_digest
from agent.store.layout import parse_sealed_name
from workers.compactor.plan import LakeCandidate

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import FileMetaData, ParquetFile

TIME = "timestamp"
ROW_GROUPS_MAX = 100_000
# Ours have 122,880 rows and 32 MiB at most. Others' bytes are decoded only where they can have room.
GROUP_ROWS_MAX = 1 << 22
GROUP_BYTES_MAX = 512 << 20
COLUMNS_MAX = 512


class UnfitSource(Exception):
    """A file that is not compacted, and why. `is_damaged`: it is the agent's own, and a person must examine it."""

    def __init__(self, path: str, reason: str, *, is_damaged: bool = False) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason
        self.is_damaged = is_damaged


class LakePiece(Struct, frozen=True, gc=False):
    """One row group: its source, its number there, its first and last host and time, as its statistics say; its rows."""

    source: int
    index: int
    first_host: str
    last_host: str
    first_ns: int
    last_ns: int
    rows: int


class LakeSource(Struct, frozen=True):
    """One source, checked. `local`: where it was copied to. `has_one_host`: all its pieces say so."""

    path: str
    local: str
    bytes: int
    rows: int
    schema: "pyarrow.Schema"
    marks: dict[str, str]
    pieces: tuple[LakePiece, ...]
    is_landing: bool

    @property
    def version(self) -> int:
        """The version of its table's columns; 0 where it says none."""
        text = self.marks.get("schema_version", "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def open_source(number: int, candidate: LakeCandidate, local: str, table: str) -> LakeSource:
    """What a copy says of itself. *Raises:* UnfitSource, OSError."""
    import pyarrow

    _check_bytes(candidate.path, local)
    try:
        with open_parquet(local) as opened:
            metadata, schema = opened.metadata, opened.schema_arrow
            marks = _marks(metadata)
            _check_marks(candidate, table, marks, schema)
            pieces = tuple(_pieces(number, candidate.path, metadata))
            rows = metadata.num_rows
    except (OSError, pyarrow.ArrowException, UnicodeDecodeError) as cause:
        raise UnfitSource(candidate.path, "its footer is damaged", is_damaged=True) from cause
    if sum(piece.rows for piece in pieces) != rows:
        raise UnfitSource(candidate.path, f"its row groups do not have the {rows} rows that it says", is_damaged=True)
    return LakeSource(candidate.path, local, os.path.getsize(local), rows, schema, marks, pieces, candidate.is_landing)


def open_parquet(path: str) -> "ParquetFile":
    """A copy, to read row groups of. *Raises:* OSError, ArrowException."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    return ParquetFile(pyarrow.OSFile(path, "rb"), pre_buffer=False)


def fitting(sources: Iterable[LakeSource]) -> Iterator[LakeSource | UnfitSource]:
    """Those that can stand in one file: columns of one name are of one type, as in the newest version."""
    found = sorted(sources, key=lambda source: -source.version)
    types: dict[str, str] = {}
    for source in found:
        other = next((field for field in source.schema if types.get(field.name, _type(field)) != _type(field)), None)
        if other is not None:
            reason = f"its column {other.name} is {_type(other)}, not {types[other.name]} as in newer files"
            yield UnfitSource(source.path, reason)
        else:
            types.update((field.name, _type(field)) for field in source.schema)
            yield source


def body_schema(sources: Sequence[LakeSource]) -> "pyarrow.Schema":
    """The columns of all sources without host and install: those of the newest version in its order, then those of others."""
    import pyarrow

    fields: dict[str, pyarrow.Field] = {}
    for source in sorted(sources, key=lambda source: -source.version):
        for field in source.schema:
            if field.name not in (HOST_COLUMN, INSTALL_COLUMN):
                fields.setdefault(field.name, pyarrow.field(field.name, field.type))
    return pyarrow.schema(list(fields.values()))


def _type(field: "pyarrow.Field") -> str:
    """Of text that repeats the file has a dictionary, which is no other type."""
    import pyarrow

    return str(field.type.value_type if pyarrow.types.is_dictionary(field.type) else field.type)


def _check_bytes(path: str, local: str) -> None:
    descriptor = os.open(local, os.O_RDONLY | os.O_CLOEXEC)
    try:
        verdict = check_digest(descriptor)
    finally:
        os.close(descriptor)
    if verdict is DigestVerdict.DAMAGED:
        raise UnfitSource(path, "its bytes are not those that were written", is_damaged=True)
    if verdict is DigestVerdict.NONE:
        raise UnfitSource(path, "it has no digest: another program wrote it, or it is cut off")


def _marks(metadata: "FileMetaData") -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (metadata.metadata or {}).items() if key != b"ARROW:schema"}


def _check_marks(candidate: LakeCandidate, table: str, marks: dict[str, str], schema: "pyarrow.Schema") -> None:
    path = candidate.path
    if marks.get("table") != table:
        raise UnfitSource(path, "it is not of the table in whose folder it lies")
    where = parse_landing_path(path)
    if where is not None:
        named = parse_sealed_name(where.name)
        if named is None or named.segment != marks.get("segment"):
            raise UnfitSource(path, "its name is not that of its segment")
        if named.is_compacted:
            raise UnfitSource(path, "it is a day's file of one node, whose rows land by segment")
    if TIME not in schema.names or str(schema.field(TIME).type) != "int64":
        raise UnfitSource(path, f"it has no column {TIME}")
    if HOST_COLUMN not in schema.names:
        raise UnfitSource(path, f"it has no column {HOST_COLUMN}")
    if len(schema.names) > COLUMNS_MAX or len(set(schema.names)) != len(schema.names):
        raise UnfitSource(path, "it has too many columns, or two of one name")


def _pieces(number: int, path: str, metadata: "FileMetaData") -> Iterator[LakePiece]:
    if metadata.num_row_groups > ROW_GROUPS_MAX:
        raise UnfitSource(path, f"it has more than {ROW_GROUPS_MAX} row groups")
    names = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
    time_at, host_at = names.index(TIME), names.index(HOST_COLUMN)
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        if not group.num_rows:
            continue
        if group.num_rows > GROUP_ROWS_MAX or group.total_byte_size > GROUP_BYTES_MAX:
            raise UnfitSource(path, f"a row group has {group.num_rows} rows in {group.total_byte_size} bytes, which is too large")
        times, hosts = group.column(time_at).statistics, group.column(host_at).statistics
        if times is None or not times.has_min_max or times.null_count:
            raise UnfitSource(path, f"it does not say between which times its rows are ({TIME})", is_damaged=True)
        if hosts is None or not hosts.has_min_max or hosts.null_count:
            raise UnfitSource(path, f"it does not say of which hosts its rows are ({HOST_COLUMN})", is_damaged=True)
        yield LakePiece(number, index, _text(hosts.min), _text(hosts.max), int(times.min), int(times.max), group.num_rows)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
