"""The root of a unit's processes."""

from agent.model.proc_stat import Stat
from workers.unit.model.family import Relative, in_order_of_descent, parse_pids


def relative(pid: int, ppid: int | None, start: int, *, comm: str = "a", state: str = "S") -> Relative:
    """A process of one thread."""
    return Relative(pid, comm, Stat(state, ppid, 0, 1, start, 0))


def test_the_root_is_the_oldest_whose_parent_is_outside() -> None:
    """Its children follow by age, and who was put into the unit later too, whatever the numbers are."""
    root, child, grandchild = relative(900, 1, 10), relative(30, 900, 20), relative(31, 30, 20)
    visitor = relative(20, 7, 15)
    assert in_order_of_descent([grandchild, visitor, child, root]) == [root, visitor, child, grandchild]


def test_what_has_ended_is_nobodys_root() -> None:
    """Its children belong to somebody outside before long."""
    assert in_order_of_descent([relative(1, 0, 1, state="Z"), relative(2, 1, 2)]) == [relative(2, 1, 2)]
    assert in_order_of_descent([]) == []


def test_without_anyone_from_outside_all_are_told_by_age() -> None:
    """Two that name each other as parent can only have been read at different moments."""
    assert [each.pid for each in in_order_of_descent([relative(5, 6, 3), relative(6, 5, 2)])] == [6, 5]


def test_a_process_is_the_same_until_it_ends_or_is_called_otherwise() -> None:
    """A number that was given to another process is not it."""
    before = relative(5, 1, 3)
    assert relative(5, 9, 3).is_as(before)
    assert not relative(5, 1, 4).is_as(before)
    assert not relative(5, 1, 3, comm="b").is_as(before)
    assert not relative(5, 1, 3, state="Z").is_as(before)


def test_the_list_of_processes_is_bounded() -> None:
    """A process of another namespace has no number here; a number that was cut off is another one's, and bounded by the file."""
    assert parse_pids(b"12\n0\n7\n", 64) == [12, 7]
    assert parse_pids(b"1\n2\n3\n", 2) == [1, 2]
    assert parse_pids(b"", 2) == []
    assert parse_pids(b"x\n-1\n", 2) == []
