"""From moments over hours to verdicts: what grows by the hour, whether or not anything is killed. Touches nothing.

A slope is that of means over equal blocks of time, each process with a level of its own. Figures of neighbouring moments hang
together (a cache fills, a segment is sealed), so that errors made of single figures would be far too small. What a process gains in
its warm-up is left out; each successor has a warm-up of its own.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from soaking.judgement import Verdict

MIB = 1 << 20
HOUR = 3600.0
# What a process fills for good in its first minutes: caches of names, the allocator's arenas, tables of known processes.
WARM_UP_SECONDS = 600.0
# With less after the warm-up, one step of an allocator looks like a leak.
JUDGED_SECONDS_MIN = 1200.0
BLOCKS = 20
# A block of fewer processes' lives than that has no error to speak of.
BLOCKS_MIN = 6
# A run of a quarter of a day and more is judged four times as strictly: steps have evened out, and what grows grows on.
LONG_SECONDS, LONG_FACTOR = 6 * HOUR, 0.25
# Lost for reasons of the host, not of the agent: it was stopped, slept, or got no processor.
HOSTS_REASONS = frozenset({"frozen", "suspended", "starved"})
# One tick in a thousand.
MISSED_PER_DUE_MAX = 1e-3


@dataclass(frozen=True)
class ProcessMoment:
    """One process: what it holds, and its CPU time since its start.

    `descriptors` has not the one of a file of a process that lives: those of a sampler follow the host.
    """

    pid: int
    rss_bytes: int
    pss_bytes: int
    descriptors: int
    threads: int
    cpu_seconds: float


@dataclass(frozen=True)
class Moment:
    """All lasting processes of the agent by their names, and its folder, at one time."""

    at_seconds: float
    processes: Mapping[str, ProcessMoment]
    state_bytes: int
    spool_bytes: int

    @property
    def pss_bytes(self) -> int:
        """Memory of the whole agent."""
        return sum(each.pss_bytes for each in self.processes.values())


@dataclass(frozen=True)
class TimedPoint:
    """A figure of one process at one time."""

    pid: int
    at_seconds: float
    value: float


@dataclass(frozen=True)
class HourlySlope:
    """`per_hour` with its standard error, over `seconds` of the lives of one or several processes in turn."""

    per_hour: float
    error: float
    seconds: float


@dataclass(frozen=True)
class Terms:
    """How long a process warms up, how long it is looked at after that for a verdict, and what the agent's folder may hold."""

    warm_up_seconds: float = WARM_UP_SECONDS
    judged_seconds_min: float = JUDGED_SECONDS_MIN
    quota_bytes: int = 0
    kills: int = 0


@dataclass(frozen=True)
class Figure:
    """What is measured of each process: its name, the unit of a slope, the slope it may have per hour, and where it is found.

    *Absent:* `per_hour_max` of what is shown and not judged.
    """

    name: str
    unit: str
    per_hour_max: float | None
    of: Callable[[ProcessMoment], float]


# The PSS of one process grows when another ends that shared pages with it, so that it is judged of the whole agent. A leak of one
# descriptor at each seal (once a minute here) is 60 an hour. CPU has a limit of its own.
FIGURES = (
    Figure("RSS", "MiB", 1.0, lambda process: process.rss_bytes / MIB),
    Figure("PSS", "MiB", None, lambda process: process.pss_bytes / MIB),
    Figure("descriptors", "", 6.0, lambda process: process.descriptors),
    Figure("threads", "", 1.0, lambda process: process.threads),
)
# Seconds of CPU in a minute, more with every hour: half a percent of a core.
CPU_PER_HOUR_MAX = 0.3
# The whole agent may gain what four of its processes may.
TREE_MIB_PER_HOUR_MAX = 4.0
# What waits in the spool goes up and down with each seal, and no further.
SPOOL_MIB_PER_HOUR_MAX = 4.0


