"""What a sampler is, as one declaration, and the work around its ticks."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from agent.config import Config
from agent.model.message import Condition
from agent.model.rule_state import RuleState
from agent.model.table import Row, Table
from agent.model.timebase import MINUTE, MS, S
from agent.ports import Bus, Clock, KernelTree, Outbox
from agent.setting import AnySetting, Duration, Switch

# What one tick gives: rows by table.
Sample = Sequence[tuple[Table, Sequence[Row]]]


class Probe(Protocol):
    """The measuring part of a sampler, one per worker process."""

    def check(self) -> None:
        """Whether anything can be read at all, in microseconds; asked before the worker is ready. *Raises:* OSError."""
        ...

    def sample(self, now_ns: int, wall_ns: int) -> Sample:
        """Measure once. *Raises:* OSError only where nothing at all can be read; what can vanish or be refused is absent."""
        ...

    def stats(self) -> dict[str, Any]:
        """What it says of itself in `status` and /metrics."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class Sampler(Struct, frozen=True):
    """One sampler: its worker is `sampler/<name>`, `open` makes the probe over a kernel tree."""

    name: str
    about: str
    tables: tuple[Table, ...]
    files: tuple[str, ...]
    is_enabled: Switch
    interval: Duration
    further_settings: tuple[AnySetting, ...]
    open: Callable[[KernelTree, Config], Probe]

    @property
    def settings(self) -> tuple[AnySetting, ...]:
        """All its settings."""
        return (self.is_enabled, self.interval, *self.further_settings)


def enabled_setting(name: str) -> Switch:
    """The switch that every sampler has."""
    return Switch(f"sampler.{name}.enabled", True, f"whether the worker sampler/{name} runs")


def interval_setting(name: str, default_ns: int = 1 * S) -> Duration:
    """The interval that every sampler has."""
    return Duration(f"sampler.{name}.interval", default_ns, 50 * MS, 10 * MINUTE, f"how often sampler/{name} measures")


class SamplerWork:
    """A sampler's work in its worker (`agent.ports.Work`): one sample per tick, on a fixed raster, offered to the outbox."""

    def __init__(self, sampler: Sampler, probe: Probe, clock: Clock, outbox: Outbox, bus: Bus, config: Config) -> None:
        self._bus = bus
        self._problem = ""
        self._probe = probe
        self._clock = clock
        self._outbox = outbox
        self._interval_ns = config.of(sampler.interval)
        self._next_tick_at_ns: int | None = None
        self._is_stopped = False
        self._ticks = 0
        self._ticks_missed = 0
        self._tick_ns_last = 0
        self._tick_ns_most = 0
        self._rows = 0

    def on_start(self, now_ns: int) -> None:
        """The first tick is due at once; whether there is anything to measure is known before the worker is ready.

        The whole first sample is not waited for: on a large host it takes longer than everything else of a restart.
        """
        self._next_tick_at_ns = now_ns
        try:
            self._probe.check()
        except OSError as failure:
            self._tell_unreadable(failure)

    def on_rules(self, rules: RuleState) -> None:
        """Samplers of processes measure everything, whatever the rules."""

    def next_deadline_ns(self) -> int | None:
        """The next tick."""
        return None if self._is_stopped else self._next_tick_at_ns

    def on_timer(self, now_ns: int) -> None:
        """One tick."""
        assert self._next_tick_at_ns is not None
        wall_ns = self._clock.wall_ns()
        for table, rows in self._sample(now_ns, wall_ns):
            if rows:
                self._rows += len(rows)
                self._outbox.offer(table, rows, wall_ns)
        done_ns = self._clock.now_ns()
        self._ticks += 1
        self._tick_ns_last = done_ns - now_ns
        self._tick_ns_most = max(self._tick_ns_most, self._tick_ns_last)
        # On the raster of the first tick; ticks that went by meanwhile are missed and said so, never made up for.
        behind = (done_ns - self._next_tick_at_ns) // self._interval_ns
        self._ticks_missed += behind
        self._next_tick_at_ns += (behind + 1) * self._interval_ns

    def _sample(self, now_ns: int, wall_ns: int) -> Sample:
        """One sample; none, and a condition that blocks readiness, while nothing can be read at all."""
        try:
            sample = self._probe.sample(now_ns, wall_ns)
        except OSError as failure:
            self._tell_unreadable(failure)
            return ()
        self._tell_unreadable(None)
        return sample

    def _tell_unreadable(self, failure: OSError | None) -> None:
        problem = f"nothing can be read: {failure}; look at the mount and at the agent's permissions" if failure else ""
        if problem != self._problem:
            self._problem = problem
            self._bus.condition(Condition("unreadable", active=bool(problem), detail=problem, blocks_ready=True))

    def descriptors(self) -> Sequence[int]:
        """None."""
        return ()

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """Never called."""

    def on_ask(self, what: str, now_ns: int) -> dict[str, Any] | None:
        """`stats`."""
        return {
            "ticks": self._ticks,
            "ticks_missed": self._ticks_missed,
            "tick_seconds_last": self._tick_ns_last / S,
            "tick_seconds_most": self._tick_ns_most / S,
            "rows": self._rows,
            "interval_seconds": self._interval_ns / S,
            **self._probe.stats(),
        }

    def take_replies(self) -> Sequence[tuple[str, dict[str, Any]]]:
        """None: every answer is given at once."""
        return ()

    def on_answer(self, request: int, body: dict[str, Any]) -> None:
        """Never called: samplers ask nothing."""

    def on_taken_over(self, now_ns: int) -> None:
        """Nothing: what is measured does not depend on who supervises."""

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """No further tick; told twice, it closes once: the numbers of its descriptors may be somebody else's by then."""
        if not self._is_stopped:
            self._is_stopped = True
            self._probe.close()

    def is_done(self) -> bool:
        """At once: the outbox is the runtime's."""
        return self._is_stopped
