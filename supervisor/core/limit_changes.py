"""Changes of limits by the operator, from the request to the answer. PURE.

A limit is in force, and the client has its answer, after it is on the disk. One document is written at a time; requests that come
meanwhile wait for their own.
"""

from collections import deque

from msgspec import Struct

from agent.model.control.limit import LimitOutcome
from agent.model.errors import ExitCode
from agent.model.limit import Resource, SetLimits
from supervisor.core.effect import Asker, Effect, LimitsPersisted, PersistLimits, Problem, Respond
from supervisor.core.governance import Governance
from supervisor.core.limit_report import limit_row
from supervisor.core.supervisor_state import SupervisorState

WAITING_MAX = 256


class LimitMutation(Struct, frozen=True):
    """One requested change. `values`: the limits to set, others stay. *Absent:* None: those of the settings hold again."""

    asker: Asker
    name: str
    values: dict[Resource, int] | None


class LimitChanges:
    """The changes that wait for the disk."""

    def __init__(self, state: SupervisorState, governance: Governance) -> None:
        self._state = state
        self._governance = governance
        self._waiting: deque[LimitMutation] = deque()
        self._under_way: tuple[LimitMutation, SetLimits | None] | None = None
        self._token = 0

    def ask(self, mutation: LimitMutation, now_ns: int) -> list[Effect]:
        """Begin a change, or let it wait for the one before."""
        if len(self._waiting) >= WAITING_MAX:
            problem = Problem("too_busy", "too many changes of limits wait for the disk; try again", int(ExitCode.TRY_AGAIN))
            return [Respond(mutation.asker, None, problem)]
        self._waiting.append(mutation)
        return self._begin_next(now_ns)

    def on_persisted(self, outcome: LimitsPersisted, now_ns: int) -> list[Effect]:
        """The disk has answered."""
        if self._under_way is None or outcome.token != self._token:
            return []
        (mutation, limits), self._under_way = self._under_way, None
        if mutation.name not in self._governance.governors:
            effects: list[Effect] = [_gone(mutation)]
        elif outcome.problem:
            sentence = f"{outcome.problem}; the limits are as before; make room or mend the state folder, then try again"
            effects = [Respond(mutation.asker, None, Problem("not_durable", sentence, int(ExitCode.IO)))]
        else:
            child = self._state.children[mutation.name]
            effects = self._governance.set_limits(child, limits, now_ns)
            effects.append(self._answer(mutation, changed=True, now_ns=now_ns))
        return [*effects, *self._begin_next(now_ns)]

    def _begin_next(self, now_ns: int) -> list[Effect]:
        effects: list[Effect] = []
        while self._waiting and self._under_way is None:
            mutation = self._waiting.popleft()
            if mutation.name not in self._governance.governors:
                effects.append(_gone(mutation))
                continue
            held = self._governance.changed.get(mutation.name)
            limits = self._wanted(mutation)
            if limits == held:
                effects.append(self._answer(mutation, changed=False, now_ns=now_ns))
                continue
            self._token += 1
            self._under_way = (mutation, limits)
            kept = {name: each for name, each in self._governance.changed.items() if name != mutation.name}
            effects.append(PersistLimits(self._token, kept if limits is None else {**kept, mutation.name: limits}))
        return effects

    def _wanted(self, mutation: LimitMutation) -> SetLimits | None:
        if mutation.values is None:
            return None
        return {**self._governance.changed.get(mutation.name, {}), **mutation.values}

    def _answer(self, mutation: LimitMutation, *, changed: bool, now_ns: int) -> Effect:
        row = limit_row(self._governance, self._state.children[mutation.name], now_ns)
        return Respond(mutation.asker, LimitOutcome(changed=changed, limit=row))


def _gone(mutation: LimitMutation) -> Effect:
    sentence = f"{mutation.name} has been switched off meanwhile"
    return Respond(mutation.asker, None, Problem("no_such_worker", sentence, int(ExitCode.MISUSE)))
