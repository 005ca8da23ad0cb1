"""Whether a unit could be slowed by others at all: what was short, and for which units. PURE."""

from typing import assert_never

from msgspec import Struct

from agent.cli.neighbour_episode import Symptom
from agent.cli.neighbour_rise import Sides, rise_of
from agent.cli.neighbour_series import known, mean
from agent.cli.neighbour_unit import (
    BANDWIDTH,
    CPU,
    LLC,
    MEMORY,
    MEMORY_EVENTS,
    MEMORY_LIMIT,
    THROTTLED,
    JudgedUnit,
    NodeWindow,
    UnitWindow,
    parents_of,
)
from agent.cli.neighbour_verdict import Innocence

# Cores are short well before all of them are busy all the time: work comes in bursts, and is not spread evenly.
CPU_FULL_PART = 0.8
# The kernel reclaims before memory is used up.
MEMORY_AVAILABLE_PART = 0.15
LIMIT_PART = 0.9
# What is in no unit counts too, and is not known.
SHARED_PART = 0.85
# A disk is asked for several things at once; where it had nothing to do half of the time, it kept nobody waiting.
DISK_BUSY_PART = 0.5
LESS_WORK_PART = 0.6
# What is its own, a limit or less work, is to blame if it explains so much of the change.
OWN_EXPLAINS = 0.5
# A shared limit that is hit so often in an episode is short.
LIMIT_EVENTS_LEAST = 1.0


class Shortage(Struct, frozen=True):
    """Who may have caused it: everybody, or those below the cgroup `limit` as the victim. `innocence`: nobody, for this reason."""

    innocence: Innocence | None = None
    limit: str | None = None

    def reaches(self, unit: JudgedUnit) -> bool:
        """Whether a unit takes from what was short."""
        return self.limit is None or unit.cgroup.startswith(f"{self.limit}/")


def shortage_of(window: NodeWindow, victim: UnitWindow, symptom: Symptom, sides: Sides) -> Shortage:
    """What was short in an episode."""
    match symptom:
        case Symptom.THROTTLED:
            return Shortage(Innocence.OWN_LIMIT)
        case Symptom.CPU:
            return _of_cpu(window, victim, sides)
        case Symptom.MEMORY:
            return _of_memory(window, victim, sides)
        case Symptom.IO:
            return _of_disk(window, sides)
        case Symptom.CACHE:
            return Shortage(Innocence.LESS_WORK if _works_less(victim, sides) else None)
        case _:
            assert_never(symptom)


def _of_cpu(window: NodeWindow, victim: UnitWindow, sides: Sides) -> Shortage:
    throttled = rise_of(victim.columns.get(THROTTLED), sides)
    waited = rise_of(victim.columns.get("pressure_cpu"), sides)
    if throttled is not None and waited is not None and throttled.size >= OWN_EXPLAINS * waited.size > 0:
        return Shortage(Innocence.OWN_LIMIT)
    cores = window.host.cores
    busy = None if window.host.cpu_cores is None else mean(known(window.host.cpu_cores, sides.begin, sides.end))
    if cores and busy is not None and busy < CPU_FULL_PART * cores:
        return Shortage(Innocence.NO_SHORTAGE)
    return Shortage()


def _of_disk(window: NodeWindow, sides: Sides) -> Shortage:
    busy = None if window.host.disk_busy is None else mean(known(window.host.disk_busy, sides.begin, sides.end))
    return Shortage(Innocence.NO_SHORTAGE if busy is not None and busy < DISK_BUSY_PART else None)


def _works_less(victim: UnitWindow, sides: Sides) -> bool:
    """Whether the victim itself moved less memory, or computed less: a unit that loses cache to another moves more.

    Either much less, or so much that this explains what it lost of the cache: who brings a third less holds a third less.
    """
    lost = _fall(victim, LLC, sides) or 0.0
    fell = _fall(victim, BANDWIDTH, sides)
    if fell is None:
        fell = _fall(victim, CPU, sides)
    return fell is not None and (fell > 1 - LESS_WORK_PART or fell >= OWN_EXPLAINS * lost > 0)


