"""Which day is compacted: finished, with something to gain, without strangers, and with nothing of it in the spool."""

import pytest

from agent.model.timebase import DAY, HOUR, MINUTE, S
from agent.store.segment import generation_of
from workers.writer.compaction_plan import (
    LATE_FILES_MIN,
    SOURCES_MAX,
    DayFolder,
    Due,
    LeftAlone,
    Unfinished,
    UpToDate,
    Verdict,
    Waiting,
    compacted_id,
    foreign_name,
    judge,
    parse_source,
    waiting,
)

# 2024-01-02, half past twelve.
NOON_NS = 1_704_196_800 * S + 30 * MINUTE
NOTHING = Waiting(frozenset(), ())
PREFIX = "process-"


def name_of(generation: int, *, is_compacted: bool = False, host: str = "node-1") -> str:
    """A sealed file of the first of January."""
    kind = "day-" if is_compacted else ""
    return f"{PREFIX}{host}-20240101T000000Z-20240101T001500Z-{kind}{generation:08x}0000abcd.parquet"


def verdict_of(*names: str, folder: str = "date=2024-01-01", spool: Waiting = NOTHING, now_ns: int = NOON_NS) -> Verdict:
    """What is said of a folder with these files."""
    return judge(DayFolder("process", folder, PREFIX, names), spool, now_ns)


def test_a_finished_day_is_due_with_its_files_in_the_order_of_age() -> None:
    """By generation, whatever the order of the folder; the new file is as old as its newest source."""
    verdict = verdict_of(name_of(3), name_of(1), name_of(2))
    assert isinstance(verdict, Due)
    assert [source.name for source in verdict.sources] == [name_of(1), name_of(2), name_of(3)]
    assert verdict.generation == 3


@pytest.mark.parametrize("names", [(), (name_of(1),), (name_of(1, is_compacted=True),)])
def test_a_day_of_one_file_has_nothing_to_gain(names: tuple[str, ...]) -> None:
    """Sealed or compacted: it is one file already."""
    assert verdict_of(*names) == UpToDate()


def test_today_and_days_to_come_are_not_finished() -> None:
    """The date of the wall clock and later ones wait; a clock that is set back makes them wait again."""
    names = (name_of(1), name_of(2))
    assert verdict_of(*names, folder="date=2024-01-02") == Unfinished()
    assert verdict_of(*names, folder="date=2025-01-01") == Unfinished()
    assert verdict_of(*names, now_ns=NOON_NS - 2 * DAY) == Unfinished()
    assert isinstance(verdict_of(*names, now_ns=NOON_NS - 13 * HOUR + 30 * MINUTE), Due)


def test_late_files_make_a_day_due_again_when_they_are_many() -> None:
    """Up to fifteen lie beside the compacted file; the sixteenth is worth a second compaction."""
    late = [name_of(generation) for generation in range(10, 10 + LATE_FILES_MIN)]
    day = name_of(9, is_compacted=True)
    assert verdict_of(day, *late[:-1]) == UpToDate()
    verdict = verdict_of(day, *late)
    assert isinstance(verdict, Due)
    assert len(verdict.sources) == 1 + LATE_FILES_MIN
    assert verdict.sources[0].is_compacted


def test_a_segment_that_is_still_in_the_spool_holds_its_files_back() -> None:
    """It may be sealed once more under the same names."""
    held = Waiting(frozenset({"000000020000abcd"}), ())
    assert verdict_of(name_of(1), name_of(2), spool=held) == Unfinished()


def test_a_segment_of_the_day_holds_it_back_and_others_do_not() -> None:
    """One that was opened on the day or the day before may hold rows of it; one of the day after gives late files at most."""
    names = (name_of(1), name_of(2))
    for utc, verdict in (("20231231T235900Z", Unfinished), ("20240101T235900Z", Unfinished), ("20240102T000100Z", Due)):
        spool = waiting([f"{utc}-000000070000abcd.spool"], "", NOON_NS)
        assert isinstance(verdict_of(*names, spool=spool), verdict), utc


def test_a_segment_that_can_not_be_sealed_holds_no_later_day_back() -> None:
    """It was open for a day at most."""
    spool = waiting(["20231225T120000Z-000000070000abcd.spool"], "", NOON_NS)
    assert isinstance(verdict_of(name_of(1), name_of(2), spool=spool), Due)


def test_the_open_segment_holds_back_every_day_since_it_was_opened() -> None:
    """It may have been opened long before its first row."""
    open_name = "20231225T120000Z-000000070000abcd.spool"
    assert verdict_of(name_of(1), name_of(2), spool=waiting([], open_name, NOON_NS)) == Unfinished()
    assert isinstance(verdict_of(name_of(1), name_of(2), spool=waiting([], "", NOON_NS)), Due)
    # A clock that was ahead when it was opened.
    assert isinstance(
        verdict_of(name_of(1), name_of(2), spool=waiting([], "20250101T000000Z-000000070000abcd.spool", NOON_NS)), Due
    )


def test_a_name_in_the_spool_without_a_time_holds_nothing_back_but_its_own_files() -> None:
    """Such names are none of the writer's."""
    spool = waiting(["x-000000020000abcd.spool"], "y-1.spool", NOON_NS)
    assert spool == Waiting(frozenset({"000000020000abcd", "1"}), ())


@pytest.mark.parametrize("name", ["mine.parquet", ".nfs0001", "copy of " + name_of(1), name_of(1) + ".bak"])
def test_a_stranger_in_the_folder_leaves_the_day_as_it_is(name: str) -> None:
    """The exchange would take it out of the folder."""
    verdict = verdict_of(name_of(1), name, name_of(2))
    assert isinstance(verdict, LeftAlone)
    assert verdict.name == name
    assert foreign_name(DayFolder("process", "date=2024-01-01", PREFIX, (name_of(1),))) is None


def test_a_folder_of_somebodys_own_is_nothing_to_speak_of() -> None:
    """Neither a date without files of the agent's nor a folder that is no date."""
    assert verdict_of("mine.parquet", "yours.parquet") == UpToDate()
    assert verdict_of(name_of(1), name_of(2), folder="kept") == UpToDate()


def test_more_files_than_can_be_held_leave_the_day_as_it_is() -> None:
    """With the number."""
    verdict = verdict_of(*(name_of(generation) for generation in range(1, SOURCES_MAX + 2)))
    assert isinstance(verdict, LeftAlone)
    assert "20001 files" in verdict.reason


def test_names_tell_host_segment_and_kind() -> None:
    """The host may hold dashes."""
    found = parse_source(name_of(7, host="a-b-c"), PREFIX)
    assert found is not None
    assert (found.host, found.segment, found.is_compacted) == ("a-b-c", "000000070000abcd", False)
    day = parse_source(name_of(7, is_compacted=True), PREFIX)
    assert day is not None
    assert day.is_compacted
    assert parse_source("other-" + name_of(7), PREFIX) is None


def test_an_id_is_as_old_as_its_newest_source() -> None:
    """Files without a generation count as the oldest."""
    assert generation_of(compacted_id(9, "0000abcd")) == 9
    assert generation_of(compacted_id(0, "0000abcd")) == 1
