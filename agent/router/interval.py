"""Between which bounds a number lies that is made of values of which some are only known by bounds. PURE.

Everything is said by one question: how many of the values are at most `v`? A bucket of a sketch answers with its ends, an exact
value exactly, and a row of `process_tail` (n values, their sum S, the largest M) by what such values can be at all:

- k values above v are at least k(v + 1) together, so k <= S / (v + 1);
- k values above v are at most kM, and the others at most v each, so k >= (S - nv) / (M - v).

Both bounds grow with v and may be added over all cells. A quantile is then bounded by the smallest v that may have, and the
smallest v that must have, as many values below it. Two kinds of values may count or not: those that may belong to somebody else
(`maybe`), and zeros of processes of which nothing was known (`phantoms`).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol

from msgspec import Struct

from agent.model.sketch import VALUE_MAX


class TailValues(NamedTuple):
    """Values of which only their number, bounds of their sum and a bound of each are known. *Range:* all at least 0."""

    many: int
    sum_least: int
    sum_most: int
    most: int


class AtMost(NamedTuple):
    """How many values are at most some number: at least and at most so many."""

    least: int
    most: int


class Bounded(Protocol):
    """Values that are known by bounds. `count`: how many; `largest`: none is above it."""

    @property
    def count(self) -> int:
        """How many they are."""
        ...

    @property
    def largest(self) -> int:
        """None is above it."""
        ...

    def at_most(self, value: int) -> AtMost:
        """How many are at most `value`. Both numbers never fall as it grows; at `largest` both are `count`."""
        ...


class Ranges:
    """Values that each lie in a range of whole numbers, the ends included; of an exact value both ends are it."""

    def __init__(self, counts: Mapping[tuple[int, int], int]) -> None:
        by_low, by_high = sorted(counts.items()), sorted(counts.items(), key=lambda item: item[0][1])
        self.lows = [low for (low, _), _ in by_low]
        self.highs = [high for (_, high), _ in by_high]
        self.passed_low = list(accumulate((times for _, times in by_low), initial=0))
        self.passed_high = list(accumulate((times for _, times in by_high), initial=0))

    @property
    def count(self) -> int:
        """How many they are."""
        return self.passed_low[-1]

    @property
    def largest(self) -> int:
        """None is above it."""
        return self.highs[-1] if self.highs else 0

    def at_most(self, value: int) -> AtMost:
        """See `Bounded`."""
        return AtMost(self.passed_high[bisect_right(self.highs, value)], self.passed_low[bisect_right(self.lows, value)])


class Tails:
    """Rows of `process_tail`, each so many times."""

    def __init__(self, counts: Mapping[TailValues, int]) -> None:
        self._counts = list(counts.items())
        self._count = sum(tail.many * times for tail, times in self._counts)
        self._largest = max((tail.most for tail, _ in self._counts), default=0)

    @property
    def count(self) -> int:
        """How many they are."""
        return self._count

    @property
    def largest(self) -> int:
        """None is above it."""
        return self._largest

    def at_most(self, value: int) -> AtMost:
        """See `Bounded`."""
        least = most = 0
        for (count, sum_least, sum_most, largest), times in self._counts:
            if value >= largest:
                least += count * times
                most += count * times
                continue
            above_most = min(count, sum_most // (value + 1))
            above_least = min(above_most, max(0, -((count * value - sum_least) // (largest - value))))
            least += (count - above_most) * times
            most += (count - above_least) * times
        return AtMost(least, most)


class Spread:
    """Gathers values: `exact` and `buckets` by their ends, `tails` by their sums. `sum_least` and `sum_most` bound the sum of
    all."""

    def __init__(self) -> None:
        self.ranges: dict[tuple[int, int], int] = {}
        self.tails: dict[TailValues, int] = {}
        self.phantoms = 0
        self.sum_least = self.sum_most = 0
        # None of them is known to be larger, and one is known to be so large.
        self.largest_least = self.largest_most = 0
        self.count = 0
        # Further values, where `tails` would be too many to look at one by one.
        self.others: list[Bounded] = []

    def add_exact(self, value: int, times: int = 1) -> None:
        """Values that are known."""
        self.add_range(value, value, times)
        self.sum_least += value * times
        self.sum_most += value * times
        self.largest_least = max(self.largest_least, value)

    def add_range(self, low: int, high: int, times: int) -> None:
        """Values of which the sum is added by who knows it."""
        self.ranges[low, high] = self.ranges.get((low, high), 0) + times
        self.count += times
        self.largest_most = max(self.largest_most, high)

    def add_tail(self, tail: TailValues, times: int = 1) -> None:
        """Values known by their sum."""
        if not tail.many:
            return
        self.sum_least += tail.sum_least * times
        self.sum_most += tail.sum_most * times
        if not tail.sum_most or not tail.most:
            self.add_range(0, 0, tail.many * times)
            return
        self.tails[tail] = self.tails.get(tail, 0) + times
        self.count += tail.many * times
        self.largest_most = max(self.largest_most, tail.most)
        self.largest_least = max(self.largest_least, -(-tail.sum_least // tail.many))

    def add_others(self, others: Bounded, sums: tuple[int, int], largest_least: int) -> None:
        """Values that something else knows the bounds of, with the bounds of their sum and of the largest."""
        self.others.append(others)
        self.sum_least += sums[0]
        self.sum_most += sums[1]
        self.count += others.count
        self.largest_least = max(self.largest_least, largest_least)
        self.largest_most = max(self.largest_most, others.largest)

    def take(self, other: "Spread") -> None:
        """Add all that another one has."""
        for ends, times in other.ranges.items():
            self.ranges[ends] = self.ranges.get(ends, 0) + times
        for tail, times in other.tails.items():
            self.tails[tail] = self.tails.get(tail, 0) + times
        self.others += other.others
        self.phantoms += other.phantoms
        self.sum_least += other.sum_least
        self.sum_most += other.sum_most
        self.count += other.count
        self.largest_least = max(self.largest_least, other.largest_least)
        self.largest_most = max(self.largest_most, other.largest_most)

    def bounded(self) -> list[Bounded]:
        """All of them, to be asked."""
        found: list[Bounded] = []
        if self.ranges:
            found.append(Ranges(self.ranges))
        if self.tails:
            found.append(Tails(self.tails))
        return [*found, *self.others]


class Interval(Struct, frozen=True):
    """The least and the most that a number can be."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether it can be this number."""
        return self.low <= value <= self.high

    def clamp(self, value: float) -> float:
        """The number in it that is nearest to this one."""
        return min(max(value, self.low), self.high)


