"""When which unit is looked at."""

from agent.model.timebase import S
from workers.unit.model.look_times import LONGEST_NS, WATCH_NS, LookTimes, distance_ns


def test_the_distance_doubles_up_to_the_longest() -> None:
    """Also after years."""
    assert [distance_ns(looks, WATCH_NS) // S for looks in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]
    assert distance_ns(10**9, LONGEST_NS) == LONGEST_NS


def test_the_longest_due_is_first_and_new_ones_go_before_all() -> None:
    """Each once, until it is put again."""
    times: LookTimes[str] = LookTimes()
    times.put("late", 20)
    times.put("early", 10)
    times.put("new")
    times.put("future", 31)
    assert times.take(30, 2) == ["new", "early"]
    assert times.take(30, 2) == ["late"]
    assert times.take(30, 2) == []
    assert times.take(31, 0) == []
    assert times.take(31, 1) == ["future"]


def test_what_was_put_again_or_dropped_is_not_looked_at_before() -> None:
    """The plan of before is void."""
    times: LookTimes[str] = LookTimes()
    times.put("a", 10)
    times.put("a", 20)
    times.put("b", 10)
    times.drop("b")
    times.drop("never there")
    assert times.take(10, 9) == []
    assert times.take(20, 9) == ["a"]
