"""One node with its GPUs and conditions."""

from agent.fleet.live import GpuRow, NodeUse
from agent.model.timebase import S
from workers.hub.fleet_node import FleetNode, NodePhase
from workers.hub.node_detail import node_detail

WALL_NS = 1_700_000_000 * S
HUB = ("hub", "run")


def node(use: NodeUse | None) -> FleetNode:
    """A node that does this."""
    made = FleetNode("00000000000000a1", "node-1", NodePhase.FRESH, WALL_NS)
    made.state.node_use = use
    return made


def test_a_node_of_which_nothing_is_known_has_nothing() -> None:
    """No GPU, no condition, and its row."""
    found = node_detail(node(None), HUB, 0, WALL_NS)
    assert (found.gpus, found.conditions, found.node.host, found.hub) == ([], [], "node-1", "hub")


def test_gpus_are_in_bytes_and_shares() -> None:
    """And what is not known stays so."""
    use = NodeUse(gpus=(GpuRow("GPU-1", "H200", 1000, 250, 500), GpuRow("GPU-2", None, None, None, None, stuck=True)))
    first, second = node_detail(node(use), HUB, 0, WALL_NS).gpus
    assert (first.vram_bytes, first.vram_used_bytes, first.busy, first.stuck) == (1000 << 20, 250 << 20, 0.5, False)
    assert (second.name, second.vram_bytes, second.vram_used_bytes, second.busy, second.stuck) == (None, None, None, None, True)


def test_a_condition_has_the_remedy_of_its_kind() -> None:
    """A kind that this hub does not know, and a sentence without one, are shown as they came."""
    use = NodeUse(conditions=("control-plane: nri: the socket does not answer", "new: no_such_kind_x: why", "only words"))
    known, other, plain = node_detail(node(use), HUB, 0, WALL_NS).conditions
    assert (known.worker, known.kind, known.detail) == ("control-plane", "nri", "the socket does not answer")
    assert known.remedy
    assert (other.kind, other.severity, other.remedy) == ("no_such_kind_x", "warning", None)
    assert (plain.worker, plain.kind, plain.detail, plain.remedy) == ("", "", "only words", None)
