"""Thousands of random worlds: whatever happens, invariants hold, and when it stops happening all is well again."""

import os
from random import Random
from typing import Any

import pytest
from fakes.story import Story

from agent.model.heartbeat_page import Beat
from agent.model.message import Ack, Ask, Delta, Hello, Nack, Publish, Ready, Reply, Resync, Snapshot
from agent.model.rule_state import RuleState
from agent.model.timebase import MS
from supervisor.core.effect import (
    Commanded,
    Effect,
    Exited,
    Finished,
    MessageReceived,
    ObserveWorkers,
    Persist,
    Persisted,
    Respond,
    Send,
    Signal,
    Spawn,
    Spawned,
    SpawnFailed,
    StopRequested,
    Woke,
    WorkerObservation,
    WorkersObserved,
)
from supervisor.core.invariants import broken_invariants
from supervisor.core.report import SETTLED
from supervisor.core.watchdog import ProcessState
from workers.runtime.replica import RulesReplica

CHILDREN = {"writer": "writer", "control-plane": "control-plane", "sampler/a": "sampler", "jobs": "on-demand", "gateway": "gateway"}
WORLDS = int(os.environ.get("EVERGAUGE_WORLDS", "300"))


class _Worker:
    """A simulated worker process with the real replica of the rules in it."""

    def __init__(self, name: str, epoch: int, pid: int) -> None:
        self.name, self.epoch, self.pid = name, epoch, pid
        self.replica = RulesReplica()
        self.turns = 0
        self.is_stopped = False
        self.inbox: list[object] = []


