"""Which files a reader takes, so that it sees each row once at every moment, whatever writers, compactors and sinks do meanwhile.

    found = read_lake(bucket, log, Wanted(("process",), since_ns, until_ns), lambda snapshot: …)

The order makes it right: landing files are listed first, then the log is folded. What was listed and consumed after that is in the
log, so it is passed over, and its rows are in a merged file; what lands after the listing is not seen at all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from agent.lake.bucket import Bucket, BucketFailure, FileGone
from agent.lake.commit import AddedFile
from agent.lake.lake_state import LakeState
from agent.lake.ledger import LEDGER_BYTES_MAX, DayLedger, decode_ledger
from agent.lake.log import LakeLog
from agent.lake.path import LandingPath, landing_prefix, parse_landing_path, table_prefix
from agent.model.timebase import DAY, S, civil_date
from agent.store.layout import parse_sealed_name

T = TypeVar("T")

SNAPSHOTS_MAX = 3
# 1,000 nodes with 96 files a day of ten tables have as many in a day, and the compactor takes them each few minutes.
LANDING_MAX = 2_000_000
# Longer spans list the table instead of its days.
_DATES_MAX = 62


class LakeFile(Struct, frozen=True):
    """One file to read. A landing file has a column `install` only where its host stores rows of others.

    *Units:* `first_ns` and `last_ns`: no row is before or behind them. *Absent:* None where neither its name nor the log says it;
    `rows` is None of landing files.
    """

    path: str
    table: str
    date: str
    bytes: int
    rows: int | None
    first_ns: int | None
    last_ns: int | None
    is_landing: bool


class Wanted(Struct, frozen=True):
    """Which files: of these tables, which may have rows with `since_ns <= timestamp < until_ns`; None: no bound on that side."""

    tables: tuple[str, ...]
    since_ns: int | None = None
    until_ns: int | None = None


class LakeSnapshot(Struct, frozen=True):
    """The files that count at one moment, behind entry `number` of the log. `state`: what else the log says, until the log is
    asked again."""

    number: int
    files: tuple[LakeFile, ...]
    state: LakeState

    def of(self, table: str) -> list[LakeFile]:
        """Those of one table."""
        return [file for file in self.files if file.table == table]


class LedgerCache:
    """Ledgers that were read, by path: they never change."""

    def __init__(self, bucket: Bucket, kept_max: int = 64) -> None:
        self._bucket = bucket
        self._kept: dict[str, DayLedger] = {}
        self._kept_max = kept_max

    def read(self, path: str) -> DayLedger:
        """*Raises:* FileGone, FormatError, BucketFailure."""
        found = self._kept.pop(path, None)
        if found is None:
            data = self._bucket.get(path, LEDGER_BYTES_MAX)
            if data is None:
                raise FileGone(path)
            found = decode_ledger(data, f"{self._bucket.shown}/{path}")
        self._kept[path] = found
        while len(self._kept) > self._kept_max:
            del self._kept[next(iter(self._kept))]
        return found

    def of_day(self, state: LakeState, day: str) -> DayLedger:
        """That of a "table/date"; an empty one where there is none."""
        path = state.ledgers.get(day)
        return self.read(path) if path else DayLedger()


def read_lake(bucket: Bucket, log: LakeLog, wanted: Wanted, read: Callable[[LakeSnapshot], T]) -> T:
    """What `read` makes of a snapshot; where a file of it was deleted before it was read, of a newer one.

    *Raises:* FileGone, when that happened again and again; what `read` raises.
    """
    for turn in range(SNAPSHOTS_MAX):
        try:
            return read(take_snapshot(bucket, log, wanted))
        except FileGone:
            if turn == SNAPSHOTS_MAX - 1:
                raise
    raise AssertionError("the last turn returns or raises")


def take_snapshot(bucket: Bucket, log: LakeLog, wanted: Wanted, ledgers: LedgerCache | None = None) -> LakeSnapshot:
    """The files that count now. *Raises:* BucketFailure, FormatError."""
    landing = list_landing(bucket, wanted)
    state = log.state()
    files = [_merged(file) for file in state.files.values() if file.table in wanted.tables and _overlaps(file, wanted)]
    files += [
        _landing(path, where, size)
        for path, where, size in unconsumed(landing, state, ledgers or LedgerCache(bucket))
        if _may_overlap(where, wanted)
    ]
    return LakeSnapshot(state.number, tuple(files), state)


def list_landing(bucket: Bucket, wanted: Wanted) -> list[tuple[str, LandingPath, int]]:
    """All landing files there are, consumed ones too: path, what it says, and its bytes. *Raises:* BucketFailure."""
    found = []
    for table in wanted.tables:
        for prefix in _prefixes(table, wanted):
            for page in bucket.pages(prefix):
                found += [(head.name, where, head.bytes) for head in page if (where := parse_landing_path(head.name)) is not None]
                if len(found) > LANDING_MAX:
                    remedy = "run a compactor, or ask for a shorter span of time"
                    raise BucketFailure(bucket.shown, f"more than {LANDING_MAX} landing files", remedy, is_passing=False)
    return found


def unconsumed(
    landing: Sequence[tuple[str, LandingPath, int]], state: LakeState, ledgers: LedgerCache
) -> Iterator[tuple[str, LandingPath, int]]:
    """Of landing files those whose rows are in no merged file."""
    of_day: Mapping[str, DayLedger] = {}
    days = {f"{where.table}/{where.date}" for path, where, _ in landing if path not in state.consumed}
    of_day = {day: ledgers.of_day(state, day) for day in days}
    for path, where, size in landing:
        if path not in state.consumed and path not in of_day[f"{where.table}/{where.date}"]:
            yield path, where, size


def _prefixes(table: str, wanted: Wanted) -> list[str]:
    """Of each date that may have rows of the span: a row lies in the folder of the date when its batch was stored."""
    if wanted.since_ns is None or wanted.until_ns is None or wanted.until_ns - wanted.since_ns > _DATES_MAX * DAY:
        return [table_prefix(table)]
    first, last = max(0, wanted.since_ns // DAY - 1), wanted.until_ns // DAY + 1
    return [landing_prefix(table, civil_date(day * DAY)) for day in range(first, last + 1)]


def _merged(file: AddedFile) -> LakeFile:
    return LakeFile(file.path, file.table, file.date, file.bytes, file.rows, file.first_ns, file.last_ns, is_landing=False)


def _overlaps(file: AddedFile, wanted: Wanted) -> bool:
    if file.first_ns is None or file.last_ns is None:
        return True
    if wanted.until_ns is not None and file.first_ns >= wanted.until_ns:
        return False
    return wanted.since_ns is None or file.last_ns >= wanted.since_ns


def _landing(path: str, where: LandingPath, size: int) -> LakeFile:
    named = parse_sealed_name(where.name)
    first_ns = None if named is None else named.first_wall_ns
    last_ns = None if named is None else named.last_wall_ns + S - 1
    return LakeFile(path, where.table, where.date, size, None, first_ns, last_ns, is_landing=True)


def _may_overlap(where: LandingPath, wanted: Wanted) -> bool:
    named = parse_sealed_name(where.name)
    return named is None or named.overlaps(wanted.since_ns, wanted.until_ns)
