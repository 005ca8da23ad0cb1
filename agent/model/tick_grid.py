"""The grid of a sampler's ticks: which tick is due when, which were missed, and why. PURE.

Ticks are numbered by the time since boot, divided by the interval: tick 7 of a grid of one second is due seven seconds after
boot. So every start of a sampler ticks on the same grid without being told, and a tick that nobody took has a number.
"""

from agent.model.gap_cause import ClockReading, GapCause, cause_of_gap
from agent.model.message import Missed, Tick

# At most this many ranges of missed ticks are kept; at this limit they are reported at once.
MISSED_MAX = 64


class TickGrid:
    """The ticks of one start. `take` and `done` stand around each tick's measurement."""

    def __init__(self, interval_ns: int, first: ClockReading) -> None:
        self._interval_ns = interval_ns
        # The nearest one: the first tick is taken at once, and the next is between half an interval and one and a half away.
        self._number = self._nearest(first)
        self.next_at_ns = first.now_ns
        self._latest = first
        self._busy_ns = 0
        self._missed: list[Missed] = []
        self.missed_ticks = 0

    def note_busy(self, span_ns: int) -> None:
        """Notes that the sampler's own work took this much of the time between two ticks."""
        self._busy_ns += span_ns

    def take(self, now: ClockReading) -> int:
        """The number of the tick that is measured now."""
        number = max(self._number, now.boot_ns // self._interval_ns)
        if number > self._number:
            planned_ns = max(0, self.next_at_ns - self._latest.now_ns)
            cause = cause_of_gap(self._latest, now, planned_ns=planned_ns, busy_ns=self._busy_ns)
            self.miss(self._number, number - 1, cause)
        self._number = number
        self._latest, self._busy_ns = now, 0
        return number

    def done(self, now: ClockReading) -> None:
        """The tick is measured: the next is the first one that is still to come."""
        following = max(self._number + 1, now.boot_ns // self._interval_ns + 1)
        if following > self._number + 1:
            elapsed_ns = now.now_ns - self._latest.now_ns
            cause = cause_of_gap(self._latest, now, planned_ns=0, busy_ns=elapsed_ns)
            self.miss(self._number + 1, following - 1, cause)
        self._number = following
        self.next_at_ns = now.now_ns + following * self._interval_ns - now.boot_ns
        self._latest, self._busy_ns = now, 0

    def miss(self, first: int, last: int, cause: GapCause) -> None:
        """Notes ticks without rows."""
        self.missed_ticks += last - first + 1
        before = self._missed[-1] if self._missed else None
        if before is not None and before.reason == cause and before.last_tick + 1 == first:
            self._missed[-1] = Missed(before.first_tick, last, cause)
        else:
            self._missed.append(Missed(first, last, cause))

    def is_report_due(self, ticks: int) -> bool:
        """Whether at least `ticks` missed ticks, or MISSED_MAX ranges, wait to be reported."""
        waiting = sum(item.last_tick - item.first_tick + 1 for item in self._missed)
        return waiting >= ticks or len(self._missed) >= MISSED_MAX

    def tell(self, now: ClockReading) -> Tick | None:
        """The missed ticks that wait, for a batch without rows: at the end, or when no measured tick can carry them.

        *Absent:* None when there are none.

        The tick of this moment is not among them: another start may still take it. If none does, the writer counts it.
        """
        end = self._nearest(now)
        over = [
            Missed(item.first_tick, min(item.last_tick, end - 1), item.reason) for item in self._missed if item.first_tick < end
        ]
        self._missed.clear()
        return Tick(over[-1].last_tick, tuple(over)) if over else None

    def _nearest(self, now: ClockReading) -> int:
        return (now.boot_ns + self._interval_ns // 2) // self._interval_ns

    def tell_with(self, number: int) -> Tick:
        """This tick, with the ticks missed since the last report."""
        tick = Tick(number, tuple(self._missed))
        self._missed.clear()
        return tick
