"""From samples to verdicts: what has grown, and whether that can be said at all. Touches nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

MIB = 1 << 20
MEMORY_SLOPE_MIB_MAX = 1.0
SLOPE_PER_KILLS = 10_000
# What a process keeps for good once it has met everything: the last deaths, the last events, the allocator's arenas.
WARM_UP_KILLS = 1_000
# Memory moves in pages and arenas; over less than this a slope is noise.
JUDGED_KILLS_MIN = 2_000


@dataclass(frozen=True)
class Point:
    """A figure of one process, and the number of kills before it."""

    pid: int
    kills: int
    value: float


@dataclass(frozen=True)
class Slope:
    """Least squares over several processes in turn, each with a level of its own. `kills` is what they saw after warm-up."""

    per_kill: float
    error_per_kill: float
    kills: int
    points: int


@dataclass(frozen=True)
class Verdict:
    """`is_good` None: too little was seen to say."""

    name: str
    is_good: bool | None
    found: str


def slope_of(points: Sequence[Point], *, warm_up_kills: int = WARM_UP_KILLS) -> Slope | None:
    """How a figure grows with the kills that its process has lived through; None: too few points.

    Each process begins at a level of its own, and what it gains in its first `warm_up_kills` is left out.
    """
    warm = [each for group in _by_process(points) for each in group if each.kills - group[0].kills >= warm_up_kills]
    groups = [group for group in _by_process(warm) if len(group) > 1]
    across = [(each, _mean([it.kills for it in group]), _mean([it.value for it in group])) for group in groups for each in group]
    spread = sum((each.kills - kills) ** 2 for each, kills, _value in across)
    if spread == 0:
        return None
    per_kill = sum((each.kills - kills) * (each.value - value) for each, kills, value in across) / spread
    rest = sum((each.value - value - per_kill * (each.kills - kills)) ** 2 for each, kills, value in across)
    free = len(across) - len(groups) - 1
    error = math.sqrt(rest / free / spread) if free else math.inf
    seen = sum(group[-1].kills - group[0].kills for group in groups)
    return Slope(per_kill, error, seen, len(across))


def growth_of(points: Sequence[Point]) -> float:
    """The middle figure of the last third over that of the first: zero for what only comes and goes."""
    third = max(1, len(points) // 3)
    return median_low(each.value for each in points[-third:]) - median_low(each.value for each in points[:third])


def judge_memory(name: str, points: Sequence[Point]) -> Verdict:
    """Bytes may not grow by more than a mebibyte in ten thousand kills, two standard errors granted."""
    slope = slope_of(points)
    if slope is None or slope.kills < JUDGED_KILLS_MIN:
        seen = 0 if slope is None else slope.kills
        return Verdict(name, None, f"{seen} kills after the warm-up are too few, {JUDGED_KILLS_MIN} are needed")
    rate, error = (each * SLOPE_PER_KILLS / MIB for each in (slope.per_kill, slope.error_per_kill))
    found = f"{rate:+.2f} ± {error:.2f} MiB per {SLOPE_PER_KILLS:,} kills, over {slope.kills} kills"
    if 2 * error > MEMORY_SLOPE_MIB_MAX and rate - 2 * error <= MEMORY_SLOPE_MIB_MAX:
        return Verdict(name, None, f"{found}: too rough to say")
    return Verdict(name, rate - 2 * error <= MEMORY_SLOPE_MIB_MAX, found)


def judge_count(name: str, points: Sequence[Point]) -> Verdict:
    """A count may not grow at all."""
    growth, values = growth_of(points), [each.value for each in points]
    found = f"{growth:+g} ({values[0]:g} at the start, {values[-1]:g} at the end, {len(values)} samples)"
    return Verdict(name, growth <= 0, found)


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """How many there are, the middle one, the 99th in a hundred and the largest."""
    if not values:
        return {"count": 0}
    ordered = sorted(values)
    p99 = ordered[math.ceil(len(ordered) * 0.99) - 1]
    return {
        "count": len(ordered),
        "p50": _rounded(ordered[(len(ordered) - 1) // 2]),
        "p99": _rounded(p99),
        "max": _rounded(ordered[-1]),
    }


def _rounded(value: float) -> float:
    return round(value, 2)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _by_process(points: Sequence[Point]) -> list[list[Point]]:
    groups: dict[int, list[Point]] = {}
    for each in points:
        groups.setdefault(each.pid, []).append(each)
    return list(groups.values())
