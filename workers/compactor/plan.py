"""Which files of a lake are made one next. PURE.

Of a day that is over, all small files become one or a few. Of a day under way, small files become one as soon as they make a large
one; or when there are very many of about one size, so that a reader of today need not open thousands: then each row is written
again once for each power of `TIER_FACTOR` in size, a few times in all.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from agent.lake.commit import AddedFile
from agent.lake.path import LandingPath
from agent.model.timebase import DAY, HOUR, MINUTE, civil_date
from agent.setting import MIB
from agent.store.layout import parse_sealed_name

# Of one compaction: what an entry of the log names, and how many footers are read before the first row.
SOURCES_MAX = 4096
# What engines read well in one piece, and S3 takes in one put.
FILE_BYTES_MAX = 512 * MIB
# Nodes seal each 15 minutes, so their last files of a day are there soon after it.
SETTLED_NS = 1 * HOUR
# Files that still come for a day that is over wait until no more do.
QUIET_NS = 20 * MINUTE
TIER_FILES = 64
TIER_FACTOR = 8


class LakeCandidate(Struct, frozen=True):
    """One file that may be compacted. `changed_ns`: when it landed, by the store's clock; 0 of merged files."""

    path: str
    bytes: int
    first_ns: int
    is_landing: bool
    changed_ns: int = 0


class LakeDay(Struct, frozen=True):
    """All files of one table and date that may be compacted."""

    table: str
    date: str
    files: tuple[LakeCandidate, ...]

    @property
    def key(self) -> str:
        """As ledgers are named."""
        return f"{self.table}/{self.date}"


class LakeJob(Struct, frozen=True):
    """What is made one, in the order of time."""

    table: str
    date: str
    sources: tuple[LakeCandidate, ...]

    @property
    def bytes(self) -> int:
        """Of all its sources."""
        return sum(source.bytes for source in self.sources)


class PlanTerms(Struct, frozen=True):
    """`file_bytes`: how large a file is to become; `file_bytes_min`: those as large are left as they are.

    `quiet_ns`: so long must no file have landed for a day that is over.
    """

    file_bytes: int
    file_bytes_min: int
    now_ns: int
    quiet_ns: int = QUIET_NS


def days_of(
    landing: Iterable[tuple[str, LandingPath, int, int]],
    merged: Iterable[AddedFile],
    terms: PlanTerms,
    passed: Mapping[str, int],
) -> list[LakeDay]:
    """What there is by day. `landing`: path, what it says, bytes, time of its landing. `passed`: files that could not be used, with
    their bytes then."""
    found: dict[tuple[str, str], list[LakeCandidate]] = {}
    for path, where, size, changed_ns in landing:
        if passed.get(path) != size:
            named = parse_sealed_name(where.name)
            first_ns = 0 if named is None else named.first_wall_ns
            found.setdefault((where.table, where.date), []).append(LakeCandidate(path, size, first_ns, True, changed_ns))
    for file in merged:
        if file.bytes < terms.file_bytes_min and passed.get(file.path) != file.bytes:
            first_ns = file.first_ns or 0
            found.setdefault((file.table, file.date), []).append(LakeCandidate(file.path, file.bytes, first_ns, False))
    return [LakeDay(table, date, tuple(files)) for (table, date), files in sorted(found.items())]


def next_job(days: Sequence[LakeDay], terms: PlanTerms) -> LakeJob | None:
    """The next compaction: of the day with the most files; None: nothing is to be done."""
    for day in sorted(days, key=lambda day: (-len(day.files), day.key)):
        sources = _sources(day, terms)
        if sources:
            return LakeJob(day.table, day.date, sources)
    return None


def _sources(day: LakeDay, terms: PlanTerms) -> tuple[LakeCandidate, ...]:
    files = sorted(day.files, key=lambda file: (file.first_ns, file.path))
    if _is_over(day, terms.now_ns) and _is_quiet(files, terms):
        # A single merged file is what such a day becomes.
        return _chunk(files, terms) if len(files) > 1 or files[0].is_landing else ()
    if sum(file.bytes for file in files) >= terms.file_bytes:
        return _chunk(files, terms)
    tiers: dict[int, list[LakeCandidate]] = {}
    for file in files:
        tiers.setdefault(_tier(file.bytes), []).append(file)
    full = [tier for _, tier in sorted(tiers.items()) if len(tier) >= TIER_FILES]
    return _chunk(full[0], terms) if full else ()


def _chunk(files: Sequence[LakeCandidate], terms: PlanTerms) -> tuple[LakeCandidate, ...]:
    """The first of them that make a file; all where the rest alone would make a small one."""
    if len(files) <= SOURCES_MAX and sum(file.bytes for file in files) <= max(FILE_BYTES_MAX, terms.file_bytes) * 9 // 10:
        return tuple(files)
    taken: list[LakeCandidate] = []
    size = 0
    for file in files[:SOURCES_MAX]:
        if size >= terms.file_bytes or (taken and size + file.bytes > FILE_BYTES_MAX):
            break
        taken.append(file)
        size += file.bytes
    return tuple(taken)


def _is_over(day: LakeDay, now_ns: int) -> bool:
    return day.date < civil_date(max(0, now_ns - SETTLED_NS) // DAY * DAY)


def _is_quiet(files: Sequence[LakeCandidate], terms: PlanTerms) -> bool:
    return max(file.changed_ns for file in files) + terms.quiet_ns <= terms.now_ns


def _tier(size: int) -> int:
    """The power of TIER_FACTOR that a size reaches."""
    tier = 0
    while size >= TIER_FACTOR:
        size //= TIER_FACTOR
        tier += 1
    return tier
