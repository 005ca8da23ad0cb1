"""A lake in a folder, read by a few lines of its own: which files count after each entry of its log, and what rows they have."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from harness.export_trial import Tick

MS, MIB = 1_000_000, 1 << 20
_LOG, _MERGED = "_log", "_merged"
_DIGITS = 20


@dataclass(frozen=True, slots=True)
class LakeEntry:
    """One commit: what counts from then on, and what counts no more; up to where tables have the rows of hosts."""

    number: int
    adds: Sequence[dict[str, Any]]
    removes: Sequence[str]
    has_offsets: bool
    # Of each table and host.
    marks: dict[tuple[str, str], int] = field(default_factory=dict)


def lake_entry(number: int, document: dict[str, Any]) -> LakeEntry:
    """From the JSON of an entry, of which fields without a value are left out."""
    marks = {
        (table, host): int(mark[0]) for table, of_table in document.get("marks", {}).items() for host, mark in of_table.items()
    }
    return LakeEntry(number, document.get("adds", []), document.get("removes", []), bool(document.get("offsets")), marks)


def live_files(entries: Sequence[LakeEntry]) -> list[str]:
    """The merged files that count after these entries, in the order in which they came."""
    found: dict[str, None] = {}
    for entry in entries:
        found |= dict.fromkeys(each["path"] for each in entry.adds)
        for path in entry.removes:
            found.pop(path, None)
    return list(found)


class LakeFolder:
    """One lake. It is a sink of rows for comparisons, though no agent sends it any: the merger does."""

    # A commit has its place in the topics with it, so a merger that is killed repeats nothing.
    doubled_max_per_kill = 0
    is_prompt = True
    section = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entries(self) -> list[LakeEntry]:
        """All commits, in order."""
        paths = sorted(path for path in (self.folder / _LOG).glob(f"{'[0-9]' * _DIGITS}.json"))
        return [lake_entry(int(path.stem), json.loads(path.read_text())) for path in paths]

    def last_number(self) -> int:
        """Of the newest commit; 0: there is none."""
        return max((each.number for each in self.entries()), default=0)

    def rows(self, table: str, columns: Sequence[str], files: Sequence[str] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a table in files that count now, or in these."""
        paths = [str(self.folder / path) for path in self._of(table, files)]
        if not paths:
            return []
        names = ", ".join(f'"{name}"' for name in columns)
        with closing(duckdb.connect()) as database:
            return database.execute(f"SELECT {names} FROM read_parquet($1, union_by_name = true)", [paths]).fetchall()

    def deliveries(self) -> list[list[Tick]]:
        """The ticks that are there, each file as a delivery."""
        return [
            [(at // MS, count) for at, count in self.rows("process_scan", ("timestamp", "processes"), [path])]
            for path in self._of("process_scan", None)
        ]

    def newest_ms(self) -> int:
        """The time of the newest tick that is there; 0: there is none."""
        last = [each["last_ns"] for entry in self.entries() for each in entry.adds if each["table"] == "process_scan"]
        return max(last, default=0) // MS

    def bytes_of(self, tables: Sequence[str]) -> int:
        """Of the files of tables that count now."""
        return sum((self.folder / path).stat().st_size for table in tables for path in self._of(table, None))

    def times_by_file(self, table: str) -> dict[str, list[int]]:
        """The time of each row of a table, by file, of all files that ever counted."""
        names = dict.fromkeys(each["path"] for entry in self.entries() for each in entry.adds if each["table"] == table)
        return {name: [at for (at,) in self.rows(table, ("timestamp",), [name])] for name in names}

    def _of(self, table: str, files: Sequence[str] | None) -> Iterator[str]:
        prefix = f"{_MERGED}/{table}/"
        yield from (path for path in (live_files(self.entries()) if files is None else files) if path.startswith(prefix))
