"""The core of worker `workloads` with a keeper in memory, told as a story: what is asked, what ends, how time passes."""

from random import Random
from typing import Any

from fakes.keeper_model import KeeperModel

from agent.model.backoff import Backoff
from agent.model.timebase import MS, S
from agent.ports import Operation
from workers.keeper.protocol import Restart, ToKeeper, WorkloadEnded, WorkloadSpec
from workers.workloads.core import WorkloadsCore
from workers.workloads.effect import KeeperOrder, OperationDone, WorkloadEffect
from workers.workloads.remembered import RememberedStarts
from workers.workloads.restart_policy import RestartPolicy
from workers.workloads.table import WorkloadTable

POLICY = RestartPolicy(Backoff(100 * MS, 2, 30 * S, 0), 60 * S)
WEB = WorkloadSpec("web", ("serve",), restart=Restart.ALWAYS)
JOB: dict[str, Any] = {"name": "job", "argv": ["work"]}


class CoreStory:
    """A core whose orders the keeper answers at once, as long as `is_there`."""

    def __init__(self, described: dict[str, WorkloadSpec] | None = None, remembered: RememberedStarts | None = None) -> None:
        self.keeper = KeeperModel()
        self.remembered = RememberedStarts() if remembered is None else remembered
        self.now_ns = 0
        self.start(described or {})
        self.numbers = 0

    def start(self, described: dict[str, WorkloadSpec]) -> None:
        """A new worker process."""
        self.core = WorkloadsCore(WorkloadTable(described, POLICY, Random(1), self.remembered, self.keeper.boot_id))
        self.told: list[WorkloadEffect] = []
        self.held_back: list[ToKeeper] = []
        self.is_there = True

    def connect(self) -> "CoreStory":
        """The keeper is there."""
        self.take(self.core.on_connected())
        return self

    def take(self, effects: list[WorkloadEffect]) -> None:
        """Carry the orders out."""
        self.told += effects
        for effect in effects:
            if isinstance(effect, KeeperOrder):
                if self.is_there:
                    self.take(self.core.on_message(self.keeper.answer(effect.order), self.now_ns))
                else:
                    self.held_back.append(effect.order)

    def wait(self, duration_ns: int) -> None:
        """Time passes; what is due is done at its moment."""
        until_ns = self.now_ns + duration_ns
        while (deadline_ns := self.core.next_deadline_ns()) is not None and deadline_ns <= until_ns:
            self.now_ns = max(self.now_ns, deadline_ns)
            self.take(self.core.on_timer(self.now_ns, "it is dead"))
        self.now_ns = until_ns
        self.keeper.wall_ns += duration_ns

    def ask(self, operation: str, /, **arguments: Any) -> dict[str, Any] | None:
        """An operation; its answer, where it has one already."""
        self.numbers += 1
        self.take(self.core.on_operation(Operation(self.numbers, operation, arguments), self.now_ns))
        return self.answer(self.numbers)

    def answer(self, number: int) -> dict[str, Any] | None:
        """The answer of an operation."""
        bodies = [each.body for each in self.told if isinstance(each, OperationDone) and each.number == number]
        assert len(bodies) <= 1, "answered twice"
        return bodies[0] if bodies else None

    def ended(self, name: str, code: int | None = None, signal: int | None = None) -> WorkloadEnded:
        """The keeper tells an end."""
        told = self.keeper.end(name, code, signal)
        self.take(self.core.on_message(told, self.now_ns))
        return told

    def state(self, name: str) -> str:
        """The word that operators see."""
        return self.core.table.tracked[name].state


def refused(body: dict[str, Any] | None) -> str:
    """The code of a refusal."""
    assert body is not None
    return str(body["refused"]["code"])