class World:
    """The machine, simulated processes, and a random order of everything that can happen."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        # In half of the worlds the worker on demand has nothing to do at first.
        self.story = Story(CHILDREN, seed=seed, asleep={"jobs": "nothing to do"} if seed % 2 else {})
        self.machine, self.supervisor_state = self.story.machine, self.story.supervisor_state
        self.now_ns = 0
        self.spawns: list[Spawn] = []
        self.workers: dict[tuple[str, int], _Worker] = {}
        self.looks: list[ObserveWorkers] = []
        self.persists: list[Persist] = []
        self.rules: dict[str, int] = {}
        self.pending_rules: list[tuple[str, int | None]] = []
        self.answers: dict[int, int] = {}
        self.asked: set[int] = set()
        self.finished = False
        self.pids = 100
        self.clients = 0
        self.take(self.story.begun)

    def handle(self, event: object) -> None:
        """One event, with the invariants after it."""
        self.take(self.machine.handle(event, self.now_ns))  # type: ignore[arg-type]
        broken = list(broken_invariants(self.supervisor_state, self.now_ns))
        assert not broken, broken
        living = [key[0] for key in self.workers] + [spawn.child for spawn in self.spawns]
        assert len(living) == len(set(living)), f"two processes of one name: {living}"

    def take(self, effects: list[Effect]) -> None:
        """Carry effects out, as a shell would."""
        for effect in effects:
            match effect:
                case Spawn():
                    self.spawns.append(effect)
                case ObserveWorkers():
                    self.looks.append(effect)
                case Persist():
                    self.persists.append(effect)
                case Send():
                    worker = self.workers.get((effect.child, effect.epoch))
                    if worker is not None:
                        worker.inbox.append(effect.message)
                case Signal(name="KILL"):
                    self.kill(effect.child, effect.epoch, -9)
                case Respond():
                    client = getattr(effect.asker, "client", -1)
                    assert client not in self.answers, "answered twice"
                    self.answers[client] = 1
                case Finished():
                    self.finished = True

    def kill(self, name: str, epoch: int, status: int) -> None:
        """A process ends; the event arrives now."""
        if self.workers.pop((name, epoch), None) is not None:
            self.deaths.append(Exited(name, epoch, status))

    deaths: list[Exited]

    def step(self, *, calm: bool) -> None:
        """Something happens; `calm`: only what a healthy world does."""
        self.deaths = []
        happenings = [self.spawn, self.spawn, self.work, self.work, self.look, self.persist, self.wait]
        if not calm:
            happenings += [self.crash, self.freeze, self.command, self.spawn_fails, self.disk_full, self.corrupt]
        self.rng.choice(happenings)()
        for death in self.deaths:
            self.handle(death)

    def spawn(self) -> None:
        if self.spawns:
            spawn = self.spawns.pop(self.rng.randrange(len(self.spawns)))
            self.pids += 1
            worker = self.workers[spawn.child, spawn.epoch] = _Worker(spawn.child, spawn.epoch, self.pids)
            self.handle(Spawned(spawn.child, spawn.epoch, worker.pid))
            if (spawn.child, spawn.epoch) in self.workers:
                self.handle(MessageReceived(spawn.child, spawn.epoch, Hello(worker.pid)))

    def spawn_fails(self) -> None:
        if self.spawns:
            spawn = self.spawns.pop()
            self.handle(SpawnFailed(spawn.child, spawn.epoch, "EAGAIN"))

    def work(self) -> None:
        awake = [worker for worker in self.workers.values() if not worker.is_stopped]
        if not awake:
            return
        worker = self.rng.choice(awake)
        worker.turns += 1
        for message in worker.inbox[:]:
            worker.inbox.remove(message)
            self.read(worker, message)

    def read(self, worker: _Worker, message: object) -> None:
        if isinstance(message, Snapshot | Delta):
            was_loaded = worker.replica.is_loaded
            answer: Ack | Nack | Resync = worker.replica.take(message)
            self.handle(MessageReceived(worker.name, worker.epoch, answer))
            if worker.replica.is_loaded and not was_loaded:
                self.handle(MessageReceived(worker.name, worker.epoch, Ready()))
                if worker.name == "control-plane":
                    self.handle(MessageReceived(worker.name, worker.epoch, Publish([], complete=True)))
        elif isinstance(message, Ask) and message.arguments is not None:
            assert worker.name == "jobs", message
            body: dict[str, Any] = {"name": "w", "state": "running"} if self.rng.random() < 0.8 else {"refused": {}}
            self.handle(MessageReceived(worker.name, worker.epoch, Reply(message.ask, body)))
        elif isinstance(message, Ask):
            self.handle(MessageReceived(worker.name, worker.epoch, Reply(message.ask, {})))
        else:
            self.kill(worker.name, worker.epoch, 0)

    def look(self) -> None:
        if self.looks:
            seen = []
            for name, epoch in self.looks.pop().children:
                worker = self.workers.get((name, epoch))
                if worker is not None:
                    worker.turns += not worker.is_stopped
                    beat = Beat(worker.turns, self.now_ns, worker.replica.revision, worker.replica.state.digest)
                    seen.append(WorkerObservation(name, epoch, beat, ProcessState("T" if worker.is_stopped else "S", 0)))
            self.looks.clear()
            self.handle(WorkersObserved(tuple(seen)))

    def wait(self) -> None:
        self.now_ns += self.rng.choice([0, 1 * MS, 50 * MS, 400 * MS])
        self.handle(Woke())

    def crash(self) -> None:
        if self.workers:
            name, epoch = self.rng.choice(list(self.workers))
            self.kill(name, epoch, self.rng.choice([-9, -11, 0, 1, 70, 75]))

    def freeze(self) -> None:
        if self.workers:
            self.rng.choice(list(self.workers.values())).is_stopped = True

    def corrupt(self) -> None:
        """A rule in a worker changes by itself."""
        loaded = [worker for worker in self.workers.values() if worker.replica.is_loaded]
        if loaded:
            state: RuleState = self.rng.choice(loaded).replica.state
            state.put("rule/ghost", b"{}")

    def command(self) -> None:
        self.clients += 1
        name = f"r{self.rng.randrange(6)}"
        commands: list[tuple[str, dict[str, Any]]] = [
            ("add-rule", {"rule": {"name": name, "priority": self.rng.randrange(5)}}),
            ("remove-rule", {"name": name}),
            ("list-workers", {}),
            ("status", {}),
            ("restart-worker", {"name": self.rng.choice(list(CHILDREN))}),
            ("nonsense", {}),
            ("list-workloads", {}),
            ("run-workload", {"name": name}),
        ]
        operation, arguments = self.rng.choice(commands)
        self.asked.add(self.clients)
        self.handle(Commanded(self.clients, operation, arguments))

    def change_rules(self) -> None:
        self.clients += 1
        self.handle(Commanded(self.clients, "add-rule", {"rule": {"name": "r", "priority": self.clients}}))

    def persist(self) -> None:
        if self.persists:
            self.handle(Persisted(self.persists.pop(0).token))

    def disk_full(self) -> None:
        if self.persists:
            self.handle(Persisted(self.persists.pop(0).token, "no space left on device"))


@pytest.mark.parametrize("part", range(10))
def test_every_random_world_becomes_whole_again(part: int) -> None:
    """Crashes, hangs, refusals, drift, full disks in any order; then peace: all up or asleep, in sync, every client answered."""
    for seed in range(part, WORLDS, 10):
        world = World(seed)
        try:
            for _ in range(400):
                world.step(calm=False)
            for worker in world.workers.values():
                worker.is_stopped = False
            for _ in range(4000):
                world.step(calm=True)
                if _is_whole(world):
                    break
            assert _is_whole(world), {name: str(child.state) for name, child in world.supervisor_state.children.items()}
            assert world.asked <= set(world.answers), "a client was never answered"
            _end(world)
        except AssertionError as failure:
            raise AssertionError(f"world with seed {seed}: {failure}") from failure


def test_changing_rules_alone_never_cost_a_worker_its_life() -> None:
    """Clients change rules all the time while workers start; without crashes nobody is found not ready, hung or dead."""
    for seed in range(60):
        world = World(seed)
        world.deaths = []
        for _ in range(600):
            happenings = [world.spawn, world.work, world.work, world.look, world.persist, world.wait, world.change_rules]
            world.rng.choice(happenings)()
        bad = [line.kind for line in world.story.log if line.kind in ("worker_not_ready", "worker_hung", "worker_died")]
        assert bad == [], f"world with seed {seed}: {bad}"


def _is_whole(world: World) -> bool:
    authority = world.supervisor_state.authority
    return (
        not world.persists
        and world.asked <= set(world.answers)
        and all(child.state in SETTLED for child in world.supervisor_state.children.values())
        and all(worker.replica.state.digest == authority.state.digest for worker in world.workers.values())
        and all(authority.is_in_sync(name) for name, child in world.supervisor_state.children.items() if child.has_process)
    )


def _end(world: World) -> None:
    world.deaths = []
    world.handle(StopRequested("SIGTERM"))
    for _ in range(3000):
        world.step(calm=True)
        if world.finished:
            break
        world.now_ns += 20 * MS
    assert world.finished
    assert not world.workers, "processes are left behind"


def test_the_same_seed_tells_the_same_story() -> None:
    """Byte for byte."""

    def told(seed: int) -> str:
        world = World(seed)
        for _ in range(300):
            world.step(calm=False)
        return repr([(child.state, child.epoch, child.failures) for child in world.supervisor_state.children.values()]) + str(
            world.now_ns
        )

    assert told(42) == told(42)
    assert {told(seed) for seed in range(5)} != {told(42)}
