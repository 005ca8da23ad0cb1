"""Counters of named devices from tick to tick, and which of very many devices have a row of their own. PURE."""

from collections.abc import Mapping, Sequence
from heapq import nlargest
from operator import sub

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
    if before is None:
        return Increase((None,) * len(now), Absence.FIRST_TICK)
    if None in before or None in now:
        grown: Counters = tuple(None if old is None or new is None else new - old for old, new in zip(before, now, strict=True))
        has_fallen = any(part is not None and part < 0 for part in grown)
    elif before is now:
        return Increase((0,) * len(now))
    else:
        # A thousand interfaces are not rare.
        differences = tuple(map(sub, now, before))
        grown, has_fallen = differences, min(differences) < 0
    # One counter that fell may have wrapped or restarted, and the device may be another one of the same name: then the
    # increase of the others is as false as that of this one.
    return Increase((None,) * len(now), Absence.COUNTER_RESET) if has_fallen else Increase(grown)


def busiest(increases: Mapping[str, Increase], traffic: tuple[int, int], rows_max: int) -> tuple[list[str], list[str]]:
    """The names that have a row of their own, in order, and all others. `traffic`: the two counters whose sum decides."""
    if len(increases) <= rows_max:
        return sorted(increases), []
    first, second = traffic

    def moved(name: str) -> tuple[int, str]:
        counters = increases[name].counters
        return (counters[first] or 0) + (counters[second] or 0), name

    named = nlargest(rows_max, increases, key=moved)
    return sorted(named), sorted(increases.keys() - set(named))


def summed(increases: Sequence[Increase]) -> Increase:
    """Several devices as one; those whose increase is not known are left out, which the reason says."""
    known = [each for each in increases if each.is_known]
    if not known:
        return increases[0]
    counters = tuple([_sum(parts) for parts in zip(*[each.counters for each in known], strict=True)])
    return Increase(counters, None if len(known) == len(increases) else Absence.INCOMPLETE)


def _sum(parts: Sequence[int | None]) -> int | None:
    # A thousand of them: searched and added up in C.
    known = parts if None not in parts else [part for part in parts if part is not None]
    return sum(known) if known else None  # type: ignore[arg-type]  # none of them is None
