"""Counters of named devices from tick to tick, and which of very many devices have a row of their own. PURE."""

from collections.abc import Mapping, Sequence
from heapq import nlargest

from msgspec import Struct

from agent.model.absence import Absence

Counters = tuple[int | None, ...]


class Increase(Struct, frozen=True):
    """By how much the counters of a device, or of several together, grew since the last tick.

    *Absent:* a counter is None where the kernel has none, and all are where `reason` says why: first_tick, counter_reset; with
    `incomplete`, some of several devices are not in the sums.
    """

    counters: Counters
    reason: Absence | None = None

    @property
    def is_known(self) -> bool:
        """Whether there are numbers."""
        return self.reason in (None, Absence.INCOMPLETE)


class Devices:
    """The counters of the last tick, by device."""

    def __init__(self) -> None:
        self._before: Mapping[str, Counters] = {}

    def increases(self, now: Mapping[str, Counters]) -> dict[str, Increase]:
        """For each device since the last tick. A device that was not there then begins now."""
        before, self._before = self._before, now
        return {name: _increase(before.get(name), counters) for name, counters in now.items()}


def _increase(before: Counters | None, now: Counters) -> Increase:
    nothing = (None,) * len(now)
    if before is None:
        return Increase(nothing, Absence.FIRST_TICK)
    grown = tuple(None if old is None or new is None else new - old for old, new in zip(before, now, strict=True))
    # One counter that fell may have wrapped or restarted, and the device may be another one of the same name: then the
    # increase of the others is as false as that of this one.
    if any(part is not None and part < 0 for part in grown):
        return Increase(nothing, Absence.COUNTER_RESET)
    return Increase(grown)


def busiest(increases: Mapping[str, Increase], traffic: Sequence[int], rows_max: int) -> tuple[list[str], list[str]]:
    """The names that have a row of their own, in order, and all others. `traffic`: the places of the counters that decide."""
    if len(increases) <= rows_max:
        return sorted(increases), []
    named = nlargest(rows_max, increases, key=lambda name: (sum(increases[name].counters[each] or 0 for each in traffic), name))
    return sorted(named), sorted(increases.keys() - set(named))


def summed(increases: Sequence[Increase]) -> Increase:
    """Several devices as one; those whose increase is not known are left out, which the reason says."""
    known = [each for each in increases if each.is_known]
    if not known:
        return increases[0]
    counters = tuple(_sum(parts) for parts in zip(*(each.counters for each in known), strict=True))
    return Increase(counters, None if len(known) == len(increases) else Absence.INCOMPLETE)


def _sum(parts: Sequence[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None
