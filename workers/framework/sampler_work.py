"""The work of every sampler: one sample per tick, on the grid that all share, and how ticks without a sample are reported."""

from collections.abc import Callable, Sequence
from typing import Any

from agent.config import Config
from agent.model.gap_cause import GapCause
from agent.model.limit import strides
from agent.model.message import Note, Tick
from agent.model.rule_state import RuleState
from agent.model.table import Row, Table
from agent.model.tick_grid import TickGrid
from agent.model.timebase import MINUTE, MS, S
from agent.ports import Bus, Clock, Interest, Outbox
from workers.framework.condition import Conditions
from workers.framework.sampler import Probe, Sample, Sampler, UnreadableError
from workers.framework.work import BaseWork

# A sampler that loses many ticks a second reports them once a second.
DROPPED_NOTE_NS = 1 * S
# Work between ticks is done in parts, so that the loop hears the supervisor meanwhile, and never makes a tick late.
CATCH_UP_NS = 50 * MS
# While nothing can be read, ticks without rows are reported together at this interval.
UNREADABLE_NS = 1 * MINUTE
_UNREADABLE = "unreadable"


class SamplerWork(BaseWork):
    """A sampler's work in its worker (`agent.ports.Work`): one sample per tick, on a fixed grid, offered to the outbox."""

    def __init__(
        self,
        sampler: Sampler,
        probe: Probe,
        clock: Clock,
        outbox: Outbox,
        bus: Bus,
        config: Config,
    ) -> None:
        super().__init__()
        self._bus = bus
        self._conditions = Conditions(bus)
        self._probe = probe
        self._clock = clock
        self._outbox = outbox
        # What a tick without any rows is told with: it was measured, and found nothing.
        self._empty_table = sampler.tables[0]
        self._table_names = frozenset(table.name for table in sampler.tables)
        self._interval_ns = config.of(sampler.interval)
        self._grid: TickGrid | None = None
        self._ticks = 0
        self._tick_ns_last = 0
        self._tick_ns_most = 0
        self._rows = 0
        self._dropped_batches = self._dropped_rows = 0
        self._dropped_told_at_ns: int | None = None
        # One of so many ticks is taken, and none at all while it is off.
        self._stride = 1
        self._is_off = False

    def on_start(self, now_ns: int) -> None:
        """The first tick is due at once; whether there is anything to measure is known before the worker is ready.

        The whole first sample is not waited for: on a large host it takes longer than everything else of a restart.
        """
        self._grid = TickGrid(self._interval_ns, self._clock.reading())
        try:
            self._probe.check()
        except (OSError, UnreadableError) as failure:
            self._tell_unreadable(failure)

    def on_rules(self, rules: RuleState) -> None:
        """The probe follows them."""
        self._do_between_ticks(lambda: self._probe.on_rules(rules))

    @property
    def next_tick_ns(self) -> int | None:
        """When its next tick is due. *Absent:* before the start and after the stop."""
        return None if self.is_stopped or self._grid is None else self._grid.next_at_ns

    def note_busy(self, span_ns: int) -> None:
        """Another sampler of this process has worked this long: a tick that is late for it was not kept from a processor."""
        if self._grid is not None:
            self._grid.note_busy(span_ns)

    def next_deadline_ns(self, room_until_ns: int | None = None) -> int | None:
        """The next tick; at once while there is other work and time for it, before `room_until_ns` too if that is known."""
        if self.is_stopped or self._grid is None:
            return None
        tick_ns = self._grid.next_at_ns
        if self._is_off:
            return tick_ns
        until_ns = tick_ns if room_until_ns is None else min(tick_ns, room_until_ns)
        if self._probe.is_behind() and self._clock.now_ns() + CATCH_UP_NS < until_ns:
            # Already: an instant taken here would be later than the one that the loop compares it with, and never come.
            return 0
        wake_at_ns = self._probe.wake_at_ns()
        return tick_ns if wake_at_ns is None else min(wake_at_ns, tick_ns)

    def on_timer(self, now_ns: int) -> None:
        """One tick, or what need not wait for it."""
        assert self._grid is not None
        if now_ns < self._grid.next_at_ns:
            self._do_between_ticks(lambda: self._probe.catch_up(now_ns + CATCH_UP_NS))
            return
        taken = self._clock.reading()
        number = self._grid.take(taken)
        if self._is_off or number % self._stride:
            self._leave_out(self._grid, number)
            return
        # Of the same moment as the number: read later, by a process that was held in between, it would lie in another tick.
        wall_ns = taken.wall_ns
        self._offer(self._grid, number, self._sample(now_ns, wall_ns), wall_ns)
        done_ns = self._clock.now_ns()
        self._tell_dropped(done_ns)
        self._ticks += 1
        self._tick_ns_last = done_ns - now_ns
        self._tick_ns_most = max(self._tick_ns_most, self._tick_ns_last)
        # Ticks that went by meanwhile are missed and reported, never made up for.
        self._grid.done(self._clock.reading())

    def on_level(self, steps: Sequence[str], *, is_off: bool) -> None:
        """Ticks that are left out are missed ticks with the reason `degraded`; the probe leaves out what it can."""
        self._stride, self._is_off = strides(steps), is_off
        self._probe.on_steps(frozenset(steps))

    def _leave_out(self, grid: TickGrid, number: int) -> None:
        """Nothing is read at this tick. While none is taken at all, the missed ones are told once a minute."""
        grid.miss(number, number, GapCause.DEGRADED)
        if self._is_off and grid.is_report_due(UNREADABLE_NS // self._interval_ns):
            self._tell_missed(grid)
        grid.done(self._clock.reading())

    def interests(self) -> tuple[Interest, ...]:
        """What the probe waits for; nothing before the first tick can be due, and nothing after the end."""
        return () if self.is_stopped or self._grid is None else self._probe.interests()

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """The probe's; one that ended in this turn is left alone."""
        if not self.is_stopped:
            self._do_between_ticks(lambda: self._probe.on_readable(descriptor, now_ns))

    def _do_between_ticks(self, work: Callable[[], None]) -> None:
        """Counted as the sampler's own work, should it make a tick late."""
        started_ns = self._clock.now_ns()
        work()
        self.note_busy(self._clock.now_ns() - started_ns)

    def _offer(self, grid: TickGrid, number: int, sample: Sample, wall_ns: int) -> None:
        """All batches of a tick say which one it is; one without rows says so too, but not one that could not be read."""
        batches = [(table, rows) for table, rows in sample if rows]
        if not batches and _UNREADABLE in self._conditions:
            if grid.is_report_due(UNREADABLE_NS // self._interval_ns):
                self._tell_missed(grid)
            grid.miss(number, number, GapCause.UNREADABLE)
            return
        tick = grid.tell_with(number)
        for table, rows in batches or [(self._empty_table, ())]:
            self._offer_batch(table, rows, wall_ns, tick)

    def _offer_rest(self) -> None:
        """Their ticks were told with the samples of these ticks."""
        for table, rows in self._probe.rest():
            if rows:
                self._offer_batch(table, rows, self._clock.wall_ns(), None)

    def _offer_batch(self, table: Table, rows: Sequence[Row], wall_ns: int, tick: Tick | None) -> None:
        assert table.name in self._table_names, "a probe fills the tables that its sampler declares"
        self._rows += len(rows)
        if not self._outbox.offer(table, rows, wall_ns, tick):
            self._dropped_batches += 1
            self._dropped_rows += len(rows)

    def _tell_missed(self, grid: TickGrid) -> None:
        """No tick that has rows tells them: a batch without rows does."""
        if (tick := grid.tell(self._clock.reading())) is not None:
            self._outbox.offer(self._empty_table, (), self._clock.wall_ns(), tick)

    def _sample(self, now_ns: int, wall_ns: int) -> Sample:
        """One sample; none, and a condition that blocks readiness, while nothing can be read at all."""
        try:
            sample = self._probe.sample(now_ns, wall_ns)
        except (OSError, UnreadableError) as failure:
            self._tell_unreadable(failure)
            return failure.sample if isinstance(failure, UnreadableError) else ()
        self._tell_unreadable(None)
        return sample

    def _tell_unreadable(self, failure: OSError | UnreadableError | None) -> None:
        problem, blocks_ready = "", True
        if isinstance(failure, UnreadableError):
            problem, blocks_ready = failure.sentence, failure.blocks_ready
        elif failure is not None:
            problem = f"nothing can be read: {failure}; look at the mount and at the agent's permissions"
        self._conditions.tell(_UNREADABLE, problem, blocks_ready=blocks_ready)

    def _tell_dropped(self, now_ns: int) -> None:
        """One warning a second at most about what a full outbox refused, with everything refused since the one before."""
        told_at_ns = self._dropped_told_at_ns
        if self._dropped_batches and (told_at_ns is None or now_ns - told_at_ns >= DROPPED_NOTE_NS):
            fields: dict[str, str | int | float | bool | None] = {"batches": self._dropped_batches, "rows": self._dropped_rows}
            self._bus.note(Note("batches_dropped", "warning", fields))
            self._dropped_batches = self._dropped_rows = 0
            self._dropped_told_at_ns = now_ns

    def stats(self) -> dict[str, Any]:
        """Its ticks, its rows, and the statistics of the probe; times in seconds."""
        return {
            "ticks": self._ticks,
            "ticks_missed": 0 if self._grid is None else self._grid.missed_ticks,
            "tick_seconds_last": self._tick_ns_last / S,
            "tick_seconds_most": self._tick_ns_most / S,
            "rows": self._rows,
            "interval_seconds": self._interval_ns / S,
            **self._probe.stats(),
        }

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """No further tick; called twice, it closes once: by then its descriptor numbers may belong to other files."""
        if not self.is_stopped:
            self.is_stopped = True
            if self._grid is not None:
                self._tell_missed(self._grid)
            self._offer_rest()
            self._dropped_told_at_ns = None
            self._tell_dropped(now_ns)
            self._probe.close()
