"""A sketch of many whole numbers: every percentile within a stated relative error, mergeable in any order. PURE.

It is a DDSketch with gamma 2^(1/64). Bucket `i` of scale `s` counts the values in (base^i, base^(i+1)] with base = 2^(2^-s), so a
sketch is, bucket for bucket, an OpenTelemetry exponential histogram and, with each index one higher, a Prometheus native histogram
of the same scale. Beside the buckets it has the exact count, sum, minimum and maximum, and a bucket of zeros.

*Source:* DDSketch, arXiv 1908.10693; uniform collapse, arXiv 2004.08604; opentelemetry.io/docs/specs/otel/metrics/data-model.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress, count
from math import exp2, floor, isqrt, log2
from typing import NoReturn

from msgspec import Struct

from agent.model.errors import FormatError

# The scale of a new sketch. It gives 64 buckets for each doubling, and a relative error of 0.5415 %.
SCALE = 6
# One bucket for 16 doublings; no limit of buckets makes a sketch coarser. Prometheus has no lower schema.
SCALE_MIN = -4
PER_DOUBLING = 1 << SCALE
# Values are what a column of whole numbers can hold.
VALUE_BITS = 63
VALUE_MAX = (1 << VALUE_BITS) - 1
# All whole numbers below 2^63 lie in 3,706 buckets, so a sketch with this limit never collapses. Memory is used for buckets that
# are not empty: 4 KiB to 1 TiB are 1,792 of them, 1 us to 1,000 s are 1,914.
BUCKETS_MAX = 4_096
# Below this a sketch would have to be coarser than SCALE_MIN.
BUCKETS_LEAST = 8
# `log2` times 64 is wrong by less than 1e-12; the guess is made too high by more than that, and never too low.
_GUESS_UP = 1e-9


def _root(numerator: int) -> int:
    """The whole part of 2^(63 + numerator/64): six square roots, each rounded down, are the rounded 64th root."""
    power = 1 << (numerator + VALUE_BITS * PER_DOUBLING)
    for _ in range(SCALE):
        power = isqrt(power)
    return power


def _boundaries() -> list[int]:
    """The whole parts of 2^(k/64) for k from 0 to 4,032: a whole number is above the boundary when it is above its whole part."""
    roots = [_root(numerator) for numerator in range(PER_DOUBLING)]
    powers = (divmod(k, PER_DOUBLING) for k in range(VALUE_BITS * PER_DOUBLING + 1))
    return [roots[numerator] >> (VALUE_BITS - doublings) for doublings, numerator in powers]


_BOUNDARIES = _boundaries()


def bucket_of(value: int) -> int:
    """The bucket of scale 6 that counts a value. *Range:* 1 to 2^63."""
    index = floor(log2(value) * PER_DOUBLING + _GUESS_UP)
    return index - 1 if value <= _BOUNDARIES[index] else index


def boundaries() -> list[int]:
    """The whole parts of the ends of the buckets of scale 6, of those of values from 1 on: a value is above bucket `i` - 1, or at
    its end, where it is not above number `i`."""
    return list(_BOUNDARIES)


def bucket_range(index: int, scale: int = SCALE) -> tuple[int, int]:
    """The least and the largest whole number that a bucket counts. *Range:* indexes that a sketch of this scale has."""
    shift = SCALE - scale
    first, behind = index << shift, (index + 1) << shift
    above = _BOUNDARIES[first] if first >= 0 else 0
    highest = _BOUNDARIES[max(behind, 0)] if behind < len(_BOUNDARIES) else VALUE_MAX
    # Small numbers lie apart: between 1 and 2 there are buckets of none.
    return min(above + 1, highest), min(highest, VALUE_MAX)


def relative_error(scale: int) -> float:
    """How far an estimate may be from the true value, as a part of that value."""
    base = exp2(2.0**-scale)
    return (base - 1) / (base + 1)


class SketchColumns(Struct, frozen=True):
    """A sketch as columns of a table. `counts` has every bucket from `first_bucket` to the last that is not empty.

    *Range:* without any buckets `first_bucket` is 0; a `sum` above 2^63 - 1 stands as that, the largest number of a column.
    *Absent:* `min` and `max` of a sketch without values.
    """

    scale: int
    relative_error: float
    zero_count: int
    count: int
    sum: int
    min: int | None
    max: int | None
    first_bucket: int
    counts: list[int]


class Sketch:
    """Counts whole numbers. Equal values give equal sketches, in whatever order they were added and merged.

    `buckets_max` is the largest number of buckets that are not empty. Beyond it each two neighbours become one, which makes `scale`
    smaller by one and `relative_error` about twice as large, for all values alike. It may begin with a smaller `scale`.
    `buckets` counts by index, without empty ones.
    """

    __slots__ = ("_shift", "buckets", "buckets_max", "max", "min", "sum", "zero_count")

    def __init__(self, buckets_max: int = BUCKETS_MAX, *, scale: int = SCALE) -> None:
        if buckets_max < BUCKETS_LEAST:
            raise ValueError(f"a sketch needs {BUCKETS_LEAST} buckets or more, and not {buckets_max}")
        assert scale <= SCALE, scale
        self.buckets_max = buckets_max
        self.buckets: dict[int, int] = {}
        self.zero_count = 0
        self.sum = 0
        # Without values: above and below each value.
        self.min = VALUE_MAX + 1
        self.max = -1
        self._shift = SCALE - scale

    @property
    def scale(self) -> int:
        """The scale: each doubling of a value has 2^scale buckets."""
        return SCALE - self._shift

    @property
    def relative_error(self) -> float:
        """How far an estimate may be from the true value, as a part of that value."""
        return relative_error(self.scale)

    @property
    def count(self) -> int:
        """How many values were added."""
        return self.zero_count + sum(self.buckets.values())

    def add(self, value: int, times: int = 1) -> None:
        """Count a value, once or a number of times.

        *Range:* 0 to 2^63 - 1. *Raises:* ValueError, and nothing is counted.
        """
        if type(value) is not int or times != 1:
            self._add_times(value, times)
            return
        if value < self.min:
            if value < 0:
                _refuse(value)
            self.min = value
        if value > self.max:
            self._raise_max(value)
        if not value:
            self.zero_count += 1
            return
        self.sum += value
        # As in `bucket_of`: a call of it would cost a quarter of the whole.
        index = floor(log2(value) * PER_DOUBLING + _GUESS_UP)
        if value <= _BOUNDARIES[index]:
            index -= 1
        if self._shift:
            index >>= self._shift
        try:
            self.buckets[index] += 1
        except KeyError:
            self.buckets[index] = 1
            self._collapse_to_fit()

    def _raise_max(self, value: int) -> None:
        if value > VALUE_MAX:
            # The first value was a minimum too.
            self.min = self.min if self.max >= 0 else VALUE_MAX + 1
            _refuse(value)
        self.max = value

    def _add_times(self, value: int, times: int) -> None:
        if type(times) is not int or times < 1:
            raise ValueError(f"a value is counted once or more, and not {times!r} times")
        _check(value)
        self.sum += value * times
        self.min, self.max = min(self.min, value), max(self.max, value)
        if not value:
            self.zero_count += times
            return
        index = bucket_of(value) >> self._shift
        self.buckets[index] = self.buckets.get(index, 0) + times
        self._collapse_to_fit()

    def add_all(self, values: Sequence[int]) -> None:
        """Count each of many values once. *Range:* 0 to 2^63 - 1. *Raises:* ValueError, and nothing is counted."""
        if not values:
            return
        least, most = min(values), max(values)
        if set(map(type, values)) != {int} or least < 0 or most > VALUE_MAX:
            _refuse(next(value for value in values if not _is_countable(value)))
        self.sum += sum(values)
        self.min, self.max = min(self.min, least), max(self.max, most)
        boundaries = _BOUNDARIES
        indexes = [
            (index := floor(log2(value) * PER_DOUBLING + _GUESS_UP)) - (value <= boundaries[index]) for value in values if value
        ]
        self.zero_count += len(values) - len(indexes)
        self.add_buckets(SCALE, Counter(indexes))

    def merge(self, other: "Sketch") -> None:
        """Add everything that another sketch counted. The other is not changed."""
        self.zero_count += other.zero_count
        self.sum += other.sum
        self.min, self.max = min(self.min, other.min), max(self.max, other.max)
        self.add_buckets(other.scale, other.buckets)

    def add_buckets(self, scale: int, counts: Mapping[int, int]) -> None:
        """Add to the buckets alone; sum, minimum, maximum and zeros are the caller's to add."""
        if scale < self.scale:
            self._collapse_to(scale)
        shift = scale - self.scale
        buckets = self.buckets
        for index, times in counts.items():
            index >>= shift
            if index in buckets:
                buckets[index] += times
            else:
                buckets[index] = times
        self._collapse_to_fit()

    def _collapse_to_fit(self) -> None:
        while len(self.buckets) > self.buckets_max:
            self._collapse_to(self.scale - 1)

    def _collapse_to(self, scale: int) -> None:
        shift = self.scale - scale
        collapsed: dict[int, int] = {}
        for index, times in self.buckets.items():
            collapsed[index >> shift] = collapsed.get(index >> shift, 0) + times
        self.buckets = collapsed
        self._shift += shift

    def quantile(self, part: float) -> float | None:
        """The value below which this part of all values lies. *Range:* 0 to 1. *Absent:* without values. *Raises:* ValueError."""
        return self.quantiles((part,))[0]

    def quantiles(self, parts: Sequence[float]) -> list[float | None]:
        """For each part `p` an estimate of the value number floor(p * (count - 1)), counted from 0 in ascending order.

        *Range:* within `relative_error` of that value, and never outside minimum and maximum. *Absent:* without values.
        *Raises:* ValueError for a part that is not between 0 and 1.
        """
        for part in parts:
            if not 0 <= part <= 1:
                raise ValueError(f"a quantile lies between 0 and 1, and not at {part!r}")
        last = self.count - 1
        if last < 0:
            return [None for _ in parts]
        estimates: dict[int, float] = {0: float(self.min), last: float(self.max)}
        ranks = [min(int(part * last), last) for part in parts]
        pending = sorted({rank for rank in ranks if rank not in estimates}, reverse=True)
        passed = self.zero_count
        while pending and pending[-1] < passed:
            estimates[pending.pop()] = 0.0
        for index in sorted(self.buckets):
            passed += self.buckets[index]
            while pending and pending[-1] < passed:
                estimates[pending.pop()] = self._estimate(index)
            if not pending:
                break
        return [estimates[rank] for rank in ranks]

    def estimates(self) -> list[tuple[int, int]]:
        """What stands for each bucket, in ascending order, and how many values it counts; zeros are not among them."""
        return [(round(self._estimate(index)), self.buckets[index]) for index in sorted(self.buckets)]

    def _estimate(self, index: int) -> float:
        """The value that is as far, in relation, from the lower end of a bucket as from its upper end."""
        base_log2 = 2.0**-self.scale
        lower, base = exp2(index * base_log2), exp2(base_log2)
        return min(max(lower * 2 * base / (1 + base), self.min), self.max)

    def to_columns(self) -> SketchColumns:
        """The columns of a row of table `process_sketch`."""
        first, last = min(self.buckets, default=0), max(self.buckets, default=-1)
        get = self.buckets.get
        counts = [get(index, 0) for index in range(first, last + 1)]
        least, most = (self.min, self.max) if self.max >= 0 else (None, None)
        total = self.zero_count + sum(counts)
        whole = min(self.sum, VALUE_MAX)
        return SketchColumns(self.scale, self.relative_error, self.zero_count, total, whole, least, most, first, counts)

    @classmethod
    def from_columns(cls, columns: SketchColumns, buckets_max: int = BUCKETS_MAX) -> "Sketch":
        """The sketch that columns hold. *Raises:* FormatError for values that no sketch has."""
        problem = _problem_of(columns)
        if problem:
            raise FormatError("sketch", problem, "leave the row out")
        sketch = cls(buckets_max)
        sketch._shift = SCALE - columns.scale
        # Both are C loops: a sketch of a quiet unit has a thousand empty buckets between its largest and smallest value.
        sketch.buckets = dict(zip(compress(count(columns.first_bucket), columns.counts), filter(None, columns.counts), strict=True))
        sketch.zero_count, sketch.sum = columns.zero_count, columns.sum
        if columns.min is not None and columns.max is not None:
            sketch.min, sketch.max = columns.min, columns.max
        sketch._collapse_to_fit()
        return sketch

    def __eq__(self, other: object) -> bool:
        """Whether both say the same of their values, whatever their limits."""
        return isinstance(other, Sketch) and self.to_columns() == other.to_columns()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Sketch({self.to_columns()!r})"


