"""Which tick is due when, which were missed, and how they are told."""

from fakes.clock import FakeClock

from agent.model.gap_cause import GapCause
from agent.model.message import Missed, Tick
from agent.model.tick_grid import MISSED_MAX, TickGrid
from agent.model.timebase import MS, S


def started(clock: FakeClock) -> TickGrid:
    """A grid of one second."""
    return TickGrid(1 * S, clock.reading())


def tick(grid: TickGrid, clock: FakeClock, *, takes_ns: int = 0) -> Tick:
    """Wait for the next tick and take it."""
    clock.advance(max(0, grid.next_at_ns - clock.now_ns()))
    number = grid.take(clock.reading())
    clock.advance(takes_ns)
    told = grid.tell_with(number)
    grid.done(clock.reading())
    return told


def test_every_start_is_on_the_same_raster() -> None:
    """The first tick is taken at once, for the number that is nearest; all others when they are due."""
    clock = FakeClock(100 * S + 400 * MS)
    grid = started(clock)
    assert [(tick(grid, clock), clock.now_ns()) for _ in range(3)] == [
        (Tick(100), 100 * S + 400 * MS),
        (Tick(101), 101 * S),
        (Tick(102), 102 * S),
    ]
    early = FakeClock(100 * S + 600 * MS)
    grid = started(early)
    assert [(tick(grid, early), early.now_ns()) for _ in range(2)] == [
        (Tick(101), 100 * S + 600 * MS),
        (Tick(102), 102 * S),
    ]


def test_a_late_tick_has_the_number_of_its_time() -> None:
    """Those between are missed, and the tick itself tells them."""
    clock = FakeClock(100 * S)
    grid = started(clock)
    tick(grid, clock)
    clock.advance(5300 * MS)
    assert tick(grid, clock) == Tick(105, (Missed(101, 104, GapCause.FROZEN),))
    assert (grid.missed_ticks, tick(grid, clock), clock.now_ns()) == (4, Tick(106), 106 * S)


def test_a_tick_that_is_late_by_less_than_an_interval_misses_none() -> None:
    """It is its own tick still."""
    clock = FakeClock(100 * S)
    grid = started(clock)
    tick(grid, clock)
    clock.advance(1900 * MS)
    assert tick(grid, clock) == Tick(101)


def test_what_a_long_tick_costs_is_told_by_the_next() -> None:
    """Two and a half seconds of own work; then of a read that did not return."""
    clock = FakeClock(100 * S)
    grid = started(clock)
    clock.cpu_ns = 0
    number = grid.take(clock.reading())
    clock.advance(2500 * MS)
    clock.cpu_ns = 2400 * MS
    assert grid.tell_with(number) == Tick(100)
    grid.done(clock.reading())
    assert tick(grid, clock, takes_ns=1500 * MS) == Tick(103, (Missed(101, 102, GapCause.OVERRUN),))
    assert tick(grid, clock) == Tick(105, (Missed(104, 104, GapCause.SLOW_READ),))


def test_a_host_that_slept_misses_ticks_although_no_deadline_passed() -> None:
    """The monotonic clock stands still in a suspend, so that the deadline comes as if nothing had been."""
    clock = FakeClock(100 * S)
    grid = started(clock)
    tick(grid, clock)
    clock.advance(500 * MS)
    clock.suspend(3600 * S)
    assert tick(grid, clock) == Tick(3701, (Missed(101, 3700, GapCause.SUSPENDED),))
    assert tick(grid, clock) == Tick(3702)


def test_a_step_of_the_wall_clock_is_no_gap() -> None:
    """Ticks follow the time since boot."""
    clock = FakeClock(100 * S)
    grid = started(clock)
    tick(grid, clock)
    clock.set_wall_ns(5)
    assert (tick(grid, clock), grid.missed_ticks) == (Tick(101), 0)


def test_work_between_two_ticks_that_makes_one_late_is_not_taken_for_a_stop() -> None:
    """Groups are opened there, files read."""
    clock = FakeClock(100 * S)
    grid = started(clock)
    tick(grid, clock)
    clock.advance(3 * S)
    grid.note_busy(3 * S)
    assert tick(grid, clock) == Tick(103, (Missed(101, 102, GapCause.SLOW_READ),))


def test_ticks_without_rows_are_told_together_and_at_the_end() -> None:
    """One range as long as the cause stays the same; nothing is told twice."""
    clock = FakeClock(105 * S)
    grid = started(clock)
    assert grid.tell(clock.reading()) is None
    for number in (100, 101, 102):
        grid.miss(number, number, GapCause.UNREADABLE)
    assert (grid.is_report_due(4), grid.is_report_due(3)) == (False, True)
    grid.miss(103, 103, GapCause.STARVED)
    assert grid.tell(clock.reading()) == Tick(103, (Missed(100, 102, GapCause.UNREADABLE), Missed(103, 103, GapCause.STARVED)))
    assert grid.tell(clock.reading()) is None


def test_the_tick_of_the_moment_is_left_to_the_next_start() -> None:
    """A start within half an interval takes it still; after that it is over."""
    clock = FakeClock(105 * S + 499 * MS)
    for now_ns, told in [(clock.now_ns(), 104), (clock.advance(1 * MS), 105)]:
        grid = started(FakeClock(now_ns))
        grid.miss(103, 105, GapCause.OVERRUN)
        assert grid.tell(FakeClock(now_ns).reading()) == Tick(told, (Missed(103, told, GapCause.OVERRUN),))
    grid.miss(106, 106, GapCause.OVERRUN)
    assert grid.tell(clock.reading()) is None


def test_many_ranges_are_told_at_once() -> None:
    """However the causes alternate, what waits is bounded."""
    clock = FakeClock(100 * S)
    grid = started(clock)
    for number in range(MISSED_MAX):
        assert not grid.is_report_due(1000)
        grid.miss(number, number, GapCause.UNREADABLE if number % 2 else GapCause.STARVED)
    assert grid.is_report_due(1000)
