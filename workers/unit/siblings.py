"""The units directly below one cgroup, and which of them are looked at. PURE.

What they do is counted in that cgroup too. So one reading there tells whether any of them did something. When those
that are known to be busy make up for all that was used there, none of the others did.
"""

from collections.abc import Iterator

from agent.model.timebase import MS, S
from workers.unit.tracked_unit import TrackedUnit

# A unit that used no CPU for so long is idle: it is looked at in turn.
BUSY_NS = 10 * S
# A unit that did nothing has a row after a minute at the latest: it is due after this time, and in one tick only this part of all
# units, so that those that began together do not cost all in one.
SILENCE_NS, SILENT_TICKS = 40 * S, 8
# So many idle ones are looked at in each tick that anything was done in; each is after this time at the latest.
IDLE_LOOKS, IDLE_LOOK_TICKS = 100, 40
# Readings at different moments never add up exactly: what is missing up to this, and this part of the sum, is nobody's.
UNEXPLAINED_NS, UNEXPLAINED_SHARE = 5 * MS, 32
# All idle ones are looked at for CPU time that is unexplained; when it was none of theirs, so many ticks pass before the next time.
FRUITLESS_TICKS_MAX = 64


class Siblings:
    """`gate` is the cgroup that they are in, which is a unit itself or read for this alone."""

    def __init__(self, gate: TrackedUnit) -> None:
        self.gate = gate
        self.busy: dict[TrackedUnit, None] = {}
        # The one looked at longest ago is first; and the one whose row is oldest.
        self.idle: dict[TrackedUnit, None] = {}
        self._told: dict[TrackedUnit, None] = {}
        self.links = gate.state.links
        self._wait_ticks = 0
        self._fruitless = 1

    def __len__(self) -> int:
        return len(self.busy) + len(self.idle)

    def add(self, unit: TrackedUnit) -> None:
        """One more, busy until it is known to be idle."""
        self.busy[unit] = None

    def remove(self, unit: TrackedUnit) -> None:
        """One less."""
        self.busy.pop(unit, None)
        self.idle.pop(unit, None)
        self._told.pop(unit, None)

    def settle(self, unit: TrackedUnit, now_ns: int) -> None:
        """A unit was looked at: it is busy or idle from now on, and last in turn."""
        if now_ns - unit.active_at_ns < BUSY_NS:
            if self.idle:
                self.idle.pop(unit, None)
                self._told.pop(unit, None)
            self.busy[unit] = None
            return
        self.busy.pop(unit, None)
        self.idle.pop(unit, None)
        self.idle[unit] = None
        if unit.told_at_ns == now_ns:
            self._told.pop(unit, None)
        self._told.setdefault(unit)

    def in_turn(self, now_ns: int, *, is_moved: bool) -> list[TrackedUnit]:
        """Idle units to look at now: those whose row is due, and, where anything was done above them, others in turn."""
        found: dict[TrackedUnit, None] = {}
        for unit, _ in zip(self._told, range(1 + len(self._told) // SILENT_TICKS), strict=False):
            if now_ns - unit.told_at_ns < SILENCE_NS:
                break
            found[unit] = None
        if is_moved:
            looks = max(IDLE_LOOKS, -(-len(self.idle) // IDLE_LOOK_TICKS))
            found.update(dict.fromkeys(unit for unit, _ in zip(self.idle, range(looks), strict=False)))
        return list(found)

    def others(self, used_ns: int | None, explained_ns: int, looked_at: list[TrackedUnit]) -> Iterator[TrackedUnit]:
        """All other idle units, where more CPU time was used above than is explained; whether that helped is told by `learn`."""
        if used_ns is None or used_ns - explained_ns <= UNEXPLAINED_NS + used_ns // UNEXPLAINED_SHARE:
            return
        if self._wait_ticks > 0:
            self._wait_ticks -= 1
            return
        done = set(looked_at)
        yield from [unit for unit in self.idle if unit not in done]

    def learn(self, *, is_found: bool) -> None:
        """Whether one of the others had done something."""
        self._fruitless = 1 if is_found else min(2 * self._fruitless, FRUITLESS_TICKS_MAX)
        self._wait_ticks = 0 if is_found else self._fruitless