def merged(sketches: Iterable[Sketch], buckets_max: int = BUCKETS_MAX) -> Sketch:
    """One sketch of all values that these counted."""
    whole = Sketch(buckets_max)
    for sketch in sketches:
        whole.merge(sketch)
    return whole


def _check(value: object) -> None:
    if not _is_countable(value):
        _refuse(value)


def _is_countable(value: object) -> bool:
    # A truth value is a whole number to Python.
    return type(value) is int and 0 <= value <= VALUE_MAX


def _refuse(value: object) -> NoReturn:
    if type(value) is not int:
        raise ValueError(f"a sketch counts whole numbers, and not {value!r}")
    raise ValueError(f"a sketch counts values from 0 to 2^63 - 1, and not {value}")


def _problem_of(columns: SketchColumns) -> str:
    """What is wrong with columns; empty where they hold a sketch."""
    numbers = (columns.scale, columns.zero_count, columns.count, columns.sum, columns.first_bucket)
    if any(type(number) is not int for number in (*numbers, *columns.counts)):
        return "a number of it is no whole number"
    if not SCALE_MIN <= columns.scale <= SCALE:
        return f"its scale {columns.scale} is not between {SCALE_MIN} and {SCALE}"
    shift = SCALE - columns.scale
    behind = columns.first_bucket + len(columns.counts)
    if columns.counts and not (-1 >> shift <= columns.first_bucket and behind <= (len(_BOUNDARIES) - 2 >> shift) + 1):
        return "it has buckets of values that there are not"
    if columns.zero_count < 0 or min(columns.counts, default=0) < 0:
        return "a count of it is negative"
    if columns.count != columns.zero_count + sum(columns.counts):
        return "its count is not that of its buckets"
    if not columns.count:
        return "" if (columns.sum, columns.min, columns.max) == (0, None, None) else "it has no values but a sum or an end"
    least, most = columns.min, columns.max
    if type(least) is not int or type(most) is not int or not 0 <= least <= most <= VALUE_MAX:
        return "its minimum and maximum are not those of values"
    if not min(least * columns.count, VALUE_MAX) <= columns.sum <= min(most * columns.count, VALUE_MAX):
        return "its sum is not between those of its minimum and maximum"
    return ""
