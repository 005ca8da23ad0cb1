"""How things are called in a lake, relative to its root. PURE.

<table>/date=D/host=H/<name>.parquet            landing: put by a sink of kind `object` (agent.store.layout has the name)
_merged/<table>/date=D/<name>.parquet           merged: put by the merger and the compactor
_log/<20 digits>.json                           one commit each
_log/<20 digits>.checkpoint.json                all commits up to that one, folded
_log/last.json                                  the number of a late checkpoint: a hint
_consumed/<table>/date=D/<name>.ledger          names of landing files that are gone
_lease/compactor.json                           who compacts
"""

import re

from msgspec import Struct

from agent.store.layout import date_folder, parse_date_folder

MERGED = "_merged"
LOG = "_log"
CONSUMED = "_consumed"
LEASE = "_lease/compactor.json"
HINT = f"{LOG}/last.json"
SUFFIX = ".parquet"
LEDGER_SUFFIX = ".ledger"
_ENTRY_SUFFIX = ".json"
_CHECKPOINT_SUFFIX = ".checkpoint.json"
_DIGITS = 20
NUMBER_MAX = 10**_DIGITS - 1
PATH_BYTES_MAX = 1024
_HOST_PREFIX = "host="
# As `agent.store.origin_form` allows for tables of other hosts.
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NAME = re.compile(r"[A-Za-z0-9_=][A-Za-z0-9._=+-]{0,254}")


class LandingPath(Struct, frozen=True):
    """What the path of a landing file says. `host` is as file names have it."""

    table: str
    date: str
    host: str
    name: str


def entry_name(number: int) -> str:
    """Where the commit of this number is."""
    assert 0 < number <= NUMBER_MAX
    return f"{LOG}/{number:0{_DIGITS}d}{_ENTRY_SUFFIX}"


def checkpoint_name(number: int) -> str:
    """Where everything up to the commit of this number is, folded."""
    assert 0 < number <= NUMBER_MAX
    return f"{LOG}/{number:0{_DIGITS}d}{_CHECKPOINT_SUFFIX}"


def parse_entry_name(name: str) -> int | None:
    """The number of a commit; None: it is none."""
    return _number_in(name, _ENTRY_SUFFIX)


def parse_checkpoint_name(name: str) -> int | None:
    """The number of a checkpoint; None: it is none."""
    return _number_in(name, _CHECKPOINT_SUFFIX)


def table_prefix(table: str) -> str:
    """Before all landing files of a table."""
    return f"{table}/"


def landing_prefix(table: str, date: str) -> str:
    """Before all landing files of a table and date."""
    return f"{table}/{date_folder(date)}/"


def merged_path(table: str, date: str, name: str) -> str:
    """Where a merged file is; `name` is without `.parquet`."""
    path = f"{MERGED}/{table}/{date_folder(date)}/{name}{SUFFIX}"
    assert parse_merged_path(path) == (table, date)
    return path


def ledger_path(table: str, date: str, name: str) -> str:
    """Where a ledger is; `name` is without `.ledger`."""
    return f"{CONSUMED}/{table}/{date_folder(date)}/{name}{LEDGER_SUFFIX}"


def parse_merged_path(path: str) -> tuple[str, str] | None:
    """Table and date of a merged file's path; None: it is none."""
    return _below(path, MERGED, SUFFIX)


def parse_ledger_path(path: str) -> tuple[str, str] | None:
    """Table and date of a ledger's path; None: it is none."""
    return _below(path, CONSUMED, LEDGER_SUFFIX)


def parse_landing_path(path: str) -> LandingPath | None:
    """What the path of a landing file says; None: it is none."""
    match path.split("/"):
        case [table, folder, host, name] if is_table(table) and host.startswith(_HOST_PREFIX) and _is_name(name, SUFFIX):
            date = parse_date_folder(folder)
            if date is not None and _NAME.fullmatch(host) and len(path) <= PATH_BYTES_MAX:
                return LandingPath(table, date, host.removeprefix(_HOST_PREFIX), name)
    return None


def is_table(name: str) -> bool:
    """Whether a table can be called so: it begins no folder of the lake's own."""
    return _TABLE.fullmatch(name) is not None


def _below(path: str, top: str, suffix: str) -> tuple[str, str] | None:
    match path.split("/"):
        case [first, table, folder, name] if first == top and is_table(table) and _is_name(name, suffix):
            date = parse_date_folder(folder)
            return None if date is None or len(path) > PATH_BYTES_MAX else (table, date)
    return None


def _is_name(name: str, suffix: str) -> bool:
    return name.endswith(suffix) and len(name) > len(suffix) and _NAME.fullmatch(name) is not None


def _number_in(name: str, suffix: str) -> int | None:
    digits = name.removeprefix(f"{LOG}/").removesuffix(suffix)
    if name != f"{LOG}/{digits}{suffix}" or len(digits) != _DIGITS or not (digits.isascii() and digits.isdecimal()):
        return None
    return int(digits) or None
