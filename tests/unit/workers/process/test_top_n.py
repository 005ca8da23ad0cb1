"""The smallest set that holds a share of a whole: never larger than it need be, and the same while the load is."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from workers.process.top_n import PATIENCE_TICKS, Limits, TopN, need_of

COUNT = 500
CAPTURE = 950
TICKS = 80
SETTLED = 20


class Item(Struct, eq=False):
    """One process, with its value of the tick."""

    pid: int
    value: int
    is_alive: bool = True


def _value_of(item: Item) -> int:
    return item.value


def _is_alive(item: Item) -> bool:
    return item.is_alive


def _zipf(exponent: float) -> Callable[[Random], list[float]]:
    return lambda drawn: [1e9 / rank**exponent for rank in range(1, COUNT + 1)]


def _lognormal(sigma: float) -> Callable[[Random], list[float]]:
    return lambda drawn: [1e6 * drawn.lognormvariate(0, sigma) for _ in range(COUNT)]


LOADS: dict[str, Callable[[Random], list[float]]] = {
    "zipf-1": _zipf(1),
    "zipf-1.5": _zipf(1.5),
    "zipf-2": _zipf(2),
    "lognormal-1": _lognormal(1),
    "lognormal-2": _lognormal(2),
    "uniform": lambda drawn: [1e6] * COUNT,
    "all-sizes": lambda drawn: [1e6 * drawn.random() for _ in range(COUNT)],
}


def _target(items: Iterable[Item]) -> int:
    return -(-sum(item.value for item in items) * CAPTURE // 1000)


def _changed(before: list[Item], now: list[Item]) -> float:
    """The part of the rows that is new."""
    return len(set(now) - set(before)) / len(now)


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("most", [100, 10_000])
@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_a_steady_load_has_steady_rows_that_are_hardly_more_than_needed(load: str, most: int, noise: float) -> None:
    """At every tick at most 1.1 times the smallest number, the target held where it can be; 5 % of the rows change, in the mean."""
    drawn = Random(f"{load} {most} {noise}")
    bases = LOADS[load](drawn)
    items = [Item(pid, 0) for pid in range(1, COUNT + 1)]
    top: TopN[Item] = TopN(Limits(CAPTURE, 5, most), _value_of)
    chosen: list[list[Item]] = []
    for _ in range(TICKS):
        for item, base in zip(items, bases, strict=True):
            item.value = max(0, round(base * drawn.gauss(1, noise)))
        target = _target(items)
        need = need_of(map(_value_of, items), target, 5, most)
        choice = top.choose(items, target, _is_alive)
        assert choice.smallest == need.count
        assert len(choice.items) <= min(most, 1.1 * need.count)
        assert choice.is_reached or not need.is_reached
        assert choice.held == sum(map(_value_of, choice.items))
        chosen.append(choice.items)
    changes = [_changed(before, now) for before, now in pairwise(chosen[SETTLED:])]
    assert sum(changes) / len(changes) <= 0.05


@given(values=st.lists(st.integers(0, 1000), max_size=60), target=st.integers(0, 20_000), least=st.integers(0, 9))
def test_the_number_is_the_smallest_that_reaches_the_target(values: list[int], target: int, least: int) -> None:
    """Compared with a full sort."""
    need = need_of(values, target, least, 40)
    ordered = sorted(values, reverse=True)
    assert need.is_reached == (sum(ordered[: need.count]) >= target)
    assert need.count <= 40
    if need.count > min(least, len(values)):
        assert sum(ordered[: need.count - 1]) < target
    if need.count < min(len(values), 40):
        assert need.is_reached or ordered[need.count] == 0


@given(st.lists(st.lists(st.integers(0, 50), min_size=12, max_size=12), min_size=1, max_size=30), st.data())
def test_whatever_the_values_do_the_target_is_held_by_few(ticks: list[list[int]], data: st.DataObject) -> None:
    """Values jump, items go and come; the first choice after each is right too."""
    items = [Item(pid, 0) for pid in range(12)]
    top: TopN[Item] = TopN(Limits(CAPTURE, 2, 8), _value_of)
    for values in ticks:
        if data.draw(st.booleans()):
            gone = data.draw(st.integers(0, 11))
            items[gone].is_alive = False
            items[gone] = Item(items[gone].pid, 0)
        for item, value in zip(items, values, strict=True):
            item.value = value
        target = _target(items)
        choice = top.choose(items, target, _is_alive)
        need = need_of(values, target, 2, 8)
        assert all(item.is_alive for item in choice.items)
        assert len(choice.items) == len(set(choice.items)) <= min(8, max(need.count, need.count * 11 // 10))
        assert choice.is_reached or not need.is_reached
        assert choice.held >= sum(sorted(values)[-need.count :]) * 0.75 - 1


def test_of_many_with_one_value_as_many_are_taken_as_are_needed() -> None:
    """By their number, so that two hosts in one state choose the same."""
    items = [Item(pid, 7) for pid in range(1000, 0, -1)]
    top: TopN[Item] = TopN(Limits(CAPTURE, 0, 10), _value_of)
    choice = top.choose(items, 10_000, _is_alive)
    assert [item.pid for item in choice.items] == list(range(1, 11))
    assert (choice.held, choice.smallest, choice.is_reached) == (70, 10, False)


def test_one_that_is_clearly_larger_is_there_at_once() -> None:
    """Also where the most rows do not reach the target."""
    items = [Item(pid, 100) for pid in range(1, 101)]
    top: TopN[Item] = TopN(Limits(CAPTURE, 0, 10), _value_of)
    top.choose(items, _target(items), _is_alive)
    items[70].value = 200
    assert items[70] in top.choose(items, _target(items), _is_alive).items


def test_one_that_is_little_larger_waits() -> None:
    """Its row would be gone again at the next tick."""
    items = [Item(pid, 100) for pid in range(1, 101)]
    top: TopN[Item] = TopN(Limits(CAPTURE, 0, 10), _value_of)
    before = top.choose(items, _target(items), _is_alive).items
    items[70].value = 120
    assert set(top.choose(items, _target(items), _is_alive).items) == set(before)


def test_one_that_is_needed_no_longer_stays_for_a_while() -> None:
    """As far as a tenth more rows allow; then it goes."""
    items = [Item(pid, 100) for pid in range(1, 21)] + [Item(21, 300)]
    top: TopN[Item] = TopN(Limits(CAPTURE, 0, 100), _value_of)
    assert items[20] in top.choose(items, _target(items), _is_alive).items
    items[20].value = 0
    seen = [items[20] in top.choose(items, _target(items), _is_alive).items for _ in range(PATIENCE_TICKS + 1)]
    assert (seen[0], seen[-1]) == (True, False)


def test_without_items_nothing_is_chosen() -> None:
    """And nothing is wrong."""
    top: TopN[Item] = TopN(Limits(CAPTURE, 5, 10), _value_of)
    choice = top.choose([], 0, _is_alive)
    assert (choice.items, choice.held, choice.is_reached) == ([], 0, True)


def test_other_limits_hold_from_the_next_choice_on() -> None:
    """Fewer rows, although the target is not reached with them."""
    items = [Item(pid, 7) for pid in range(1, 21)]
    top: TopN[Item] = TopN(Limits(CAPTURE, 0, 20), _value_of)
    assert top.need(items, 140).count == 20
    top.set_limits(Limits(CAPTURE, 0, 3))
    assert (top.need(items, 140).count, len(top.choose(items, 140, _is_alive).items)) == (3, 3)
