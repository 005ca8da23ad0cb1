"""How true the begin of scans is to a raster of equal intervals."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Raster:
    """`late_ms`: each begin behind its own instant of the raster. `missed` instants had no begin, `doubled` begins are too many."""

    late_ms: list[float]
    missed: int
    doubled: int


def judge(starts_ns: Sequence[int], interval_ns: int) -> Raster:
    """The raster is laid through the earliest begin: nothing can begin before it is due.

    *Range:* a begin belongs to the instant that it is next to, so none may be late by half an interval or more.
    """
    assert starts_ns
    ordered = sorted(starts_ns)
    numbers = [round((start_ns - ordered[0]) / interval_ns) for start_ns in ordered]
    phases_ns = [start_ns - number * interval_ns for start_ns, number in zip(ordered, numbers, strict=True)]
    due_ns = min(phases_ns)
    distinct = len(set(numbers))
    return Raster([(phase_ns - due_ns) / 1e6 for phase_ns in phases_ns], numbers[-1] + 1 - distinct, len(numbers) - distinct)
