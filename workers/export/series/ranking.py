"""The commands that hold the most CPU, memory and input and output, by rank, over the time since the last reading. PURE."""

from collections.abc import Sequence
from heapq import nsmallest

from agent.model.table import Row
from agent.model.timebase import S
from workers.export.series.catalogue import PROCESS_TABLE, RANKED, RANKED_RANK, RANKS, RankedFamily
from workers.export.series.metric import View, value
from workers.export.series.view_state import ViewState

# A tick has some tens of rows; programs that only run for a moment could bring many names in a long time.
COMMANDS_MAX = 2_000
# (command, pid); without the option `pid_label` pid is None.
Command = tuple[str, int | None]
Amounts = dict[Command, int]


def ranked_views(*, has_pids: bool) -> tuple[View, ...]:
    """The view of each ranked family."""
    names = ("rank", "command", "pid") if has_pids else ("rank", "command")
    return tuple(
        View(
            name=f"top_{family.resource}",
            table=PROCESS_TABLE,
            key=names,
            metrics=(value(family.name, "", family.about),),
            rank=RANKED_RANK,
            labels=tuple((name, name) for name in names),
        )
        for family in RANKED
    )


class Ranking:
    """Adds up the rows of each command until `close`. *Units:* nanoseconds of unix time, and those of the columns."""

    def __init__(self, *, has_pids: bool) -> None:
        self._has_pids = has_pids
        self.amounts: list[Amounts] = [{} for _ in RANKED]
        self.ticks = 0
        self.last_at_ns = 0
        # Until when the last reading went.
        self.closed_at_ns: int | None = None

    @property
    def has_rows(self) -> bool:
        """Whether a tick came since the last reading."""
        return self.ticks > 0

    def take(self, names: Sequence[str], rows: Sequence[Row]) -> None:
        """The rows of one or more ticks. Rows of a table without the columns are passed over."""
        wanted = {"timestamp", "comm", "pid", *(column for family in RANKED for column in family.columns)}
        if not wanted <= set(names):
            return
        at, comm, pid = (names.index(name) for name in ("timestamp", "comm", "pid"))
        columns = [[names.index(column) for column in family.columns] for family in RANKED]
        for row in rows:
            self._begin(row[at])
            number = row[pid]
            command = (str(row[comm]), number if self._has_pids and isinstance(number, int) else None)
            for amounts, places in zip(self.amounts, columns, strict=True):
                for place in places:
                    amount = row[place]
                    if amount and isinstance(amount, int) and (command in amounts or len(amounts) < COMMANDS_MAX):
                        amounts[command] = amounts.get(command, 0) + amount

    def close(self, views: Sequence[ViewState]) -> None:
        """Tell each view its ranks, and begin the next reading; nothing where no tick came."""
        if not self.ticks:
            return
        at_ns = self.last_at_ns
        span_ns = at_ns - self.closed_at_ns if self.closed_at_ns is not None and self.closed_at_ns < at_ns else self.ticks * S
        for family, amounts, state in zip(RANKED, self.amounts, views, strict=True):
            for rank, (command, amount) in enumerate(_first(amounts), 1):
                key = (rank, *command) if self._has_pids else (rank, command[0])
                state.apply(key, at_ns, 0, (), (_shown(family, amount, span_ns),), is_final=False)
            state.end_others(at_ns)
            amounts.clear()
        self.ticks, self.closed_at_ns = 0, at_ns

    def _begin(self, at_ns: object) -> None:
        """A row of this time comes."""
        if at_ns == self.last_at_ns and self.ticks:
            return
        assert isinstance(at_ns, int)
        self.ticks += 1
        self.last_at_ns = at_ns
        for family, amounts in zip(RANKED, self.amounts, strict=True):
            if not family.is_mean:
                amounts.clear()


def _first(amounts: Amounts) -> list[tuple[Command, int]]:
    # Equal amounts in the order of their names, so that the same rows give the same ranks.
    return nsmallest(RANKS, amounts.items(), key=lambda item: (-item[1], str(item[0])))


def _shown(family: RankedFamily, amount: int, span_ns: int) -> float | int:
    return amount * S / family.per / span_ns if family.is_mean else amount
