"""The sketch: buckets exact to the last whole number, percentiles within the stated error, merges in any order the same."""

import random
from collections.abc import Callable, Sequence

import pytest
from ddsketch import DDSketch
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.model.errors import FormatError
from agent.model.sketch import (
    BUCKETS_MAX,
    SCALE,
    SCALE_MIN,
    VALUE_BITS,
    VALUE_MAX,
    Sketch,
    boundaries,
    bucket_of,
    bucket_range,
    merged,
    relative_error,
)

VALUES = st.one_of(st.integers(0, 300), st.integers(0, VALUE_MAX), st.integers(0, 63).map(lambda power: (1 << power) - 1))
LISTS = st.lists(VALUES, max_size=60)
PARTS = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)


def sketch_of(values: Sequence[int], buckets_max: int = BUCKETS_MAX) -> Sketch:
    sketch = Sketch(buckets_max)
    for value in values:
        sketch.add(value)
    return sketch


def true_bucket(value: int) -> int:
    """The one `i` with 2^i < value^64 <= 2^(i+1), in whole numbers alone."""
    return int(value**64 - 1).bit_length() - 1


def boundary(index: int) -> int:
    """The largest whole number in bucket `index`, found without the code under test."""
    low, high = 0, 1 << 64
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**64 <= 1 << (index + 1) else (low, middle)
    return low


def test_small_values_are_in_their_bucket() -> None:
    """Each whole number up to 5,000."""
    assert [bucket_of(value) for value in range(1, 5_001)] == [true_bucket(value) for value in range(1, 5_001)]


def test_each_boundary_has_its_two_neighbours_on_the_right_sides() -> None:
    """Every boundary up to 2^63, the whole numbers at it and beside it."""
    for index in range(0, 4_032, 3):
        last = boundary(index)
        around = [value for value in range(last - 2, last + 3) if 1 <= value <= 1 << 63]
        assert [bucket_of(value) for value in around] == [true_bucket(value) for value in around], index


@pytest.mark.parametrize("power", range(64))
def test_a_power_of_two_is_the_last_value_of_its_bucket(power: int) -> None:
    """As the convention has it: a bucket is open below and closed above."""
    assert bucket_of(1 << power) == 64 * power - 1
    if 0 < power < 63:
        assert bucket_of((1 << power) + 1) == true_bucket((1 << power) + 1) >= 64 * power


@given(st.integers(1, 1 << 63))
def test_any_value_is_in_its_bucket(value: int) -> None:
    """By whole numbers alone."""
    assert bucket_of(value) == true_bucket(value)


def test_count_sum_minimum_and_maximum_are_exact() -> None:
    """Also of values above 2^53, which no float has."""
    sketch = Sketch()
    sketch.add(0, times=3)
    sketch.add(VALUE_MAX)
    sketch.add(VALUE_MAX - 2, times=2)
    assert (sketch.count, sketch.zero_count, sketch.sum) == (6, 3, 3 * VALUE_MAX - 4)
    assert (sketch.min, sketch.max) == (0, VALUE_MAX)


def test_an_empty_sketch_has_no_percentile() -> None:
    """Nor a minimum; it is no zero."""
    assert Sketch().quantiles((0, 0.5, 1)) == [None, None, None]
    assert (Sketch().to_columns().min, Sketch().to_columns().max, Sketch().count) == (None, None, 0)


def test_zeros_have_percentiles_of_their_own() -> None:
    """A unit that sleeps nine ticks of ten has a median of 0."""
    sketch = sketch_of([0] * 90 + [1_000] * 10)
    assert sketch.quantiles((0, 0.5, 0.89, 1)) == [0.0, 0.0, 0.0, 1_000.0]
    assert sketch.quantile(0.95) == pytest.approx(1_000, rel=0.0055)


def test_the_ends_are_exact() -> None:
    """Estimates never lie outside of what was added."""
    sketch = sketch_of([7, 7_001, 123_456_789])
    assert (sketch.quantile(0), sketch.quantile(1)) == (7.0, 123_456_789.0)


