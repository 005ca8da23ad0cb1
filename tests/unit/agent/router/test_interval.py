"""Bounds of numbers that are made of values of which some are only known by bounds: the true one is always inside."""

from itertools import combinations_with_replacement
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.sketch import VALUE_MAX
from agent.router.interval import (
    AtMost,
    Interval,
    Ranges,
    Spread,
    Tails,
    TailValues,
    average_bounds,
    count_bounds,
    largest_bounds,
    quantile_bounds,
    rank_of,
    sum_bounds,
)

PARTS = (0.0, 0.01, 0.3, 0.5, 0.9, 0.99, 1.0)
EMPTY = Spread()


def spread_of(*values: int) -> Spread:
    found = Spread()
    for value in values:
        found.add_exact(value)
    return found


def true_quantile(values: list[int], part: float) -> int:
    return sorted(values)[rank_of(part, len(values) - 1)]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5), st.integers(1, 4)), max_size=6), st.integers(0, 40))
def test_ranges_count_what_must_and_what_may_be_below(items: list[tuple[int, int, int]], value: int) -> None:
    """Each value lies between the ends of its range."""
    counts: dict[tuple[int, int], int] = {}
    for low, width, times in items:
        counts[low, low + width] = counts.get((low, low + width), 0) + times
    ranges = Ranges(counts)
    must = sum(times for (_, high), times in counts.items() if high <= value)
    may = sum(times for (low, _), times in counts.items() if low <= value)
    assert ranges.at_most(value) == AtMost(must, may)
    assert ranges.count == sum(counts.values())
    assert ranges.largest == max((high for _, high in counts), default=0)


@pytest.mark.parametrize(("count", "total", "most"), [(1, 5, 5), (2, 7, 6), (3, 10, 5), (3, 0, 0), (4, 9, 4), (3, 12, 4)])
def test_tails_count_no_less_and_no_more_than_can_be(count: int, total: int, most: int) -> None:
    """Compared with all values that have this number, sum and bound: the bounds are the best there are."""
    possible = [values for values in combinations_with_replacement(range(most + 1), count) if sum(values) == total]
    tails = Tails({TailValues(count, total, total, most): 2})
    for value in range(most + 2):
        below = [sum(each <= value for each in values) for values in possible]
        assert tails.at_most(value) == AtMost(2 * min(below), 2 * max(below)), value
    assert (tails.count, tails.largest) == (2 * count, most)


def test_without_tails_there_is_nothing() -> None:
    """Below any number."""
    assert (Tails({}).count, Tails({}).largest, Tails({}).at_most(3)) == (0, 0, AtMost(0, 0))


def test_exact_values_have_exact_quantiles() -> None:
    """As a sketch ranks them."""
    bounds = quantile_bounds(spread_of(5, 1, 9, 3), EMPTY, (0.0, 0.5, 1.0))
    assert bounds == [Interval(1, 1), Interval(3, 3), Interval(9, 9)]


def test_without_values_there_is_no_quantile() -> None:
    """Nor a mean."""
    assert quantile_bounds(EMPTY, EMPTY, (0.5,)) == [None]
    assert average_bounds(EMPTY, EMPTY) is None


def test_values_that_may_belong_to_somebody_else_widen_an_interval() -> None:
    """Each of them may be one or none."""
    (bound,) = quantile_bounds(spread_of(10), spread_of(1, 100), (0.5,))
    assert bound == Interval(1, 10)
    assert quantile_bounds(EMPTY, spread_of(1, 100), (0.5,)) == [Interval(1, 100)]


def test_zeros_that_may_be_none_widen_an_interval() -> None:
    """If all may be none, the quantile is any of the values."""
    sure = spread_of(0, 0, 8)
    sure.phantoms = 2
    assert quantile_bounds(sure, EMPTY, (0.5,)) == [Interval(0, 8)]
    sure.phantoms = 5
    assert quantile_bounds(sure, EMPTY, (0.0,)) == [Interval(0, 8)]


