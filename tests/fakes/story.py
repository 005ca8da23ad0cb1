"""Plays a supervisor's machine: time moves only when told to, effects are collected."""

from collections.abc import Mapping
from random import Random

from fakes.kind import kind_of
from msgspec import structs

from agent.model.backoff import Backoff
from agent.model.limit import SetLimits
from agent.model.message import Ack, Delta, Hello, Publish, Ready, Snapshot
from agent.model.timebase import MS, S
from supervisor.core.authority import Authority
from supervisor.core.child import Child, ChildState, Policy
from supervisor.core.effect import (
    ClientAsker,
    Commanded,
    Effect,
    Exited,
    Housekeep,
    Log,
    MessageReceived,
    ObserveWorkers,
    Respond,
    Send,
    Spawn,
    Spawned,
    Survivors,
    Woke,
)
from supervisor.core.governance import Governance, WorkerBudget
from supervisor.core.invariants import broken_invariants
from supervisor.core.machine import Machine
from supervisor.core.report import About
from supervisor.core.rulebook import Rulebook
from supervisor.core.supervisor_state import SupervisorState

ABOUT = About(
    version="0", run="r", host="h", pid=1, state_dir="/s", runtime_dir="/r", started_at_ns=0, wall_offset_ns=1_800_000_000 * S
)
POLICY = Policy(
    heartbeat_interval_ns=500 * MS,
    hang_timeout_ns=2 * S,
    start_timeout_ns=10 * S,
    stop_timeout_ns=1 * S,
    stable_period_ns=60 * S,
    backoff=Backoff(base_ns=100 * MS, factor=2, ceiling_ns=30 * S, jitter_percent=0),
)


class Story:
    """A machine with the given children, `{name: kind}`; every step checks the invariants."""

    def __init__(
        self,
        children: dict[str, str],
        *,
        policy: Policy = POLICY,
        seed: int = 1,
        book: Rulebook | None = None,
        survivors: Survivors | None = None,
        now_ns: int = 0,
        members: Mapping[str, tuple[str, ...]] | None = None,
        asleep: dict[str, str] | None = None,
        budgets: Mapping[str, WorkerBudget] | None = None,
        set_limits: Mapping[str, SetLimits] | None = None,
        is_governed: bool = True,
    ) -> None:
        rng = Random(seed)
        self.supervisor_state = SupervisorState(
            structs.replace(ABOUT, started_at_ns=now_ns),
            [
                Child(name, kind_of(kind), policy, rng, (members or {}).get(name, ()), asleep_why=(asleep or {}).get(name, ""))
                for name, kind in children.items()
            ],
            Authority(book or Rulebook(), first_sequence=now_ns),
        )
        budgets = dict.fromkeys(children, WorkerBudget()) if budgets is None else budgets
        self.governance = Governance(self.supervisor_state.history, budgets, set_limits, is_enabled=is_governed)
        self.machine = Machine(self.supervisor_state, policy, self.governance)
        self.now_ns = now_ns
        self.log: list[Log] = []
        self._last_client = 0
        self.begun = self._take(self.machine.begin(now_ns, survivors))

    def child(self, name: str) -> Child:
        """A child of the story."""
        return self.supervisor_state.children[name]

    def state(self, name: str) -> ChildState:
        """The state of a child."""
        return self.child(name).state

    def tell(self, event: object) -> list[Effect]:
        """An event happens now; gives the effects other than looks and log lines."""
        effects = self._take(self.machine.handle(event, self.now_ns))  # type: ignore[arg-type]
        broken = list(broken_invariants(self.supervisor_state, self.now_ns))
        assert not broken, broken
        return effects

    def advance(self, duration_ns: int) -> list[Effect]:
        """Time passes; every deadline on the way is met at its moment."""
        until_ns = self.now_ns + duration_ns
        effects: list[Effect] = []
        while (deadline_ns := self.machine.next_deadline_ns()) <= until_ns:
            self.now_ns = max(self.now_ns, deadline_ns)
            effects += self.tell(Woke())
        self.now_ns = until_ns
        return effects

    def say(self, name: str, message: object) -> list[Effect]:
        """The present generation of a child says something on the bus."""
        return self.tell(MessageReceived(name, self.child(name).epoch, message))  # type: ignore[arg-type]

    def spawned(self, name: str, pid: int = 100) -> list[Effect]:
        """The launcher started the present generation."""
        return self.tell(Spawned(name, self.child(name).epoch, pid))

    def bring_up(self, name: str, pid: int = 100) -> list[Effect]:
        """Everything from the process to ready, as a good worker does it."""
        self.spawned(name, pid)
        hello = self.say(name, Hello(pid))
        self.acknowledge(name, hello)
        return self.say(name, Ready())

    def acknowledge(self, name: str, effects: list[Effect]) -> list[Effect]:
        """The child takes the rule messages among these effects as a good worker does."""
        answers: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Send) and effect.child == name and isinstance(effect.message, Snapshot | Delta):
                answers += self.say(name, Ack(effect.message.sequence, effect.message.revision, effect.message.digest))
        return answers

    def die(self, name: str, status: int | None = -9) -> list[Effect]:
        """The present generation ends."""
        return self.tell(Exited(name, self.child(name).epoch, status))

    def command(self, operation: str, **arguments: object) -> list[Effect]:
        """Somebody asks on the control socket."""
        self._last_client += 1
        return self.tell(Commanded(self._last_client, operation, dict(arguments)))

    def ask(self, operation: str, **arguments: object) -> Respond:
        """Ask, and expect the answer at once."""
        answers = [effect for effect in self.command(operation, **arguments) if isinstance(effect, Respond)]
        (answer,) = [answer for answer in answers if answer.asker == ClientAsker(self._last_client)]
        return answer

    def look_complete(self, name: str = "control-plane") -> list[Effect]:
        """The control plane has seen the host."""
        return self.say(name, Publish([], complete=True))

    def _take(self, effects: list[Effect]) -> list[Effect]:
        self.log += [effect for effect in effects if isinstance(effect, Log)]
        return [effect for effect in effects if not isinstance(effect, Log | ObserveWorkers | Housekeep)]

    def noted(self, kind: str) -> list[Log]:
        """The log lines of this kind so far."""
        return [line for line in self.log if line.kind == kind]


def spawns(effects: list[Effect]) -> list[tuple[str, int]]:
    """Which generations are ordered."""
    return [(effect.child, effect.epoch) for effect in effects if isinstance(effect, Spawn)]
