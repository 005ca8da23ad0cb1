"""A kind of file that costs too much or gives nothing is not read for a while; this is told, and so is its end."""

import pytest
from fakes.bus import RecordingBus
from hypothesis import given
from hypothesis import strategies as st

from workers.framework.condition import Conditions
from workers.process.breaker import (
    BAD_TICKS_MAX,
    PROBE_READS,
    REFUSED_READS_LEAST,
    WAIT_TICKS,
    WAIT_TICKS_MAX,
    BreakerLimits,
    FileBreaker,
    ReadOutcome,
)

GOOD = ReadOutcome(100, cost_ns=10)
SLOW = ReadOutcome(100, cost_ns=101)
FAR_TOO_SLOW = ReadOutcome(100, cost_ns=500)
UNANSWERED = ReadOutcome(100, unanswered=3)
REFUSED = ReadOutcome(REFUSED_READS_LEAST, refused=REFUSED_READS_LEAST)


class Breaking:
    """A breaker and what it told."""

    def __init__(self) -> None:
        self.bus = RecordingBus()
        self.breaker = FileBreaker("io", BreakerLimits(cost_ns_max=100, unanswered_max=2), Conditions(self.bus))

    def tick(self, outcome: ReadOutcome) -> int:
        """One tick that ends so; gives how many reads it allowed."""
        allowed = self.breaker.begin_tick(outcome.reads)
        if allowed:
            self.breaker.end_tick(outcome)
        return allowed

    def told(self) -> list[tuple[str, bool]]:
        return [(told.kind, told.active) for told in self.bus.conditions]


@pytest.mark.parametrize("bad", [SLOW, UNANSWERED, REFUSED])
def test_it_opens_after_bad_ticks_and_tells_it(bad: ReadOutcome) -> None:
    """Too slow, without an answer, or refused altogether; a single one may be chance."""
    breaking = Breaking()
    for _ in range(BAD_TICKS_MAX - 1):
        breaking.tick(bad)
    assert (breaking.breaker.is_open, breaking.told()) == (False, [])
    breaking.tick(bad)
    assert (breaking.breaker.is_open, breaking.told()) == (True, [("breaker_open:io", True)])
    assert breaking.tick(bad) == 0


def test_a_tick_far_beyond_its_budget_is_enough() -> None:
    """It is not repeated twice to be sure."""
    breaking = Breaking()
    breaking.tick(FAR_TOO_SLOW)
    assert breaking.breaker.is_open
    assert "100 reads took 0.0 ms of CPU in a tick" in breaking.bus.conditions[0].detail


@pytest.mark.parametrize(
    "outcome",
    [GOOD, ReadOutcome(100, refused=99), ReadOutcome(100, unanswered=2), ReadOutcome(3, refused=3), ReadOutcome(0, cost_ns=10**9)],
)
def test_it_stays_closed_where_reads_are_worth_it(outcome: ReadOutcome) -> None:
    """Some may be refused, a few refused ones say nothing, and a tick without reads is none."""
    breaking = Breaking()
    for _ in range(10):
        breaking.tick(outcome)
    assert (breaking.breaker.is_open, breaking.told()) == (False, [])


def test_good_ticks_make_up_for_bad_ones() -> None:
    """A slow tick now and then does not open it."""
    breaking = Breaking()
    for _ in range(20):
        breaking.tick(SLOW)
        breaking.tick(GOOD)
    assert not breaking.breaker.is_open


def test_after_a_while_it_tries_a_few_and_closes_when_they_are_good() -> None:
    """The condition ends."""
    breaking = Breaking()
    breaking.tick(FAR_TOO_SLOW)
    assert [breaking.tick(GOOD) for _ in range(WAIT_TICKS)] == [0] * (WAIT_TICKS - 1) + [PROBE_READS]
    assert (breaking.breaker.is_open, breaking.told()) == (False, [("breaker_open:io", True), ("breaker_open:io", False)])
    assert breaking.tick(GOOD) == 100


def test_a_try_that_fails_doubles_the_wait_up_to_a_limit() -> None:
    """Nothing is announced again meanwhile, and a try is refused by fewer reads than opening it takes."""
    breaking = Breaking()
    breaking.tick(FAR_TOO_SLOW)
    waits = []
    for _ in range(8):
        ticks = 1
        while not breaking.tick(ReadOutcome(2, refused=2)):
            ticks += 1
        waits.append(ticks)
    assert waits == [30, 60, 120, 240, 480, 960, WAIT_TICKS_MAX, WAIT_TICKS_MAX]
    assert breaking.told() == [("breaker_open:io", True)]


def test_a_breaker_that_opens_again_waits_as_at_first() -> None:
    """It was closed in between."""
    breaking = Breaking()
    for _ in range(2):
        breaking.tick(FAR_TOO_SLOW)
        assert [breaking.tick(GOOD) for _ in range(WAIT_TICKS)].count(0) == WAIT_TICKS - 1


@given(st.lists(st.sampled_from([GOOD, SLOW, FAR_TOO_SLOW, UNANSWERED, REFUSED, ReadOutcome(0)]), max_size=300))
def test_it_tells_begin_and_end_in_turn(outcomes: list[ReadOutcome]) -> None:
    """Whatever happens, the last thing that was told is how it stands."""
    breaking = Breaking()
    for outcome in outcomes:
        assert 0 <= breaking.tick(outcome) <= outcome.reads
    told = [is_active for _, is_active in breaking.told()]
    assert told == [number % 2 == 0 for number in range(len(told))]
    assert breaking.breaker.is_open == (len(told) % 2 == 1)


def test_while_it_is_held_nothing_is_read_and_nothing_is_told() -> None:
    """The governor says it; what was known of the file's cost stays."""
    breaking = Breaking()
    breaking.breaker.is_held = True
    assert [breaking.tick(GOOD) for _ in range(WAIT_TICKS + 5)] == [0] * (WAIT_TICKS + 5)
    assert breaking.breaker.is_open
    assert breaking.told() == []
    breaking.breaker.is_held = False
    assert breaking.tick(GOOD) == GOOD.reads
    assert not breaking.breaker.is_open


def test_a_tick_without_reads_judges_nothing() -> None:
    """A host without such files is neither good nor bad."""
    breaking = Breaking()
    for _ in range(BAD_TICKS_MAX - 1):
        breaking.tick(SLOW)
    breaking.breaker.end_tick(ReadOutcome(0))
    assert not breaking.breaker.is_open
    breaking.tick(SLOW)
    assert breaking.breaker.is_open
