"""The open spool, read from outside: it is never locked, changed or waited for.

A segment can be appended to, sealed or removed at any moment; so the spool is read before the sealed files are listed,
and who reads both leaves out the sealed files of segments that were read here (`SpoolContents.segments`).
"""

import errno
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from msgspec import Struct

from agent.membership import joining
from agent.model.errors import FormatError, PermissionRefused, StorageError
from agent.model.foreign import readable
from agent.store.file_bytes import FileBytes
from agent.store.foreign_file import kind_of, open_regular
from agent.store.install import is_other, read_install
from agent.store.layout import DATA_FOLDER, SPOOL_FOLDER
from agent.store.left_out import OTHER_INSTALL, LeftOut
from agent.store.origin_form import form_in
from agent.store.record import (
    Damage,
    OtherForm,
    Record,
    SegmentHead,
    TableForm,
    foreign_name,
    is_other_format,
    parse_head,
    parse_records,
    table_word,
)
from agent.store.segment import SEGMENT_BYTES_MAX, in_order
from agent.store.word_filter import AllBut

# What all waiting segments together may hold of the wanted tables before a query asks for a rotation first.
SPOOL_BYTES_MAX = 1 << 30
READ_BYTES = 4 << 20
# A day is compacted some times in its life, and never twice in a second.
LISTINGS_MAX = 8


class OtherHost(NamedTuple):
    """Who measured rows that are not of the host in whose spool they stand."""

    host: str
    install: str


class StoredPart(NamedTuple):
    """The rows of one stored batch, still encoded. `other` None: they are of the host in whose spool they stand."""

    rows: bytes
    other: OtherHost | None = None


class Part(Struct, frozen=True):
    """The stored batches of equal columns of one table in one segment, and the segment's own host."""

    form: TableForm
    host: str
    batches: list[StoredPart]

    @property
    def is_shared(self) -> bool:
        """Whether rows of other hosts are among them."""
        return any(batch.other is not None for batch in self.batches)


class SpoolContents(Struct, frozen=True):
    """What the open spool holds.

    `segments` are the ids of those read, `forms` the columns of every table that they declare or have rows of, `parts` the batches
    of the wanted tables, of all hosts. `damaged` counts stretches of bytes that are no record, and batches of other hosts
    whose columns do not agree with the others'. `left_out` are entries that are no segment.
    """

    segments: frozenset[str]
    forms: dict[str, TableForm]
    parts: dict[str, list[Part]]
    damaged: int
    left_out: list[LeftOut]


def spool_dir(state_dir: str) -> str:
    """Where the segments lie."""
    return os.path.join(state_dir, SPOOL_FOLDER)


def list_segments(state_dir: str) -> list[str]:
    """The paths of the segments, oldest first; none when there is no spool. *Raises:* PermissionRefused, StorageError."""
    return _listed_segments(state_dir)[0]


def _listed_segments(state_dir: str) -> tuple[list[str], list[LeftOut]]:
    """The segments, and what is named as one but is no regular file."""
    folder = spool_dir(state_dir)
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    except OSError as cause:
        raise refusal(folder, cause) from cause
    segments: list[str] = []
    left_out: list[LeftOut] = []
    for path in (os.path.join(folder, name) for name in in_order(name for name in names if name.endswith(".spool"))):
        try:
            kind = kind_of(os.lstat(path).st_mode)
        except OSError:
            # Gone since it was listed, or the error of its opening says what ails it.
            kind = None
        if kind is None:
            segments.append(path)
        else:
            left_out.append(LeftOut(path, kind))
    return segments, left_out


def refusal(path: str, cause: OSError) -> PermissionRefused | StorageError:
    """The failure that an error of the operating system at a path is."""
    if isinstance(cause, PermissionError):
        remedy = " or ".join(filter(None, ("call agentctl as root or as the agent's user", joining(path))))
        return PermissionRefused(readable(path), "this user may not read it", remedy)
    return StorageError(readable(path), f"it cannot be read ({cause.strerror})", "look at the file system")


