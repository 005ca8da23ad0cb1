"""What is compacted next."""

import pytest

from agent.lake.commit import AddedFile
from agent.lake.path import merged_path, parse_landing_path
from agent.model.timebase import DAY, HOUR, MINUTE, civil_date
from agent.setting import MIB
from workers.compactor.plan import (
    FILE_BYTES_MAX,
    QUIET_NS,
    SETTLED_NS,
    SOURCES_MAX,
    TIER_FILES,
    LakeCandidate,
    LakeDay,
    LakeJob,
    PlanTerms,
    days_of,
    next_job,
)

NOW_NS = 20_000 * DAY + 12 * HOUR
TODAY, YESTERDAY = civil_date(NOW_NS), civil_date(NOW_NS - DAY)
TERMS = PlanTerms(256 * MIB, 128 * MIB, NOW_NS)


def landed(size: int, first_ns: int = 0, name: str = "", changed_ns: int = NOW_NS - HOUR) -> LakeCandidate:
    """One landing file."""
    return LakeCandidate(name or f"l-{first_ns}-{size}", size, first_ns, is_landing=True, changed_ns=changed_ns)


def merged(size: int, first_ns: int = 0) -> LakeCandidate:
    """One merged file."""
    return LakeCandidate(f"m-{first_ns}-{size}", size, first_ns, is_landing=False)


def sizes(job: LakeJob | None) -> list[int]:
    """Of the sources of a job."""
    return [] if job is None else [source.bytes for source in job.sources]


def plan(date: str, *files: LakeCandidate, terms: PlanTerms = TERMS) -> list[int]:
    """The sizes of what is compacted of one day."""
    return sizes(next_job([LakeDay("process", date, files)], terms))


def test_a_day_that_is_over_becomes_one_file_however_small() -> None:
    """In the order of time."""
    assert plan(YESTERDAY, landed(3, 2), landed(2, 1), merged(5, 3)) == [2, 3, 5]
    assert plan(YESTERDAY, landed(3)) == [3]


def test_a_single_merged_file_is_what_a_day_becomes() -> None:
    """Nothing is done with it."""
    assert plan(YESTERDAY, merged(3)) == []
    assert next_job([], TERMS) is None


def test_a_day_that_is_hardly_over_waits() -> None:
    """For the last files of most nodes."""
    just_over = PlanTerms(TERMS.file_bytes, TERMS.file_bytes_min, 20_000 * DAY + SETTLED_NS - 1)
    assert plan(YESTERDAY, landed(3), landed(2), terms=just_over) == []
    settled = PlanTerms(TERMS.file_bytes, TERMS.file_bytes_min, 20_000 * DAY + SETTLED_NS)
    assert plan(YESTERDAY, landed(3, changed_ns=0), landed(2, changed_ns=0), terms=settled) != []


def test_a_day_for_which_files_still_come_waits_until_they_do_no_more() -> None:
    """Unless nobody wants to wait."""
    late = landed(3, changed_ns=NOW_NS - QUIET_NS + 1)
    assert plan(YESTERDAY, late, landed(2)) == []
    at_once = PlanTerms(TERMS.file_bytes, TERMS.file_bytes_min, NOW_NS, quiet_ns=0)
    assert plan(YESTERDAY, late, landed(2), terms=at_once) != []


def test_files_of_today_wait_until_they_make_a_large_one() -> None:
    """The earliest of them."""
    assert plan(TODAY, landed(100 * MIB, 1), landed(100 * MIB, 2)) == []
    assert plan(TODAY, *(landed(100 * MIB, at) for at in range(9))) == [100 * MIB] * 3
    assert plan(TODAY, *(landed(100 * MIB, at) for at in range(4))) == [100 * MIB] * 4


def test_very_many_files_of_today_of_one_size_become_one() -> None:
    """So that each row is written a few times in all: large ones are no part of it."""
    small = [landed(1000 + at, at) for at in range(TIER_FILES)]
    assert plan(TODAY, *small[:-1], merged(1 * MIB), landed(7)) == []
    assert plan(TODAY, *small, merged(1 * MIB), landed(7)) == [1000 + at for at in range(TIER_FILES)]


def test_a_file_never_becomes_larger_than_the_largest() -> None:
    """Nor has it more sources than an entry names."""
    assert plan(TODAY, *(landed(200 * MIB, at) for at in range(9))) == [200 * MIB] * 2
    assert plan(YESTERDAY, landed(250 * MIB), landed(400 * MIB, 1)) == [250 * MIB]
    assert plan(YESTERDAY, landed(FILE_BYTES_MAX + 1), landed(1, 1)) == [FILE_BYTES_MAX + 1]
    assert len(plan(YESTERDAY, *(landed(10, at) for at in range(SOURCES_MAX + 5)))) == SOURCES_MAX


def test_the_day_with_the_most_files_comes_first() -> None:
    """Of two with as many, the first by its name."""
    days = [
        LakeDay("b", YESTERDAY, (landed(1), landed(2, 1))),
        LakeDay("c", YESTERDAY, (landed(1), landed(2, 1), landed(3, 2))),
        LakeDay("a", YESTERDAY, (landed(1), landed(2, 1))),
    ]
    job = next_job(days, TERMS)
    assert job is not None
    assert (job.table, job.date, job.bytes) == ("c", YESTERDAY, 6)
    job = next_job([days[0], days[2]], TERMS)
    assert job is not None
    assert job.table == "a"


@pytest.mark.parametrize("passed", [{}, {"large": 9}])
def test_days_are_made_of_what_landed_and_of_small_merged_files(passed: dict[str, int]) -> None:
    """Without files that could not be used, as long as they are the same."""
    path = f"process/date={YESTERDAY}/host=a/process-a-20240131T000000Z-20240131T001000Z-00000001aaaaaaaa.parquet"
    odd = f"process/date={YESTERDAY}/host=a/odd.parquet"
    landing = []
    for each, size in ((path, 4), (odd, 5)):
        where = parse_landing_path(each)
        assert where is not None
        landing.append((each, where, size, 8 * MINUTE))
    small = AddedFile(merged_path("process", TODAY, "s"), "process", TODAY, 1, 9)
    large = AddedFile(merged_path("process", TODAY, "l"), "process", TODAY, 1, TERMS.file_bytes_min, 3, 4)
    days = days_of(landing, [small, large], TERMS, {**passed, odd: 5, path: 3})
    assert [day.key for day in days] == [f"process/{YESTERDAY}", f"process/{TODAY}"]
    assert days[0].files == (LakeCandidate(path, 4, 19_753 * DAY, True, 8 * MINUTE),)
    assert days[1].files == (LakeCandidate(small.path, 9, 0, False),)
    assert days_of(landing[1:], [small], TERMS, {small.path: 9})[0].files[0].first_ns == 0