def slope_per_hour(points: Sequence[TimedPoint], *, warm_up_seconds: float = WARM_UP_SECONDS) -> HourlySlope | None:
    """How a figure grows in time; None: too few points after the warm-up. *Range:* an infinite error where it cannot be known."""
    lives = [_blocks(life, warm_up_seconds) for life in _lives(points)]
    lives = [life for life in lives if len(life) > 1]
    across = [(at - _mean([x for x, _ in life]), value - _mean([y for _, y in life])) for life in lives for at, value in life]
    spread = sum(at * at for at, _ in across)
    if spread == 0:
        return None
    slope = sum(at * value for at, value in across) / spread
    free = len(across) - len(lives) - 1
    rest = sum((value - slope * at) ** 2 for at, value in across)
    error = math.sqrt(rest / free / spread) if len(across) >= BLOCKS_MIN and free > 0 else math.inf
    return HourlySlope(slope, error, sum(life[-1][0] - life[0][0] for life in lives) * HOUR)


def judge_slope(name: str, unit: str, per_hour_max: float, points: Sequence[TimedPoint], terms: Terms) -> Verdict:
    """A figure may not grow by more than so much an hour, two standard errors granted."""
    slope = slope_per_hour(points, warm_up_seconds=terms.warm_up_seconds)
    seconds = _judged_seconds(points, terms)
    if slope is None or seconds < terms.judged_seconds_min or not math.isfinite(slope.error):
        return Verdict(
            name, None, f"too short to say: {seconds:.0f} s after the warm-up, {terms.judged_seconds_min:.0f} are needed"
        )
    limit = per_hour_max * (LONG_FACTOR if seconds >= LONG_SECONDS else 1)
    unit = f" {unit}" if unit else ""
    found = f"{slope.per_hour:+.3f} ± {slope.error:.3f}{unit} per hour over {seconds / 60:.0f} min, limit {limit:g}"
    if slope.per_hour - 2 * slope.error > limit:
        return Verdict(name, False, found)
    if 2 * slope.error > limit:
        return Verdict(name, None, f"{found}: too rough to say")
    return Verdict(name, True, found)


def judge_moments(moments: Sequence[Moment], terms: Terms) -> list[Verdict]:
    """Every verdict on what grows: each process, all together, and the folder."""
    judged = []
    for role in roles(moments):
        for figure in FIGURES:
            if figure.per_hour_max is not None:
                points = points_of(moments, role, figure.of)
                judged.append(judge_slope(f"{figure.name} of {role} by the hour", figure.unit, figure.per_hour_max, points, terms))
        name = f"CPU of {role} by the hour"
        judged.append(judge_slope(name, "s/min", CPU_PER_HOUR_MAX, cpu_points(moments, role), terms))
    # A successor makes another whole, with a level of its own.
    wholes = {pids: number for number, pids in enumerate(dict.fromkeys(map(_pids, moments)))}
    whole = [TimedPoint(wholes[_pids(each)], each.at_seconds, each.pss_bytes / MIB) for each in moments]
    judged.append(judge_slope("PSS of the whole agent by the hour", "MiB", TREE_MIB_PER_HOUR_MAX, whole, terms))
    spool = [TimedPoint(0, each.at_seconds, each.spool_bytes / MIB) for each in moments]
    judged.append(judge_slope("spool by the hour", "MiB", SPOOL_MIB_PER_HOUR_MAX, spool, terms))
    judged.append(judge_folder(moments, terms))
    return judged


def judge_folder(moments: Sequence[Moment], terms: Terms) -> Verdict:
    """The state folder stays within the storage quota; how long until it is full, at the present rate, is told."""
    name = "state folder within its quota"
    if not moments or terms.quota_bytes <= 0:
        return Verdict(name, None, "there is no quota or no moment")
    largest = max(each.state_bytes for each in moments)
    # What is written while the oldest files are removed, and what is no data: records, locks, the settings in force.
    allowed = terms.quota_bytes + terms.quota_bytes // 10
    points = [TimedPoint(0, each.at_seconds, each.state_bytes / MIB) for each in moments]
    slope = slope_per_hour(points, warm_up_seconds=0)
    rate = "" if slope is None else f", {slope.per_hour:+.1f} MiB per hour"
    found = f"at most {largest / MIB:.1f} of {terms.quota_bytes / MIB:.0f} MiB{rate}"
    return Verdict(name, largest <= allowed, found)


