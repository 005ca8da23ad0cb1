"""One entry of a lake's log: what it adds, what it takes away, and how it is written. PURE.

An entry is a JSON document that is put once under its number and never changed. Fields that a later version adds are passed over;
a later `format` is refused, since its meaning is not known here.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from agent.lake.path import is_table, parse_landing_path, parse_ledger_path, parse_merged_path
from agent.model.errors import FormatError
from agent.store.layout import parse_date_folder

FORMAT = 1
# A compaction of 4,096 sources has 1 MB. Marks of 10,000 hosts in ten tables have 8 MB.
ENTRY_BYTES_MAX = 32 << 20
# Of each list of one entry.
PATHS_MAX = 20_000
NAMES_MAX = 200_000
_TEXT_MAX = 255
_INT_MAX = (1 << 63) - 1


class AddedFile(Struct, frozen=True, omit_defaults=True):
    """A merged file that counts from this entry on.

    *Units:* `first_ns` and `last_ns`: the earliest and the latest `timestamp` of its rows, both included. `hosts_min` and
    `hosts_max`: the first and last host in the order of their bytes. *Absent:* times are None where the table has none.
    """

    path: str
    table: str
    date: str
    rows: int
    bytes: int
    first_ns: int | None = None
    last_ns: int | None = None
    hosts_min: str = ""
    hosts_max: str = ""


class OffsetSpan(Struct, frozen=True):
    """Offsets of one partition whose rows the entry adds: from `base` to before `next`."""

    base: int
    next: int


class LakeMark(Struct, frozen=True, array_like=True):
    """Up to where the store has the rows of one host in one table: every row with a time before `low_ns` that was sent before
    batch `seq` of this worker and epoch."""

    low_ns: int
    seq: int = 0
    worker: str = ""
    epoch: int = 0


class LedgerStep(Struct, frozen=True):
    """Of one day of a table: which ledger the writer of an entry looked into (empty: there was none), and which holds from this
    entry on (empty: the same)."""

    base: str = ""
    next: str = ""


class LakeCommit(Struct, frozen=True):
    """What one entry changes, all at once.

    `adds`: files that count from now on, put before. `removes`: merged files that count no more. `consumed`: landing files whose
    rows are in `adds`. `condemned`: merged files and ledgers that no entry names, and that none may name any more. `forgotten`:
    removed, condemned or consumed files that have been deleted. `ledgers`: by "table/date", for each day of which a landing file
    is consumed or forgotten; a ledger lists those that were forgotten. `offsets`: by "topic/partition". `marks`: by table and host.
    *Units:* `at_ns`: unix time by the writer's clock. `by`: who wrote it; `token`: by which it knows its own.
    """

    format: int = FORMAT
    at_ns: int = 0
    by: str = ""
    token: str = ""
    adds: tuple[AddedFile, ...] = ()
    removes: tuple[str, ...] = ()
    consumed: tuple[str, ...] = ()
    condemned: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    ledgers: dict[str, LedgerStep] = {}
    offsets: dict[str, OffsetSpan] = {}
    marks: dict[str, dict[str, LakeMark]] = {}


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(LakeCommit)


def encode_commit(commit: LakeCommit) -> bytes:
    """The bytes of an entry."""
    assert (problem := why_malformed(commit)) == "", problem
    data = _ENCODER.encode(commit)
    assert len(data) <= ENTRY_BYTES_MAX, f"{len(data)} bytes are more than {ENTRY_BYTES_MAX}"
    return data


def decode_commit(data: bytes, where: str) -> LakeCommit:
    """*Raises:* FormatError: no entry, one of a later format, or one that says what none may say."""
    if len(data) > ENTRY_BYTES_MAX:
        raise FormatError(where, f"it is longer than {ENTRY_BYTES_MAX} bytes")
    try:
        commit = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise FormatError(where, f"it is no entry of a lake's log ({cause})", "restore it from a backup of the lake") from cause
    check_format(commit.format, where)
    if problem := why_malformed(commit):
        raise FormatError(where, problem, "restore it from a backup of the lake")
    return commit


def check_format(number: int, where: str) -> None:
    """*Raises:* FormatError for a format that this version does not know."""
    if number != FORMAT:
        raise FormatError(where, f"it is of format {number}, and this version knows {FORMAT}", "install a newer evergauge")


def why_malformed(commit: LakeCommit) -> str:
    """What no entry may say; empty: nothing."""
    lists = (commit.removes, commit.consumed, commit.condemned, commit.forgotten)
    if max(len(commit.adds), len(commit.ledgers), *map(len, lists)) > PATHS_MAX:
        return f"it names more than {PATHS_MAX} files"
    if len(commit.offsets) + sum(map(len, commit.marks.values())) > NAMES_MAX:
        return f"it has more than {NAMES_MAX} offsets and marks"
    return (
        _first(map(_why_bad_file, commit.adds))
        or _first(_why_bad_path(path) for path in commit.removes if parse_merged_path(path) is None)
        or _first(_why_bad_path(path) for path in commit.condemned if _is_no_file(path) or parse_landing_path(path) is not None)
        or _first(_why_bad_path(path) for path in commit.consumed if parse_landing_path(path) is None)
        or _first(map(_why_bad_path, filter(_is_no_file, commit.forgotten)))
        or _first(_why_bad_ledger(day, step) for day, step in commit.ledgers.items())
        or _why_unlisted(commit)
        or _why_bad_offsets(commit)
        or _why_bad_marks(commit)
    )


def added_paths(commit: LakeCommit) -> list[str]:
    """Of the files that it adds."""
    return [file.path for file in commit.adds]


def _why_bad_file(file: AddedFile) -> str:
    if parse_merged_path(file.path) != (file.table, file.date):
        return _why_bad_path(file.path)
    if not (0 <= file.rows <= _INT_MAX and 0 < file.bytes <= _INT_MAX):
        return f"{file.path} has {file.rows} rows in {file.bytes} bytes"
    if (file.first_ns is None) != (file.last_ns is None):
        return f"{file.path} says only one end of its time"
    if file.first_ns is not None and file.last_ns is not None and not -_INT_MAX <= file.first_ns <= file.last_ns <= _INT_MAX:
        return f"{file.path} ends before it begins"
    return ""


def _is_no_file(path: str) -> bool:
    return parse_merged_path(path) is None and parse_landing_path(path) is None and parse_ledger_path(path) is None


def _why_bad_ledger(day: str, step: LedgerStep) -> str:
    table, _, date = day.partition("/")
    for path in filter(None, (step.base, step.next)):
        if parse_ledger_path(path) != (table, date):
            return _why_bad_path(path)
    return f"{day[:_TEXT_MAX]!r} is no day of a table" if not is_table(table) or not is_date(date) else ""


def _why_unlisted(commit: LakeCommit) -> str:
    """A landing file is consumed only by who knows which were consumed before, and forgotten only by who writes it down."""
    for path in (*commit.consumed, *commit.forgotten):
        found = parse_landing_path(path)
        if found is not None and f"{found.table}/{found.date}" not in commit.ledgers:
            return f"it does not say which ledger goes with {path}"
    for path in commit.forgotten:
        found = parse_landing_path(path)
        if found is not None and not commit.ledgers[f"{found.table}/{found.date}"].next:
            return f"it forgets {path}, and writes it down nowhere"
    return ""


def _why_bad_path(path: str) -> str:
    return f"{path[:_TEXT_MAX]!r} is no path that may stand there"


def _why_bad_offsets(commit: LakeCommit) -> str:
    for name, span in commit.offsets.items():
        topic, slash, partition = name.rpartition("/")
        if not topic or not slash or not (partition.isascii() and partition.isdecimal()) or len(name) > _TEXT_MAX + 12:
            return f"{name[:_TEXT_MAX]!r} is no partition"
        if not 0 <= span.base < span.next <= _INT_MAX:
            return f"offsets of {name} go from {span.base} to {span.next}"
    return ""


def _why_bad_marks(commit: LakeCommit) -> str:
    for table, marks in commit.marks.items():
        if not is_table(table):
            return f"{table[:_TEXT_MAX]!r} is no table"
        for host, mark in marks.items():
            if not host or len(host) > _TEXT_MAX or len(mark.worker) > _TEXT_MAX:
                return f"a mark of {table} has no name of a host or worker"
            if not -_INT_MAX <= mark.low_ns <= _INT_MAX or not 0 <= mark.seq <= _INT_MAX or not 0 <= mark.epoch <= _INT_MAX:
                return f"the mark of {host} in {table} is out of range"
    return ""


def _first(problems: Iterable[str]) -> str:
    return next(filter(None, problems), "")


def is_date(text: str) -> bool:
    """Whether a text is a UTC date such as 2024-01-31."""
    return parse_date_folder(f"date={text}") is not None
