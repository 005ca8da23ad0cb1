"""The way of each cell."""

from agent.router.cell import Grid
from agent.router.fact import HostCells, Why
from agent.router.plan import CellPlan, Leg, Way, legs_of, plan_of

GRID = Grid(100, 8)
CELLS = HostCells(
    exists=0b11111111,
    sketched=0b00000111,
    ticked=0b00011110,
    partly=0b01001111,
    why={Why.FEWER_TICKS: 0b01001000, Why.NO_SKETCH: 0b10110000},
)


def test_a_whole_sketch_comes_first_then_rows_then_nothing() -> None:
    """What is unknown is read from the sketches that are there, if any are."""
    plan = plan_of({"h": CELLS})
    ways = plan.hosts["h"]
    assert (ways.sketch, ways.raw, ways.unknown, ways.partly) == (0b111, 0b11000, 0b11100000, 0b01000000)
    assert (plan.sketch, plan.raw, plan.unknown, plan.total) == (3, 2, 3, 8)


def test_a_metric_without_sketches_is_read_from_rows() -> None:
    """Where every tick is known."""
    ways = plan_of({"h": CELLS}, has_sketches=False).hosts["h"]
    assert (ways.sketch, ways.raw, ways.unknown, ways.partly) == (0, 0b11110, 0b11100001, 0)


def test_windows_that_do_not_exist_go_no_way() -> None:
    """Nor does a host without any."""
    plan = plan_of({"h": HostCells(0b1, 0b11, 0b11, 0b11, {}), "none": HostCells(0, 0, 0, 0, {})})
    assert (plan.total, plan.hosts["h"].sketch, plan.hosts["none"].unknown) == (1, 1, 0)


def leg(first: int, behind: int, way: Way, why: Why | None) -> Leg:
    return Leg("h", GRID.start_ns(first), GRID.start_ns(behind), way, why)


def test_legs_are_stretches_with_one_way_and_reason_in_the_order_of_time() -> None:
    """What has no sketch and no ticks lacks ticks; with part of a sketch the reason is that of the sketch."""
    assert legs_of(plan_of({"h": CELLS}), {"h": CELLS}, GRID) == [
        leg(0, 3, Way.SKETCH, None),
        leg(3, 4, Way.RAW, Why.FEWER_TICKS),
        leg(4, 5, Way.RAW, Why.NO_SKETCH),
        leg(5, 6, Way.UNKNOWN, Why.TICKS_MISSING),
        leg(6, 7, Way.UNKNOWN, Why.FEWER_TICKS),
        leg(7, 8, Way.UNKNOWN, Why.TICKS_MISSING),
    ]
    assert leg(3, 7, Way.RAW, None).windows == 4


def test_legs_of_a_metric_without_sketches_say_so() -> None:
    """Or that ticks are missing."""
    plan = plan_of({"h": CELLS}, has_sketches=False)
    assert [(each.way, each.why) for each in legs_of(plan, {"h": CELLS}, GRID, has_sketches=False)] == [
        (Way.UNKNOWN, Why.TICKS_MISSING),
        (Way.RAW, Why.NOT_SKETCHED),
        (Way.UNKNOWN, Why.TICKS_MISSING),
    ]
    assert legs_of(CellPlan({}, 0, 0, 0), {}, GRID) == []
