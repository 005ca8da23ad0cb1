"""Thousands of random worlds of workloads: whatever dies when, nothing is started twice, and what is wanted runs in the end."""

import os
from collections import Counter, deque
from random import Random
from typing import Any

import pytest
from fakes.keeper_model import KeeperModel

from agent.model.backoff import Backoff
from agent.model.timebase import MS, S
from agent.ports import Operation
from workers.keeper.protocol import FromKeeper, Restart, ToKeeper, WorkloadSpec
from workers.workloads.core import WorkloadsCore
from workers.workloads.effect import EndingSeen, KeeperOrder, ListingDue, OperationDone, Remember, WorkloadEffect
from workers.workloads.remembered import RememberedStarts, decode_remembered, encode_remembered
from workers.workloads.restart_policy import RestartPolicy, wants_restart
from workers.workloads.table import WorkloadTable

WORLDS = int(os.environ.get("EVERGAUGE_WORLDS", "300"))
POLICY = RestartPolicy(Backoff(100 * MS, 2, 30 * S, 10), 60 * S)
DESCRIBED = {
    "once": WorkloadSpec("once", ("job",)),
    "web": WorkloadSpec("web", ("serve",), restart=Restart.ALWAYS),
    "batch": WorkloadSpec("batch", ("missing",), restart=Restart.ON_FAILURE),
}
NAMES = ("once", "web", "batch", "a", "b")


