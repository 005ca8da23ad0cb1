"""Rows of process_tail as columns: no less careful than one by one."""

from random import Random

import pyarrow
import pytest

from agent.model.sketch import VALUE_MAX, bucket_of
from agent.router.interval import Tails, TailValues
from agent.router.tail_columns import TAIL_COLUMNS, ManyTails, buckets_of, phantoms_of, split


def test_the_bucket_of_each_value_is_that_of_the_sketch() -> None:
    """Up to the largest number, and on both sides of every end that a float can hold."""
    drawn = Random(1)
    values = [1, 2, 3, (1 << 53) + 1, 1 << 62, VALUE_MAX, *(drawn.randrange(1, 1 << drawn.randrange(2, 64)) for _ in range(5_000))]
    assert buckets_of(pyarrow.array(values)).to_pylist() == [bucket_of(value) for value in values]


def test_the_largest_value_is_taken_out_of_a_row() -> None:
    """A row whose sum its largest cannot make keeps all values, of which nothing but the sum is known."""
    has, largest, rest = split(pyarrow.array([3, 1, 3, 2]), pyarrow.array([10, 7, 10, 5]), pyarrow.array([6, 7, 2, 7]))
    assert (has.to_pylist(), largest.to_pylist()) == ([True, True, False, False], [6, 7, 2, 7])
    rows = list(zip(*(rest[name].to_pylist() for name in TAIL_COLUMNS), strict=True))
    assert rows == [(2, 4, 4, 4), (0, 0, 0, 0), (3, 0, 10, 10), (2, 0, 7, 7)]


def test_zeros_of_unknown_processes_are_no_more_than_zeros_can_be() -> None:
    """A sum of 10 with none above 4 is of three values at least."""
    found = phantoms_of(pyarrow.array([5, 5, 2]), pyarrow.array([10, 0, 8]), pyarrow.array([4, 0, 4]))
    assert found.to_pylist()[1] == 5
    assert found.to_pylist()[0] in (2, 3)
    assert found.to_pylist()[2] in (0, 1)


@pytest.mark.parametrize("most", [20, 10**6, 10**15])
def test_many_rows_bound_values_as_each_of_them_does(most: int) -> None:
    """A little wider at most."""
    drawn = Random(most)
    tails: dict[TailValues, int] = {}
    for _ in range(200):
        values = [drawn.randrange(most) if drawn.random() < 0.7 else 0 for _ in range(drawn.randrange(1, 9))]
        tail = TailValues(len(values), sum(values), sum(values), max(values))
        tails[tail] = tails.get(tail, 0) + 1
    columns = dict(zip(TAIL_COLUMNS, map(list, zip(*tails, strict=True)), strict=True))
    many, few = ManyTails(pyarrow.table({**columns, "times": list(tails.values())})), Tails(tails)
    assert (many.count, many.largest) == (few.count, few.largest)
    for value in [0, 1, *(drawn.randrange(most) for _ in range(100)), few.largest - 1, few.largest, few.largest + 1]:
        found, exact = many.at_most(value), few.at_most(value)
        assert exact.least - 3 <= found.least <= exact.least, value
        assert exact.most <= found.most <= exact.most + 3, value
