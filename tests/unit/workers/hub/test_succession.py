"""What follows what at a node: numbers of beats, connections, units."""

import pytest
from fakes.hub_story import StoryNode, install_id, labelled

from agent.fleet.update import LiveState, Update
from agent.model.timebase import S
from workers.hub.fleet_node import Challenger, FleetNode, NodePhase, NodeRun
from workers.hub.succession import are_two, begun_and_gone, count_beat, go_on

LIFE = NodeRun(StoryNode(1).run, "boot-1", "node-1", "1.0")
OTHER = NodeRun("f" * 16, "boot-2", "copy", "1.0")


def held(**fields: object) -> FleetNode:
    """A node as a hub holds it."""
    return FleetNode(install_id(1), "node-1", NodePhase.FRESH, 0, life=LIFE, **fields)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("challenger", "sequence", "seconds", "expected"),
    [
        (Challenger(OTHER, b"c", 0), 5, 0, False),
        (Challenger(OTHER, b"c", 0), 5, 1, True),
        (Challenger(LIFE, b"c", 0), 5, 2, False),
        (Challenger(LIFE, b"c", 0, 1, 6), 5, 2, False),
        (Challenger(LIFE, b"c", 0, 1, 6), 6, 2, True),
        (Challenger(LIFE, b"c", 0, 1, (1 << 32) - 1), 1, 2, True),
    ],
)
def test_two_are_alive_where_the_one_before_says_something_new(
    challenger: Challenger, sequence: int, seconds: int, *, expected: bool
) -> None:
    """Not with what was on its way: at once, or of a lower number in the same life."""
    node = StoryNode(1)
    node.sequence = sequence - 1
    assert are_two(challenger, node.beat(), seconds * S, 1 * S) is expected


def test_what_came_on_a_new_connection_before_it_was_known_is_counted() -> None:
    """It is not lost."""
    node = held(sequence=10, beat_connection=b"a", challenger=Challenger(LIFE, b"b", 0, heard=3, first_sequence=11))
    go_on(node, b"b")
    assert (node.counts.received, node.beat_connection, node.challenger) == (3, b"b", None)
    said = StoryNode(1)
    said.sequence = 14
    count_beat(node, said.beat())
    assert (node.counts.received, node.counts.lost, node.sequence) == (4, 1, 15)


def test_a_connection_that_nobody_challenged_has_nothing_before_it() -> None:
    """Numbers go on from those of the one before, or from one."""
    node = held(sequence=10, challenger=Challenger(LIFE, b"other", 0, heard=3))
    go_on(node, b"b")
    assert (node.counts.received, node.heard_before) == (0, 0)
    count_beat(node, StoryNode(1).beat())
    assert (node.counts.doubled, node.sequence) == (0, 1)


def test_late_beats_are_counted() -> None:
    """Those of a node that was given up already."""
    node, said = held(), StoryNode(1)
    for phase in (NodePhase.FRESH, NodePhase.LATE, NodePhase.STALE):
        node.phase = phase
        count_beat(node, said.beat())
    assert (node.counts.received, node.counts.late) == (3, 2)


def test_units_of_a_difference_and_of_a_whole_state() -> None:
    """What is known already has not begun, and what is not known has not ended."""
    state = LiveState(labels={1: labelled(1), 2: labelled(2)})
    change = Update("0" * 16, 1, 2, 0, None, None, [labelled(2, model="m"), labelled(3)], [], [1, 9])
    assert begun_and_gone(state, change) == ((3,), (1,))
    whole = Update("0" * 16, 0, 2, 0, None, None, [labelled(2, unit="/other"), labelled(3)], [], [])
    assert begun_and_gone(state, whole) == ((2, 3), (1, 2))