def test_a_spread_takes_another_and_things_that_know_bounds() -> None:
    """Sums, counts and the largest follow."""
    one, other = spread_of(3), Spread()
    other.add_tail(TailValues(2, 5, 7, 6), 2)
    other.add_tail(TailValues(3, 0, 0, 0))
    other.add_tail(TailValues(0, 9, 9, 9))
    other.phantoms = 1
    one.take(other)
    one.take(other)
    assert (one.count, one.sum_least, one.sum_most, one.phantoms) == (1 + 14, 3 + 20, 3 + 28, 2)
    assert (one.largest_least, one.largest_most) == (3, 6)
    one.add_others(Ranges({(2, 90): 4}), (8, 360), 2)
    assert (one.count, sum_bounds(one, EMPTY), largest_bounds(one, EMPTY)) == (19, Interval(31, 391), Interval(3, 90))
    (bound,) = quantile_bounds(one, EMPTY, (1.0,))
    assert bound is not None
    assert (bound.holds(90), bound.holds(91), bound.clamp(1000)) == (True, False, 90)


def test_numbers_beside_quantiles_have_bounds_too() -> None:
    """Sum, count, largest and mean, with what may count or not."""
    sure, maybe = spread_of(2, 4), spread_of(10)
    sure.phantoms = 1
    assert sum_bounds(sure, maybe) == Interval(6, 16)
    assert count_bounds(sure, maybe) == Interval(1, 3)
    assert largest_bounds(sure, maybe) == Interval(4, 10)
    assert average_bounds(sure, maybe) == Interval(2, 10)
    sure.phantoms = 2
    assert average_bounds(sure, maybe) == Interval(2, 10)


def test_the_largest_number_of_a_column_is_no_end() -> None:
    """Bounds are looked for up to it."""
    sure = Spread()
    sure.add_range(5, VALUE_MAX, 1)
    sure.phantoms = 1
    assert quantile_bounds(sure, EMPTY, (0.5,)) == [Interval(5, VALUE_MAX)]


@pytest.mark.parametrize("seed", range(60))
def test_the_truth_is_inside_whatever_is_known(seed: int) -> None:
    """Random values, known exactly, by tails, with zeros of unknown processes, and with some that may be somebody else's."""
    drawn = Random(seed)
    for _ in range(12):
        sure, maybe, values = Spread(), Spread(), []
        most = drawn.choice([3, 20, 1000, 10**6])
        for _ in range(drawn.randrange(6)):
            some = [drawn.randrange(most) if drawn.random() < 0.6 else 0 for _ in range(drawn.randrange(1, 8))]
            largest, unknown = max(some), drawn.randrange(3)
            match drawn.randrange(4):
                case 0:
                    for value in some:
                        sure.add_exact(value)
                case 1:
                    sure.add_exact(largest)
                    sure.add_tail(_tail(len(some), sum(some), largest))
                case 2:
                    sure.add_exact(largest)
                    sure.add_tail(_tail(len(some) + unknown, sum(some), largest))
                    sure.phantoms += len(some) + unknown - (-(-sum(some) // largest) if largest else 0)
                case _:
                    maybe.add_exact(largest)
                    maybe.add_tail(_tail(len(some), sum(some), largest))
                    some = [value for value in some if drawn.random() < 0.5]
            values += some
        if values:
            for part, bound in zip(PARTS, quantile_bounds(sure, maybe, PARTS), strict=True):
                assert bound is not None
                assert bound.holds(true_quantile(values, part)), (part, bound, sorted(values))
            assert sum_bounds(sure, maybe).holds(sum(values))
            assert count_bounds(sure, maybe).holds(len(values))
            assert largest_bounds(sure, maybe).holds(max(values))
            mean = average_bounds(sure, maybe)
            assert mean is not None
            assert mean.low - 1e-9 <= sum(values) / len(values) <= mean.high + 1e-9


def _tail(count: int, total: int, largest: int) -> TailValues:
    """Values without their largest one."""
    rest = total - largest
    return TailValues(count - 1, rest, rest, min(largest, rest))