def _fall(unit: UnitWindow, column: str, sides: Sides) -> float | None:
    """By which part a column went down; below 0 where it went up. *Absent:* None where nothing is known, or nothing was there."""
    rise = rise_of(unit.columns.get(column), sides)
    return None if rise is None or rise.before <= 0 else -rise.size / rise.before


def _of_memory(window: NodeWindow, victim: UnitWindow, sides: Sides) -> Shortage:
    limit, held = _during(victim, MEMORY_LIMIT, sides), _during(victim, MEMORY, sides)
    if limit and held is not None and held >= LIMIT_PART * limit:
        return Shortage(Innocence.OWN_LIMIT)
    shared = _shared_limit(window, victim, sides)
    if shared is not None:
        return Shortage(limit=shared)
    if _events(victim, sides) >= LIMIT_EVENTS_LEAST and limit:
        return Shortage(Innocence.OWN_LIMIT)
    total, host = window.host.memory_total_bytes, window.host.memory_available_bytes
    available = None if host is None else known(host, sides.begin, sides.end)
    if total and available and min(available) > MEMORY_AVAILABLE_PART * total:
        return Shortage(Innocence.NO_SHORTAGE)
    return Shortage()


def _shared_limit(window: NodeWindow, victim: UnitWindow, sides: Sides) -> str | None:
    """The innermost cgroup around the victim that was at its limit. *Absent:* None where none was.

    A cgroup that is no unit has no row. Its limit is known by the units in it, which have no higher one, and it is full if they
    together hold nearly all of it.
    """
    units = {unit.unit.cgroup: unit for unit in window.units}
    limit = _during(victim, MEMORY_LIMIT, sides)
    path = victim.unit.cgroup.rpartition("/")[0]
    # As many steps as the path has names.
    while path:
        if (path in units and _is_full(units[path], sides)) or (limit and _hold_all(window, path, limit, sides)):
            return path
        path = path.rpartition("/")[0]
    return None


def _is_full(unit: UnitWindow, sides: Sides) -> bool:
    limit, held = _during(unit, MEMORY_LIMIT, sides), _during(unit, MEMORY, sides)
    return bool(limit) and ((held or 0.0) >= LIMIT_PART * (limit or 0.0) or _events(unit, sides) >= LIMIT_EVENTS_LEAST)


def _hold_all(window: NodeWindow, path: str, limit: float, sides: Sides) -> bool:
    """Whether the units in a cgroup hold nearly all of a limit that all of them have."""
    inside = [unit for unit in window.units if unit.unit.cgroup.startswith(f"{path}/")]
    limits = [_during(unit, MEMORY_LIMIT, sides) for unit in inside]
    # Of a unit and what lies in it, the inner is part of the outer.
    parents = parents_of([unit.unit for unit in inside])
    held = sum(_during(unit, MEMORY, sides) or 0.0 for unit, parent in zip(inside, parents, strict=True) if parent is None)
    return len(inside) > 1 and all(each and each <= limit for each in limits) and held >= SHARED_PART * limit


def _during(unit: UnitWindow, column: str, sides: Sides) -> float | None:
    series = unit.columns.get(column)
    return None if series is None else mean(known(series, sides.begin, sides.end))


def _events(unit: UnitWindow, sides: Sides) -> float:
    series = unit.columns.get(MEMORY_EVENTS)
    return 0.0 if series is None else sum(known(series, sides.begin, sides.end))


def own_rise(window: NodeWindow, victim: UnitWindow, column: str, sides: Sides) -> float:
    """By how much the victim's own use went up, if that is unusual for it; else 0."""
    rise = rise_of(victim.columns.get(column), sides)
    return rise.size if rise is not None and rise.is_unusual and rise.size > 0 else 0.0


def rise_outside(window: NodeWindow, inside: float, column: str, sides: Sides) -> float:
    """By how much CPU went up that belongs to no unit; `inside` is the rise of all units together."""
    if column != CPU or (host := rise_of(window.host.cpu_cores, sides)) is None:
        return 0.0
    return max(0.0, host.size - inside)
