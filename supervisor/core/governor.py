"""Keeps one worker within its limits: slows it step by step, restores it, and at last switches it off and tries again. PURE.

closed      it works; level 0 leaves nothing out, each step more leaves out one thing more
open        it is switched off, because it was over its limit with everything left out that can be
half-open   it works at the lowest level for a while, to see whether it keeps within its limit now

Processor time and a full queue are answered by steps. Memory and open files are answered by a restart, because a process gives
neither back by doing less.
"""

from enum import StrEnum
from typing import assert_never

from msgspec import Struct

from agent.model.limit import CPU_PER_CORE, Ladder, Resource, WorkerLimits
from agent.model.timebase import HOUR, MINUTE, S
from supervisor.core.usage import CpuHistory, WorkerUsage

# A burst may take what this span allows: an overshoot of twice the limit is seen within two seconds.
BURST_NS = 4 * S
# The same for a process that is new, whose first look at everything costs more, and for one on probation. It is the longest of the
# time in which an overshoot must be over.
WINDOW_NS = 10 * S
# After a step the next one waits until its effect can be seen: a sampler that takes every second tick takes one or two in it.
SETTLE_NS = 3 * S
# Within its limit for so long, a worker counts as within it again.
WITHIN_NS = 5 * S
# How long it must be quiet before it is restored by a step, at first and at most. A restored worker that is over its limit again
# soon after waits twice as long the next time.
QUIET_NS, QUIET_MOST_NS = 30 * S, 1 * HOUR
RELAPSE_NS = 1 * MINUTE
# Quiet means this part of the limit, in tenths: restoring a step may double the cost.
QUIET_TENTHS = 7
# How long a breaker stays open, at first and at most, and how long it is half open.
OPEN_NS, OPEN_MOST_NS = 1 * MINUTE, 1 * HOUR
PROBE_NS = WINDOW_NS
# Whole and quiet for so long, a worker is treated as if nothing had been.
FORGIVEN_NS = 10 * MINUTE
# Over so long it is judged how many steps are needed.
RECENT_NS = 1 * S
# From this multiple of the limit on two steps are taken at once, from the other one all that there are.
TWO_STEPS_TIMES, ALL_STEPS_TIMES = 3, 8
# A value counts as too large when it is so in readings so far apart.
LASTING_NS = 1 * S
# A restart is not repeated sooner than this, at first and at most.
RESTART_NS, RESTART_MOST_NS = 1 * MINUTE, 1 * HOUR


