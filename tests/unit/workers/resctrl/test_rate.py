"""Rates that are exact where nothing is wrong, absent where something is, and impossible nowhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.absence import Absence
from agent.model.timebase import MS, S
from workers.resctrl.rate import BYTES_PER_SECOND_MAX, WIDTHS, Counter

GB = 10**9
TIMES = st.integers(0, 1 << 62)
SPANS = st.integers(1 * MS, 600 * S)
VALUES = st.integers(0, (1 << 64) - 1)
REASONS = {Absence.FIRST_TICK, Absence.COUNTER_RESET, Absence.IMPLAUSIBLE}


def _rates(*values: int) -> list[float | Absence]:
    """The rates of readings that are one second apart."""
    counter = Counter()
    return [counter.rate(value, at_s * S) for at_s, value in enumerate(values, start=1)]


def test_the_first_reading_has_no_rate() -> None:
    """It may have counted for days."""
    assert _rates(7 * GB) == [Absence.FIRST_TICK]


def test_a_counter_that_stands_still_has_the_rate_zero_and_that_is_known() -> None:
    """Zero is a measurement here, not an absence."""
    assert _rates(5, 5)[1:] == [0.0]


def test_the_time_between_two_readings_is_their_own() -> None:
    """Half a second late is no higher bandwidth; a tick without a value makes the next interval longer."""
    counter = Counter()
    counter.rate(0, 1 * S)
    assert [counter.rate(3 * GB, 2500 * MS), counter.rate(9 * GB, 5500 * MS)] == [2 * GB, 2 * GB]


@given(first=VALUES, at_ns=TIMES, steps=st.lists(st.tuples(st.integers(0, BYTES_PER_SECOND_MAX), SPANS), min_size=1, max_size=20))
def test_a_counter_that_only_grows_is_told_exactly(first: int, at_ns: int, steps: list[tuple[int, int]]) -> None:
    """To the last byte, at any pace that there is."""
    counter = Counter()
    counter.rate(first, at_ns)
    for pace, elapsed_ns in steps:
        step = pace * elapsed_ns // S
        first, at_ns = first + step, at_ns + elapsed_ns
        assert counter.rate(first, at_ns) == step * S / elapsed_ns


@given(readings=st.lists(st.tuples(VALUES, st.integers(0, 10 * S)), max_size=30))
def test_no_rate_is_negative_or_above_what_a_memory_can_carry(readings: list[tuple[int, int]]) -> None:
    """Whatever the files say, and whatever the clock does."""
    counter, at_ns = Counter(), 0
    for value, elapsed_ns in readings:
        at_ns += elapsed_ns
        rate = counter.rate(value, at_ns)
        assert rate in REASONS if isinstance(rate, Absence) else 0 <= rate <= BYTES_PER_SECOND_MAX


@given(start=VALUES, values=st.lists(st.integers(0, 1 << 40), max_size=30), scale=st.sampled_from((1, 64, 65536, 114688)))
def test_a_reset_anywhere_leaves_the_counter_usable(start: int, values: list[int], scale: int) -> None:
    """Two readings after any trouble that ends, the rates are exact again."""
    counter, at_ns = Counter(), 0
    for value in (start, *values):
        at_ns += S
        counter.rate(value * scale % (1 << 64), at_ns)
    counter.rate(0, at_ns + S)
    counter.rate(scale, at_ns + 2 * S)
    assert counter.rate(3 * scale, at_ns + 3 * S) == 2 * scale


@pytest.mark.parametrize("unit", [1, 64, 65536, 114688])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_wrap_is_bridged_exactly(width: int, unit: int) -> None:
    """Of every width, in bytes and in the hardware's own unit; 0.1 % of the width in a second is not a large step."""
    modulus = unit << width
    counts = min(modulus // 1000, 50 * GB) // unit
    # As traffic does, each step is another, so that only the hardware's own unit divides them all.
    steps = [(counts + count) * unit for count in range(8)]
    true = [modulus - sum(steps[:6]) - unit + sum(steps[:count]) for count in range(9)]
    assert true[6] < modulus <= true[7]
    assert _rates(*(value % modulus for value in true))[1:] == steps


def test_a_wrap_between_readings_far_apart_is_bridged_by_the_pace_before() -> None:
    """Where the values in between were missing."""
    modulus, pace = 1 << 44, 2 * GB
    counter = Counter()
    counter.rate(modulus - 301 * pace, 1 * S)
    counter.rate(modulus - 300 * pace, 2 * S)
    assert counter.rate(300 * pace, 602 * S) == pace


@given(
    pace=st.integers(1, 20 * GB),
    width=st.sampled_from(WIDTHS),
    wraps_after=st.floats(0.5, 20),
    jitter=st.lists(st.integers(50, 200), min_size=25, max_size=25),
)
def test_a_counter_that_wraps_is_told_exactly_or_not_at_all(pace: int, width: int, wraps_after: float, jitter: list[int]) -> None:
    """A rate across a wrap is never a false one, as long as it goes around at most once between two readings."""
    modulus = 1 << width
    if modulus < 8 * pace:
        return
    counter, true, step = Counter(), modulus - int(wraps_after * pace), 0
    for at_s, percent in enumerate(jitter):
        rate = counter.rate(true % modulus, at_s * S)
        assert isinstance(rate, Absence) or rate == step
        step = pace * percent // 100
        true += step


def test_a_reset_is_said_and_not_guessed_over() -> None:
    """The group was made again: what lies between is not known, what comes after is."""
    assert _rates(9 * GB, 10 * GB, 1 * GB, 3 * GB)[1:] == [1 * GB, Absence.COUNTER_RESET, 2 * GB]


def test_a_reset_far_below_a_width_is_no_wrap_even_where_a_memory_could_carry_it() -> None:
    """From 3 GB a 32-bit counter would have to move by 2.3 GB to be at 1 GB; it moved by 0.1 GB a second before."""
    assert _rates(int(2.9 * GB), 3 * GB, 1 * GB)[2] is Absence.COUNTER_RESET


def test_a_reset_close_below_a_width_is_no_wrap_when_the_step_would_be_a_leap() -> None:
    """It went on at a thousandth of that."""
    near = (1 << 32) - 2_000_000
    assert _rates(near - 1_000_000, near, 3 * GB)[2] is Absence.COUNTER_RESET


@pytest.mark.parametrize("share", [0.5, 0.9, 1.1, 2.1])
def test_a_reset_just_below_a_width_is_no_wrap_at_another_pace(share: float) -> None:
    """A false rate of twice the true one is worse than none: only the former pace takes a counter over the end of its width."""
    pace = 64 << 20
    near = (1 << 32) - pace // 4
    assert _rates(near - pace, near, int(pace * share) - pace // 4)[2] is Absence.COUNTER_RESET
    assert _rates(near - pace, near, pace - pace // 4)[2] == pace


def test_a_counter_that_may_have_gone_around_twice_has_no_rate() -> None:
    """At 3 GB a second 32 bits are full after 1.4 s."""
    modulus = 1 << 32
    assert _rates(modulus - 4 * GB, modulus - 1 * GB + GB // 2, 2 * GB)[2] is Absence.COUNTER_RESET


def test_a_leap_is_implausible_and_one_reading_of_garbage_costs_one_rate() -> None:
    """The next is told over both intervals, for the counter goes on where it was."""
    assert _rates(1 * GB, 2 * GB, 10**18, 6 * GB, 7 * GB)[1:] == [1 * GB, Absence.IMPLAUSIBLE, 2 * GB, 1 * GB]


def test_after_a_leap_that_stays_the_counter_goes_on_from_there() -> None:
    """A counter that leaps once is not lost for ever."""
    assert _rates(1 * GB, 10**18, 10**18 + 3 * GB)[1:] == [Absence.IMPLAUSIBLE, 3 * GB]


def test_one_zero_in_between_is_no_new_beginning() -> None:
    """Hardware with fewer counters than groups shows one now and then; taken for a reset it would make a leap of the next."""
    assert _rates(800 * GB, 801 * GB, 0, 803 * GB)[1:] == [1 * GB, Absence.COUNTER_RESET, 1 * GB]


def test_a_counter_that_began_anew_at_zero_goes_on_from_zero() -> None:
    """It stays below what it was."""
    assert _rates(800 * GB, 801 * GB, 0, 2 * GB)[3] == 2 * GB


def test_two_readings_at_one_instant_have_no_rate() -> None:
    """There is no time to divide by."""
    counter = Counter()
    counter.rate(1, S)
    assert counter.rate(2, S) is Absence.IMPLAUSIBLE
