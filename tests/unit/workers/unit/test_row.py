"""The row of a unit, from what was read before and what is read now."""

from collections.abc import Mapping

import pytest

from agent.model.absence import Absence
from agent.model.rule import UnitKind
from agent.model.table import Value
from agent.model.timebase import S
from workers.unit import value
from workers.unit.row import row_of
from workers.unit.schema import UNIT
from workers.unit.tracked_unit import Instant, TrackedUnit
from workers.unit.value import COUNTERS, COUNTERS_COUNT, VALUES_COUNT

AT = Instant(10 * S, 1_000 * S)


def unit() -> TrackedUnit:
    """One that had a row two seconds ago, when all of its counters were 100; now they are 100 and their place."""
    made = TrackedUnit("/web.service", UnitKind.SERVICE, "/web.service")
    made.values = [100 + place for place in range(VALUES_COUNT)]
    made.told, made.told_at_ns = [100] * COUNTERS_COUNT, 8 * S
    made.started_wall_ns = 900 * S
    return made


def by_column(made: TrackedUnit, *, is_final: bool = False) -> Mapping[str, Value]:
    """Its row."""
    return dict(zip(UNIT.column_names, row_of(made, AT, is_final=is_final), strict=True))


def test_every_value_stands_in_its_column() -> None:
    """Counters by their increase, levels as they are."""
    made = unit()
    row = by_column(made)
    assert [row[name] for name in COUNTERS] == list(range(COUNTERS_COUNT))
    for name in ("cpu_weight", "memory_anon_bytes", "memory_file_bytes", "memory_shmem_bytes", "memory_kernel_bytes"):
        assert row[name] == made.values[value.LEVELS.index(name) + COUNTERS_COUNT]
    assert (row["memory_swap_bytes"], row["memory_peak_bytes"], row["pids"]) == (
        100 + value.SWAP,
        100 + value.PEAK,
        100 + value.PIDS,
    )
    assert (row["elapsed_ns"], row["uptime_ns"], row["timestamp"]) == (2 * S, 100 * S, 1_000 * S)
    assert row["io_writes_per_second"] == value.WRITES / 2
    assert row["absent"] is None


def test_the_working_set_is_what_is_left_without_inactive_files() -> None:
    """Never below zero: the two files are read one after the other."""
    made = unit()
    made.values[value.CURRENT], made.values[value.INACTIVE_FILE] = 1000, 300
    assert by_column(made)["memory_working_set_bytes"] == 700
    made.values[value.INACTIVE_FILE] = 2000
    assert by_column(made)["memory_working_set_bytes"] == 0
    made.values[value.INACTIVE_FILE] = None
    assert by_column(made)["memory_working_set_bytes"] is None


def test_a_peak_that_was_read_earlier_is_at_least_what_is_charged_now() -> None:
    """It is the most so far."""
    made = unit()
    made.values[value.PEAK], made.values[value.CURRENT] = 10, 50
    assert by_column(made)["memory_peak_bytes"] == 50
    made.values[value.PEAK] = None
    assert by_column(made)["memory_peak_bytes"] is None


def test_the_next_row_counts_from_this_one() -> None:
    """Nothing is counted twice."""
    made = unit()
    by_column(made)
    assert by_column(made)["cpu_user_ns"] == 0


def test_a_first_row_has_levels_and_no_increase() -> None:
    """It says so."""
    made = unit()
    made.told = None
    row = by_column(made)
    assert (row["absent"], row["cpu_ns"], row["elapsed_ns"], row["io_reads_per_second"]) == ("first_tick", None, None, None)
    assert row["pids"] == 100 + value.PIDS


def test_a_counter_that_fell_is_absent_and_says_why() -> None:
    """The others are counted."""
    made = unit()
    made.values[value.READS] = 5
    row = by_column(made)
    assert (row["io_reads"], row["io_reads_per_second"], row["absent"]) == (None, None, "counter_reset")
    assert row["io_writes"] == value.WRITES


@pytest.mark.parametrize(("before", "now", "reason"), [(None, 5, "first_tick"), (5, None, None), (None, None, None)])
def test_a_counter_that_is_known_at_one_time_only_has_no_increase(before: int | None, now: int | None, reason: str | None) -> None:
    """Where it is not known now, the file's own reason is there."""
    made = unit()
    assert made.told is not None
    made.told[value.FAULTS], made.values[value.FAULTS] = before, now
    row = by_column(made)
    assert (row["page_faults"], row["absent"]) == (None, reason)


def test_reasons_are_named_once_and_in_order() -> None:
    """Whichever file or part gave them."""
    made = unit()
    made.absences = {"b": Absence.UNREADABLE, "a": Absence.NO_CONTROLLER, "c": Absence.UNREADABLE}
    assert by_column(made)["absent"] == "no_controller,unreadable"


def test_a_unit_whose_age_is_not_known_has_none() -> None:
    """And one that the clock says is from the future is no older than nothing."""
    made = unit()
    made.started_wall_ns = 2_000 * S
    assert by_column(made)["uptime_ns"] == 0
    made.started_wall_ns = None
    assert by_column(made)["uptime_ns"] is None


def test_still_units_have_rates_of_zero() -> None:
    """They are known."""
    made = unit()
    made.told = made.values[:COUNTERS_COUNT]
    row = by_column(made, is_final=True)
    assert (row["io_reads_per_second"], row["cpu_cores"], row["is_final"]) == (0.0, 0.0, True)
