"""Random worlds of a hub and its nodes: clocks, restarts, copies, partitions, stalls, floods and removals; after each step what is
known is true."""

import os
from collections import deque
from itertools import pairwise
from random import Random

import pytest
from fakes.hub_story import TERMS, StoryNode, install_id, labelled, member

from agent.fleet.beat import BeatProgress, decode_beat, is_beat
from agent.fleet.live import NodeUse, UnitUse
from agent.fleet.message import HubAnswer, WantWhole, decode_hello, encode_answer
from agent.fleet.message import decode_answer as decoded
from agent.fleet.update import COMPRESSED_MARK, UPDATE_MARK, LiveState
from agent.model.errors import ProtocolError
from agent.model.timebase import MS, S
from workers.beat.hub_beat import HubBeat
from workers.hub.effect import AnswerNode, HubEffect, Tell
from workers.hub.fleet_node import PRESENT, NodePhase, NodeRun
from workers.hub.membership import Member
from workers.hub.registry import RETIRED_MAX, NodeRegistry
from workers.hub.worker_index import WorkerIndex, is_worker
from workers.uplink.hub_feed import HubFeed

WORLDS = int(os.environ.get("EVERGAUGE_WORLDS", "16"))
STEPS = 1500
STEP_NS = 200 * MS
NODES = 5
UPDATES = (UPDATE_MARK, COMPRESSED_MARK)
HOUR_NS = 3600 * S
# More than a node has to say in an hour; and what is no frame at all.
FLOOD = 4000
NONSENSE = b"?" * 40


class SimulatedWire:
    """One connection: frames that are on their way, in their order. TCP loses none but all that follow."""

    def __init__(self, number: int) -> None:
        self.connection = b"wire-%d" % number
        self.to_hub: deque[bytes] = deque()
        self.to_node: deque[HubAnswer] = deque()
        self.is_cut = False


class SimulatedAgent:
    """One life of a node's agent: a beat and an uplink, each on a connection of its own. `skew_ns`: its clock against the hub's."""

    def __init__(self, world: "FleetWorld", number: int, boot: str, host: str = "") -> None:
        self.world = world
        self.skew_ns = world.rng.choice((0, HOUR_NS, -HOUR_NS))
        world.runs += 1
        self.said = StoryNode(number, run=world.runs, boot=boot, host=host)
        self.now_ns = world.rng.randrange(HOUR_NS)
        self.begun_at_ns = world.now_ns
        self.state = LiveState(self.said.run, node_label=self.said.label, node_use=NodeUse(cpu=1))
        self.is_stopped = False
        self.last_frame = b""
        self.start_beat()
        self.start_uplink()

    def start_beat(self) -> None:
        """The process of the beat starts."""
        self.beat = HubBeat(self.said.hello("beat"), self.now_ns)
        self.beat_wire = self.world.wire()

    def start_uplink(self) -> None:
        """The process of the uplink starts."""
        self.feed = HubFeed(self.said.hello("live"))
        self.live_wire = self.world.wire()

    def end_worker(self, what: int) -> None:
        """The process of the beat, or of the uplink, ends and is started again."""
        if what == 11:
            self.beat_wire.is_cut = True
            self.start_beat()
        else:
            self.live_wire.is_cut = True
            self.start_uplink()

    def change(self, rng: Random) -> None:
        """Units come and go, and do something."""
        labels, uses = dict(self.state.labels), dict(self.state.uses)
        key = rng.randrange(6)
        if rng.random() < 0.3 and key in labels:
            del labels[key], uses[key]
        else:
            labels[key] = labels.get(key) or labelled(key, model=rng.choice((None, "m")))
            uses[key] = UnitUse(key, cpu=rng.randrange(1000))
        self.state = LiveState(self.said.run, 0, bytes(8), 1, self.said.label, NodeUse(cpu=rng.randrange(5)), labels, uses)

    def turn(self) -> None:
        """A step of its time."""
        self.now_ns += STEP_NS
        if self.is_stopped:
            return
        for name in ("beat_wire", "live_wire"):
            wire: SimulatedWire = getattr(self, name)
            takes = self.beat if name == "beat_wire" else self.feed
            while wire.to_node:
                takes.on_answer(decoded(encode_answer(wire.to_node.popleft())), self.now_ns)
            if wire.is_cut and self.world.can_connect(self) and self.world.rng.random() < 0.1:
                takes.contact.not_sent()
                setattr(self, name, self.world.wire())
        if self.now_ns >= self.beat.next_at_ns:
            progress = BeatProgress(self.feed.version, self.feed.digest, None)
            frame = self.beat.due(self.now_ns, self.world.wall_ns + self.skew_ns, progress)
            if frame is not None:
                self.beat.on_sent(is_sent=self.send(self.beat_wire, frame))
        copy = LiveState(
            self.said.run, 0, bytes(8), 1, self.state.node_label, self.state.node_use, self.state.labels, self.state.uses
        )
        frame = self.feed.offer(copy, self.now_ns)
        if frame is not None:
            self.feed.on_sent(self.now_ns, is_sent=self.send(self.live_wire, frame))

    def send(self, wire: SimulatedWire, frame: bytes) -> bool:
        """As a socket does it: nothing is kept for a connection that is not there."""
        if wire.is_cut:
            return False
        wire.to_hub.append(frame)
        self.last_frame = frame
        return True


