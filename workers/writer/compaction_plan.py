"""Decides which day of which table is compacted next, and why a day is not. PURE.

A day is finished when the wall clock's date is a later one. It is compacted when its folder holds several sealed files and
nothing else, and when no segment that may still bring rows of it waits in the spool. Rows that come later have files of
their own, and enough of these make the day due again.
"""

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct

from agent.model.timebase import DAY, civil_date
from agent.store.layout import parse_date_folder, parse_sealed_name
from agent.store.segment import created_wall_ns, generation_of, id_in, segment_id

# A day with fewer files than this has nothing to gain.
FILES_MIN = 2
# Rows of a finished day come late when a sender was cut off. Below this many files a query loses less by reading them than a
# second compaction of the whole day would cost.
LATE_FILES_MIN = 16
# At the smallest `writer.seal_bytes` a busy host makes some 10,000 files a day. All of their footers are held at once, some
# 500 bytes for each row group.
SOURCES_MAX = 20_000
# Kept in the metadata of a compacted file: two days of segments at the default interval.
LISTED_MAX = 192


class Source(Struct, frozen=True):
    """A sealed or compacted file by its name."""

    name: str
    host: str
    segment: str
    is_compacted: bool


class DayFolder(Struct, frozen=True):
    """The folder of one date of a table: `folder` is its name (`date=…`), `prefix` begins the names of the table's files,
    `names` are those of everything that lies in it."""

    table: str
    folder: str
    prefix: str
    names: tuple[str, ...]


class Waiting(Struct, frozen=True):
    """The segments in the spool: their ids, and which days they may still bring rows of.

    `spans` are the times of each in nanoseconds: when it was opened, and when it was closed at the latest.
    """

    segments: frozenset[str]
    spans: tuple[tuple[int, int], ...]


class Due(Struct, frozen=True):
    """The day is to be compacted: from these files, into one with this generation."""

    sources: tuple[Source, ...]
    generation: int


class UpToDate(Struct, frozen=True):
    """There is nothing to do until another file comes into the folder."""


class Unfinished(Struct, frozen=True):
    """It will be due later, without a further file: the day goes on, or a segment waits."""


class LeftAlone(Struct, frozen=True):
    """It would be due, and stays as it is, because of one entry of its folder."""

    name: str
    reason: str


Verdict = Due | UpToDate | Unfinished | LeftAlone


def parse_source(name: str, prefix: str) -> Source | None:
    """A file of a table by its name; None: it is none of the agent's."""
    found = parse_sealed_name(name, prefix)
    return None if found is None else Source(name, found.host, found.segment, found.is_compacted)


def compacted_id(generation: int, chance: str) -> str:
    """The id of a compacted file: as old as the newest of its sources. `chance`: eight hexadecimal digits."""
    return segment_id(max(1, generation), chance)


def waiting(closed: Sequence[str], open_name: str, now_wall_ns: int) -> Waiting:
    """What the spool holds, by the names of its segments. `open_name`: the open one; '': there is none, or it has no rows.

    *Range:* a closed segment has been open for a day at most (`writer.seal_interval`); one that cannot be sealed holds back
    the days of its own rows, and not every day after them.
    """
    spans = [(start_ns, start_ns + DAY) for name in closed if (start_ns := created_wall_ns(name)) is not None]
    if open_name and (start_ns := created_wall_ns(open_name)) is not None:
        spans.append((start_ns, max(start_ns, now_wall_ns)))
    ids = {id_in(name) for name in closed} | ({id_in(open_name)} if open_name else set())
    return Waiting(frozenset(ids), tuple(spans))


def judge(day: DayFolder, spool: Waiting, now_wall_ns: int) -> Verdict:
    """Whether a day of a table is compacted now."""
    date = parse_date_folder(day.folder)
    if date is None:
        return UpToDate()
    sources = [parse_source(name, day.prefix) for name in day.names]
    ours = [source for source in sources if source is not None]
    if not _is_worth_it(ours):
        return UpToDate()
    if not _is_finished(date, ours, spool, now_wall_ns):
        return Unfinished()
    if (foreign := foreign_name(day)) is not None:
        return LeftAlone(foreign, "the agent did not write it, and it would be taken out of its folder")
    if len(ours) > SOURCES_MAX:
        return LeftAlone(day.folder, f"it holds {len(ours)} files, more than {SOURCES_MAX}")
    return Due(in_order_of_age(ours), max(generation_of(source.segment) for source in ours))


def foreign_name(day: DayFolder) -> str | None:
    """The first name that is none of the agent's; None: all are."""
    return next((name for name in sorted(day.names) if parse_source(name, day.prefix) is None), None)


def _is_worth_it(sources: Sequence[Source]) -> bool:
    if any(source.is_compacted for source in sources):
        return len(sources) > LATE_FILES_MIN
    return len(sources) >= FILES_MIN


def _is_finished(date: str, sources: Collection[Source], spool: Waiting, now_wall_ns: int) -> bool:
    # Dates of four digits are in order as text.
    if date >= civil_date(now_wall_ns):
        return False
    # A segment that is still there may be sealed once more under the same names, and each of its rows would be there twice.
    if any(source.segment in spool.segments for source in sources):
        return False
    return not any(civil_date(start_ns) <= date <= civil_date(end_ns) for start_ns, end_ns in spool.spans)


def in_order_of_age(sources: Iterable[Source]) -> tuple[Source, ...]:
    """The oldest first."""
    return tuple(sorted(sources, key=lambda source: (generation_of(source.segment), source.name)))
