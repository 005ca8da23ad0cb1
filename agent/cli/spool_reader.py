"""The open spool, read from outside: it is never locked, changed or waited for.

A segment can be appended to, sealed or removed at any moment; so the spool is read before the sealed files are listed,
and who reads both leaves out the sealed files of segments that were read here (`Spool.segments`).
"""

import os
from collections.abc import Callable, Iterator

from msgspec import Struct

from agent.cli.remedy import start_remedy
from agent.model.errors import FormatError, PermissionRefused, StorageError, UnavailableError
from agent.paths import checkout
from workers.writer.record import Damage, Record, SegmentHead, TableForm, parse_head, parse_records
from workers.writer.segment import in_order

# A segment is sealed at 512 MiB at most; one batch may come on top.
SEGMENT_BYTES_MAX = 1 << 30
# What all waiting segments together may hold of the wanted tables before a query asks for a rotation first.
SPOOL_BYTES_MAX = 1 << 30
READ_BYTES = 4 << 20


class Part(Struct, frozen=True):
    """The stored batches of one table in one segment: their columns and their rows, still encoded."""

    form: TableForm
    batches: list[bytes]


class Spool(Struct, frozen=True):
    """What the open spool holds.

    `segments` are the ids of those read, `forms` the columns of every table that they declare, `parts` the batches of
    the wanted tables, `damaged` counts stretches of bytes that are no record.
    """

    segments: frozenset[str]
    forms: dict[str, TableForm]
    parts: dict[str, list[Part]]
    damaged: int


def spool_dir(state_dir: str) -> str:
    """Where the segments lie."""
    return os.path.join(state_dir, "spool")


def check_state_dir(state_dir: str) -> None:
    """Say so when a folder is none of an agent, which has made `spool` or `data` in it before its first row.

    *Raises:* UnavailableError, PermissionRefused, StorageError.
    """
    for path in (spool_dir(state_dir), os.path.join(state_dir, "data")):
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as cause:
            raise refusal(state_dir, cause) from cause
        return
    problem = "it holds no data of an agent" if os.path.isdir(state_dir) else "there is no such folder"
    raise UnavailableError(state_dir, problem, start_remedy("--state-dir", checkout()))


def list_segments(state_dir: str) -> list[str]:
    """The paths of the segments, oldest first; none when there is no spool. *Raises:* PermissionRefused, StorageError."""
    folder = spool_dir(state_dir)
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as cause:
        raise refusal(folder, cause) from cause
    return [os.path.join(folder, name) for name in in_order(name for name in names if name.endswith(".spool"))]


def refusal(path: str, cause: OSError) -> PermissionRefused | StorageError:
    """The failure that an error of the operating system at a path is."""
    if isinstance(cause, PermissionError):
        return PermissionRefused(path, "this user may not read it", "call agentctl as root or as the agent's user")
    return StorageError(path, f"it cannot be read ({cause.strerror})", "look at the file system")


def read_from(path: str, offset: int) -> bytes:
    """The bytes of a file from `offset` to its present end. *Raises:* OSError, StorageError above SEGMENT_BYTES_MAX."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = []
        total = 0
        while chunk := os.pread(descriptor, READ_BYTES, offset + total):
            chunks.append(chunk)
            total += len(chunk)
            if total > SEGMENT_BYTES_MAX:
                raise StorageError(path, f"it is larger than {SEGMENT_BYTES_MAX} bytes", "`agentctl rotate` seals it")
        return b"".join(chunks)
    finally:
        os.close(descriptor)


def read_spool(state_dir: str, is_wanted: Callable[[str], bool]) -> Spool:
    """Everything that the spool holds of the tables whose name is wanted.

    *Raises:* PermissionRefused, StorageError.
    """
    segments: set[str] = set()
    forms: dict[str, TableForm] = {}
    parts: dict[str, list[Part]] = {}
    damaged = 0
    kept_bytes = 0
    paths = list_segments(state_dir)
    for path in paths:
        # The writer is at work at the end of one of them (the names follow the wall clock, which can be set back), and a
        # killed writer leaves one cut short too: bytes that reach to the end are no damage.
        try:
            data = read_from(path, 0)
            head, end = parse_head(data)
        except FileNotFoundError:
            # Sealed and removed since it was listed: its rows are in the sealed files, which are listed later.
            continue
        except FormatError:
            first = next(parse_records(data, 0), None)
            damaged += isinstance(first, Damage) and not first.torn
            continue
        except OSError as cause:
            raise refusal(path, cause) from cause
        segments.add(head.segment)
        forms.update(head.tables)
        for found in parse_records(data, end):
            if isinstance(found, Damage):
                damaged += not found.torn
            elif found.entry.rows > 0 and found.entry.table in head.tables and is_wanted(found.entry.table):
                kept_bytes += len(found.rows)
                _keep(parts, head, found)
        if kept_bytes > SPOOL_BYTES_MAX:
            raise StorageError(spool_dir(state_dir), "more waits there than fits in memory", "`agentctl rotate` seals it")
    return Spool(frozenset(segments), forms, parts, damaged)


def _keep(parts: dict[str, list[Part]], head: SegmentHead, record: Record) -> None:
    table = record.entry.table
    of_table = parts.setdefault(table, [])
    form = head.tables[table]
    # Segments come one after another: the part of this one, if there is one, is the last.
    if not of_table or of_table[-1].form is not form:
        of_table.append(Part(form, []))
    of_table[-1].batches.append(record.rows)


def sealed_files(state_dir: str, table: str, without: frozenset[str] = frozenset()) -> list[str]:
    """The Parquet files of a table, in the order of their paths, but for those made of the segments in `without`.

    *Raises:* PermissionRefused, StorageError.
    """
    folder = os.path.join(state_dir, "data", table)
    endings = tuple(f"-{segment}.parquet" for segment in without)
    try:
        return [path for path in _parquet_files(folder) if not path.endswith(endings)]
    except OSError as cause:
        raise refusal(folder, cause) from cause


def _parquet_files(folder: str) -> Iterator[str]:
    for date in _names(folder):
        if date.startswith("date="):
            for name in _names(os.path.join(folder, date)):
                if name.endswith(".parquet"):
                    yield os.path.join(folder, date, name)


def _names(folder: str) -> list[str]:
    """What is in a folder, in order; nothing in one that is not there (any more): a date may be removed at any moment."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def sealed_tables(state_dir: str) -> list[str]:
    """The tables that have a folder of sealed files. *Raises:* PermissionRefused, StorageError."""
    folder = os.path.join(state_dir, "data")
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as cause:
        raise refusal(folder, cause) from cause
