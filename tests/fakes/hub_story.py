"""A hub's registry and nodes in memory: the test owns the time and says what each node says."""

from random import Random
from typing import Any

from agent.fleet.beat import NO_DIGEST, NodeBeat
from agent.fleet.live import NodeLabel, NodeUse, UnitLabel, UnitUse
from agent.fleet.message import PROTOCOL_VERSION, NodeHello, Purpose
from agent.fleet.update import LiveState, Update, difference, encode_update, next_digest
from agent.model.timebase import S
from workers.hub.effect import AnswerNode, HubEffect, HubTerms, NodeChanged, Tell, UnitsChanged
from workers.hub.fleet_node import FleetNode
from workers.hub.membership import Member
from workers.hub.registry import NodeRegistry
from workers.hub.worker_index import WorkerIndex

WALL_NS = 1_700_000_000 * S
TERMS = HubTerms("hub", "00000000000000ff", 1 * S, 90 * S, 200)


def install_id(number: int) -> str:
    """The installation of a node by its number."""
    return f"{number:016x}"


def member(number: int, seen_wall_ns: int = 0) -> Member:
    """A node that has joined."""
    return Member(install_id(number), f"node-{number}", f"key-{number}", WALL_NS, seen_wall_ns)


def labelled(key: int, **values: Any) -> UnitLabel:
    """A unit of this key that is a workload."""
    fields: dict[str, Any] = {"unit": f"/unit-{key}", "kind": "workload", "name": f"unit-{key}", **values}
    return UnitLabel(key, **fields)


class StoryNode:
    """What one agent of a node sends: one run of it, with a state of its own. `number` is the node's, `run` the life's."""

    def __init__(self, number: int, run: int = 1, boot: str = "boot-1", host: str = "") -> None:
        self.install = install_id(number)
        self.host = host or f"node-{number}"
        self.run = f"{run:016x}"
        self.boot = boot
        self.sequence = 0
        self.state = LiveState(run=self.run)
        self.label = NodeLabel(self.host, "1.0", 8, 1 << 20, 0)

    def hello(self, purpose: Purpose = "beat", **changes: Any) -> NodeHello:
        """Who it is."""
        fields: dict[str, Any] = {"install": self.install, "run": self.run, "host": self.host, "boot": self.boot, **changes}
        return NodeHello(fields.pop("protocol", PROTOCOL_VERSION), purpose, agent_version="1.0", **fields)

    def beat(self, *, wall_ns: int = WALL_NS, leaves: bool = False, progress_ms: int | None = 100) -> NodeBeat:
        """Its next beat."""
        self.sequence += 1
        state = self.state
        return NodeBeat(
            self.install, self.run, self.sequence, state.version, state.digest, wall_ns // 1000, progress_ms, leaves=leaves
        )

    def update(
        self, labels: list[UnitLabel], uses: list[UnitUse] | None = None, node_use: NodeUse | None = None, *, whole: bool = False
    ) -> bytes:
        """The frame that makes these units of what it had; the first one is whole."""
        known = {use.key: use for use in uses or ()}
        now = LiveState(
            self.run, 0, NO_DIGEST, 1, self.label, node_use or NodeUse(cpu=500),
            {label.key: label for label in labels}, {label.key: known.get(label.key, UnitUse(label.key)) for label in labels},
        )  # fmt: skip
        is_whole = whole or self.state.version == 0
        update = difference(self.state, now, whole=is_whole)
        assert isinstance(update, Update), "nothing has changed"
        frame = encode_update(update)
        now.version, now.digest = update.version, next_digest(self.state.digest, frame, is_whole=is_whole)
        self.state = now
        return frame


class HubStory:
    """A registry, its index of workers, and what followed. `tells` are the kinds of events told so far."""

    def __init__(self, members: int = 3, *, terms: HubTerms = TERMS, seen: bool = False, seed: int = 1) -> None:
        self.now_ns = 1000 * S
        self.wall_ns = WALL_NS
        self.tells: list[Tell] = []
        self.effects: list[HubEffect] = []
        known = [member(number, WALL_NS - S if seen else 0) for number in range(1, members + 1)]
        self.registry = NodeRegistry(terms, known, Random(seed), self.now_ns, self.wall_ns)
        self.index = WorkerIndex()
        self.registry.follow(self.index.on_node, self.index.on_uses)

    def node(self, number: int) -> FleetNode:
        """What the hub holds of a node."""
        return self.registry.nodes[install_id(number)]

    def took(self, effects: list[HubEffect] | None) -> list[HubEffect]:
        """Keep what followed."""
        found = effects or []
        self.effects += found
        self.tells += [effect for effect in found if isinstance(effect, Tell)]
        return found

    def say_hello(self, node: StoryNode, connection: bytes, purpose: Purpose = "beat", **changes: Any) -> list[HubEffect]:
        """A connection says whose it is, with the node's own key."""
        hello = node.hello(purpose, **changes)
        return self.took(self.registry.on_hello(connection, node.install, hello, self.now_ns, self.wall_ns))

    def beat(self, node: StoryNode, connection: bytes, **said: Any) -> list[HubEffect]:
        """A node beats."""
        return self.took(self.registry.on_beat(connection, node.beat(**said), self.now_ns, self.wall_ns))

    def update(self, connection: bytes, frame: bytes) -> list[HubEffect]:
        """A frame of a live state comes."""
        return self.took(self.registry.on_update(connection, frame, self.now_ns))

    def connect(self, node: StoryNode, *, live: bool = True) -> tuple[bytes, bytes]:
        """A node comes: its connections for beats and for its live state."""
        beat, live_connection = f"{node.install}-{node.run}-beat".encode(), f"{node.install}-{node.run}-live".encode()
        self.say_hello(node, beat)
        if live:
            self.say_hello(node, live_connection, "live")
        return beat, live_connection

    def turn(self) -> list[HubEffect]:
        """The loop turns."""
        return self.took(self.registry.on_turn(self.now_ns, self.wall_ns))

    def pass_time(self, span_ns: int, *beating: tuple[StoryNode, bytes]) -> list[HubEffect]:
        """Time goes by in steps of a beat, in which these nodes beat and the loop turns."""
        found: list[HubEffect] = []
        end_ns = self.now_ns + span_ns
        while self.now_ns < end_ns:
            step_ns = min(self.registry.terms.beat_ns, end_ns - self.now_ns)
            self.now_ns += step_ns
            self.wall_ns += step_ns
            for node, connection in beating:
                found += self.beat(node, connection)
            found += self.turn()
        return found


def answers(effects: list[HubEffect]) -> list[object]:
    """What was answered, in words of the protocol."""
    return [effect.answer for effect in effects if isinstance(effect, AnswerNode)]


def changed_units(effects: list[HubEffect]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Units that have begun and ended."""
    return [(effect.begun, effect.gone) for effect in effects if isinstance(effect, UnitsChanged)]


def changed_nodes(effects: list[HubEffect]) -> list[str]:
    """Nodes that have changed."""
    return [effect.install for effect in effects if isinstance(effect, NodeChanged)]
