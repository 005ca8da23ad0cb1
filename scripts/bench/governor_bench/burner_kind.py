"""A kind of worker that uses as much of a core as a file says, and at each level of its ladder half of that of the level before.

It is copied into a folder of kinds (`fakes.extended_agent`). The file's name is in BURNER_FILE, its text is thousandths of a core.
"""

import os
import time
from collections.abc import Sequence

from agent.model.limit import Ladder, LadderStep
from agent.model.worker_kind import WorkerKind
from agent.ports import Work
from workers.framework.declaration import Worker, WorkerContext
from workers.framework.work import BaseWork

TURN_NS = 50_000_000


class BurningWork(BaseWork):
    """Burns in turns of 50 ms, so that it goes on answering."""

    def __init__(self) -> None:
        super().__init__()
        self._due: int | None = None
        self._halvings = 0
        self._is_off = False

    def on_start(self, now_ns: int) -> None:
        """The first turn is due at once."""
        self._due = now_ns

    def next_deadline_ns(self) -> int | None:
        """The next turn."""
        return None if self.is_stopped else self._due

    def on_level(self, steps: Sequence[str], *, is_off: bool) -> None:
        """Each step halves it."""
        self._halvings, self._is_off = len(steps), is_off

    def on_timer(self, now_ns: int) -> None:
        """One turn."""
        self._due = now_ns + TURN_NS
        burn_ns = 0 if self._is_off else TURN_NS * _permille() // 1000 >> self._halvings
        until_ns = time.thread_time_ns() + burn_ns
        while time.thread_time_ns() < until_ns:
            pass


def _permille() -> int:
    with open(os.environ["BURNER_FILE"], encoding="ascii") as file:
        return int(file.read() or "0")


def _make(context: WorkerContext) -> Work:
    return BurningWork()


WORKER = Worker(
    name="burner",
    kind=WorkerKind("burner", start_order=60),
    make=_make,
    preload=(),
    ladder=Ladder(tuple(LadderStep)[:5], is_dispensable=True),
)
