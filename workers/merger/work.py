"""The work of the worker `merger`: it starts the engine's threads, and tells the agent what they tell.

The loop waits for nothing: it looks at the engine's report once a second.
"""

from collections.abc import Callable
from typing import Any

from agent.model.errors import EvergaugeError
from agent.model.timebase import MS, S
from agent.ports import Bus, Clock
from workers.framework.condition import Conditions
from workers.framework.work import BaseWork
from workers.merger.engine import EngineParts, MergerEngine

LOOK_NS = 1 * S
# What is gathered is stored at the end, if that takes no longer; else the next process takes it again.
LEAVE_NS = 800 * MS
_SETUP = "merger_setup"


class MergerWork(BaseWork):
    """The `agent.ports.Work` of worker `merger`."""

    def __init__(self, make: Callable[[], EngineParts], clock: Clock, bus: Bus) -> None:
        super().__init__()
        self._make = make
        self._clock = clock
        self._bus = bus
        self._conditions = Conditions(bus)
        self._engine: MergerEngine | None = None
        self._look_at_ns: int | None = None
        self._leave_at_ns = 0

    def on_start(self, now_ns: int) -> None:
        """Begin, or say why that cannot be."""
        self._look_at_ns = now_ns + LOOK_NS
        try:
            self._engine = MergerEngine(self._make())
        except EvergaugeError as failure:
            self._conditions.begin(_SETUP, failure.sentence)
        else:
            self._engine.start()

    def next_deadline_ns(self) -> int | None:
        """Once a second; at the end more often."""
        if self.is_stopped:
            return self._clock.now_ns() + 20 * MS
        return self._look_at_ns

    def on_timer(self, now_ns: int) -> None:
        """Tell what happened."""
        self._look_at_ns = now_ns + LOOK_NS
        if self._engine is not None:
            self._tell(self._engine)

    def stats(self) -> dict[str, Any]:
        """What was merged so far, and what waits."""
        return {} if self._engine is None else dict(self._engine.report.stats())

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """Store what was taken, as far as there is time."""
        super().on_stop(now_ns, for_good=for_good)
        self._leave_at_ns = now_ns + LEAVE_NS
        if self._engine is not None:
            self._engine.stop(LEAVE_NS / 2 / S)

    def is_done(self) -> bool:
        """The engine has ended, or has had its time: what it had taken is taken again by the next one."""
        if not self.is_stopped:
            return False
        if self._engine is None or self._engine.is_over or self._clock.now_ns() >= self._leave_at_ns:
            if self._engine is not None:
                self._tell(self._engine)
            return True
        return False

    def _tell(self, engine: MergerEngine) -> None:
        for note in engine.report.take_notes():
            self._bus.note(note)
        problems = engine.report.problems
        self._conditions.tell("merger_broker", problems.broker)
        self._conditions.tell("merger_store", problems.store)
        self._conditions.tell("merger_offsets", problems.offsets)
        self._conditions.tell("marks_cache", problems.marks)
