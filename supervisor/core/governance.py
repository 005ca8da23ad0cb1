"""The governors of all workers: from measurements and changed limits to effects. PURE.

What a governor rules becomes an order to the worker (`Level`), a restart, and an event or condition, so that nothing is slowed,
switched off or restored without a word. Conditions of a worker that the supervisor itself has found outlive the worker's process.
"""

from collections.abc import Mapping
from typing import assert_never

from msgspec import Struct

from agent.model.limit import Ladder, Resource, SetLimits, WorkerLimits, effective_limits, shown_limit
from agent.model.message import Condition, WorkLevel
from agent.model.timebase import S
from supervisor.core.child import Child, ChildState
from supervisor.core.effect import Effect, Log, Send
from supervisor.core.event_history import EventHistory
from supervisor.core.governor import (
    BreakerChanged,
    BreakerState,
    Governor,
    LevelChanged,
    OverLimit,
    RestartNeeded,
    Ruling,
    WithinLimit,
)
from supervisor.core.usage import WorkerUsage

# Why a worker is stopped that uses more than only another process gives back.
OVER_LIMIT = "over its limit"
DEGRADED = "degraded"
BREAKER_OPEN = "breaker_open"
MODULE_OVER_LIMIT = "module_over_limit"


class WorkerBudget(Struct, frozen=True):
    """What one worker may use by the settings, and what it can leave out."""

    limits: WorkerLimits = WorkerLimits()
    ladder: Ladder = Ladder()