class FleetWorld:
    """A hub, nodes, and everything that can go wrong between them. The same seed tells the same story."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.now_ns = 10 * HOUR_NS
        self.wall_ns = 1_700_000_000 * S
        self.runs = self.boots = self.wires = 0
        self.open_wires: dict[bytes, SimulatedWire] = {}
        self.agents: dict[int, SimulatedAgent] = {}
        self.copies: list[SimulatedAgent] = []
        self.isolated: dict[int, int] = {}
        # Nodes that were taken out, and when they join again.
        self.removed: dict[int, int] = {}
        self.floods = 0
        self.heard_ns: dict[str, int] = {}
        self.wants: dict[str, list[int]] = {}
        self.members: list[Member] = [member(number) for number in range(1, NODES + 1)]
        self.log: list[str] = []
        self.hub_starts()
        for number in range(1, NODES + 1):
            self.boots += 1
            self.agents[number] = SimulatedAgent(self, number, f"boot-{self.boots}")

    # ---- the hub ----

    def hub_starts(self) -> None:
        """Another life of the hub: it knows its members, and no connection."""
        self.registry = NodeRegistry(TERMS, self.members, Random(self.rng.random()), self.now_ns, self.wall_ns)
        self.index = WorkerIndex()
        self.registry.follow(self.index.on_node, self.index.on_uses)
        self.begun_ns = self.listening_since_ns = self.turned_at_ns = self.now_ns
        self.heard_ns.clear()
        self.lives: dict[str, list[NodeRun]] = {}
        for wire in self.open_wires.values():
            wire.is_cut = True
        self.open_wires.clear()

    def hub_turn(self) -> None:
        """Take what has come, then judge. The time since the last turn may be a stall."""
        if self.now_ns - self.turned_at_ns - TERMS.beat_ns > TERMS.beat_ns:
            self.listening_since_ns = self.now_ns
        self.turned_at_ns = self.now_ns
        wires = list(self.open_wires.values())
        self.rng.shuffle(wires)
        while any(wire.to_hub for wire in wires):
            for wire in wires:
                if wire.to_hub:
                    self.take(wire, wire.to_hub.popleft())
        for wire in wires:
            if wire.is_cut:
                del self.open_wires[wire.connection]
        self.carry_out(self.registry.on_turn(self.now_ns, self.wall_ns))
        # One that waited for the life before to fall silent is the node from now on.
        self.heard_ns |= {node.install: self.now_ns for node in self.registry.nodes.values() if node.last_beat_ns == self.now_ns}

    def take(self, wire: SimulatedWire, frame: bytes) -> None:
        """One frame, as the hub's work does it."""
        registry, connection = self.registry, wire.connection
        contact = registry.contacts.get(connection)
        if contact is not None and registry.is_flooding(contact, self.now_ns):
            self.floods += 1
            return
        try:
            self.take_frame(connection, frame)
        except ProtocolError:
            assert frame == NONSENSE

    def take_frame(self, connection: bytes, frame: bytes) -> None:
        """One frame that is not too much. *Raises:* ProtocolError."""
        registry = self.registry
        if is_beat(frame):
            beat = decode_beat(frame)
            before = registry.nodes[beat.install].counts.received if beat.install in registry.nodes else 0
            self.carry_out(registry.on_beat(connection, beat, self.now_ns, self.wall_ns))
            if beat.install in registry.nodes and registry.nodes[beat.install].counts.received > before:
                self.heard_ns[beat.install] = self.now_ns
        elif frame[:2] in UPDATES:
            self.carry_out(registry.on_update(connection, frame, self.now_ns))
        else:
            hello = decode_hello(frame)
            known = registry.nodes.get(hello.install)
            held = None if known is None else known.last_beat_ns
            owner = hello.install if any(each.install == hello.install for each in self.members) else ""
            self.carry_out(registry.on_hello(connection, owner, hello, self.now_ns, self.wall_ns))
            if known is not None and known.last_beat_ns != held:
                self.heard_ns[hello.install] = self.now_ns

    def carry_out(self, effects: list[HubEffect] | None) -> None:
        """Answers go on their way."""
        for effect in effects or ():
            match effect:
                case AnswerNode(connection=connection, answer=answer):
                    wire = self.open_wires.get(connection)
                    if isinstance(answer, WantWhole):
                        self.wants.setdefault(connection.decode(), []).append(self.now_ns)
                    if wire is not None and not wire.is_cut:
                        wire.to_node.append(answer)
                case Tell(kind=kind):
                    self.log.append(f"{self.now_ns} {kind} {effect.fields.get('host')}")
                case _:
                    continue

    # ---- the world ----

    def wire(self) -> SimulatedWire:
        """A new connection."""
        self.wires += 1
        made = SimulatedWire(self.wires)
        self.open_wires[made.connection] = made
        return made

    def can_connect(self, agent: SimulatedAgent) -> bool:
        """Whether its part of the network is there."""
        return agent.said.install not in {install_id(number) for number in self.isolated}

    def cut(self, agent: SimulatedAgent) -> None:
        """Its connections break; what was on its way may arrive or not."""
        for wire in (agent.beat_wire, agent.live_wire):
            wire.is_cut = True
            wire.to_node.clear()
            if self.rng.random() < 0.5:
                wire.to_hub.clear()

    def step(self) -> None:
        """Something happens, or nothing; then all have their turn."""
        self.now_ns += STEP_NS
        self.wall_ns += STEP_NS
        self.happen()
        for agent in (*self.agents.values(), *self.copies):
            if self.rng.random() < 0.2:
                agent.change(self.rng)
            agent.turn()
        self.hub_turn()
        self.check()

    def happen(self) -> None:
        """One of all that can go wrong, seldom."""
        rng = self.rng
        for number in [number for number, until_ns in self.isolated.items() if until_ns <= self.now_ns]:
            del self.isolated[number]
        for number in [number for number, until_ns in self.removed.items() if until_ns <= self.now_ns]:
            self.join(number)
        number = rng.randrange(1, NODES + 1)
        agent = self.agents[number]
        match rng.randrange(1000):
            case 0 | 1 | 2 | 3 | 4 as what:
                self.change_lives(what, number)
            case 5 | 6 | 7:
                self.cut(agent)
            case 8:
                self.isolated[number] = self.now_ns + rng.randrange(120 * S)
                self.cut(agent)
            case 9 | 10 as what:
                self.harm_hub(what)
            case 11 | 12 as what:
                agent.end_worker(what)
            case 13:
                agent.is_stopped = not agent.is_stopped
            case 14 | 15 as what:
                self.say_too_much(what, agent)
            case 16:
                agent.skew_ns = rng.randrange(-HOUR_NS, HOUR_NS)
            case 17 if number not in self.removed:
                self.remove(number)
            case _:
                return

    def say_too_much(self, what: int, agent: SimulatedAgent) -> None:
        """A node says hello again and again, or floods a connection."""
        if what == 14:
            agent.beat_wire.to_hub.extend([agent.beat.contact.hello] * 3)
            return
        wire = self.rng.choice((agent.beat_wire, agent.live_wire))
        if not wire.is_cut and not is_beat(agent.last_frame):
            wire.to_hub.extend([self.rng.choice((NONSENSE, agent.last_frame))] * FLOOD)

    def remove(self, number: int) -> None:
        """A node is taken out for a while."""
        self.removed[number] = self.now_ns + self.rng.randrange(120 * S)
        install = install_id(number)
        self.members = [each for each in self.members if each.install != install]
        self.heard_ns.pop(install, None)
        self.lives.pop(install, None)
        self.carry_out(self.registry.remove(install))

    def join(self, number: int) -> None:
        """It joins again."""
        del self.removed[number]
        self.members.append(member(number))
        self.carry_out(self.registry.add(self.members[-1], self.wall_ns))

    def change_lives(self, what: int, number: int) -> None:
        """An agent is started again, a machine too, or a copy of one comes or goes."""
        agent = self.agents[number]
        self.boots += 1
        if what < 2:
            self.cut(agent)
            self.agents[number] = SimulatedAgent(self, number, agent.said.boot)
        elif what == 2:
            self.cut(agent)
            self.agents[number] = SimulatedAgent(self, number, f"boot-{self.boots}")
        elif what == 3:
            self.copies.append(SimulatedAgent(self, number, f"boot-{self.boots}", host=f"copy-of-{number}"))
        elif self.copies:
            self.cut(self.copies.pop(self.rng.randrange(len(self.copies))))

    def harm_hub(self, what: int) -> None:
        """It does not run for two minutes, or is started again."""
        if what == 9:
            self.now_ns += 120 * S
            self.wall_ns += 120 * S
        else:
            seen = {node.install: node.seen_wall_ns for node in self.registry.nodes.values()}
            self.members = [Member(each.install, each.host, each.key, 0, seen.get(each.install, 0)) for each in self.members]
            self.hub_starts()

    # ---- what must be true ----

    def check(self) -> None:
        """After each step."""
        registry = self.registry
        assert registry.nodes.keys() == {each.install for each in self.members}
        in_grace = self.now_ns < self.listening_since_ns + TERMS.stale_ns
        for install, node in registry.nodes.items():
            heard_ns = self.heard_ns.get(install, self.begun_ns)
            silent_ns = self.now_ns - heard_ns
            if node.phase is NodePhase.STALE and silent_ns < TERMS.stale_ns:
                raise AssertionError(f"{install} is stale after {silent_ns / S} s")
            if install in self.heard_ns and silent_ns > TERMS.stale_ns + STEP_NS and not in_grace:
                assert node.phase in (NodePhase.STALE, NodePhase.GONE), f"{install} is {node.phase} after {silent_ns / S} s"
            if in_grace and node.phase is NodePhase.STALE:
                assert node.phase_since_wall_ns <= self.wall_ns - (self.now_ns - self.listening_since_ns), "a verdict in grace"
            assert len(node.retired) <= RETIRED_MAX
            assert node.state.labels.keys() == node.state.uses.keys()
            self.check_state(node.install)
            counts = node.counts
            assert min(counts.received, counts.lost, counts.doubled, counts.late, counts.refused) >= 0
            assert counts.doubled == 0
            if node.life is not None:
                lives = self.lives.setdefault(install, [])
                if not lives or lives[-1].run != node.life.run:
                    ended = [life.run for life, later in pairwise(lives) if life.boot == later.boot]
                    assert node.life.run not in ended[-RETIRED_MAX:], f"{install} went back to a life that had ended"
                    lives.append(node.life)
        assert len(registry.contacts) <= 6 * NODES
        assert set(self.index.places()) == {
            (node.install, key)
            for node in registry.nodes.values()
            if node.phase in PRESENT
            for key, label in node.state.labels.items()
            if is_worker(label)
        }

    def check_state(self, install: str) -> None:
        """Equal version and digest are equal states."""
        state = self.registry.nodes[install].state
        for agent in (*self.agents.values(), *self.copies):
            held = agent.feed._held
            if (
                agent.said.run == state.run
                and state.version
                and (state.version, state.digest) == (agent.feed.version, agent.feed.digest)
            ):
                assert (state.labels, state.uses, state.node_use) == (held.labels, held.uses, held.node_use)

    def calm(self, seconds: int) -> None:
        """Nothing more goes wrong: copies are turned off, and all run."""
        self.isolated.clear()
        for number in list(self.removed):
            self.join(number)
        for copy in self.copies:
            self.cut(copy)
        self.copies.clear()
        for agent in self.agents.values():
            agent.is_stopped = False
        self.happen = lambda: None  # type: ignore[method-assign]  # the rest of the world goes on
        for _ in range(seconds * S // STEP_NS):
            self.step()


@pytest.mark.parametrize("part", range(4))
def test_a_hub_knows_the_truth_in_random_worlds(part: int) -> None:
    """And when nothing more goes wrong all nodes are fresh, with the states that they have."""
    floods = 0
    for seed in range(part, WORLDS, 4):
        print(f"seed {seed}")
        world = FleetWorld(seed)
        for _ in range(STEPS):
            world.step()
        floods += world.floods
        world.calm(200)
        for number, agent in world.agents.items():
            node = world.registry.nodes[install_id(number)]
            assert node.life is not None
            assert (node.phase, node.life.run) == (NodePhase.FRESH, agent.said.run), f"seed {seed}, node {number}"
            assert (node.state.labels, node.state.run) == (agent.feed._held.labels, agent.said.run), f"seed {seed}, node {number}"
        for times in world.wants.values():
            assert all(later - earlier >= 1 * S for earlier, later in pairwise(times)), f"seed {seed}"
    # What is above a burst is not even decoded.
    assert floods > FLOOD // 2


def test_a_node_that_beats_is_never_late_whatever_its_clock_says() -> None:
    """Ten minutes with clocks an hour off, and with beats that are always in time."""
    world = FleetWorld(1)
    world.happen = lambda: None  # type: ignore[method-assign]  # nothing goes wrong here
    for _ in range(3000):
        world.step()
        if world.now_ns - world.listening_since_ns > 10 * S:
            assert all(node.phase is NodePhase.FRESH for node in world.registry.nodes.values())
    assert sum(node.counts.lost for node in world.registry.nodes.values()) == 0
    assert all(node.counts.received > 590 for node in world.registry.nodes.values())


def test_the_same_seed_tells_the_same_story() -> None:
    """Byte for byte."""

    def story() -> list[str]:
        world = FleetWorld(7)
        for _ in range(600):
            world.step()
        return [*world.log, *(repr(node) for node in world.registry.nodes.values())]

    assert story() == story()
