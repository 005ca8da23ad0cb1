"""The files that a compaction reads: each is proved to be the agent's own, whole and undamaged before a row is taken of it.

Imports pyarrow, late. Everything that a file says is believed only after its digest was right.
"""

import os
import stat
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from agent.model.foreign import readable
from agent.store.digest import DigestVerdict, check_digest, check_digest_of, read_range
from workers.writer.compaction_plan import Source
from workers.writer.compaction_window import RowGroup

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import FileMetaData, ParquetFile

# The column that rows are put in order by.
TIME = "timestamp"
# Files kept open: a window reads several row groups of some files. Each file that was read holds a MiB, as measured with 288
# files of `occupancy_domain`.
_OPEN_MAX = 16
# Footers kept parsed, enough for the files of a usual day: 18 MiB for this many files of `occupancy_domain`.
_FOOTERS_MAX = 128
# Files up to this size are read once, for digest and rows: those of a usual day. All that are kept together have at most so many
# bytes; what is beyond is read again when its rows are due.
_WHOLE_BYTES_MAX = 1 << 20
_KEPT_BYTES_MAX = 16 << 20


class UnfitError(Exception):
    """A file that keeps its day from being compacted: `name`, and the reason for a person.

    `is_damaged`: it is the agent's own, and a person must examine it.
    """

    def __init__(self, name: str, reason: str, *, is_damaged: bool = False) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason
        self.is_damaged = is_damaged


class SourceFile(Struct, frozen=True):
    """One source: where it lies, its size, its columns and the marks of who wrote it."""

    path: str
    name: str
    bytes: int
    rows: int
    schema: "pyarrow.Schema"
    marks: dict[str, str]


class SourceReader:
    """All sources of a day, checked, with what is in their row groups. *Raises:* UnfitError, OSError."""

    def __init__(self, folder: str, table: str, install: str, sources: Sequence[Source]) -> None:
        self.files: list[SourceFile] = []
        self.groups: list[RowGroup] = []
        self._opened: OrderedDict[int, ParquetFile] = OrderedDict()
        self._footers: dict[int, FileMetaData] = {}
        self._kept: dict[int, bytes] = {}
        self._kept_bytes = 0
        self._told_bytes = self._decoded_bytes = 0
        for source in sources:
            self._add(folder, table, install, source)
        _check_segments(self.files)

    @property
    def rows(self) -> int:
        """Of all of them together."""
        return sum(file.rows for file in self.files)

    @property
    def decoded_per_byte(self) -> float:
        """How many bytes a byte of a row group has become in memory so far; text that repeats takes much more there."""
        return self._decoded_bytes / self._told_bytes if self._told_bytes else 1.0

    def read(self, group: RowGroup) -> "pyarrow.Table":
        """The rows of one row group. *Raises:* UnfitError."""
        import pyarrow

        try:
            rows = self._file(group.source).read_row_group(group.index, use_threads=False)
        except (OSError, pyarrow.ArrowException) as cause:
            # Its digest was right a moment ago: the disk, or a hand.
            raise UnfitError(
                self.files[group.source].name, f"its rows cannot be read ({' '.join(str(cause).split())})", is_damaged=True
            ) from cause
        self._told_bytes += group.bytes
        self._decoded_bytes += rows.nbytes
        return rows

    def _add(self, folder: str, table: str, install: str, source: Source) -> None:
        import pyarrow

        path = os.path.join(folder, source.name)
        number = len(self.files)
        size_bytes, data = _checked(path, source.name)
        if data is not None and self._kept_bytes + size_bytes <= _KEPT_BYTES_MAX:
            self._kept[number] = data
            self._kept_bytes += size_bytes
        try:
            opened = self._open(number, path)
            metadata = opened.metadata
            schema = opened.schema_arrow
            marks = _marks(metadata)
        except (OSError, pyarrow.ArrowException, UnicodeDecodeError) as cause:
            raise UnfitError(source.name, "its footer is damaged", is_damaged=True) from cause
        _check_marks(source, table, install, marks, schema)
        self.files.append(SourceFile(path, source.name, size_bytes, metadata.num_rows, schema, marks))
        for index in range(metadata.num_row_groups):
            self._add_group(number, index, metadata)

    def _add_group(self, number: int, index: int, metadata: "FileMetaData") -> None:
        group = metadata.row_group(index)
        if group.num_rows == 0:
            return
        column = metadata.schema.names.index(TIME)
        statistics = group.column(column).statistics
        if statistics is None or not statistics.has_min_max or statistics.null_count:
            raise UnfitError(self.files[number].name, f"it does not say between which times its rows are ({TIME})", is_damaged=True)
        self.groups.append(RowGroup(number, index, int(statistics.min), int(statistics.max), group.num_rows, group.total_byte_size))

    def _file(self, number: int) -> "ParquetFile":
        found = self._opened.get(number)
        if found is None:
            return self._open(number, self.files[number].path)
        self._opened.move_to_end(number)
        return found

    def _open(self, number: int, path: str) -> "ParquetFile":
        import pyarrow
        from pyarrow.parquet import ParquetFile

        data = self._kept.get(number)
        file = pyarrow.OSFile(path, "rb") if data is None else pyarrow.BufferReader(data)
        opened = ParquetFile(file, metadata=self._footers.get(number), pre_buffer=False)
        if len(self._footers) < _FOOTERS_MAX:
            self._footers[number] = opened.metadata
        self._opened[number] = opened
        if len(self._opened) > _OPEN_MAX:
            _, oldest = self._opened.popitem(last=False)
            oldest.close()
        return opened


