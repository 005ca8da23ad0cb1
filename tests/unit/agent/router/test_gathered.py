"""Where values belong: to a line for sure, or to one of several."""

from typing import Any

import pytest

from agent.model.errors import MisuseError
from agent.model.sketch import SCALE, VALUE_MAX, Sketch, bucket_of, bucket_range
from agent.router.gathered import Ends, GatheredLines, Group, Placing, Slot, Unsaid, estimate, take_sketches
from agent.router.interval import Interval, Spread, TailValues, largest_bounds, quantile_bounds, sum_bounds
from agent.router.question import METRICS, Kind, PodNames, RoutedQuestion

ANY = Unsaid.ANY
NAMES = PodNames({"u1": "shop/web", "u2": "lab/x"}, {"u1": "shop", "u2": "lab"})
EMPTY = Spread()


def placing(**changes: Any) -> Placing:
    return Placing(RoutedQuestion(Kind.SUM, METRICS["cpu"], 0, 1, **changes), NAMES)


def test_a_row_that_says_all_goes_to_one_line() -> None:
    """By the parts that the answer is split by."""
    by = ("host", "namespace", "pod", "command")
    assert placing(by=by).slot("h", "u1", "a", is_shared=False) == Slot(("h", "shop", "u1", "a"), True)
    assert placing(by=by).slot("h", None, "a", is_shared=False) == Slot(("h", None, None, "a"), True)
    assert placing().slot("h", "u1", "a", is_shared=False) == Slot((), True)


def test_a_row_of_several_commands_leaves_open_which() -> None:
    """One of several units leaves the unit open as well."""
    assert placing(by=("pod", "command")).slot("h", "u1", None, is_shared=True) == Slot(("u1", ANY), True)
    assert placing(by=("pod", "namespace")).slot("h", None, None, is_shared=True) == Slot((ANY, ANY), True)
    assert placing(by=("host",)).slot("h", None, None, is_shared=True) == Slot(("h",), True)


def test_what_was_not_asked_for_goes_nowhere() -> None:
    """What leaves open whether it was goes there perhaps."""
    chosen = placing(pods=frozenset({"shop/web"}), commands=frozenset({"a"}), namespaces=frozenset({"shop"}))
    assert chosen.slot("h", "u1", "a", is_shared=False) == Slot((), True)
    assert chosen.slot("h", "u1", "b", is_shared=False) is None
    assert chosen.slot("h", "u2", "a", is_shared=False) is None
    assert chosen.slot("h", "u1", None, is_shared=True) == Slot((), False)
    assert chosen.slot("h", "u2", None, is_shared=True) is None
    assert chosen.slot("h", None, None, is_shared=True) == chosen.lost("h") == Slot((), False)
    assert placing(namespaces=frozenset({"lab"})).slot("h", "u1", "a", is_shared=False) is None


@pytest.mark.parametrize(
    ("changes", "key", "command"),
    [
        ({}, False, False),
        ({"by": ("host",)}, False, False),
        ({"by": ("pod",)}, True, False),
        ({"by": ("command",)}, True, True),
        ({"commands": frozenset({"x"})}, True, True),
        ({"namespaces": frozenset({"x"})}, True, False),
    ],
)
def test_columns_that_tell_nothing_apart_are_not_needed(changes: dict[str, Any], key: bool, command: bool) -> None:
    """Commands are many."""
    found = placing(**changes)
    assert (found.needs_key, found.needs_command) == (key, command)


def add(gathered: GatheredLines, slot: Slot, value: int) -> None:
    for spread, group in gathered.spreads(slot):
        spread.add_exact(value)
        if group is not None:
            group.estimate.add(value)


def test_shared_values_are_a_line_of_their_own_and_perhaps_of_others() -> None:
    """Of those whose key they may have."""
    gathered = GatheredLines()
    add(gathered, Slot(("u1", "a"), True), 1)
    add(gathered, Slot(("u2", "a"), True), 2)
    add(gathered, Slot(("u1", ANY), True), 30)
    add(gathered, Slot((ANY, ANY), True), 400)
    assert set(gathered.groups) == {("u1", "a"), ("u2", "a"), None}
    assert gathered.groups[None].estimate.sum == 430
    assert gathered.maybe(("u1", "a")).sum_most == 430
    assert gathered.maybe(("u2", "a")).sum_most == 400
    assert gathered.maybe(None).count == 0


def test_values_that_were_perhaps_not_asked_for_are_no_line() -> None:
    """They only widen the others."""
    gathered = GatheredLines()
    add(gathered, Slot((), False), 5)
    assert gathered.groups == {}
    assert gathered.maybe(()).sum_most == 5


