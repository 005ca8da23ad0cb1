"""What has changed in a fleet lately."""

from agent.fleet.live import UnitLabel
from agent.model.timebase import S
from workers.hub.effect import NodeChanged, Tell, UnitsChanged
from workers.hub.fleet_node import FleetNode, NodePhase
from workers.hub.recent_changes import CHANGES_MAX, RecentChanges

WALL_NS = 1_700_000_000 * S
INSTALL = "00000000000000a1"


def label(key: int) -> UnitLabel:
    """One workload."""
    return UnitLabel(key, f"unit-{key}", "workload", f"job-{key}")


class Told:
    """A node, and what its changes mean."""

    def __init__(self, phase: NodePhase = NodePhase.FRESH) -> None:
        self.changes = RecentChanges()
        self.node = FleetNode(INSTALL, "node-1", phase, WALL_NS)
        self.nodes = {INSTALL: self.node}

    def units(self, begun: tuple[int, ...] = (), ended: tuple[int, ...] = (), *, is_arrival: bool = False) -> list[str]:
        """Units begin and end."""
        for key in ended:
            self.node.state.labels.pop(key, None)
        self.node.state.labels.update({key: label(key) for key in begun})
        effect = UnitsChanged(INSTALL, begun, ended, tuple(map(label, ended)), is_arrival)
        return [f"{each.change} {each.name}" for each in self.changes.take(effect, self.nodes, WALL_NS)]

    def phase(self, phase: NodePhase) -> list[tuple[str | None, str | None]]:
        """Another state."""
        self.node.phase = phase
        return [(each.was, each.state) for each in self.changes.take(NodeChanged(INSTALL), self.nodes, WALL_NS)]


def test_starts_and_ends_are_changes_with_their_names() -> None:
    """The newest first in the document, with who and where."""
    told = Told()
    assert told.units(begun=(1, 2)) == ["started job-1", "started job-2"]
    assert told.units(ended=(1,)) == ["ended job-1"]
    document = told.changes.document(("hub", "run"), WALL_NS)
    assert [each.change for each in document.changes] == ["ended", "started", "started"]
    assert (document.changes[0].node, document.changes[0].host, document.changes[0].unit) == (INSTALL, "node-1", "unit-1")
    assert (document.hub, document.hub_run, document.left_out) == ("hub", "run", 0)


def test_what_a_node_tells_first_is_no_news() -> None:
    """It ran before the hub knew of it."""
    told = Told()
    assert told.units(begun=(1, 2), is_arrival=True) == []
    assert told.units(begun=(3,)) == ["started job-3"]


def test_after_a_start_of_the_agent_only_what_differs_is_told() -> None:
    """Workloads go on while their node's agent is started again."""
    told = Told()
    told.units(begun=(1, 2), is_arrival=True)
    assert told.units(ended=(1, 2), is_arrival=True) == []
    assert told.units(begun=(2, 3), is_arrival=True) == ["ended job-1", "started job-3"]


def test_states_are_changes_and_a_return_after_the_hubs_start_is_none() -> None:
    """Ten thousand nodes come back at once."""
    told = Told(NodePhase.LATE)
    assert told.phase(NodePhase.FRESH) == []
    assert told.phase(NodePhase.LATE) == [("fresh", "late")]
    assert told.phase(NodePhase.LATE) == []
    assert told.phase(NodePhase.STALE) == [("late", "stale")]
    joined = Told(NodePhase.NEVER_SEEN)
    assert joined.phase(NodePhase.NEVER_SEEN) == [(None, "never_seen")]
    assert joined.phase(NodePhase.FRESH) == [("never_seen", "fresh")]


def test_a_node_that_is_taken_out_is_named() -> None:
    """By its host where it was seen, else by its id."""
    told = Told()
    told.phase(NodePhase.STALE)
    told.nodes.clear()
    [change] = told.changes.take(NodeChanged(INSTALL), told.nodes, WALL_NS)
    assert (change.change, change.host) == ("removed", "node-1")
    [change] = told.changes.take(NodeChanged(INSTALL), told.nodes, WALL_NS)
    assert change.host == INSTALL
    assert told.units(begun=(1,)) == []


def test_the_newest_are_kept_and_the_others_counted() -> None:
    """A storm of starts takes no more room than a person reads."""
    told = Told()
    for number in range(CHANGES_MAX + 7):
        told.units(begun=(number,))
    document = told.changes.document(("hub", "run"), WALL_NS)
    assert len(document.changes) == CHANGES_MAX
    assert document.left_out == 7
    assert document.changes[0].name == f"job-{CHANGES_MAX + 6}"


def test_other_effects_and_units_that_are_gone_again_are_nothing() -> None:
    """The label of what has begun may be gone when it is asked for."""
    told = Told()
    assert told.changes.take(Tell("hub_stalled", "warning", {}), told.nodes, WALL_NS) == []
    assert told.changes.take(UnitsChanged(INSTALL, (9,), ()), told.nodes, WALL_NS) == []
