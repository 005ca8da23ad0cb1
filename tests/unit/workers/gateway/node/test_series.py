"""The lines of the charts."""

from typing import Any

from workers.export.assigned_names import AssignedNames
from workers.gateway.node.board import HOST_METRICS, UNIT_METRICS, BoardUnit, NodeBoard
from workers.gateway.node.document import GapSpan
from workers.gateway.node.series import LARGEST, POINTS_MAX, gaps_of, series_of


def board_with(seconds: range, units: dict[str, list[float | None]] | None = None, metric: str = "cpu") -> NodeBoard:
    """A board on which the host was seen in these seconds, and units with values from second 0 on."""
    board = NodeBoard(AssignedNames())
    for second in seconds:
        board.host.put(second, [float(second), *[None] * (len(HOST_METRICS) - 1)])
    for uid, values in (units or {}).items():
        unit = BoardUnit(uid, "pod", f"n-{uid}")
        for second, value in enumerate(values):
            board.looked.put(second, (1.0,))
            if value is not None:
                unit.ring.put(second, [value if name == metric else None for name in UNIT_METRICS])
        board.units[uid] = unit
    return board


def test_each_list_has_a_value_for_each_step() -> None:
    """Of the host and of each unit in the metrics in which it is among the largest."""
    found = series_of(board_with(range(10), {"a": [1.0, None, 3.0], "b": [None, 0.0, None]}), 0, 4)
    assert (found.since, found.until, found.step, found.gaps) == (0, 4, 1, [])
    assert found.host["cpu"] == [0.0, 1.0, 2.0, 3.0]
    assert found.host["memory"] == [None] * 4
    assert [(unit.id, unit.name, unit.kind, unit.values) for unit in found.units] == [
        ("a", "n-a", "pod", {"cpu": [1.0, 0.0, 3.0, None]})
    ]


def test_what_a_unit_holds_stays_while_it_does_nothing() -> None:
    """Until it is gone; before its first row nothing is known."""
    board = board_with(range(6), {"a": [None, 5.0, None, 7.0, None, None]}, "memory")
    assert series_of(board, 0, 6).units[0].values["memory"] == [None, 5.0, 5.0, 7.0, 7.0, 7.0]
    board.units["a"].gone = True
    assert series_of(board, 0, 6).units[0].values["memory"] == [None, 5.0, 5.0, 7.0, None, None]
    # Where nobody looked, nothing is said.
    board = board_with(range(9), {"a": [5.0]}, "memory")
    assert series_of(board, 0, 3).units[0].values["memory"] == [5.0, None, None]


def test_only_the_largest_have_lines() -> None:
    """By how much they did in all; of those that hold memory, by the most. One that was not seen in that time has none."""
    units: dict[str, list[float | None]] = {f"u{number}": [float(number)] for number in range(LARGEST + 4)}
    units["steady"] = [3.0, 3.0, 3.0]
    found = series_of(board_with(range(5), units), 0, 5)
    assert {unit.id for unit in found.units} == {"steady", *(f"u{number}" for number in range(5, LARGEST + 4))}
    held = series_of(board_with(range(5), units, "memory"), 0, 5)
    assert "steady" not in {unit.id for unit in held.units}
    assert series_of(board_with(range(5), {"a": [1.0], "b": [1.0, 1.0, 1.0]}), 2, 5).units[0].id == "b"


def test_a_long_time_has_means() -> None:
    """No list is longer than a screen is wide."""
    board = board_with(range(0, 2, 1))
    found = series_of(board, 0, POINTS_MAX * 2)
    assert (found.step, len(found.host["cpu"]), found.host["cpu"][0]) == (2, POINTS_MAX, 0.5)
    assert series_of(board, 5, 5).host["cpu"] == [None]
    large = board_with(range(0), {"a": [123_456.7891]})
    assert series_of(large, 0, 1).units[0].values["cpu"] == [123_457.0]


def test_a_gap_is_a_time_between_known_seconds() -> None:
    """With the reason that is stored for some part of it."""
    board = board_with(range(5, 10))
    for second in (20, 21, 30):
        board.host.put(second, [1.0, *[None] * (len(HOST_METRICS) - 1)])
    board.gaps = [GapSpan(0, 4, "other"), GapSpan(12, 15, "frozen")]
    assert gaps_of(board, 0, 40) == [GapSpan(10, 20, "frozen"), GapSpan(22, 30, "")]
    assert gaps_of(board, 12, 18) == [GapSpan(12, 18, "frozen")]
    assert gaps_of(NodeBoard(AssignedNames()), 0, 10) == []


def test_units_alone_make_no_gap() -> None:
    """A second in which units were looked at is known."""
    looked: dict[str, Any] = {"a": [1.0, 1.0, 1.0]}
    assert gaps_of(board_with(range(0), looked), 0, 3) == []
