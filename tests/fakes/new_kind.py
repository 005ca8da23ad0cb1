"""A kind of worker that the agent does not have, as its folder's `worker.py` would declare it."""

from typing import Any

from agent.model.column_type import DType
from agent.model.table import Column, Table
from agent.model.worker_kind import RULES, STATS, Statistic, WorkerKind
from agent.ports import Outbox, Work
from agent.setting import Switch
from workers.framework.declaration import Worker, WorkerContext
from workers.framework.work import BaseWork

TURN_NS = 50_000_000
IS_ENABLED = Switch("made_up.enabled", True, "whether the worker made-up runs")
MADE_UP = Table(
    name="made_up",
    version=1,
    about="One row a turn.",
    key=("timestamp",),
    columns=(
        Column("timestamp", DType.INT64, "ns", "when it turned, unix time", "made-up"),
        Column("turn", DType.INT64, "1", "the turn", "made-up"),
    ),
)


class MadeUpWork(BaseWork):
    """Counts its turns and stores each of them."""

    def __init__(self, context: WorkerContext, outbox: Outbox) -> None:
        super().__init__()
        self._clock = context.clock
        self._outbox = outbox
        self._turns = 0
        self._next_ns: int | None = None

    def on_start(self, now_ns: int) -> None:
        """The first turn is due at once."""
        self._next_ns = now_ns

    def next_deadline_ns(self) -> int | None:
        """The next turn."""
        return None if self.is_stopped else self._next_ns

    def on_timer(self, now_ns: int) -> None:
        """One row."""
        self._next_ns = now_ns + TURN_NS
        self._turns += 1
        wall_ns = self._clock.wall_ns()
        self._outbox.offer(MADE_UP, [(wall_ns, self._turns)], wall_ns)

    def stats(self) -> dict[str, Any]:
        """How many turns."""
        return {"turns": self._turns}


def _make(context: WorkerContext) -> Work:
    return MadeUpWork(context, context.outbox())


WORKER = Worker(
    name="made-up",
    kind=WorkerKind("made-up", start_order=80, answers=frozenset({STATS, RULES})),
    make=_make,
    preload=(),
    is_wanted=lambda config: config.of(IS_ENABLED),
    tables=(MADE_UP,),
    settings=(IS_ENABLED,),
    statistics=(Statistic("evergauge_made_up_turns_total", "counter", "Turns.", ("turns",)),),
)
