"""What a run gathered about topics and stores: whether they have the rows that are stored here, and what rows cost there. PURE."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scenarios.rebinning import WindowMatch


@dataclass(frozen=True, slots=True)
class RowAccount:
    """The rows of a table here and there, compared in whole: too few (`missing`), too many (`doubled`), and others (`strange`)."""

    where: str
    table: str
    stored: int
    missing: int
    doubled: int
    strange: int


@dataclass(frozen=True, slots=True)
class WireCost:
    """Bytes that rows take somewhere, over so many process-seconds: rows of one process for one second, named or in the tail."""

    where: str
    bytes: int
    process_seconds: float

    @property
    def per_process_second(self) -> float:
        """*Range:* infinite without any process."""
        return self.bytes / self.process_seconds if self.process_seconds else float("inf")


@dataclass(frozen=True, slots=True)
class MarkMoment:
    """What a commit says to have of a table, and what it and those before it have: rows with a time before `low_ns`."""

    number: int
    table: str
    low_ns: int
    stored: int
    there: int


@dataclass(frozen=True, slots=True)
class CommitCount:
    """Of the commits of a store: those that add rows, and those of them that do not say up to where they have read the topics."""

    with_rows: int
    without_offsets: int


@dataclass(frozen=True, slots=True)
class CursorMark:
    """The mark that a broker keeps of a sink: how many transactions, and how many rows by it; beside it the rows in its topics, and
    those of transactions that were not committed."""

    where: str
    transactions: int
    rows: int
    rows_there: int
    rows_aborted: int


@dataclass(slots=True)
class StoreEvidence:
    """Of one run. Lists are empty where something was not gathered."""

    accounts: Sequence[RowAccount] = ()
    windows: Sequence[WindowMatch] = ()
    costs: Sequence[WireCost] = ()
    marks: Sequence[MarkMoment] = ()
    commits: CommitCount | None = None
    cursors: Sequence[CursorMark] = ()


def mark_moments(
    commits: Sequence[tuple[int, Sequence[str], Sequence[str], Mapping[str, int]]],
    times_by_file: Mapping[str, Mapping[str, Sequence[int]]],
    stored_by_table: Mapping[str, Sequence[int]],
) -> list[MarkMoment]:
    """Of one host: each mark of each commit against the rows that count then.

    `commits`: number, files added, files removed, marks by table. `times_by_file`: the times of the rows of each file, by table.
    """
    found: list[MarkMoment] = []
    live: set[str] = set()
    stored = {table: sorted(times) for table, times in stored_by_table.items()}
    sorted_by_file = {table: {path: sorted(times) for path, times in files.items()} for table, files in times_by_file.items()}
    for number, adds, removes, marks in commits:
        live = (live | set(adds)) - set(removes)
        for table, low_ns in marks.items():
            if table in stored:
                files = sorted_by_file.get(table, {})
                there = sum(bisect_left(files[path], low_ns) for path in live & files.keys())
                found.append(MarkMoment(number, table, low_ns, bisect_left(stored[table], low_ns), there))
    return found
