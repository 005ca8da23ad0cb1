"""What is counted for one process from reading to reading."""

import pytest

from agent.model.proc_stat import Stat
from workers.process.counting import begin, count_interval, count_switches, count_whole, end
from workers.process.tracked_process import Totals, TrackedProcess
from workers.process.unit_command import UnitCommand

TICK_NS = 10_000_000


def _stat(cpu: int | None = 0, system: int = 0, *, threads: int = 1, reaped: int | None = 0, faults: int | None = 0) -> Stat:
    return Stat("S", 1, cpu, threads, 77, 10, system_ticks=system, reaped_ticks=reaped, minor_faults=faults, major_faults=faults)


def _met(stat: Stat, clock_ns: int | None) -> TrackedProcess:
    process = TrackedProcess("5", 5, stat, b"", "x", UnitCommand(None, "x"), Totals())
    begin(process, clock_ns, TICK_NS)
    return process


def _read(process: TrackedProcess, stat: Stat, clock_ns: int | None) -> tuple[int | None, int | None, int | None]:
    before, process.stat = process.stat, stat
    count_interval(process, before, clock_ns, TICK_NS)
    return process.interval_cpu_ns, process.interval_user_ns, process.interval_system_ns


def test_the_clock_counts_and_stat_says_which_part_is_system_time() -> None:
    """To the nanosecond; the sums get it too."""
    process = _met(_stat(), 500)
    assert process.cpu_ns == 500
    assert _read(process, _stat(4, 1), 40_000_500) == (40_000_000, 30_000_375 - 500, 40_000_000 - 30_000_375 + 500)
    assert (process.cpu_ns, process.totals.cpu_ns) == (40_000_500, 40_000_000)


def test_without_a_clock_clock_ticks_count() -> None:
    """In steps of ten milliseconds."""
    process = _met(_stat(7, 2), None)
    assert _read(process, _stat(10, 4), None) == (3 * TICK_NS, TICK_NS, 2 * TICK_NS)
    assert process.cpu_ns == 10 * TICK_NS


@pytest.mark.parametrize("has_clock", [True, False])
def test_a_counter_that_went_back_adds_nothing_and_says_so(has_clock: bool) -> None:
    """From there on it counts again; nothing is negative."""

    def clock(ticks: int) -> int | None:
        return ticks * TICK_NS if has_clock else None

    process = _met(_stat(100), clock(100))
    assert _read(process, _stat(3), clock(3)) == (0, 0, 0)
    assert (process.why_no_cpu, process.cpu_ns) == ("counter_reset", 100 * TICK_NS)
    end(process)
    assert _read(process, _stat(5), clock(5)) == (2 * TICK_NS, 2 * TICK_NS, 0)
    assert (process.why_no_cpu, process.cpu_ns) == (None, 102 * TICK_NS)


def test_cpu_that_is_not_known_is_none_until_two_readings_know_it() -> None:
    """A number out of its range makes no difference of it, neither on its way out nor back."""
    process = _met(_stat(5), None)
    assert _read(process, _stat(None), None) == (None, None, None)
    assert process.cpu_ns is None
    end(process)
    assert process.interval_cpu_ns is None
    assert _read(process, _stat(9), None) == (None, None, None)
    assert _read(process, _stat(11), None) == (2 * TICK_NS, 2 * TICK_NS, 0)


def test_faults_and_reaped_children_are_differences() -> None:
    """Never negative, and none where a number is not known."""
    process = _met(_stat(faults=5, reaped=3), 1)
    _read(process, _stat(faults=9, reaped=4), 1)
    assert (process.interval_minor_faults, process.interval_major_faults, process.interval_reaped_ns) == (4, 4, TICK_NS)
    _read(process, _stat(faults=2, reaped=None), 1)
    assert (process.interval_minor_faults, process.interval_reaped_ns, process.reaped_ns) == (0, 0, 4 * TICK_NS)
    _read(process, _stat(faults=None), 1)
    assert process.interval_minor_faults is None
    end(process)
    assert process.interval_minor_faults is None


def test_a_process_that_began_in_the_interval_counts_whole() -> None:
    """With all that it ever did."""
    process = _met(_stat(4, 2, reaped=1, faults=8), 40_000_000)
    count_whole(process)
    assert (process.interval_cpu_ns, process.interval_user_ns, process.interval_system_ns) == (40_000_000, 20_000_000, 20_000_000)
    assert (process.interval_minor_faults, process.interval_reaped_ns, process.totals.cpu_ns) == (8, TICK_NS, 40_000_000)


def test_context_switches_are_known_from_the_second_reading_on() -> None:
    """A process that slept since then had none."""
    process = _met(_stat(), 1)
    count_switches(process, 7)
    assert (process.interval_switches, process.why_no_switches) == (None, "first_tick")
    count_switches(process, 9)
    assert (process.interval_switches, process.why_no_switches) == (2, None)
    end(process)
    assert process.interval_switches == 0
    count_switches(process, 4)
    assert process.interval_switches == 0


def test_context_switches_of_several_threads_have_their_reason() -> None:
    """And where the kernel does not count them, that is the reason; afterwards they begin again."""
    process = _met(_stat(), 1)
    count_switches(process, 7)
    process.stat = _stat(threads=2)
    count_switches(process, None)
    end(process)
    assert (process.interval_switches, process.why_no_switches) == (None, "several_threads")
    process.stat = _stat()
    count_switches(process, None)
    assert process.why_no_switches == "unsupported"
    count_switches(process, 8)
    assert (process.interval_switches, process.why_no_switches) == (None, "first_tick")


def test_faults_that_are_not_known_make_no_difference_and_none_is_negative() -> None:
    """Null until two readings know them; a counter that went back has added nothing."""
    process = _met(_stat(faults=None), 0)
    _read(process, _stat(faults=5), 10)
    assert (process.interval_minor_faults, process.interval_major_faults) == (None, None)
    _read(process, _stat(faults=3), 20)
    assert (process.interval_minor_faults, process.interval_major_faults) == (0, 0)


def test_reaped_children_that_are_not_known_add_nothing() -> None:
    """They count on from what was known."""
    process = _met(_stat(reaped=4), 0)
    _read(process, _stat(reaped=None), 10)
    assert (process.interval_reaped_ns, process.reaped_ns) == (0, 4 * TICK_NS)
    _read(process, _stat(reaped=6), 20)
    assert (process.interval_reaped_ns, process.reaped_ns) == (2 * TICK_NS, 6 * TICK_NS)


def test_a_clock_counts_where_stat_has_no_cpu() -> None:
    """All of it is user time: nothing says that the kernel worked for it."""
    process = _met(_stat(None), 0)
    assert _read(process, _stat(None), 70) == (70, 70, 0)


def test_of_a_process_whose_cpu_is_not_known_none_is_counted() -> None:
    """Its faults are, which are known."""
    process = _met(_stat(None, faults=3), None)
    count_whole(process)
    assert (process.interval_cpu_ns, process.interval_minor_faults, process.totals.cpu_ns) == (None, 3, 0)
