"""Where sealed files lie and what their names say: table, host, the times of their rows, and the segment. PURE.

A sealed file is `data/<table>/date=YYYY-MM-DD/<prefix><host>-<first>-<last>-<segment>.parquet`. A compacted one, which stands for
all files of its table and date, has `day-<id>` in place of `<segment>`. `first` and `last` are the times of the earliest and the
latest row, rounded down to seconds: a reader of a range of time finds the files by name, and opens no other.
"""

import re
from collections.abc import Iterable

from msgspec import Struct

from agent.model.table import Table
from agent.model.timebase import S, compact_utc, parse_compact_utc

DATA_FOLDER = "data"
SPOOL_FOLDER = "spool"
# Sealed segments that some sink has not read yet.
KEPT_FOLDER = "kept"
# What sinks keep: a folder of each, with its cursor.
SINKS_FOLDER = "sinks"
# Beside the data folder: where days are compacted, and for a moment what they were made of.
COMPACTING_FOLDER = "compacting"
# Below the data folder: files that are being written and have no name yet.
HIDDEN_FOLDER = ".tmp"
DATE_PREFIX = "date="
SUFFIX = ".parquet"
_COMPACTED = "-day"
_ID_CHARACTERS = 16
_TIME_CHARACTERS = len("20240101T000000Z")
_DATE_CHARACTERS = len("2024-01-01")
_TIMES_CHARACTERS = 2 * (1 + _TIME_CHARACTERS)
# What Linux file systems take as one name.
_NAME_BYTES_MAX = 255
_UNFIT_FOR_NAMES = re.compile(r"[^A-Za-z0-9._-]")
_HEXADECIMAL = frozenset("0123456789abcdef")


class SealedName(Struct, frozen=True):
    """What the name of a sealed file says.

    *Units:* `first_wall_ns` and `last_wall_ns` are whole seconds, in nanoseconds of unix time. *Range:* every row of the file has
    `first_wall_ns <= timestamp < last_wall_ns + 1 s`. `segment`: the id of the segment that it was made of, or of the compacted
    file; its generation is that of the newest row's segment.
    """

    prefix: str
    host: str
    first_wall_ns: int
    last_wall_ns: int
    is_compacted: bool
    segment: str

    def overlaps(self, since_ns: int | None, until_ns: int | None) -> bool:
        """Whether the file may hold a row with `since_ns <= timestamp < until_ns`; None: no bound on that side."""
        if until_ns is not None and self.first_wall_ns >= until_ns:
            return False
        return since_ns is None or self.last_wall_ns + S > since_ns


def host_in_names(host: str) -> str:
    """The name of a host as file names have it: other characters than letters, digits, `.`, `_` and `-` become `_`."""
    return _UNFIT_FOR_NAMES.sub("_", host) or "_"


def file_name(name: SealedName) -> str:
    """The file name of a sealed or compacted file."""
    assert 0 <= name.first_wall_ns <= name.last_wall_ns
    assert _is_id(name.segment)
    times = f"{compact_utc(name.first_wall_ns)}-{compact_utc(name.last_wall_ns)}"
    kind = _COMPACTED if name.is_compacted else ""
    return f"{name.prefix}{host_in_names(name.host)}-{times}{kind}-{name.segment}{SUFFIX}"


def parse_sealed_name(name: str, prefix: str = "") -> SealedName | None:
    """What a file name says; None: it is none of a sealed file of the agent's.

    *Range:* a name does not show where its prefix ends, since both may hold dashes; so without `prefix` all that stands before
    the times is `host`.
    """
    if not name.startswith(prefix) or not name.endswith(SUFFIX):
        return None
    rest, dash, segment = name[len(prefix) : -len(SUFFIX)].rpartition("-")
    if not dash or not _is_id(segment):
        return None
    is_compacted = rest.endswith(_COMPACTED)
    rest = rest.removesuffix(_COMPACTED)
    host, times = rest[:-_TIMES_CHARACTERS], rest[-_TIMES_CHARACTERS:]
    first, last = parse_compact_utc(times[1 : 1 + _TIME_CHARACTERS]), parse_compact_utc(times[2 + _TIME_CHARACTERS :])
    if first is None or last is None or first > last or not host or times[0] != "-" or times[1 + _TIME_CHARACTERS] != "-":
        return None
    return None if _UNFIT_FOR_NAMES.search(host) else SealedName(prefix, host, first, last, is_compacted, segment)


def date_folder(date: str) -> str:
    """The name of the folder of a UTC date such as `2024-01-31`."""
    return f"{DATE_PREFIX}{date}"


def parse_date_folder(name: str) -> str | None:
    """The UTC date of a folder of one date; None: it is none."""
    date = name.removeprefix(DATE_PREFIX)
    midnight = f"{date.replace('-', '')}T000000Z"
    if date == name or parse_compact_utc(midnight) is None or date[4::3] != "--" or len(date) != _DATE_CHARACTERS:
        return None
    return date


def host_bytes_max(tables: Iterable[Table]) -> int:
    """How long a host's name may be so that every file named after it, hidden ones in the making too, has a legal name."""
    longest = max(len(f"{table.name}--{table.prefix}".encode()) for table in tables)
    rest = _TIMES_CHARACTERS + len(_COMPACTED) + 1 + _ID_CHARACTERS + len(SUFFIX)
    return _NAME_BYTES_MAX - longest - _DATE_CHARACTERS - rest


def _is_id(segment: str) -> bool:
    return len(segment) == _ID_CHARACTERS and _HEXADECIMAL.issuperset(segment)
