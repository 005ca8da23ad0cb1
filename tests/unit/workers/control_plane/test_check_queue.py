"""The queue of checks gives what asking every group would give."""

from hypothesis import given
from hypothesis import strategies as st

from workers.control_plane.check_queue import CheckQueue
from workers.control_plane.group_step import DesiredGroup
from workers.control_plane.planned_group import PlannedGroup


def _group(name: str, number: int, check_at_ns: int = 0, priority: int = 0) -> PlannedGroup:
    return PlannedGroup(DesiredGroup(name, priority, ((name, "c"),)), number, paths=(name,), check_at_ns=check_at_ns)


def test_the_longest_wait_comes_first_then_the_rank() -> None:
    """A group that is put again has only its new place."""
    groups = {"a": _group("a", 1, 5), "b": _group("b", 2, 5, priority=1), "c": _group("c", 3, 9)}
    queue = CheckQueue()
    assert queue.first(groups) is None
    for group in groups.values():
        queue.put(group)
    assert queue.first(groups) is groups["b"]
    groups["b"].check_at_ns = 20
    queue.put(groups["b"])
    assert queue.first(groups) is groups["a"]
    del groups["a"]
    assert queue.first(groups) is groups["c"]


def test_a_group_of_the_same_name_is_another() -> None:
    """It was removed and wanted again."""
    queue = CheckQueue()
    queue.put(_group("a", 1))
    again = _group("a", 2, 7)
    assert queue.first({"a": again}) is None
    queue.put(again)
    assert queue.first({"a": again}) is again


def test_entries_that_are_out_of_date_are_cleared_away() -> None:
    """A group that is put again and again costs no more memory than one."""
    group = _group("a", 1)
    queue = CheckQueue()
    for check_at_ns in range(10_000, 0, -1):
        group.check_at_ns = check_at_ns
        queue.put(group)
        assert queue.first({"a": group}) is group
    assert len(queue) < 1_000


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9), st.booleans()), max_size=600))
def test_whatever_changes_the_first_is_the_least(changes: list[tuple[str, int, bool]]) -> None:
    """Also of groups that lose their directory and get one again, and when old entries were cleared away."""
    groups = {name: _group(name, number) for number, name in enumerate("abcd")}
    queue = CheckQueue()
    for group in groups.values():
        queue.put(group)
    for name, check_at_ns, has_path in changes:
        groups[name].check_at_ns, groups[name].paths = check_at_ns, (name,) if has_path else ()
        if has_path:
            queue.put(groups[name])
        held = [group for group in groups.values() if group.paths]
        assert queue.first(groups) is min(held, key=lambda each: (each.check_at_ns, each.rank), default=None)
