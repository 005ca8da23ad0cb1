"""What rose: compared with the seconds before, without what units inside have, and from when on."""

from array import array

from agent.cli.neighbour_rise import Rise, Sides, onset_of, outermost, rise_of, rises_of
from agent.cli.neighbour_unit import CPU, JudgedUnit, NodeWindow, UnitWindow

SIDES = Sides(range(60), 60, 80)


def stepped(before: float, during: float) -> "array[float]":
    return array("d", [before + 0.01 * (second % 3) for second in range(60)] + [during] * 20 + [before] * 20)


def window(**columns: "array[float]") -> NodeWindow:
    units = [UnitWindow(JudgedUnit(path, "slice", path.replace("|", "/")), {CPU: series}) for path, series in columns.items()]
    return NodeWindow(0, 100, units)


def test_a_step_is_an_unusual_rise() -> None:
    """By its size; the same as before is none; without data there is no answer."""
    rise = rise_of(stepped(0.1, 1.1), SIDES)
    assert rise is not None
    assert 0.9 < rise.size < 1.0
    assert rise.is_unusual
    same = rise_of(stepped(0.1, 0.11), SIDES)
    assert same is not None
    assert not same.is_unusual
    assert rise_of(None, SIDES) is None
    assert rise_of(stepped(0.1, 1.0), Sides(range(5), 60, 80)) is None


def test_what_lies_inside_is_not_a_slices_own() -> None:
    """A service's rise is counted once."""
    found = rises_of(window(**{"/a.slice": stepped(1, 3), "/a.slice/b.service": stepped(0, 2), "/c": stepped(0, 0)}), CPU, SIDES)
    slice_, service, other = found
    assert slice_ is not None
    assert service is not None
    assert other is not None
    assert abs(slice_.own) < 0.01
    assert service.own > 1.9
    assert [unit.unit.uid for unit in outermost(window(**{"/a": stepped(0, 0), "/a/b": stepped(0, 0)}))] == ["/a"]


def test_an_onset_is_near_or_none() -> None:
    """What was up long before did not begin with it."""
    series = stepped(0.0, 1.0)
    rise = Rise(0.0, 1.0, 1.0, True)
    assert onset_of(series, rise, 61, 8) == 60
    assert onset_of(series, rise, 75, 8) is None
    assert onset_of(series, rise, 50, 8) is None
    assert onset_of(array("d", [1.0] * 100), rise, 50, 8) is None
