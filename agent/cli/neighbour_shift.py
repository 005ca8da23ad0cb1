"""Whether two series rise together or only happened to: their correlation, beside that of shifts in time. PURE."""

from collections.abc import Sequence
from math import sqrt

from msgspec import Struct

from agent.cli.neighbour_series import Series

# So many shifts tell one chance in sixty.
SHIFTS = 60
# A shift by less is the same rise, a little off.
SHIFT_SECONDS_LEAST = 10
PAIRS_LEAST = 30


class Coincidence(Struct, frozen=True):
    """How two series go together: their correlation, and which part of all shifts has one that is as large."""

    correlation: float
    chance: float


def coincidence_of(one: Series, other: Series, begin: int, end: int) -> Coincidence | None:
    """How two series go together within a range. *Absent:* None where too few seconds of both are known.

    The second is turned around the range like a ring, so that its own bursts stay as they are and only their time is another.
    """
    pairs = [(x, y) for x, y in zip(one[begin:end], other[begin:end], strict=True) if x == x and y == y]
    if len(pairs) < PAIRS_LEAST:
        return None
    first, second = _centred([x for x, _ in pairs]), _centred([y for _, y in pairs])
    size = sqrt(sum(x * x for x in first) * sum(y * y for y in second))
    if size <= 0:
        return Coincidence(0.0, 1.0)
    observed = _product(first, second)
    count = len(pairs)
    step = max(1, (count - 2 * SHIFT_SECONDS_LEAST) // SHIFTS)
    shifts = range(SHIFT_SECONDS_LEAST, count - SHIFT_SECONDS_LEAST, step)
    as_large = sum(_product(first, [*second[shift:], *second[:shift]]) >= observed for shift in shifts)
    return Coincidence(observed / size, (1 + as_large) / (1 + len(shifts)))


def _centred(values: Sequence[float]) -> list[float]:
    middle = sum(values) / len(values)
    return [value - middle for value in values]


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(map(float.__mul__, one, other))
