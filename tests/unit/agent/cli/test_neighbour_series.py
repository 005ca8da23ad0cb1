"""Series by second: gaps stay gaps, long rows cover their seconds, robust figures."""

from array import array
from math import isnan, nan

from agent.cli.neighbour_series import gap_series, known, level_of, mean, median_of, moving_means, put, quantile

S = 10**9


def test_a_row_covers_the_seconds_since_the_one_before() -> None:
    """A row after three seconds has its mean in all of them; seconds outside of the series are passed over."""
    series = gap_series(5)
    put(series, 100, 102 * S + 7, 3 * S, 0.5)
    put(series, 100, 108 * S, S, 9.0)
    put(series, 100, 104 * S, 0, 1.0)
    assert list(series[:3]) == [0.5, 0.5, 0.5]
    assert isnan(series[3])
    assert series[4] == 1.0


def test_gaps_count_for_nothing() -> None:
    """Neither in a range nor in what is usual; of nothing there is no mean and no level."""
    series = array("d", [1.0, nan, 3.0, 5.0])
    assert known(series, -2, 3) == [1.0, 3.0]
    assert mean(known(series, 0, 4)) == 3.0
    assert (mean([]), median_of([]), level_of([]), moving_means([], 3)) == (None, None, None, [])


def test_one_outlier_does_not_move_what_is_usual() -> None:
    """Median and deviation are robust."""
    level = level_of([1.0, 1.1, 0.9, 1.0, 100.0])
    assert level is not None
    assert level.median == 1.0
    assert level.spread < 0.2
    assert median_of([1.0, 3.0]) == 2.0


def test_stretches_and_quantiles() -> None:
    """The mean of each stretch; all values where there are fewer."""
    assert moving_means([1.0, 2.0, 3.0, 4.0], 2) == [1.5, 2.5, 3.5]
    assert moving_means([1.0, 2.0], 5) == [1.5]
    assert quantile([3.0, 1.0, 2.0], 1.0) == 3.0
