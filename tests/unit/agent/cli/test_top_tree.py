"""Processes as trees by their parents, whatever the parents say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.top_rows import order_by
from agent.cli.top_sample import NamedProcess
from agent.cli.top_tree import LEVELS_MAX, branch, tree_of
from agent.cli.width import display_width


def process(pid: int, ppid: int, cpu: float = 0.1, start: int = 0) -> NamedProcess:
    return NamedProcess(pid, f"p{pid}", 0, None, "S", 1, cpu, 1, ppid=ppid, start_ticks=start)


@given(st.dictionaries(st.integers(1, 30), st.tuples(st.integers(0, 40), st.floats(0, 8), st.integers(0, 5)), max_size=30))
def test_every_process_has_one_line(parents: dict[int, tuple[int, float, int]]) -> None:
    """Also where parents make a cycle, are missing, or are younger than their children."""
    nodes = tree_of([process(pid, *rest) for pid, rest in parents.items()], order_by("cpu"))
    assert sorted(node.pid for node in nodes if node.process is not None) == sorted(parents)
    assert len({node.pid for node in nodes}) == len(nodes)
    tops = [node.total for node in nodes if not node.is_last]
    assert sum(top.processes for top in tops) == len(parents)


def test_a_parent_that_is_younger_is_another_process() -> None:
    """Its pid was used again."""
    nodes = tree_of([process(5, 9, start=1), process(9, 1, start=7)], order_by("cpu"))
    assert {node.pid: bool(node.is_last) for node in nodes} == {5: False, 1: False, 9: True}


def test_a_deep_tree_leaves_the_name_its_room() -> None:
    """Ten thousand levels need no more than the deepest that is drawn."""
    nodes = tree_of([process(pid, pid - 1) for pid in range(1, 2_001)], order_by("cpu"))
    assert max(display_width(branch(node, has_letters=True)) for node in nodes) == 2 * LEVELS_MAX
    assert branch(nodes[0], has_letters=False) == ""
    assert branch(nodes[1], has_letters=False) == "` "


@pytest.mark.parametrize("parents", [{1: 2, 2: 1}, {1: 2, 2: 3, 3: 1}, {5: 1, 1: 2, 2: 1}])
def test_a_cycle_has_one_process_at_its_top(parents: dict[int, int]) -> None:
    """The kernel has none, but rows of two moments can."""
    nodes = tree_of([process(pid, ppid) for pid, ppid in parents.items()], order_by("cpu"))
    assert [node.process is not None for node in nodes] == [True] * len(parents)
    assert sum(not node.is_last for node in nodes) == 1