def read_from(path: str, offset: int) -> bytes:
    """The bytes of a file from `offset` to its present end. *Raises:* OSError, StorageError above SEGMENT_BYTES_MAX."""
    descriptor = _opened(path)
    try:
        source = FileBytes(descriptor, _size_of(descriptor, path), offset, window_bytes=READ_BYTES)
        return b"".join(bytes(source.at(at, READ_BYTES)) for at in range(0, len(source), READ_BYTES))
    finally:
        os.close(descriptor)


def _opened(path: str) -> int:
    found = open_regular(path)
    if isinstance(found, LeftOut):
        # It was a regular file when it was listed.
        kind = PermissionError if found.refused else OSError
        raise kind(0, found.reason)
    return found


def _size_of(descriptor: int, path: str) -> int:
    """Called before anything is read: check that there is enough memory. *Raises:* OSError, StorageError."""
    size = os.fstat(descriptor).st_size
    if size > SEGMENT_BYTES_MAX:
        raise StorageError(readable(path), f"it is larger than {SEGMENT_BYTES_MAX} bytes", "`agentctl rotate` seals it")
    return size


def read_spool(state_dir: str, is_wanted: Callable[[str], bool]) -> SpoolContents:
    """Everything that the spool holds of the tables whose name is wanted.

    *Raises:* PermissionRefused when no segment may be read, StorageError.
    """
    paths, left_out = _listed_segments(state_dir)
    spool = _Gathering(is_wanted, left_out, read_install(state_dir) or "")
    for path in paths:
        # The writer is at work at the end of one of them (the names follow the wall clock, which can be set back), and a
        # killed writer leaves one cut short too: bytes that reach to the end are no damage.
        try:
            spool.take(path)
        except FileNotFoundError:
            # Sealed and removed since it was listed: its rows are in the sealed files, which are listed later.
            continue
        except PermissionError as cause:
            refused = LeftOut(path, "this user may not read it", refused=True)
            left_out.append(refused)
            if len(paths) == sum(entry.refused for entry in left_out):
                raise refusal(path, cause) from cause
        except OSError as cause:
            raise refusal(path, cause) from cause
        if spool.kept_bytes > SPOOL_BYTES_MAX:
            raise StorageError(spool_dir(state_dir), "more waits there than fits in memory", "`agentctl rotate` seals it")
    return SpoolContents(frozenset(spool.segments), spool.forms, spool.parts, spool.damaged, left_out)


