"""Why ticks were missed, judged from two readings."""

import pytest

from agent.model.gap_cause import ClockReading, GapCause, cause_of_gap
from agent.model.timebase import MS, S

BEFORE = ClockReading(now_ns=100 * S, boot_ns=500 * S, wall_ns=9000 * S, cpu_ns=7 * S, run_delay_ns=3 * S)


def after(*, now_ns: int = 0, suspended_ns: int = 0, cpu_ns: int = 0, run_delay_ns: int | None = 0) -> ClockReading:
    """A reading later by this much on each clock."""
    return ClockReading(
        BEFORE.now_ns + now_ns,
        BEFORE.boot_ns + now_ns + suspended_ns,
        BEFORE.wall_ns + now_ns + suspended_ns,
        BEFORE.cpu_ns + cpu_ns,
        None if run_delay_ns is None else 3 * S + run_delay_ns,
    )


@pytest.mark.parametrize(
    ("later", "busy_ns", "cause"),
    [
        # Between two ticks, one second planned.
        (after(now_ns=9 * S), 0, GapCause.FROZEN),
        (after(now_ns=9 * S, cpu_ns=1 * S, run_delay_ns=1 * S), 0, GapCause.FROZEN),
        (after(now_ns=1 * S, suspended_ns=8 * S), 0, GapCause.SUSPENDED),
        (after(now_ns=9 * S, run_delay_ns=7 * S), 0, GapCause.STARVED),
        (after(now_ns=9 * S, cpu_ns=7 * S), 8 * S, GapCause.OVERRUN),
        (after(now_ns=9 * S, cpu_ns=1 * S), 8 * S, GapCause.SLOW_READ),
        # Stopped for long, and some of the rest was work that waited.
        (after(now_ns=9 * S), 2 * S, GapCause.FROZEN),
        # Suspended in the middle of a measurement, which therefore seems long.
        (after(now_ns=2 * S, suspended_ns=60 * S), 2 * S, GapCause.SUSPENDED),
        # Two causes: the greater part.
        (after(now_ns=9 * S, run_delay_ns=5 * S, cpu_ns=3 * S), 8 * S, GapCause.STARVED),
        (after(now_ns=9 * S, run_delay_ns=3 * S, cpu_ns=5 * S), 8 * S, GapCause.OVERRUN),
    ],
)
def test_the_clock_that_took_most_of_the_time_is_the_cause(later: ClockReading, busy_ns: int, cause: GapCause) -> None:
    """What no clock has counted, the worker spent held: by a system call inside its work, by a stop outside of it."""
    assert cause_of_gap(BEFORE, later, planned_ns=1 * S, busy_ns=busy_ns) is cause


def test_where_the_kernel_counts_no_waiting_a_stop_is_no_more_than_unknown() -> None:
    """Starved and stopped look alike there; what is measured otherwise is still told."""
    assert cause_of_gap(BEFORE, after(now_ns=9 * S, run_delay_ns=None), planned_ns=1 * S, busy_ns=0) is GapCause.UNKNOWN
    slept = after(now_ns=9 * MS, suspended_ns=9 * S, run_delay_ns=None)
    assert cause_of_gap(BEFORE, slept, planned_ns=1 * S, busy_ns=0) is GapCause.SUSPENDED
    worked = after(now_ns=9 * S, cpu_ns=9 * S, run_delay_ns=None)
    assert cause_of_gap(BEFORE, worked, planned_ns=0, busy_ns=9 * S) is GapCause.OVERRUN


def test_clocks_that_seem_to_go_back_are_nobodys_fault() -> None:
    """A counter that is smaller than before (another /proc, say) explains nothing, and breaks nothing."""
    odd = ClockReading(BEFORE.now_ns + 3 * S, BEFORE.boot_ns + 2 * S, BEFORE.wall_ns + 2 * S, 0, 0)
    assert cause_of_gap(BEFORE, odd, planned_ns=0, busy_ns=0) is GapCause.FROZEN
