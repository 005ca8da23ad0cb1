"""Many rows of `process_tail` at once, as columns: what `agent.router.interval` says of one. It imports pyarrow.

The largest value of a row is known, so it is taken out; of the others the number, the sum and a bound of each are left.
"""

from typing import Any

import pyarrow
from pyarrow import compute

from agent.model.sketch import VALUE_MAX, boundaries
from agent.router.columns import Array, floats
from agent.router.interval import AtMost

# Below this a loop over them is faster.
FEW_TAILS = 300
# Floating-point numbers are wrong by less; a bound is moved outwards by it.
_SLACK = 1e-9
_LARGE_SLACK = 1e-14
_GUESS_UP = 1e-9
_PER_DOUBLING = 64


def split(count: Array, total: Array, largest: Array) -> tuple[Array, Array, dict[str, Array]]:
    """Rows of sums without their largest value: which rows have one, that value, and the rest as columns of `TAIL_COLUMNS`.

    A row whose sum its largest cannot make holds something else too; then its sum says nothing about the least.
    """
    most_of_all = compute.multiply(floats(count), floats(largest))
    is_good = compute.and_(
        compute.and_(compute.greater_equal(largest, 0), compute.less_equal(largest, total)),
        compute.less_equal(floats(total), compute.multiply(most_of_all, 1 + _SLACK)),
    )
    rest = compute.subtract(total, largest)
    bound = compute.max_element_wise(total, largest, 0)
    columns = {
        "count": compute.if_else(is_good, compute.subtract(count, 1), count),
        "sum_least": compute.if_else(is_good, rest, 0),
        "sum_most": compute.if_else(is_good, rest, bound),
        "most": compute.if_else(is_good, compute.min_element_wise(largest, rest), bound),
    }
    return is_good, largest, columns


TAIL_COLUMNS = ("count", "sum_least", "sum_most", "most")


def phantoms_of(count: Array, total: Array, largest: Array) -> Array:
    """How many of the values of rows whose sums lack something may be zeros of processes of which nothing is known."""
    least = compute.ceil(compute.divide(floats(total), floats(compute.max_element_wise(largest, 1))))
    known = compute.if_else(compute.greater(largest, 0), compute.multiply(least, 1 - _SLACK), 0.0)
    return compute.max_element_wise(compute.subtract(count, compute.floor(known).cast(pyarrow.int64())), 0)


def buckets_of(values: Array) -> Array:
    """The bucket of scale 6 of each value, as `agent.model.sketch.bucket_of`. *Range:* 1 to 2^63 - 1."""
    logarithms = compute.multiply(compute.log2(floats(values)), float(_PER_DOUBLING))
    guess = compute.floor(compute.add(logarithms, _GUESS_UP)).cast(pyarrow.int64())
    ends = compute.take(pyarrow.array(boundaries(), pyarrow.uint64()), guess)
    is_below = compute.less_equal(values.cast(pyarrow.uint64()), ends)
    return compute.subtract(guess, is_below.cast(pyarrow.int64()))


class ManyTails:
    """A `agent.router.interval.Bounded` of many `TailValues`s with how often each came: columns of `TAIL_COLUMNS` and `times`."""

    def __init__(self, table: Any) -> None:
        self._times, self._count, self._sum_least, self._sum_most, self._most = (
            floats(table[name]) for name in ("times", *TAIL_COLUMNS)
        )
        self._ends = table["most"]
        self.count = round(compute.sum(compute.multiply(self._times, self._count)).as_py())
        self.largest = min(int(compute.max(table["most"]).as_py()), VALUE_MAX)

    def at_most(self, value: int) -> AtMost:
        """See `Bounded`."""
        at = float(value)
        is_whole = compute.less_equal(self._ends, value)
        # Outwards: more of them may be above, and fewer must.
        possible = compute.floor(compute.add(compute.multiply(compute.divide(self._sum_most, at + 1), 1 + _SLACK), _SLACK))
        above_most = compute.if_else(is_whole, 0.0, compute.min_element_wise(self._count, possible))
        # A difference of large numbers is as wrong as they are.
        lacking = compute.subtract(compute.multiply(self._sum_least, 1 - _LARGE_SLACK), compute.multiply(self._count, at))
        room = compute.max_element_wise(compute.subtract(self._most, at), 1.0)
        needed = compute.ceil(compute.subtract(compute.multiply(compute.divide(lacking, room), 1 - _SLACK), _SLACK))
        above_least = compute.if_else(is_whole, 0.0, compute.min_element_wise(above_most, compute.max_element_wise(needed, 0.0)))
        above, certain = (compute.sum(compute.multiply(self._times, each)).as_py() for each in (above_most, above_least))
        return AtMost(self.count - round(above), self.count - round(certain))