def test_lost_values_are_of_the_one_line_or_perhaps_of_each() -> None:
    """Those that are no values for sure are of none for sure."""
    gathered = GatheredLines()
    gathered.add_lost(Slot((), True), TailValues(3, 9, 9, 9), 1)
    gathered.add_lost(Slot((), True), TailValues(2, 0, 4, 4), is_certain=False)
    gathered.add_lost(Slot((), True), TailValues(0, 0, 0, 0))
    group = gathered.groups[()]
    assert (group.sure.count, group.sure.phantoms, group.estimate.count, group.estimate.sum) == (3, 1, 3, 9)
    assert gathered.maybe(()).count == 2
    split = GatheredLines()
    add(split, Slot(("u1",), True), 1)
    split.add_lost(Slot((ANY,), True), TailValues(3, 9, 9, 9))
    assert (split.maybe(("u1",)).count, split.maybe(None).count) == (3, 3)


def test_an_answer_has_so_many_lines_at_most() -> None:
    """More nobody reads."""
    gathered = GatheredLines(groups_max=2)
    for key in ("a", "b", "a"):
        gathered.group((key,))
    with pytest.raises(MisuseError, match="choose some with --pod or --command"):
        gathered.group(("c",))


def sketch_parts(*values: int, scale: int = SCALE) -> tuple[dict[tuple[int, int], int], Ends]:
    sketch = Sketch(scale=scale)
    for value in values:
        sketch.add(value)
    counts = {(scale, bucket): times for bucket, times in sketch.buckets.items()}
    return counts, Ends(sketch.count, sketch.zero_count, sketch.sum, min(values), max(values))


def test_sketches_bound_values_by_their_buckets_and_ends() -> None:
    """The least and the largest are exact."""
    spread = Spread()
    take_sketches(spread, *sketch_parts(0, 1000, 2000, 4000))
    low, middle, high = quantile_bounds(spread, EMPTY, (0.0, 0.5, 1.0))
    assert (low, high) == (Interval(0, 0), Interval(4000, 4000))
    assert middle == Interval(*bucket_range(bucket_of(1000)))
    assert sum_bounds(spread, EMPTY) == Interval(7000, 7000)
    assert largest_bounds(spread, EMPTY) == Interval(4000, 4000)


def test_an_end_that_two_ranges_can_have_stays_in_both() -> None:
    """Of two scales; one that is exact already stays so."""
    counts, ends = sketch_parts(1000, 1005)
    coarse, more = sketch_parts(1001, scale=2)
    ends.take(more)
    spread = Spread()
    take_sketches(spread, {**counts, **coarse}, ends)
    bounds = quantile_bounds(spread, EMPTY, (0.0, 1.0))
    assert all(bound is not None and bound.holds(true) for bound, true in zip(bounds, (1000, 1005), strict=True))
    single = Spread()
    take_sketches(single, *sketch_parts(7))
    assert single.ranges == {(7, 7): 1}


def test_buckets_that_disagree_with_the_ends_are_believed() -> None:
    """They say more."""
    spread = Spread()
    take_sketches(spread, {(SCALE, bucket_of(1000)): 1}, Ends(1, 0, 5, 5, 5))
    assert spread.ranges == {bucket_range(bucket_of(1000)): 1}


def test_a_sum_that_did_not_fit_its_column_is_a_lower_bound() -> None:
    """At most each value is the largest."""
    spread = Spread()
    take_sketches(spread, {(SCALE, bucket_of(100)): 3}, Ends(3, 0, 200, 50, 100, is_summed=False))
    assert sum_bounds(spread, EMPTY) == Interval(200, 300)


def test_without_buckets_only_the_ends_are_known() -> None:
    """As many questions need no more."""
    spread = Spread()
    take_sketches(spread, {}, Ends(5, 2, 90, 0, 60))
    assert (spread.count, spread.ranges) == (5, {(0, 0): 2, (0, 60): 2, (60, 60): 1})
    empty = Spread()
    take_sketches(empty, {}, Ends(2, 2, 0, 0, 0))
    assert empty.ranges == {(0, 0): 2}


def test_an_estimate_is_a_sketch_of_all_values() -> None:
    """Of the coarsest scale; nothing is added of nothing; without buckets number and sum are right."""
    group = Group(Spread(), Sketch(), set())
    estimate(group, {}, Ends())
    assert group.estimate.count == 0
    for parts in (sketch_parts(0, 1000), sketch_parts(3000, scale=4)):
        estimate(group, *parts)
    whole = Sketch(scale=4)
    for value in (0, 1000, 3000):
        whole.add(value)
    assert group.estimate == whole
    light = Group(Spread(), Sketch(), set())
    estimate(light, {}, Ends(3, 1, 90, 0, 60))
    assert (light.estimate.count, light.estimate.sum, light.estimate.max) == (3, 90, 60)


def test_ends_are_put_together() -> None:
    """Least and most, numbers and sums."""
    ends = Ends()
    ends.take(Ends(2, 1, 5, 0, 5))
    ends.take(Ends(1, 0, 9, 9, 9, is_summed=False))
    assert ends == Ends(3, 1, 14, 0, 9, is_summed=False)
    assert Ends().least == VALUE_MAX