def judge_losses(gaps: Mapping[str, int], missed: Mapping[str, int], due: int, terms: Terms) -> list[Verdict]:
    """`gaps`: rows of table `gap` by reason; `missed`: ticks in them by reason; `due`: all ticks that there should be.

    What the host took is told and not judged. Where processes are killed, losses belong to the kills, and nothing is judged.
    """
    ours = {reason: count for reason, count in missed.items() if reason not in HOSTS_REASONS and count}
    host = {reason: count for reason, count in missed.items() if reason in HOSTS_REASONS and count}
    told = f"; by the host: {_counted(host)}" if host else ""
    if terms.kills:
        found = f"{sum(missed.values())} of {due} ticks, after {terms.kills} kills: {_counted(missed) or 'none'}"
        return [Verdict("ticks missed", None, found), Verdict("rows of gap", None, _counted(gaps) or "none")]
    if due <= 0:
        return [Verdict("ticks missed", None, "no tick was due")]
    count = sum(ours.values())
    error = math.sqrt(count)
    found = f"{count} ± {error:.1f} of {due} ticks{f': {_counted(ours)}' if ours else ''}{told}"
    other = {reason: rows for reason, rows in gaps.items() if reason not in HOSTS_REASONS and reason not in missed}
    return [
        Verdict("ticks missed", count - 2 * error <= MISSED_PER_DUE_MAX * due, f"{found}, limit {MISSED_PER_DUE_MAX * due:.1f}"),
        Verdict("rows of gap that are no ticks", not other, _counted(other) or "none"),
    ]


def roles(moments: Sequence[Moment]) -> list[str]:
    """Whose figures there are."""
    return sorted({role for each in moments for role in each.processes})


def points_of(moments: Sequence[Moment], role: str, figure: Callable[[ProcessMoment], float]) -> list[TimedPoint]:
    """One figure of one role in the order of time."""
    return [
        TimedPoint(each.processes[role].pid, each.at_seconds, figure(each.processes[role]))
        for each in moments
        if role in each.processes
    ]


def cpu_points(moments: Sequence[Moment], role: str) -> list[TimedPoint]:
    """Seconds of CPU per minute between each two moments of one process."""
    raw = points_of(moments, role, lambda process: process.cpu_seconds)
    return [
        TimedPoint(after.pid, after.at_seconds, (after.value - before.value) / (after.at_seconds - before.at_seconds) * 60)
        for before, after in pairwise(raw)
        if after.pid == before.pid and after.at_seconds > before.at_seconds
    ]


def _pids(moment: Moment) -> frozenset[int]:
    return frozenset(each.pid for each in moment.processes.values())


def _judged_seconds(points: Sequence[TimedPoint], terms: Terms) -> float:
    """How long the lives of the processes last after their warm-ups."""
    return sum(max(0.0, life[-1].at_seconds - life[0].at_seconds - terms.warm_up_seconds) for life in _lives(points))


def _lives(points: Sequence[TimedPoint]) -> list[list[TimedPoint]]:
    lives: dict[int, list[TimedPoint]] = {}
    for each in points:
        lives.setdefault(each.pid, []).append(each)
    return list(lives.values())


def _blocks(life: Sequence[TimedPoint], warm_up_seconds: float) -> list[tuple[float, float]]:
    """Mean time in hours and mean value of up to BLOCKS equal pieces of what follows the warm-up."""
    warm = [each for each in life if each.at_seconds - life[0].at_seconds >= warm_up_seconds]
    if len(warm) < 2:
        return []
    begin, length = warm[0].at_seconds, (warm[-1].at_seconds - warm[0].at_seconds) / BLOCKS
    pieces: dict[int, list[TimedPoint]] = {}
    for each in warm:
        pieces.setdefault(min(BLOCKS - 1, int((each.at_seconds - begin) / length)) if length else 0, []).append(each)
    return [(_mean([it.at_seconds for it in piece]) / HOUR, _mean([it.value for it in piece])) for piece in pieces.values()]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