@pytest.mark.parametrize("part", [-0.1, 1.1, float("nan")])
def test_a_part_outside_of_0_to_1_is_refused(part: float) -> None:
    """It says where it may lie."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        sketch_of([1]).quantile(part)


@pytest.mark.parametrize("value", [-1, -(1 << 70), 1 << 63, 1 << 80, True, False, 1.0, float("nan"), "1", None])
def test_what_is_no_value_is_refused_and_changes_nothing(value: int) -> None:
    """One by one, counted often, and in bulk."""
    for held in ([], [3, 5_000]):
        sketch = sketch_of(held)
        for add in (
            sketch.add,
            lambda each, sketch=sketch: sketch.add(each, 2),
            lambda each, sketch=sketch: sketch.add_all([each]),
        ):
            with pytest.raises(ValueError, match="a sketch counts"):
                add(value)
        assert sketch == sketch_of(held)


@pytest.mark.parametrize("times", [0, -1, 1.5])
def test_a_value_is_counted_once_or_more(times: int) -> None:
    """Anything else is refused, and changes nothing."""
    sketch = Sketch()
    with pytest.raises(ValueError, match="once or more"):
        sketch.add(5, times)
    assert sketch == Sketch()


def test_a_limit_of_too_few_buckets_is_refused() -> None:
    """A sketch would be coarser than any schema."""
    with pytest.raises(ValueError, match="8 buckets or more"):
        Sketch(7)


@given(LISTS)
def test_bulk_is_as_one_by_one(values: list[int]) -> None:
    """Also where it collapses."""
    for buckets_max in (BUCKETS_MAX, 9):
        sketch = Sketch(buckets_max)
        sketch.add_all(values)
        assert sketch == sketch_of(values, buckets_max)


@given(st.lists(st.tuples(VALUES, st.integers(1, 5)), max_size=20))
def test_many_times_is_as_often_once(values: list[tuple[int, int]]) -> None:
    """A value with a number is that many values."""
    sketch = Sketch(9)
    for value, times in values:
        sketch.add(value, times)
    assert sketch == sketch_of([value for value, times in values for _ in range(times)], 9)


@given(st.lists(LISTS, max_size=6), st.randoms(use_true_random=False), st.sampled_from([BUCKETS_MAX, 8, 20]))
def test_merges_in_any_order_are_the_same_bit_for_bit(lists: list[list[int]], chance: random.Random, buckets_max: int) -> None:
    """One after another, in another order, as a tree, and all values in one sketch."""
    sketches = [sketch_of(values, buckets_max) for values in lists]
    whole = merged(sketches, buckets_max)
    shuffled = list(sketches)
    chance.shuffle(shuffled)
    half = len(shuffled) // 2
    tree = merged([merged(shuffled[half:], buckets_max), merged(shuffled[:half], buckets_max)], buckets_max)
    assert whole.to_columns() == merged(shuffled, buckets_max).to_columns() == tree.to_columns()
    assert whole == sketch_of([value for values in lists for value in values], buckets_max)
    assert sketches == [sketch_of(values, buckets_max) for values in lists]


@given(LISTS, st.sampled_from([BUCKETS_MAX, 8]))
def test_columns_hold_all_of_a_sketch(values: list[int], buckets_max: int) -> None:
    """There and back."""
    sketch = sketch_of(values, buckets_max)
    columns = sketch.to_columns()
    assert Sketch.from_columns(columns, buckets_max) == sketch
    assert not columns.counts or (columns.counts[0] and columns.counts[-1])


def test_a_value_in_each_bucket_that_there_is_collapses_nothing() -> None:
    """A sketch of the usual limit keeps its error whatever whole numbers it counts."""
    sketch = sketch_of([min(boundary(index), VALUE_MAX) for index in range(VALUE_BITS * 64)])
    assert (sketch.scale, len(sketch.buckets)) == (SCALE, 3_706)


def test_a_sum_beyond_a_column_is_the_largest_number_of_one() -> None:
    """The row is as good as any other: read and merged it says the same, with exact counts."""
    sketch = sketch_of([VALUE_MAX, VALUE_MAX, 5])
    columns = sketch.to_columns()
    assert (columns.sum, columns.count, sketch.sum) == (VALUE_MAX, 3, 2 * VALUE_MAX + 5)
    again = merged([Sketch.from_columns(columns), sketch])
    assert (again.to_columns().sum, again.count) == (VALUE_MAX, 6)


def test_a_collapse_joins_neighbours_and_states_the_larger_error() -> None:
    """Each step about doubles it, and the buckets are those of the coarser scale."""
    values = [1 << power for power in range(0, 60, 2)]
    fine, coarse = sketch_of(values), sketch_of(values, 16)
    assert (fine.scale, round(fine.relative_error, 6)) == (6, 0.005415)
    assert len(coarse.buckets) <= 16
    # 30 values, each two bits apart, fit 16 buckets from 16 to a bucket on.
    assert coarse.scale == -2
    assert coarse.relative_error == relative_error(-2) == 15 / 17
    assert {index >> (SCALE - coarse.scale) for index in fine.buckets} == coarse.buckets.keys()
    assert (coarse.count, coarse.sum, coarse.min, coarse.max) == (fine.count, fine.sum, fine.min, fine.max)


def test_no_values_make_a_sketch_coarser_than_the_coarsest_scale() -> None:
    """The least limit of buckets, and a value in each bucket of scale 6."""
    sketch = Sketch(8)
    sketch.add_all(list({boundary(index) for index in range(0, 4_032, 16)} - {1 << 63}))
    assert (sketch.scale, len(sketch.buckets)) == (SCALE_MIN, 5)


@given(st.lists(st.integers(1, VALUE_MAX), min_size=1, max_size=50), st.sampled_from([BUCKETS_MAX, 8, 20]))
def test_estimates_are_within_the_stated_error(values: list[int], buckets_max: int) -> None:
    """Of every rank, also after a collapse."""
    sketch, exact = sketch_of(values, buckets_max), sorted(values)
    for part in (0, 0.1, *PARTS, 1):
        estimate, true = sketch.quantile(part), exact[int(part * (len(exact) - 1))]
        assert estimate is not None
        assert abs(estimate - true) <= true * sketch.relative_error * (1 + 1e-9)


def distributions() -> list[tuple[str, Callable[[random.Random], float]]]:
    """Shapes of loads, each over twelve decades of its scale, and one whose values span all of them."""
    shapes: list[tuple[str, Callable[[random.Random, float], float]]] = [
        ("uniform", lambda chance, unit: chance.uniform(0, unit)),
        ("exponential", lambda chance, unit: chance.expovariate(1 / unit)),
        ("lognormal", lambda chance, unit: unit * chance.lognormvariate(0, 0.5)),
        ("wide lognormal", lambda chance, unit: unit * chance.lognormvariate(0, 2)),
        ("pareto", lambda chance, unit: unit * chance.paretovariate(1.1)),
        ("normal", lambda chance, unit: abs(chance.gauss(unit, unit / 10))),
        ("gamma", lambda chance, unit: unit * chance.gammavariate(0.5, 1)),
        ("weibull", lambda chance, unit: chance.weibullvariate(unit, 0.7)),
        ("two peaks", lambda chance, unit: unit * (1 if chance.random() < 0.9 else 1_000) * chance.uniform(0.9, 1.1)),
    ]
    spread = [("all decades", lambda chance: 10 ** chance.uniform(0, 12))]
    return spread + [
        (f"{name} 1e{decade}", lambda chance, draw=draw, decade=decade: draw(chance, 10.0**decade))
        for name, draw in shapes
        for decade in range(1, 13)
    ]


def test_percentiles_are_within_0_55_percent_of_exact_ones_and_of_another_library() -> None:
    """109 distributions over twelve decades, from p50 to p99.9, with the buckets of a second implementation."""
    found = distributions()
    assert len(found) >= 100
    worst = 0.0
    for seed, (name, draw) in enumerate(found):
        chance = random.Random(seed)
        values = [min(int(draw(chance)), VALUE_MAX) for _ in range(1_500)]
        sketch, other, exact = sketch_of(values), DDSketch(relative_error(SCALE)), sorted(values)
        for value in values:
            other.add(value)
        assert (sketch.count, sketch.scale) == (other.count, SCALE)
        for part in PARTS:
            estimate, true = sketch.quantile(part), exact[int(part * (len(exact) - 1))]
            theirs = other.get_quantile_value(part)
            assert estimate is not None
            assert theirs is not None
            worst = max(worst, abs(estimate - true) / true if true else estimate)
            # Both are within the same error of the same value.
            assert abs(estimate - theirs) <= 2.001 * relative_error(SCALE) * true, (name, part)
    assert 0.004 < worst <= 0.0055


GOOD = sketch_of([0, 5, 1_000, 1_000_000]).to_columns()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"scale": 7}, "scale 7"),
        ({"scale": -5}, "scale -5"),
        ({"scale": 6.0}, "no whole number"),
        ({"counts": [*GOOD.counts[:-1], None]}, "no whole number"),
        ({"counts": [*GOOD.counts[:-1], True]}, "no whole number"),
        ({"counts": [*GOOD.counts[:-1], -1]}, "negative"),
        ({"zero_count": -1}, "negative"),
        ({"counts": [1] * 5_000}, "buckets of values that there are not"),
        ({"first_bucket": -2}, "buckets of values that there are not"),
        ({"first_bucket": 4_031}, "buckets of values that there are not"),
        ({"count": 5}, "its count"),
        ({"min": None}, "minimum and maximum"),
        ({"max": 1 << 63}, "minimum and maximum"),
        ({"min": 2_000_000}, "minimum and maximum"),
        ({"sum": 4_000_001}, "its sum"),
        ({"sum": -1}, "its sum"),
        ({"zero_count": 0, "count": 0, "counts": []}, "no values but"),
    ],
)
def test_columns_that_no_sketch_has_are_refused(change: dict[str, object], problem: str) -> None:
    """They come from files; each with what is wrong."""
    with pytest.raises(FormatError, match=problem):
        Sketch.from_columns(replace(GOOD, **change))


def test_a_sketch_shows_what_it_holds() -> None:
    """In a failed test, and it is equal to nothing else."""
    assert repr(sketch_of([5])).startswith("Sketch(SketchColumns(scale=6")
    assert sketch_of([5]) != 5


def test_zeros_alone_have_quantiles_without_any_bucket() -> None:
    """They are counted apart."""
    assert sketch_of([0, 0, 0]).quantiles((0, 0.5, 1)) == [0.0, 0.0, 0.0]


def test_what_stands_for_a_bucket_is_near_each_value_that_it_counts() -> None:
    """In ascending order, each with how many there are; zeros are not among them."""
    found = sketch_of([1_000_000, 0, 7_000, 0, 7_000, 3]).estimates()
    assert [times for _, times in found] == [1, 2, 1]
    for (estimate, _), value in zip(found, (3, 7_000, 1_000_000), strict=True):
        assert abs(estimate - value) <= relative_error(SCALE) * value
    assert sketch_of([0, 0]).estimates() == []


def test_the_range_of_a_bucket_has_the_values_that_it_counts() -> None:
    """At every scale, and both ends are in it; the last ends with the largest value."""
    drawn = random.Random(5)
    values = [1, 2, 3, 5, 1 << 62, VALUE_MAX, *(drawn.randrange(1, 1 << drawn.randrange(2, 64)) for _ in range(500))]
    for value in values:
        for scale in range(SCALE_MIN, SCALE + 1):
            low, high = bucket_range(bucket_of(value) >> (SCALE - scale), scale)
            assert low <= value <= high <= VALUE_MAX, (value, scale)
            ends = {bucket_of(low) >> (SCALE - scale), bucket_of(high) >> (SCALE - scale)}
            assert ends == {bucket_of(value) >> (SCALE - scale)}
    assert bucket_range(-1) == (1, 1)
    assert boundaries()[:2] == [1, 1]
    assert all(value > boundaries()[bucket_of(value)] for value in range(2, 50))
