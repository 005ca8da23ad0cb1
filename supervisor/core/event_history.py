"""The last diagnostic events, the last deaths and the conditions that hold now. PURE, bounded."""

from collections import Counter, deque
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from agent.model.event_kind import ConditionPhase, split_kind
from agent.model.message import SUPERVISOR, Condition
from supervisor.core.condition_change import ConditionChange
from supervisor.core.death import Death
from supervisor.core.effect import Log

EVENTS_MAX = 512
DEATHS_MAX = 100
CONDITIONS_MAX = 64
# There are some hundred; a worker that invents more must not fill the memory.
KINDS_MAX = 256
# Kinds by module.
PAIRS_MAX = 2_048
# Whatever has no count of its own any more.
OTHERS = "other_kinds"
WORKER_ENDED = "its worker ended"


class DiagnosticEvent(Struct, frozen=True):
    """One event: when (monotonic), its fixed name, `info`, `warning` or `error`, of which worker (empty: of the supervisor).

    What a condition does has its `phase`, and since when it holds. `count`: how often the same of the same worker has been noted,
    beginnings of a condition alone. *Absent:* `phase`, `since_ns` of what is no condition; `subject` of most.
    """

    at_ns: int
    kind: str
    severity: str
    worker: str
    fields: dict[str, Any]
    subject: str | None = None
    phase: ConditionPhase | None = None
    since_ns: int | None = None
    count: int = 0


def event_of(line: Log, at_ns: int) -> DiagnosticEvent:
    """The event that a line of the log is; what a condition does is an event of its own kind."""
    fields = dict(line.fields)
    worker = str(fields.pop("worker", ""))
    kind, subject = line.kind, None
    if line.phase is not None:
        kind, subject = split_kind(str(fields.pop("condition")))
    return DiagnosticEvent(
        at_ns, kind, line.severity, "" if worker == SUPERVISOR else worker, fields, subject, line.phase, line.since_ns
    )


class EventHistory:
    """What `agentctl diag` and `agentctl status` show of the past and the present."""

    def __init__(self) -> None:
        self.events: deque[DiagnosticEvent] = deque(maxlen=EVENTS_MAX)
        self.deaths: deque[Death] = deque(maxlen=DEATHS_MAX)
        self.conditions: dict[tuple[str, str], Condition] = {}
        # Those of workers that the supervisor has found itself: they do not end with a process.
        self._lasting: set[tuple[str, str]] = set()
        # Events and beginnings of conditions, by kind; ends of conditions, by kind.
        self.counts: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self._by_module: Counter[tuple[str, str]] = Counter()
        self._noted = 0
        # Since when each condition holds.
        self._since_ns: dict[tuple[str, str], int] = {}

    def note(self, event: DiagnosticEvent) -> DiagnosticEvent:
        """Keep an event, with its count. Beyond `EVENTS_MAX` the oldest is dropped; it stays in the counts."""
        event = replace(event, count=self._count(event))
        self.events.append(event)
        self._noted += 1
        return event

    @property
    def hidden(self) -> int:
        """How many events are no longer kept."""
        return self._noted - len(self.events)

    def since_ns(self, worker: str, kind: str) -> int:
        """Since when a condition holds that holds now."""
        return self._since_ns[worker, kind]

    def set_condition(self, worker: str, condition: Condition, now_ns: int) -> ConditionChange | None:
        """Begin, change or end a condition. *Absent:* that changes nothing. *Range:* beyond `CONDITIONS_MAX` none begins."""
        key = (worker, condition.kind)
        held = self.conditions.get(key)
        if not condition.active:
            if held is None:
                return None
            del self.conditions[key]
            return ConditionChange(worker, condition, ConditionPhase.END, self._since_ns.pop(key), now_ns)
        if held == condition or (held is None and len(self.conditions) >= CONDITIONS_MAX):
            return None
        self.conditions[key] = condition
        since_ns = self._since_ns.setdefault(key, now_ns)
        return ConditionChange(worker, condition, ConditionPhase.BEGIN if held is None else ConditionPhase.CHANGE, since_ns, now_ns)

    def begin_own(self, kind: str, detail: str, now_ns: int) -> ConditionChange | None:
        """A condition of the supervisor itself holds, with this sentence. *Absent:* that changes nothing."""
        return self.set_condition(SUPERVISOR, Condition(kind, active=True, detail=detail), now_ns)

    def end_own(self, kind: str, now_ns: int) -> ConditionChange | None:
        """A condition of the supervisor itself does not hold. *Absent:* it did not before."""
        return self.set_condition(SUPERVISOR, Condition(kind, active=False, detail=""), now_ns)

    def set_lasting(self, worker: str, condition: Condition, now_ns: int) -> ConditionChange | None:
        """The same for what the supervisor has found of a worker: it does not end with the worker's process."""
        key = (worker, condition.kind)
        if condition.active:
            self._lasting.add(key)
        else:
            self._lasting.discard(key)
        return self.set_condition(worker, condition, now_ns)

    def forget_lasting(self, worker: str, now_ns: int) -> list[ConditionChange]:
        """The worker is not wanted any more: nothing that was found of it holds."""
        self._lasting = {key for key in self._lasting if key[0] != worker}
        return self.forget_worker(worker, now_ns)

    def forget_worker(self, worker: str, now_ns: int) -> list[ConditionChange]:
        """End a dead worker's conditions; its next generation announces its own."""
        kinds = [kind for name, kind in self.conditions if name == worker and (name, kind) not in self._lasting]
        ends = [self.set_condition(worker, Condition(kind, active=False, detail=WORKER_ENDED), now_ns) for kind in kinds]
        return [each for each in ends if each is not None]

    def _count(self, event: DiagnosticEvent) -> int:
        counts = self.ends if event.phase is ConditionPhase.END else self.counts
        pair = (event.worker, event.kind)
        if event.phase in (None, ConditionPhase.BEGIN) and (pair in self._by_module or len(self._by_module) < PAIRS_MAX):
            self._by_module[pair] += 1
        if event.phase is not ConditionPhase.CHANGE:
            counts[event.kind if event.kind in counts or len(counts) < KINDS_MAX else OTHERS] += 1
        return self._by_module[pair]
