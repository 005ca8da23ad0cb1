"""The last diagnostic events, the last deaths and the conditions that hold now. PURE, bounded."""

from collections import Counter, deque
from typing import Any

from msgspec import Struct

from agent.model.message import Condition
from supervisor.core.death import Death

EVENTS_MAX = 512
DEATHS_MAX = 100
CONDITIONS_MAX = 64
# There are some fifty; a worker that invents more must not fill the memory.
KINDS_MAX = 256
# Whose conditions those of the supervisor itself are; no worker has this name.
SUPERVISOR = "supervisor"


class DiagnosticEvent(Struct, frozen=True):
    """One event: when (monotonic), its fixed name, `info`, `warning` or `error`, of which worker (empty: of the supervisor)."""

    at_ns: int
    kind: str
    severity: str
    worker: str
    fields: dict[str, Any]


class EventHistory:
    """What `agentctl diag` and `agentctl status` show of the past and the present."""

    def __init__(self) -> None:
        self.events: deque[DiagnosticEvent] = deque(maxlen=EVENTS_MAX)
        self.deaths: deque[Death] = deque(maxlen=DEATHS_MAX)
        self.conditions: dict[tuple[str, str], Condition] = {}
        # Those of workers that the supervisor has found itself: they do not end with a process.
        self._lasting: set[tuple[str, str]] = set()
        self.counts: Counter[str] = Counter()

    def note(self, event: DiagnosticEvent) -> None:
        """Keep an event. Beyond `EVENTS_MAX` the oldest is dropped; it stays in the counts."""
        self.events.append(event)
        self.counts[event.kind if event.kind in self.counts or len(self.counts) < KINDS_MAX else "other_kinds"] += 1

    @property
    def hidden(self) -> int:
        """How many events are no longer kept."""
        return sum(self.counts.values()) - len(self.events)

    def set_condition(self, worker: str, condition: Condition) -> bool:
        """Begin, change or end a condition; False when that changes nothing. *Range:* beyond `CONDITIONS_MAX` none begins."""
        key = (worker, condition.kind)
        if not condition.active:
            return self.conditions.pop(key, None) is not None
        held = self.conditions.get(key)
        if held == condition or (held is None and len(self.conditions) >= CONDITIONS_MAX):
            return False
        self.conditions[key] = condition
        return True

    def begin_own(self, kind: str, detail: str) -> bool:
        """A condition of the supervisor itself holds, with this sentence; False when that changes nothing."""
        return self.set_condition(SUPERVISOR, Condition(kind, active=True, detail=detail))

    def end_own(self, kind: str) -> bool:
        """A condition of the supervisor itself does not hold; False when it did not before."""
        return self.set_condition(SUPERVISOR, Condition(kind, active=False, detail=""))

    def set_lasting(self, worker: str, condition: Condition) -> bool:
        """The same for what the supervisor has found of a worker: it does not end with the worker's process."""
        key = (worker, condition.kind)
        if condition.active:
            self._lasting.add(key)
        else:
            self._lasting.discard(key)
        return self.set_condition(worker, condition)

    def forget_worker(self, worker: str) -> None:
        """Drop a dead worker's conditions; its next generation announces its own."""
        for key in [key for key in self.conditions if key[0] == worker and key not in self._lasting]:
            del self.conditions[key]