def _checked(path: str, name: str) -> tuple[int, bytes | None]:
    """The size of a file that is ours and whole, and what it holds, None: it is large. *Raises:* UnfitError, OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError as cause:
        raise UnfitError(name, "the agent's user may not read it") from cause
    except OSError as cause:
        raise UnfitError(name, f"it cannot be read ({cause.strerror})", is_damaged=True) from cause
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UnfitError(name, "it is no regular file")
        if found.st_uid != os.geteuid():
            raise UnfitError(name, f"it belongs to user {found.st_uid}")
        data = read_range(descriptor, 0, found.st_size) if found.st_size <= _WHOLE_BYTES_MAX else None
        verdict = check_digest(descriptor) if data is None else check_digest_of(data)
        if verdict is not DigestVerdict.GOOD:
            raise UnfitError(name, "its bytes are not those that were sealed", is_damaged=True)
        return found.st_size, data
    finally:
        os.close(descriptor)


def _marks(metadata: "FileMetaData") -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (metadata.metadata or {}).items() if key != b"ARROW:schema"}


def _check_marks(source: Source, table: str, install: str, marks: dict[str, str], schema: "pyarrow.Schema") -> None:
    if marks.get("table") != table or marks.get("segment") != source.segment:
        raise UnfitError(source.name, "its name is not that of its table and segment")
    if marks.get("install", "") != install:
        raise UnfitError(
            source.name, f"another installation sealed it ({readable(marks.get('install', '') or 'without a name', 40)})"
        )
    if TIME not in schema.names or str(schema.field(TIME).type) != "int64":
        raise UnfitError(source.name, f"it has no column {TIME}")


def _check_segments(files: Sequence[SourceFile]) -> None:
    """No two sources may hold the same rows: a file that somebody has put back beside the one made of it.

    *Range:* a compacted file lists a bounded number of segments.
    """
    seen: dict[str, str] = {}
    for file in files:
        for segment in segments_of(file):
            if segment in seen:
                raise UnfitError(file.name, f"its rows are in {readable(seen[segment])} too")
            seen[segment] = file.name


def segments_of(file: SourceFile) -> list[str]:
    """The segments whose rows a source has, as far as it lists them."""
    return (file.marks.get("segments") or file.marks.get("segment", "")).split()


def runs_of(file: SourceFile) -> list[str]:
    """The runs of the agent whose rows a source has, as far as it lists them."""
    return (file.marks.get("runs") or file.marks.get("run", "")).split()


def version_of(file: SourceFile) -> int:
    """The version of its table's columns; 0 where it says none."""
    text = file.marks.get("schema_version", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
