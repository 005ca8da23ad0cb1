"""Values of a unit second by second, with gaps: means, medians, robust spread. PURE.

A series is an array of floats, one for each second of a range. A second without a value is NaN, never 0.
"""

from array import array
from collections.abc import Sequence
from math import nan

from msgspec import Struct

from agent.model.timebase import S

TYPE_CHECKING = False
if TYPE_CHECKING:
    Series = array[float]
else:
    Series = array

# The median of absolute deviations of normal noise, in standard deviations, is one over this.
MAD_TO_SIGMA = 1.4826


class Level(Struct, frozen=True):
    """What is usual: the median, how far values usually are from it (a standard deviation, robust), of how many seconds."""

    median: float
    spread: float
    seconds: int


def gap_series(seconds: int) -> Series:
    """A series without any value."""
    return array("d", [nan]) * seconds


def put(series: Series, begin_s: int, at_ns: int, elapsed_ns: int, value: float) -> None:
    """Write a value into all seconds that a row covers: those since the row before it, up to its own.

    *Range:* seconds outside of the series are passed over.
    """
    last = at_ns // S - begin_s
    first = max(0, last - max(1, round(elapsed_ns / S)) + 1)
    for second in range(first, min(last + 1, len(series))):
        series[second] = value


def known(series: Series, begin: int, end: int) -> list[float]:
    """The values of a range, without its gaps."""
    return [value for value in series[max(0, begin) : max(0, end)] if value == value]


def mean(values: Sequence[float]) -> float | None:
    """*Absent:* None of nothing."""
    return sum(values) / len(values) if values else None


def level_of(values: Sequence[float]) -> Level | None:
    """What is usual of some values. *Absent:* None of nothing."""
    if not values:
        return None
    middle = _median(sorted(values))
    deviation = _median(sorted(abs(value - middle) for value in values))
    return Level(middle, MAD_TO_SIGMA * deviation, len(values))


def median_of(values: Sequence[float]) -> float | None:
    """*Absent:* None of nothing."""
    return _median(sorted(values)) if values else None


def _median(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def moving_means(values: Sequence[float], length: int) -> list[float]:
    """The mean of each stretch of so many values; of all where there are fewer."""
    if not values:
        return []
    length = min(length, len(values))
    total = sum(values[:length])
    means = [total / length]
    for place in range(length, len(values)):
        total += values[place] - values[place - length]
        means.append(total / length)
    return means


def quantile(values: Sequence[float], part: float) -> float:
    """The value that this part of all is below or equal to."""
    assert values
    assert 0 <= part <= 1
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]
