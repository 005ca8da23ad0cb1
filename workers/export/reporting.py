"""What an exporter says of itself: conditions, events once per change, rows of table `export_gap`, statistics."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.model.message import Note
from agent.model.tables import EXPORT_GAP
from agent.model.timebase import MINUTE, S
from agent.ports import Bus, Clock, Outbox
from workers.export.attempt import Attempts, ExportState
from workers.export.progress import ExportProgress, Loss
from workers.framework.condition import Conditions

REJECTED_AGAIN_NS = 1 * MINUTE
_DOWN = "sink_down"
_PAUSED = "sink_paused"


class Reporting:
    """The words of one exporter, for its sink of this name and kind."""

    def __init__(self, name: str, kind: str, clock: Clock, bus: Bus, outbox: Outbox) -> None:
        self._name, self._kind = name, kind
        self._clock, self._bus, self._outbox = clock, bus, outbox
        self._conditions = Conditions(bus)
        self._rejected: dict[str, int] = {}
        self._rejected_told_at_ns: dict[str, int] = {}
        self._down_since_ns: int | None = None
        self.failures = self.sent_bytes = self.points = self.warnings = 0
        self.last_warning = ""
        self.lost_gap_rows = 0

    def tell(self, kind: str, severity: str, sentence: str) -> None:
        """Something that happens once."""
        self._note(kind, severity, problem=sentence)

    def on_verdict(self, attempts: Attempts, progress: ExportProgress, *, changed: bool, now_ns: int) -> None:
        """Say what the sink is now."""
        state = attempts.state
        self._conditions.tell(_DOWN, self._sentence(attempts) if state is ExportState.DOWN else "")
        self._conditions.tell(_PAUSED, self._sentence(attempts) if state is ExportState.PAUSED else "")
        if not changed:
            return
        if state is ExportState.UP:
            away = None if self._down_since_ns is None else round((now_ns - self._down_since_ns) / S, 1)
            self._down_since_ns = None
            self._note("sink_up", "info", away_seconds=away, pending_rows=progress.pending_rows)
        else:
            self._down_since_ns = now_ns if self._down_since_ns is None else self._down_since_ns
            self._note("sink_away", "warning", state=state.value, problem=attempts.sentence, pending_rows=progress.pending_rows)

    def _sentence(self, attempts: Attempts) -> str:
        return f"sink {self._name}: {attempts.sentence}; rows wait in the spool meanwhile"

    def on_rejected(self, rows: int, reason: str, sentence: str, now_ns: int) -> None:
        """The sink refused rows for good. Each reason is told once, then once a minute with their number."""
        self._rejected[reason] = self._rejected.get(reason, 0) + rows
        told_ns = self._rejected_told_at_ns.get(reason)
        if told_ns is None or now_ns >= told_ns + REJECTED_AGAIN_NS:
            self._rejected_told_at_ns[reason] = now_ns
            self._note("rejected_by_sink", "warning", reason=reason, rows=self._rejected.pop(reason), problem=sentence)

    def on_warning(self, sentence: str) -> None:
        """The sink took everything and said something."""
        self.warnings += 1
        if sentence != self.last_warning:
            self._note("sink_warning", "warning", problem=sentence)
        self.last_warning = sentence

    def on_losses(self, losses: Sequence[Loss]) -> None:
        """Rows that this sink never gets: an event and a row each."""
        wall_ns = self._clock.wall_ns()
        for loss in losses:
            self._note("cursor_pruned", "error", reason=loss.reason, rows=loss.rows)
        rows = [(wall_ns, self._name, self._kind, loss.rows, loss.from_wall_ns, loss.until_wall_ns, loss.reason) for loss in losses]
        if rows and not self._outbox.offer(EXPORT_GAP, rows, wall_ns):
            self.lost_gap_rows += len(rows)

    def on_storage(self, sentence: str) -> None:
        """What is kept on the disk cannot be read or written; empty: it can."""
        self._conditions.tell("sink_storage", sentence and f"sink {self._name}: {sentence}")

    def stats(
        self, attempts: Attempts, progress: ExportProgress, ledger: dict[str, Any], left_out: Mapping[str, int]
    ) -> dict[str, Any]:
        """*Absent:* `problem` while the sink is up; `lag_seconds` before anything was found."""
        stamp = progress.last_stamp_wall_ns or progress.first_stamp_wall_ns
        lag_ns = 0 if not progress.pending_rows or stamp is None else max(0, self._clock.wall_ns() - stamp)
        return {
            "sink": self._name,
            "kind": self._kind,
            "state": attempts.state.value,
            "is_up": int(attempts.state is ExportState.UP),
            "problem": attempts.sentence or None,
            "ledger": ledger,
            "lag_rows": progress.pending_rows,
            "lag_bytes": progress.pending_bytes,
            "lag_seconds": round(lag_ns / S, 3),
            "has_backlog": progress.has_backlog,
            "deliveries": progress.deliveries,
            "failures": self.failures,
            "sent_bytes": self.sent_bytes,
            "points": self.points,
            "warnings": self.warnings,
            "last_warning": self.last_warning or None,
            "lost_gap_rows": self.lost_gap_rows,
            "left_out": dict(left_out),
        }

    def _note(self, kind: str, severity: str, **fields: str | int | float | bool | None) -> None:
        self._bus.note(Note(kind, severity, {"sink": self._name, **fields}))
