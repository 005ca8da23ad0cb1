"""What was short in an episode, and for whom."""

from array import array

from agent.cli.neighbour_episode import Symptom
from agent.cli.neighbour_rise import Sides
from agent.cli.neighbour_shortage import Shortage, own_rise, rise_outside, shortage_of
from agent.cli.neighbour_unit import CPU, THROTTLED, HostWindow, JudgedUnit, NodeWindow, UnitWindow
from agent.cli.neighbour_verdict import Innocence

SIDES = Sides(range(60), 60, 80)


def stepped(before: float, during: float) -> "array[float]":
    return array("d", [before] * 60 + [during] * 20)


VICTIM = UnitWindow(JudgedUnit("v", "service", "/v"), {CPU: stepped(0.5, 1.5), THROTTLED: stepped(0, 0)})


def window(host: HostWindow) -> NodeWindow:
    return NodeWindow(0, 80, [VICTIM], host)


def test_cores_are_short_from_four_fifths_on() -> None:
    """Below that nobody is at fault; without figures of the host it is not checked."""
    busy, idle = HostWindow(4, stepped(1.0, 3.3)), HostWindow(4, stepped(1.0, 3.1))
    assert shortage_of(window(busy), VICTIM, Symptom.CPU, SIDES) == Shortage()
    assert shortage_of(window(idle), VICTIM, Symptom.CPU, SIDES).innocence is Innocence.NO_SHORTAGE
    assert shortage_of(window(HostWindow()), VICTIM, Symptom.CPU, SIDES) == Shortage()


def test_throttling_is_always_the_own_limit() -> None:
    """No neighbour can cause it."""
    assert shortage_of(window(HostWindow()), VICTIM, Symptom.THROTTLED, SIDES).innocence is Innocence.OWN_LIMIT


def test_a_shared_limit_reaches_what_lies_below_it() -> None:
    """A name that only begins alike does not."""
    shared = Shortage(limit="/a.slice")
    assert shared.reaches(JudgedUnit("b", "service", "/a.slice/b.service"))
    assert not shared.reaches(JudgedUnit("c", "service", "/a.slices/c.service"))
    assert Shortage().reaches(JudgedUnit("c", "service", "/c.service"))


def test_rises_of_its_own_and_of_no_unit() -> None:
    """What the host rose more than its units belongs to none of them."""
    found = window(HostWindow(4, stepped(1.0, 3.5)))
    assert own_rise(found, VICTIM, CPU, SIDES) == 1.0
    assert rise_outside(found, 1.0, CPU, SIDES) == 1.5
    assert rise_outside(found, 3.0, CPU, SIDES) == 0.0