class BreakerState(StrEnum):
    """Of a worker as a whole. The words are shown to people."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class OverLimit(Struct, frozen=True):
    """A worker begins to use more than it may. *Units:* of the resource; `span_ns`: over which it was measured, 0: at a moment."""

    resource: Resource
    measured: int
    limit: int
    span_ns: int


class WithinLimit(Struct, frozen=True):
    """It uses no more than it may again."""

    resource: Resource
    measured: int
    limit: int


class LevelChanged(Struct, frozen=True):
    """Another level holds. `why`: over_limit, quiet, breaker_open, breaker_half_open, limit_changed."""

    before: int
    after: int
    why: str
    resource: Resource | None = None
    measured: int = 0
    limit: int = 0


class BreakerChanged(Struct, frozen=True):
    """The breaker is in this state now; `open_ns`: for how long at least, where it is open."""

    state: BreakerState
    open_ns: int = 0


class RestartNeeded(Struct, frozen=True):
    """Only another process gives back what this one holds."""

    resource: Resource
    measured: int
    limit: int


Ruling = OverLimit | WithinLimit | LevelChanged | BreakerChanged | RestartNeeded


class Governor:
    """The limits of one worker and what has come of them. `observe` is called with each measurement, some times a second."""

    def __init__(self, limits: WorkerLimits, ladder: Ladder) -> None:
        self.limits = limits
        self.ladder = ladder
        self.level = 0
        self.breaker = BreakerState.CLOSED
        self.over: dict[Resource, None] = {}
        self.usage = WorkerUsage()
        self.history = CpuHistory()
        # The level, the process or the limits changed: what was used before says nothing of what is used now.
        self.changed_at_ns = 0
        self.open_until_ns = 0
        self._is_fresh = True
        self._quiet_ns = QUIET_NS
        self._open_ns = OPEN_NS
        self._restored_at_ns: int | None = None
        self._too_large_since_ns: dict[Resource, int] = {}
        self._restart_ns = RESTART_NS
        self._restart_not_before_ns = 0
        self._is_restarted_while_open = False

    # ---- events ----------------------------------------------------------------------------------

    def begin_process(self, now_ns: int) -> None:
        """Another process does the work from now on, at the level that holds."""
        self.history = CpuHistory()
        self.usage = WorkerUsage()
        self.changed_at_ns = now_ns
        self._is_fresh = True
        self._too_large_since_ns.clear()

    def set_limits(self, limits: WorkerLimits, now_ns: int) -> list[Ruling]:
        """Other limits hold from now on: the worker gets another chance at once, whatever it did before."""
        self.limits = limits
        self.changed_at_ns = now_ns
        self._quiet_ns, self._open_ns, self._restart_ns = WINDOW_NS, OPEN_NS, RESTART_NS
        self._restart_not_before_ns = 0
        self._too_large_since_ns.clear()
        ended: list[Ruling] = [WithinLimit(resource, 0, 0) for resource in [*self.over] if not limits.of(resource)]
        for resource in [*self.over]:
            if not limits.of(resource):
                del self.over[resource]
        return [*ended, *(self._half_open(now_ns) if self.breaker is BreakerState.OPEN else [])]

    def observe(self, usage: WorkerUsage, now_ns: int) -> list[Ruling]:
        """One measurement: what follows from it."""
        self.usage = usage
        if usage.cpu_ns is not None:
            self.history.add(now_ns, usage.cpu_ns)
        rulings = [*self._judge_values(now_ns), *self._judge_cpu(now_ns)]
        if not rulings:
            rulings = self._judge_time(now_ns)
        return rulings

    # ---- processor time --------------------------------------------------------------------------

    def cpu_share(self, now_ns: int, span_ns: int) -> int | None:
        """*Units:* thousandths of a percent of a core over the last span. *Absent:* not measured yet."""
        return self.history.share(now_ns - span_ns)

    def _judge_cpu(self, now_ns: int) -> list[Ruling]:
        limit = self.limits.cpu
        if not limit:
            return []
        if self._is_fresh and now_ns - self.changed_at_ns >= WINDOW_NS:
            self._is_fresh = False
        burst_ns = WINDOW_NS if self._is_fresh or self.breaker is not BreakerState.CLOSED else BURST_NS
        used_ns, span_ns = self.history.used(max(now_ns - burst_ns, self.changed_at_ns))
        allowed_ns = limit * self._allowed_span_ns(span_ns, burst_ns) // CPU_PER_CORE
        if not span_ns or used_ns <= allowed_ns:
            return self._end_over_cpu(now_ns)
        measured = used_ns * CPU_PER_CORE // max(span_ns, 1 * S)
        begun = self._begin_over(Resource.CPU, measured, span_ns)
        if self.breaker is BreakerState.OPEN:
            return [*begun, *self._restart_while_open(measured, now_ns)]
        if now_ns - self.changed_at_ns < SETTLE_NS and not self._is_fresh:
            return begun
        # The window remembers the calm before: how far it is over now is seen in the last moments.
        recent = self.history.share(now_ns - RECENT_NS) or 0
        times = max(measured, recent) // limit
        count = self.ladder.lowest if times >= ALL_STEPS_TIMES else 2 if times >= TWO_STEPS_TIMES else 1
        return [*begun, *self._step_down(Resource.CPU, measured, count, now_ns)]

    def _allowed_span_ns(self, span_ns: int, burst_ns: int) -> int:
        """What this span allows may be used: that of a whole burst at once. One that was slowed is judged by what it uses since."""
        is_judged_by_rate = not self._is_fresh and self.breaker is BreakerState.CLOSED and self.level > 0
        return max(SETTLE_NS, span_ns) if is_judged_by_rate else burst_ns

    def _end_over_cpu(self, now_ns: int) -> list[Ruling]:
        if Resource.CPU not in self.over or self.breaker is not BreakerState.CLOSED:
            return []
        if now_ns - self.changed_at_ns < WITHIN_NS:
            return []
        share = self.history.share(now_ns - WITHIN_NS)
        if share is None or share > self.limits.cpu:
            return []
        del self.over[Resource.CPU]
        return [WithinLimit(Resource.CPU, share, self.limits.cpu)]

    # ---- memory, open files, the queue -----------------------------------------------------------

    def _judge_values(self, now_ns: int) -> list[Ruling]:
        rulings: list[Ruling] = []
        usage = self.usage
        for resource, value in (
            (Resource.MEMORY, usage.rss_bytes),
            (Resource.DESCRIPTORS, usage.descriptors),
            (Resource.QUEUE, usage.queue_bytes),
        ):
            limit = self.limits.of(resource)
            if not limit or value is None:
                continue
            if value <= limit:
                self._too_large_since_ns.pop(resource, None)
                if resource in self.over:
                    del self.over[resource]
                    rulings.append(WithinLimit(resource, value, limit))
                continue
            since_ns = self._too_large_since_ns.setdefault(resource, now_ns)
            if now_ns - since_ns < LASTING_NS:
                continue
            rulings += self._begin_over(resource, value, 0)
            if resource is not Resource.QUEUE:
                rulings += self._restart(resource, value, now_ns)
            elif now_ns - self.changed_at_ns >= WINDOW_NS and self.level < self.ladder.lowest:
                rulings += self._step_down(resource, value, 1, now_ns)
        return rulings

    def _restart(self, resource: Resource, value: int, now_ns: int) -> list[Ruling]:
        if now_ns < self._restart_not_before_ns:
            return []
        self._restart_not_before_ns = now_ns + self._restart_ns
        self._restart_ns = min(2 * self._restart_ns, RESTART_MOST_NS)
        return [RestartNeeded(resource, value, self.limits.of(resource))]

    def _restart_while_open(self, measured: int, now_ns: int) -> list[Ruling]:
        """It was told to do nothing and uses more than it may: it does not hear, or what it does is not its work."""
        if self._is_restarted_while_open or now_ns - self.changed_at_ns < SETTLE_NS:
            return []
        self._is_restarted_while_open = True
        return [RestartNeeded(Resource.CPU, measured, self.limits.cpu)]

    # ---- levels ----------------------------------------------------------------------------------

    def _begin_over(self, resource: Resource, measured: int, span_ns: int) -> list[Ruling]:
        if resource in self.over:
            return []
        self.over[resource] = None
        return [OverLimit(resource, measured, self.limits.of(resource), span_ns)]

    def _step_down(self, resource: Resource, measured: int, count: int, now_ns: int) -> list[Ruling]:
        if self._restored_at_ns is not None and now_ns - self._restored_at_ns < RELAPSE_NS:
            self._quiet_ns = min(2 * self._quiet_ns, QUIET_MOST_NS)
        self._restored_at_ns = None
        if self.breaker is BreakerState.HALF_OPEN or self.level >= self.ladder.lowest:
            return self._open(resource, measured, now_ns) if self.ladder.is_dispensable else []
        after = min(self.level + count, self.ladder.lowest)
        return [self._go_to(after, "over_limit", now_ns, resource, measured)]

    def _open(self, resource: Resource, measured: int, now_ns: int) -> list[Ruling]:
        if self.breaker is BreakerState.HALF_OPEN:
            self._open_ns = min(2 * self._open_ns, OPEN_MOST_NS)
        self.breaker = BreakerState.OPEN
        self.open_until_ns = now_ns + self._open_ns
        self._is_restarted_while_open = False
        changed = self._go_to(self.ladder.off_level, "breaker_open", now_ns, resource, measured)
        return [BreakerChanged(BreakerState.OPEN, self._open_ns), changed]

    def _half_open(self, now_ns: int) -> list[Ruling]:
        self.breaker = BreakerState.HALF_OPEN
        return [BreakerChanged(BreakerState.HALF_OPEN), self._go_to(self.ladder.lowest, "breaker_half_open", now_ns)]

    def _go_to(self, level: int, why: str, now_ns: int, resource: Resource | None = None, measured: int = 0) -> LevelChanged:
        before, self.level, self.changed_at_ns, self._is_fresh = self.level, level, now_ns, False
        return LevelChanged(before, level, why, resource, measured, 0 if resource is None else self.limits.of(resource))

    # ---- time ------------------------------------------------------------------------------------

    def _judge_time(self, now_ns: int) -> list[Ruling]:
        """What comes by itself: the breaker tries, and what is quiet is restored."""
        waited_ns = now_ns - self.changed_at_ns
        match self.breaker:
            case BreakerState.OPEN:
                return self._half_open(now_ns) if now_ns >= self.open_until_ns else []
            case BreakerState.HALF_OPEN:
                if waited_ns < PROBE_NS or Resource.QUEUE in self.over:
                    return []
                self.breaker = BreakerState.CLOSED
                self.changed_at_ns = now_ns
                return [BreakerChanged(BreakerState.CLOSED)]
            case BreakerState.CLOSED:
                if waited_ns >= FORGIVEN_NS and not self.over and self.level == 0:
                    self._quiet_ns, self._open_ns, self._restart_ns = QUIET_NS, OPEN_NS, RESTART_NS
                return self._restore(waited_ns, now_ns)
            case _:
                assert_never(self.breaker)

    def _restore(self, waited_ns: int, now_ns: int) -> list[Ruling]:
        if not self.level or self.over or waited_ns < self._quiet_ns:
            return []
        share = self.history.share(now_ns - min(waited_ns, self._quiet_ns))
        if self.limits.cpu and (share is None or share * 10 > self.limits.cpu * QUIET_TENTHS):
            return []
        if self.limits.queue and (self.usage.queue_bytes or 0) * 10 > self.limits.queue * QUIET_TENTHS:
            return []
        self._restored_at_ns = now_ns
        return [self._go_to(self.level - 1, "quiet", now_ns)]
