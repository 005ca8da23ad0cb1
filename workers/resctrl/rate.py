"""From readings of one counter to bytes per second: never negative, never more than a memory can carry. PURE.

A counter that went back either wrapped around or was reset, and nothing says which. A wrap is believed only where it is the
plain explanation: going on at its last pace takes the counter over the end of a width that counters have and to where it is
now. Everything else is a reset, and a difference over a reset would be false; of a wrap taken for a reset one rate is absent.
"""

from math import gcd

from agent.model.absence import Absence
from agent.model.timebase import S

# No memory behind one cache carries as much: the fastest sockets of today have a quarter of it.
BYTES_PER_SECOND_MAX = 4 * 10**12
# Bits of counters: Intel's first and later ones, AMD's, and those of the sums that kernels and hypervisors keep.
WIDTHS = (24, 32, 44, 62, 63, 64)
# A wrap continues at the pace of the last interval, give or take one part in this many. When twice that pace was allowed, one in
# sixty resets of a busy counter passed for a wrap and gave a wrong rate.
_PACE_PARTS = 16


class Counter:
    """One counter and its last reading."""

    __slots__ = ("_at_ns", "_doubted", "_pace", "_unit", "_value")

    def __init__(self) -> None:
        self._value = -1
        self._at_ns = 0
        # The reading before the last one, where the last one is in doubt.
        self._doubted: tuple[int, int] | None = None
        # The last rate, in bytes per second; None: none yet.
        self._pace: float | None = None
        # What all readings are multiples of: the bytes of one count of the hardware, or a multiple of them.
        self._unit = 0

    def rate(self, value: int, at_ns: int) -> float | Absence:
        """Bytes per second since the last good reading, by the readings' own times.

        *Absent:* FIRST_TICK, COUNTER_RESET, IMPLAUSIBLE. *Range:* 0 to `BYTES_PER_SECOND_MAX`.
        """
        before, before_at_ns = self._value, self._at_ns
        self._unit = gcd(self._unit, value)
        if self._doubted is not None:
            before, before_at_ns = self._settle(value, at_ns)
        step, elapsed_ns = value - before, at_ns - before_at_ns
        self._value, self._at_ns = value, at_ns
        if before < 0:
            return Absence.FIRST_TICK
        if step < 0:
            step = self._step_over_wrap(before, value, elapsed_ns)
            if step < 0:
                # Hardware that shares counters shows a zero now and then and goes on where it was.
                self._doubt(before, before_at_ns, is_doubtful=value == 0)
                return Absence.COUNTER_RESET
        if not _is_plausible(step, elapsed_ns):
            self._doubt(before, before_at_ns, is_doubtful=True)
            return Absence.IMPLAUSIBLE
        self._pace = pace = step * S / elapsed_ns
        return pace

    def _doubt(self, before: int, before_at_ns: int, *, is_doubtful: bool) -> None:
        self._pace = None
        if is_doubtful:
            self._doubted = before, before_at_ns

    def _settle(self, value: int, at_ns: int) -> tuple[int, int]:
        """The reading to compare with, after one in doubt: the one before it, if the counter goes on from there."""
        assert self._doubted is not None
        (before, before_at_ns), self._doubted = self._doubted, None
        if value >= before and _is_plausible(value - before, at_ns - before_at_ns):
            return before, before_at_ns
        return self._value, self._at_ns

    def _step_over_wrap(self, before: int, value: int, elapsed_ns: int) -> int:
        """How far a counter that went back has moved, if it wrapped; -1: it did not."""
        if self._pace is None:
            return -1
        expected = self._pace * elapsed_ns / S
        for unit in (1,) if self._unit <= 1 else (1, self._unit):
            for width in WIDTHS:
                modulus = unit << width
                step = modulus - before + value
                # With half the width or more in one interval it may have gone around any number of times.
                is_once = 2 * expected <= modulus and before < modulus
                if is_once and _PACE_PARTS * abs(step - expected) <= expected and _is_plausible(step, elapsed_ns):
                    return step
        return -1


def _is_plausible(step: int, elapsed_ns: int) -> bool:
    return elapsed_ns > 0 and step * S <= BYTES_PER_SECOND_MAX * elapsed_ns
