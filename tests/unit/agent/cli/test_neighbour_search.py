"""Who made whom slow, over made-up nodes: right victims and culprits on noisy ones, nobody on quiet ones."""

import pytest
from fakes.neighbour_story import noisy_node, quiet_node

from agent.cli.neighbour_search import verdicts_of
from agent.cli.neighbour_unit import NodeWindow

# Of each kind; scripts/bench/neighbours runs many more.
RUNS = 5


def named(window: NodeWindow) -> set[tuple[str, str]]:
    return {(verdict.unit, culprit.unit) for verdict in verdicts_of(window) for culprit in verdict.culprits}


@pytest.mark.parametrize("kind", ["cpu", "io", "memory", "cache"])
def test_victim_and_culprit_are_named(kind: str) -> None:
    """Of seeds that are always the same; a neighbour that does nothing unusual is named nowhere."""
    for seed in range(RUNS):
        window, victim, culprit = noisy_node(seed, kind)
        found = named(window)
        assert (victim, culprit) in found, seed
        assert {each for _, each in found} == {culprit}, seed


def test_on_quiet_nodes_nobody_is_named() -> None:
    """Ordinary loads, own limits and own wishes are no neighbour's fault."""
    assert [named(quiet_node(seed)) for seed in range(RUNS)] == [set()] * RUNS