class WorkloadWorld:
    """The core, a keeper in memory, and a connection on which everything is on the way for a while."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.keeper = KeeperModel()
        self.keeper.missing.add("missing")
        self.now_ns = 0
        self.stored = encode_remembered(RememberedStarts())
        self.rows: Counter[tuple[str, int]] = Counter()
        self.numbers = 0
        self.open: dict[int, str] = {}
        self.stopped: set[str] = set()
        self.runs: Counter[str] = Counter()
        self.last_run: Counter[str] = Counter()
        self.worker_starts()

    # ---- carrying out ------------------------------------------------------------------------

    def worker_starts(self) -> None:
        """A new worker process, with what the last one had written down."""
        remembered = decode_remembered(self.stored)
        table = WorkloadTable(DESCRIBED, POLICY, Random(self.rng.random()), remembered, self.keeper.boot_id)
        self.core = WorkloadsCore(table)
        self.open.clear()
        self.disconnect()

    def disconnect(self) -> None:
        """The connection breaks, with all that is on the way to the worker; what the keeper has got it carries out."""
        self.is_connected = False
        self.to_keeper: deque[ToKeeper] = deque()
        self.to_worker: deque[FromKeeper] = deque()
        self.core.on_lost()

    def connect(self) -> None:
        """The worker finds the keeper."""
        if not self.is_connected:
            self.is_connected = True
            self.take(self.core.on_connected())

    def take(self, effects: list[WorkloadEffect]) -> None:
        """As the work does it."""
        for effect in effects:
            match effect:
                case KeeperOrder(order=order):
                    assert self.is_connected
                    self.to_keeper.append(order)
                case OperationDone(number=number, body=body):
                    self.answered(number, body)
                case ListingDue(number=number):
                    self.answered(number, {})
                case EndingSeen(record=record):
                    self.rows[record.spec.name, record.pid] += 1
                case Remember():
                    self.stored = encode_remembered(self.core.table.remembered)
        running = [each for each in self.core.table.tracked.values() if each.is_starting and each.is_running]
        assert not running or self.is_connected

    def answered(self, number: int, body: dict[str, Any]) -> None:
        """Each operation has one answer; what was promised must come true."""
        operation, _, name = self.open.pop(number).partition(" ")
        # A run that was asked for later may follow, although nobody was left to tell its outcome.
        if "refused" not in body and operation == "stop-workload" and number > self.last_run[name]:
            self.stopped.add(name)

    # ---- happenings --------------------------------------------------------------------------

    def carry_to_keeper(self) -> None:
        if self.to_keeper:
            answer = self.keeper.answer(self.to_keeper.popleft())
            self.to_worker.append(answer)

    def carry_to_worker(self) -> None:
        if self.to_worker:
            self.take(self.core.on_message(self.to_worker.popleft(), self.now_ns))

    def wait(self) -> None:
        step_ns = self.rng.choice([1 * MS, 50 * MS, 1 * S])
        self.now_ns += step_ns
        self.keeper.wall_ns += step_ns
        deadline_ns = self.core.next_deadline_ns()
        if deadline_ns is not None and deadline_ns <= self.now_ns:
            self.take(self.core.on_timer(self.now_ns, "it is dead"))

    def end_stopping(self) -> None:
        for name in sorted(self.keeper.stopping):
            self.ended(name, signal=15)

    def end_some(self) -> None:
        if self.keeper.processes:
            name = self.rng.choice(sorted(self.keeper.processes))
            code = self.rng.choice([0, 1, None])
            self.ended(name, code=code, signal=9 if code is None else None)

    def ended(self, name: str, code: int | None = None, signal: int | None = None) -> None:
        told = self.keeper.end(name, code, signal)
        if self.is_connected:
            self.to_worker.append(told)

    def worker_dies(self) -> None:
        # What has reached the keeper's socket is carried out, although nobody waits for the answer.
        for _ in range(self.rng.randrange(3)):
            self.carry_to_keeper()
        self.worker_starts()

    def keeper_dies(self) -> None:
        self.keeper.die()
        self.disconnect()

    def host_goes_down(self) -> None:
        if self.rng.random() < 0.2:
            self.keeper.reboot(f"boot-{self.now_ns}")
            self.worker_starts()

    def operate(self) -> None:
        self.numbers += 1
        name = self.rng.choice(NAMES)
        operation = self.rng.choice(["run-workload", "run-workload", "stop-workload", "forget-workload", "list-workloads"])
        arguments: dict[str, Any] = {"name": name}
        if operation == "run-workload" and self.rng.random() < 0.7:
            order = {"name": name, "argv": [self.rng.choice(["job", "missing"])]}
            arguments = {"workload": {**order, "restart": self.rng.choice(["no", "on-failure", "always"])}}
        self.open[self.numbers] = f"{operation} {name}"
        if operation == "run-workload":
            self.runs[name] += 1
            self.last_run[name] = self.numbers
            self.stopped.discard(name)
        self.take(self.core.on_operation(Operation(self.numbers, operation, arguments), self.now_ns))

    def step(self, *, calm: bool) -> None:
        """One thing happens."""
        happenings = [self.carry_to_keeper, self.carry_to_keeper, self.carry_to_worker, self.carry_to_worker]
        happenings += [self.wait, self.connect, self.end_stopping]
        if not calm:
            happenings += [self.end_some, self.worker_dies, self.keeper_dies, self.host_goes_down, self.operate, self.operate]
        self.rng.choice(happenings)()

    # ---- the end -----------------------------------------------------------------------------

    def problems(self) -> list[str]:
        """What is not as it must be once all is calm."""
        found = [f"the end of {key} was written {count} times" for key, count in self.rows.items() if count > 1]
        for name, record in self.keeper.records.items():
            if record.ending is not None and not self.rows[name, record.pid]:
                found.append(f"the end of {name} was never written")
        by_hand = Counter(each.spec.name for each in self.keeper.spawned if each.spec.restart is Restart.NO)
        found += [f"{name} was started by itself" for name in ("a", "b") if by_hand[name] > self.runs[name]]
        found += [f"{name} runs although it was stopped" for name in self.keeper.processes if name in self.stopped]
        return found + [f"{name} does not run" for name, spec in DESCRIBED.items() if not self.is_settled(name, spec)]

    def is_settled(self, name: str, spec: WorkloadSpec) -> bool:
        """Whether one that the file describes runs, or has a reason not to."""
        record = self.keeper.records.get(name)
        if name in self.keeper.processes or spec.argv[0] in self.keeper.missing:
            return True
        if self.core.table.remembered.is_held(name, 0 if record is None else record.incarnation):
            return True
        assert record is not None, f"{name} was never started"
        assert record.ending is not None
        is_of_this_boot = record.ending.stopped or record.boot_id == self.keeper.boot_id
        return is_of_this_boot and not wants_restart(spec.restart, record.ending)


@pytest.mark.parametrize("part", range(10))
def test_every_random_world_of_workloads_becomes_whole(part: int) -> None:
    """Worker, keeper and host die in any order; then peace: what is wanted runs, what was stopped does not, nothing ran twice."""
    for seed in range(part, WORLDS, 10):
        world = WorkloadWorld(seed)
        try:
            for _ in range(300):
                world.step(calm=False)
            for _ in range(2000):
                world.step(calm=True)
            assert not world.open, f"never answered: {world.open}"
            assert world.problems() == []
        except AssertionError as failure:
            raise AssertionError(f"world with seed {seed}: {failure}") from failure
