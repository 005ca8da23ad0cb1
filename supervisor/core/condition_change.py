"""What a condition does at a moment: it begins, its sentence changes, it ends. As a line of the log. PURE."""

from typing import Any

from msgspec import Struct

from agent.model.event_catalogue import severity_of
from agent.model.event_kind import ConditionPhase, EventSeverity
from agent.model.message import Condition
from agent.model.timebase import S
from supervisor.core.effect import Log

LINES = {ConditionPhase.BEGIN: "condition_begins", ConditionPhase.CHANGE: "condition_changes", ConditionPhase.END: "condition_ends"}


class ConditionChange(Struct, frozen=True):
    """A change of a condition of `worker`, which holds since `since_ns` or, at its end, has held since then (monotonic)."""

    worker: str
    condition: Condition
    phase: ConditionPhase
    since_ns: int
    at_ns: int

    @property
    def held_seconds(self) -> float:
        """How long it has held so far."""
        return round((self.at_ns - self.since_ns) / S, 3)

    def log(self) -> Log:
        """Its line. An end is no bad news; a beginning is as severe as the catalogue says."""
        said = self.condition
        fields: dict[str, Any] = {"worker": self.worker, "condition": said.kind, "detail": said.detail}
        if self.phase is not ConditionPhase.BEGIN:
            fields["held_seconds"] = self.held_seconds
        severity = EventSeverity.INFO if self.phase is ConditionPhase.END else severity_of(said.kind)
        return Log(LINES[self.phase], str(severity), fields, self.phase, self.since_ns)