class Governance:
    """One governor for each worker. `by_settings` says what the settings allow, `changed` what the operator has set instead.

    Without `is_enabled` everything is measured, and nothing is ruled.
    """

    def __init__(
        self,
        history: EventHistory,
        by_settings: Mapping[str, WorkerBudget],
        changed: Mapping[str, SetLimits] | None = None,
        *,
        is_enabled: bool = True,
    ) -> None:
        self._history = history
        self.by_settings = dict(by_settings)
        self.changed: dict[str, SetLimits] = dict(changed or {})
        self.is_enabled = is_enabled
        self.governors = {name: Governor(self._limits_of(name), budget.ladder) for name, budget in self.by_settings.items()}

    # ---- events ----------------------------------------------------------------------------------

    def on_hello(self, child: Child, now_ns: int) -> list[Effect]:
        """A process of the worker is there: it is told the level that holds, unless it leaves nothing out anyway."""
        governor = self.governors.get(child.name)
        if governor is None:
            return []
        governor.begin_process(now_ns)
        # One that a dead supervisor has slowed is told too: its level is not known here.
        return [self._level_of(child, governor)] if governor.level or child.is_taken_over else []

    def on_observed(self, child: Child, usage: WorkerUsage | None, now_ns: int) -> list[Effect]:
        """A measurement of a worker that is up. *Absent:* it was not measured this time."""
        governor = self.governors.get(child.name)
        if governor is None or usage is None or child.state is not ChildState.UP:
            return []
        if not self.is_enabled:
            governor.usage = usage
            if usage.cpu_ns is not None:
                governor.history.add(now_ns, usage.cpu_ns)
            return []
        return self._carry_out(child, governor, governor.observe(usage, now_ns), now_ns)

    def set_limits(self, child: Child, set_by_operator: SetLimits | None, now_ns: int) -> list[Effect]:
        """The operator has set these limits of a worker; the others are those of the settings. *Absent:* None: all of them are."""
        if set_by_operator:
            self.changed[child.name] = set_by_operator
        else:
            self.changed.pop(child.name, None)
        return self._apply_limits(child, now_ns)

    def replace_budgets(self, by_settings: Mapping[str, WorkerBudget], children: Mapping[str, Child], now_ns: int) -> list[Effect]:
        """The settings allow something else from now on; what the operator has set stays."""
        effects: list[Effect] = []
        for name, budget in by_settings.items():
            self.by_settings[name] = budget
            if name not in self.governors:
                self.governors[name] = Governor(self._limits_of(name), budget.ladder)
            elif name in children and self._limits_of(name) != self.governors[name].limits:
                effects += self._apply_limits(children[name], now_ns)
        return effects

    def forget(self, name: str, now_ns: int) -> list[Effect]:
        """The worker is not wanted any more. What the operator has set for it is kept on the disk."""
        self.by_settings.pop(name, None)
        self.governors.pop(name, None)
        return [each.log() for each in self._history.forget_lasting(name, now_ns)]

    def _limits_of(self, name: str) -> WorkerLimits:
        return effective_limits(self.by_settings[name].limits, self.changed.get(name, {}))

    def _apply_limits(self, child: Child, now_ns: int) -> list[Effect]:
        governor, limits = self.governors[child.name], self._limits_of(child.name)
        before = governor.limits
        shown = {
            resource.value: f"{_allowed(resource, before)} -> {_allowed(resource, limits)}"
            for resource in Resource
            if before.of(resource) != limits.of(resource)
        }
        noted = Log("limit_changed", "info", {"worker": child.name, **shown})
        return [noted, *self._carry_out(child, governor, governor.set_limits(limits, now_ns), now_ns)]

    # ---- what follows ----------------------------------------------------------------------------

    def _carry_out(self, child: Child, governor: Governor, rulings: list[Ruling], now_ns: int) -> list[Effect]:
        effects: list[Effect] = []
        for ruling in rulings:
            match ruling:
                case OverLimit():
                    effects += self._announce(
                        child, f"{MODULE_OVER_LIMIT}:{ruling.resource}", _over_sentence(ruling, governor), now_ns
                    )
                case WithinLimit():
                    within = f"{ruling.resource}: {shown_limit(ruling.resource, ruling.measured)}, within its limit"
                    effects += self._end(child, f"{MODULE_OVER_LIMIT}:{ruling.resource}", within, now_ns)
                case LevelChanged():
                    effects += self._change_level(child, governor, ruling, now_ns)
                case BreakerChanged():
                    effects += self._change_breaker(child, governor, ruling, now_ns)
                case RestartNeeded():
                    effects += self._restart(child, ruling, now_ns)
                case _:
                    assert_never(ruling)
        return effects

    def _change_level(self, child: Child, governor: Governor, ruling: LevelChanged, now_ns: int) -> list[Effect]:
        ladder = governor.ladder
        fields: dict[str, object] = {
            "worker": child.name,
            "from": ladder.name(ruling.before),
            "to": ladder.name(ruling.after),
            "level": ruling.after,
            "levels": ladder.off_level if ladder.is_dispensable else ladder.lowest,
            "why": ruling.why,
        }
        if ruling.resource is not None:
            fields |= {
                "resource": ruling.resource.value,
                "measured": shown_limit(ruling.resource, ruling.measured),
                "limit": shown_limit(ruling.resource, ruling.limit),
            }
        noted = Log("degradation_step", "warning" if ruling.after > ruling.before else "info", fields)
        if ruling.after:
            words = ", ".join(ladder.words(ruling.after)) if ruling.after <= ladder.lowest else "everything: it is switched off"
            told = self._announce(child, DEGRADED, f"level {ruling.after} leaves out {words}", now_ns)
        else:
            told = self._end(child, DEGRADED, "it does all of its work again", now_ns)
        return [noted, *told, self._level_of(child, governor)]

    def _change_breaker(self, child: Child, governor: Governor, ruling: BreakerChanged, now_ns: int) -> list[Effect]:
        match ruling.state:
            case BreakerState.OPEN:
                return self._announce(
                    child,
                    BREAKER_OPEN,
                    f"{child.name} used more than its limit with everything left out that can be, and is switched off; it is tried "
                    f"again in {ruling.open_ns // S} s; `agentctl set-limit {child.name}` gives it more",
                    now_ns,
                )
            case BreakerState.HALF_OPEN:
                return [Log("breaker_half_open", "info", {"worker": child.name})]
            case BreakerState.CLOSED:
                return self._end(child, BREAKER_OPEN, "it keeps within its limit at its lowest level", now_ns)
            case _:
                assert_never(ruling.state)

    def _restart(self, child: Child, ruling: RestartNeeded, now_ns: int) -> list[Effect]:
        fields = {
            "worker": child.name,
            "resource": ruling.resource.value,
            "measured": shown_limit(ruling.resource, ruling.measured),
            "limit": shown_limit(ruling.resource, ruling.limit),
        }
        return [Log("restarted_over_limit", "warning", fields), *child.stop(OVER_LIMIT, now_ns, wanted=True)]

    # ---- parts -----------------------------------------------------------------------------------

    def _level_of(self, child: Child, governor: Governor) -> Effect:
        level, ladder = governor.level, governor.ladder
        return Send(child.name, child.epoch, WorkLevel(level, list(ladder.words(level)), is_off=level > ladder.lowest))

    def _announce(self, child: Child, kind: str, detail: str, now_ns: int) -> list[Effect]:
        change = self._history.set_lasting(child.name, Condition(kind, active=True, detail=detail), now_ns)
        return [] if change is None else [change.log()]

    def _end(self, child: Child, kind: str, detail: str, now_ns: int) -> list[Effect]:
        change = self._history.set_lasting(child.name, Condition(kind, active=False, detail=detail), now_ns)
        return [] if change is None else [change.log()]


def _allowed(resource: Resource, limits: WorkerLimits) -> str:
    return shown_limit(resource, limits.of(resource)) if limits.of(resource) else "none"


def _over_sentence(ruling: OverLimit, governor: Governor) -> str:
    """What was measured, what is allowed, and what is done about it."""
    resource = ruling.resource
    span = f" over {ruling.span_ns / S:.0f} s" if ruling.span_ns else ""
    measured = f"{shown_limit(resource, ruling.measured)} of {_NOUNS[resource]}{span}"
    if resource in (Resource.MEMORY, Resource.DESCRIPTORS):
        done = "it is restarted"
    elif governor.ladder.steps:
        done = "it is slowed step by step"
    else:
        done = "there is nothing that it could leave out"
    return f"{measured}, and {shown_limit(resource, ruling.limit)} are allowed; {done}"


_NOUNS = {
    Resource.CPU: "a core",
    Resource.MEMORY: "memory",
    Resource.DESCRIPTORS: "open files",
    Resource.QUEUE: "rows that the writer has not taken",
}
