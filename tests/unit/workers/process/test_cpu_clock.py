"""Which processes ran, by their CPU clocks."""

import time

import pytest
from fakes.kernel_tree import MemoryTree
from hypothesis import given
from hypothesis import strategies as st

from workers.process.cpu_clock import ClockWatch, cpu_clock_of, has_clocks


class Clocks:
    """A watch over a tree whose clocks the test sets."""

    def __init__(self, per_beat: int = 2) -> None:
        self.tree = MemoryTree()
        self.beats = 0
        self.watch = ClockWatch(self.tree, beat=self._count, clocks_per_beat=per_beat)

    def _count(self) -> None:
        self.beats += 1

    def set(self, pid: int, time_ns: int | None) -> None:
        if time_ns is None:
            self.tree.clocks.pop(cpu_clock_of(pid), None)
        else:
            self.tree.clocks[cpu_clock_of(pid)] = time_ns


def test_the_number_of_a_clock_is_that_of_the_c_library() -> None:
    """Of every thread of this process the kernel's own function names the same kind of clock."""
    assert cpu_clock_of(1) == ~1 * 8 + 2 == -14
    assert time.clock_gettime_ns(cpu_clock_of(0)) > 0


def test_those_that_ran_are_told_with_their_time_and_others_are_not() -> None:
    """Each once, until it runs again."""
    clocks = Clocks()
    for pid in (1, 2, 3, 4, 5):
        clocks.set(pid, pid)
        assert clocks.watch.add(str(pid)) == pid
    assert clocks.watch.changed() == []
    clocks.set(2, 20)
    clocks.set(5, 50)
    assert clocks.watch.changed() == [("2", 20), ("5", 50)]
    assert clocks.watch.changed() == []
    assert clocks.beats == 6


def test_one_that_has_ended_is_told_and_one_that_had_ended_is_not_watched() -> None:
    """It must be removed by who is told."""
    clocks = Clocks()
    clocks.set(1, 7)
    assert (clocks.watch.add("1"), clocks.watch.add("2"), "2" in clocks.watch) == (7, None, False)
    clocks.set(1, None)
    assert clocks.watch.changed() == [("1", None)]
    clocks.watch.remove("1")
    clocks.watch.remove("1")
    assert "1" not in clocks.watch
    assert clocks.watch.changed() == []


@given(st.lists(st.tuples(st.integers(min_value=1, max_value=6), st.integers(min_value=0, max_value=3)), max_size=40))
def test_whatever_is_added_and_removed_each_is_compared_with_its_own_last_time(steps: list[tuple[int, int]]) -> None:
    """Against a plain dictionary."""
    clocks = Clocks()
    known: dict[str, int] = {}
    for pid, what in steps:
        name = str(pid)
        if what == 0:
            clocks.watch.remove(name)
            known.pop(name, None)
        else:
            clocks.set(pid, what)
            if name not in known:
                known[name] = clocks.watch.add(name) or 0
        changed = {name: clocks.tree.clocks[cpu_clock_of(int(name))] for name in known}
        changed = {name: now for name, now in changed.items() if now != known[name]}
        assert dict(clocks.watch.changed()) == changed
        known.update(changed)
        assert [name in clocks.watch for name in known] == [True] * len(known)


@pytest.mark.parametrize(
    ("status", "is_ours"),
    [
        (b"Name:\tx\nNSpid:\t77\nThreads:\t1\n", True),
        # The `/proc` of an outer namespace knows this process by two numbers.
        (b"NSpid:\t4711\t77\n", False),
        (b"NSpid:\t78\n", False),
        (b"Name:\tNSpid: 77\n", False),
        (b"", False),
        (None, False),
    ],
)
def test_clocks_are_those_of_a_proc_that_knows_us_by_our_own_number_alone(status: bytes | None, is_ours: bool) -> None:
    """In any other the numbers are those of other processes."""
    tree = MemoryTree({} if status is None else {"self/status": status})
    tree.clocks[cpu_clock_of(77)] = 1
    assert has_clocks(tree, 77) is is_ours
    tree.clocks.clear()
    assert has_clocks(tree, 77) is False