def rank_of(part: float, last: int) -> int:
    """Which of the values in ascending order, counted from 0, a quantile is; `last` is the number of the last one.

    As `Sketch.quantiles` has it.
    """
    return min(int(part * last), last)


def quantile_bounds(sure: Spread, maybe: Spread, parts: Sequence[float]) -> list[Interval | None]:
    """Between which numbers each quantile lies, whichever of the values in doubt count. *Absent:* there is no value at all."""
    if not sure.count and not maybe.count:
        return [None for _ in parts]
    known, doubtful = sure.bounded(), maybe.bounded()
    phantoms = min(sure.phantoms, sure.count)
    if not doubtful and not phantoms and len(known) == 1 and isinstance(known[0], Ranges):
        return [_of_ranges(known[0], part) for part in parts]
    largest = max(each.largest for each in (*known, *doubtful))
    question = _Question(known, doubtful, phantoms)
    return [Interval(_first(question.may_reach, part, largest), _first(question.must_reach, part, largest)) for part in parts]


class _Question:
    """Asks all values together. Answers are kept: each quantile asks for many of the same numbers."""

    def __init__(self, known: Sequence[Bounded], doubtful: Sequence[Bounded], phantoms: int) -> None:
        self._known, self._doubtful, self._phantoms = known, doubtful, phantoms
        self._count = sum(each.count for each in known)
        self._doubts = sum(each.count for each in doubtful)
        self._answers: dict[int, tuple[AtMost, AtMost]] = {}

    def may_reach(self, value: int, part: float) -> bool:
        """Whether the quantile can be `value` or less. Values in doubt that can be so small count, others do not."""
        (_, known), (_, doubtful) = self._ask(value)
        total = self._count + doubtful
        return total > 0 and known + doubtful > rank_of(part, total - 1)

    def must_reach(self, value: int, part: float) -> bool:
        """Whether it is `value` or less in any case. Values in doubt that can be larger count, others and phantoms do not."""
        (known, _), (doubtful, _) = self._ask(value)
        total = self._count - self._phantoms + self._doubts - doubtful
        if total <= 0:
            # All may be phantoms; but if one is none, it is any of them.
            return known == self._count
        return known - self._phantoms > rank_of(part, total - 1)

    def _ask(self, value: int) -> tuple[AtMost, AtMost]:
        found = self._answers.get(value)
        if found is None:
            found = self._answers[value] = _added(self._known, value), _added(self._doubtful, value)
        return found


def _added(all_values: Iterable[Bounded], value: int) -> AtMost:
    least = most = 0
    for each in all_values:
        found = each.at_most(value)
        least += found.least
        most += found.most
    return AtMost(least, most)


def _first(is_reached: Callable[[int, float], bool], part: float, largest: int) -> int:
    """The smallest number at which it is; `largest` where it is at none below."""
    return bisect_left(range(min(largest, VALUE_MAX)), True, key=lambda value: is_reached(value, part))


def _of_ranges(ranges: Ranges, part: float) -> Interval:
    """Without anything in doubt the ends of the ranges are all that can be asked."""
    rank = rank_of(part, ranges.count - 1)
    low = ranges.lows[bisect_right(ranges.passed_low, rank) - 1]
    high = ranges.highs[bisect_right(ranges.passed_high, rank) - 1]
    return Interval(low, high)


def sum_bounds(sure: Spread, maybe: Spread) -> Interval:
    """Between which numbers the sum lies."""
    return Interval(sure.sum_least, sure.sum_most + maybe.sum_most)


def count_bounds(sure: Spread, maybe: Spread) -> Interval:
    """Between which numbers the number of values lies."""
    return Interval(max(0, sure.count - sure.phantoms), sure.count + maybe.count)


def largest_bounds(sure: Spread, maybe: Spread) -> Interval:
    """Between which numbers the largest lies."""
    return Interval(sure.largest_least, max(sure.largest_most, maybe.largest_most))


def average_bounds(sure: Spread, maybe: Spread) -> Interval | None:
    """Between which numbers the mean lies. *Absent:* there may be no value at all."""
    total, count = sum_bounds(sure, maybe), count_bounds(sure, maybe)
    if not count.high:
        return None
    largest = largest_bounds(sure, maybe).high
    return Interval(total.low / count.high, largest if not count.low else min(largest, total.high / count.low))
