"""Processor time over spans of the past."""

from agent.model.limit import CPU_PER_CORE
from agent.model.timebase import MS, S
from supervisor.core.usage import SPAN_MOST_NS, CpuHistory


def test_a_share_is_of_the_span_asked_for() -> None:
    """A worker that used all of a core until a moment ago, and nothing since, shows both."""
    history = CpuHistory()
    for second in range(21):
        history.add(second * S, min(second, 10) * S)
    assert history.share(0) == CPU_PER_CORE // 2
    assert history.share(10 * S) == 0
    assert history.used(5 * S) == (5 * S, 15 * S)


def test_two_readings_are_needed() -> None:
    """One reading says what was used since the start, and not when."""
    history = CpuHistory()
    assert history.share(0) is None
    assert history.used(0) == (0, 0)
    history.add(1 * S, 5 * S)
    assert history.share(0) is None


def test_what_is_kept_is_bounded_by_time_and_by_number() -> None:
    """Four readings a second for an hour keep one a second for a minute, and the latest."""
    history = CpuHistory()
    for reading in range(4 * 3600):
        history.add(reading * 250 * MS, reading * MS)
    assert len(history._readings) <= SPAN_MOST_NS // S + 3
    # A thousandth of a second in a quarter of a second.
    assert history.share(0) == CPU_PER_CORE * 4 // 1000


def test_a_clock_that_goes_back_is_another_process() -> None:
    """What another process used before is not counted for this one."""
    history = CpuHistory()
    history.add(0, 5 * S)
    history.add(1 * S, 6 * S)
    history.add(2 * S, 0)
    assert history.share(0) is None
    history.add(3 * S, 1 * S)
    assert history.share(0) == CPU_PER_CORE