class _Gathering:
    """What was read so far."""

    def __init__(self, is_wanted: Callable[[str], bool], left_out: list[LeftOut], install: str) -> None:
        self._is_wanted = is_wanted
        self._install = install
        self.left_out = left_out
        self.segments: set[str] = set()
        self.forms: dict[str, TableForm] = {}
        self.parts: dict[str, list[Part]] = {}
        self.damaged = self.kept_bytes = 0

    def take(self, path: str) -> None:
        """Read a segment. *Raises:* OSError, StorageError."""
        descriptor = _opened(path)
        try:
            self._take(FileBytes(descriptor, _size_of(descriptor, path)), path)
        finally:
            os.close(descriptor)

    def _take(self, source: FileBytes, path: str) -> None:
        try:
            head, end = parse_head(source)
        except FormatError as failure:
            if is_other_format(source):
                self.left_out.append(LeftOut(path, failure.problem))
                return
            first = next(parse_records(source, 0), None)
            self.damaged += isinstance(first, Damage) and not first.torn
            return
        if is_other(head.install, self._install):
            self.left_out.append(LeftOut(path, OTHER_INSTALL))
            return
        self.segments.add(head.segment)
        self.forms.update(head.tables)
        of_segment: dict[tuple[str, OtherForm | None], Part] = {}
        for found in parse_records(source, end, self._wanted(head)):
            if isinstance(found, Damage):
                self.damaged += not found.torn
            elif found.entry.rows > 0 and self._is_wanted(found.entry.measured_table):
                self._keep(of_segment, head, found)
                if self.kept_bytes > SPOOL_BYTES_MAX:
                    return

    def _wanted(self, head: SegmentHead) -> AllBut:
        """The words of records that are looked at. A table that no head declares is known by its records alone."""
        unwanted = [table for table in head.tables if not self._is_wanted(table)]
        return AllBut(map(table_word, (*unwanted, *map(foreign_name, unwanted))))

    def _keep(self, of_segment: dict[tuple[str, OtherForm | None], Part], head: SegmentHead, record: Record) -> None:
        origin, table = record.entry.origin, record.entry.measured_table
        columns = table, None if origin is None else origin.form
        part = of_segment.get(columns)
        if part is None:
            form = form_in(head, record.entry)
            if form is None or (origin is not None and not self._agrees(table, form)):
                self.damaged += origin is not None
                return
            part = of_segment[columns] = Part(form, head.host, [])
            self.parts.setdefault(table, []).append(part)
            self.forms.setdefault(table, form)
        part.batches.append(StoredPart(record.rows, None if origin is None else OtherHost(origin.host, origin.install)))
        self.kept_bytes += len(record.rows)

    def _agrees(self, table: str, form: TableForm) -> bool:
        """Whether columns of another host have the types that they have here; a view has one type for each."""
        forms = [part.form for part in self.parts.get(table, [])] + [self.forms.get(table, form)]
        types = {name: dtype for each in forms for name, dtype in zip(each.names, each.dtypes, strict=False)}
        return all(types.get(name, dtype) == dtype for name, dtype in zip(form.names, form.dtypes, strict=False))


def sealed_files(state_dir: str, table: str, without: frozenset[str] = frozenset()) -> list[str]:
    """What is named as a Parquet file of a table, in the order of the paths, without those made of segments in `without`.

    *Raises:* PermissionRefused, StorageError.
    """
    folder = os.path.join(state_dir, DATA_FOLDER, table)
    endings = tuple(f"-{segment}.parquet" for segment in without)
    try:
        return [path for path in _parquet_files(folder) if not path.endswith(endings)]
    except OSError as cause:
        raise refusal(folder, cause) from cause


def _parquet_files(folder: str) -> Iterator[str]:
    for date in _names(folder):
        if date.startswith("date="):
            for name in _names_of_date(os.path.join(folder, date)):
                if name.endswith(".parquet"):
                    yield os.path.join(folder, date, name)


def _names_of_date(path: str) -> list[str]:
    """What is in the folder of a date that is still in its place when all of it was listed.

    Compaction exchanges the folder and then empties the old one: who has opened that one before finds a part in it, or nothing.
    """
    for _ in range(LISTINGS_MAX):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return []
        try:
            names = sorted(os.listdir(descriptor))
            if _leads_to(path, os.fstat(descriptor)):
                return names
        finally:
            os.close(descriptor)
    raise OSError(errno.EBUSY, "it is exchanged again and again", path)


def _leads_to(path: str, found: os.stat_result) -> bool:
    """Whether a path still leads to what was opened there."""
    try:
        return os.path.samestat(os.stat(path), found)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _names(folder: str) -> list[str]:
    """What is in a folder, in order; nothing in one that is not there (any more), or is none: a date may go at any moment."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def sealed_tables(state_dir: str) -> list[str]:
    """The tables that have a folder of sealed files. *Raises:* PermissionRefused, StorageError."""
    folder = os.path.join(state_dir, DATA_FOLDER)
    try:
        with os.scandir(folder) as entries:
            folders = (entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
            # A statement cannot name a folder whose name is no text, so that it is none of a table.
            return sorted(name for name in folders if name.isprintable())
    except FileNotFoundError:
        return []
    except OSError as cause:
        raise refusal(folder, cause) from cause
