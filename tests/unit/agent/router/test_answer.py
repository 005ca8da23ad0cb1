"""The lines of an answer with their bounds, and what they cover."""

import pytest
from fakes.router_answers import answer_of

from agent.model.sketch import Sketch
from agent.router.answer import Bound, CellCoverage, Newest, TickCoverage, lines_of, newest_of, reasons_of, ticks_of
from agent.router.cell import WINDOW_NS, Grid
from agent.router.fact import HostCells, Why
from agent.router.gathered import GatheredLines, Slot
from agent.router.interval import Interval, TailValues
from agent.router.plan import Leg, Way, plan_of
from agent.router.question import METRICS, Kind, RoutedQuestion

GRID = Grid(100, 8)


@pytest.mark.parametrize(("kind", "name", "value"), [
    (Kind.SUM, "sum", 9), (Kind.TOP, "sum", 9), (Kind.AVG, "avg", 3), (Kind.MAX, "max", 6), (Kind.COUNT, "count", 3),
])  # fmt: skip
def test_each_question_has_its_number(kind: Kind, name: str, value: int) -> None:
    """Exact, where all values are."""
    (line,) = answer_of({(): [1, 2, 6]}, kind=kind).lines
    assert line.numbers == {name: Bound(value, Interval(value, value))}
    assert line.numbers[name].is_exact


def test_an_estimate_is_moved_into_its_interval() -> None:
    """A mean stands for values of which only the sum is known."""
    gathered = GatheredLines()
    gathered.add_lost(Slot((), True), TailValues(4, 10, 10, 10))
    for value in (100, 200):
        gathered.group(()).sure.add_exact(value)
        gathered.group(()).estimate.add(value)
    (line,) = lines_of(RoutedQuestion(Kind.PERCENTILE, METRICS["cpu"], 0, 1, (("0", 0.0), ("50", 0.5), ("99", 0.99))), gathered)
    assert line.numbers["99"] == Bound(100, Interval(100, 100))
    assert line.numbers["0"].interval == Interval(0, 2)
    assert not line.numbers["50"].is_exact


def test_lines_without_a_value_are_left_out() -> None:
    """And the one with the largest number is first."""
    answer = answer_of({("a",): [1], ("b",): [], ("c",): [7]}, by=("host",))
    assert [line.key for line in answer.lines] == [("c",), ("a",)]


def test_a_number_without_any_value_is_none() -> None:
    """Nothing bounds it."""
    assert not Bound(None, None).is_exact
    empty = GatheredLines()
    empty.group(()).estimate = Sketch()
    assert lines_of(RoutedQuestion(Kind.AVG, METRICS["cpu"], 0, 1), empty) == []


def test_covered_cells_are_those_of_which_values_are_known() -> None:
    """Exactly or by bounds."""
    ways = CellCoverage(3, 2, 1)
    assert (ways.covered, ways.total) == (5, 6)


def test_reasons_are_counted_over_all_legs() -> None:
    """Whole sketches have none."""
    legs = [
        Leg("a", 0, 2 * WINDOW_NS, Way.SKETCH, None),
        Leg("a", 0, 2 * WINDOW_NS, Way.RAW, Why.NO_SKETCH),
        Leg("b", 0, WINDOW_NS, Way.RAW, Why.NO_SKETCH),
    ]
    assert reasons_of(legs) == {Why.NO_SKETCH: 3}


def test_the_newest_windows_tell_of_a_fallback() -> None:
    """Not the very last, whose rows may be on their way; not of hosts without any sketch."""
    back = HostCells(0b11111111, 0b00001111, 0b11111111, 0b00011111, {Why.NO_SKETCH: 0b11100000, Why.FEWER_TICKS: 0b00010000})
    fine = HostCells(0b11111111, 0b01111111, 0b11111111, 0b01111111, {Why.NO_SKETCH: 0b10000000})
    none = HostCells(0b11111111, 0, 0b11111111, 0, {Why.NO_SKETCH: 0b11111111})
    cells = {"back": back, "fine": fine, "none": none}
    plan = plan_of(cells)
    assert newest_of(plan, cells, GRID, GRID.until_ns, 3) == Newest(3, {Why.NO_SKETCH: 2, Why.FEWER_TICKS: 1})
    assert newest_of(plan, cells, GRID, GRID.start_ns(4), 3) == Newest(6, {})


def test_windows_with_fewer_ticks_and_without_rows_are_counted() -> None:
    """Of each host by itself; a window that is read from rows is there, and its ticks are known."""
    ticks = {(0, 0): {60}, (0, 1): {20, 40}, (0, 4): {59}, (1, 2): {60}}
    found = ticks_of(ticks, {(0, 3), (0, 4)}, GRID, 2)
    assert found == TickCoverage(5, 0, 1, 60, GRID.start_ns(0), GRID.start_ns(5), 2)
    assert ticks_of(ticks, set(), GRID, 0).partial == 1
    assert ticks_of({}, set(), GRID, 0) == TickCoverage(0, 0, 0, 0, None, None)
    assert ticks_of({}, {(0, 2)}, GRID, 0).ticks_of_full == 0
