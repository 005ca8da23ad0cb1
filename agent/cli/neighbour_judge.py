"""Who made a unit suffer in an episode. PURE.

A neighbour is named if it could have done it (what the victim lacks was short, and both take from it), if it rose in the same
seconds (its onset is at that of the victim), if the rise is unusual for it and large beside all that rose, and if hardly any shift
in time fits as well.
docs/neighbours.md says why each of these is needed.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from agent.cli.neighbour_episode import RULES, Episode, Symptom
from agent.cli.neighbour_rise import (
    BEFORE_SECONDS_LEAST,
    GUARD_SECONDS,
    JUDGED_SECONDS_MAX,
    Rise,
    Sides,
    onset_of,
    outermost,
    rise_of,
    rises_of,
)
from agent.cli.neighbour_series import known
from agent.cli.neighbour_shift import coincidence_of
from agent.cli.neighbour_shortage import Shortage, own_rise, rise_outside, shortage_of
from agent.cli.neighbour_unit import (
    BANDWIDTH,
    CPU,
    IO_BYTES,
    IO_OPERATIONS,
    LLC,
    MEMORY,
    NodeWindow,
    UnitWindow,
    are_related,
)
from agent.cli.neighbour_verdict import Innocence, NoisyNeighbour, Verdict

# Seconds of a window that are looked at before and behind an episode.
BEFORE_SECONDS, BEHIND_SECONDS = 180, 60
# Less of all that rose than this is a part in it, and no cause.
PART_LEAST = 0.2
CORRELATION_LEAST = 0.35
CHANCE_MOST = 0.05
MIB = 1024 * 1024


class Cause(Struct, frozen=True):
    """A column whose rise in others may cause a symptom: the least rise, and how long before the victim it may begin.

    `part_of_host` is the least rise as a part of the host's cores, where that is more. Up to `behind_seconds` behind the episode it
    must fall as the symptom does.
    """

    column: str
    least: float
    reach_seconds: int = 8
    part_of_host: float = 0.0
    behind_seconds: int = BEHIND_SECONDS


# Memory is taken long before it is short, and kept when the victim has found another way.
CAUSES: Mapping[Symptom, Sequence[Cause]] = {
    Symptom.CPU: (Cause(CPU, 0.1, part_of_host=0.05),),
    Symptom.MEMORY: (Cause(MEMORY, 16 * MIB, reach_seconds=90, behind_seconds=0),),
    Symptom.IO: (Cause(IO_BYTES, MIB), Cause(IO_OPERATIONS, 30.0)),
    Symptom.CACHE: (Cause(LLC, MIB / 4), Cause(BANDWIDTH, 50 * MIB)),
}


class Trial(Struct, frozen=True):
    """One episode of one unit, and what is known of its window."""

    window: NodeWindow
    victim: UnitWindow
    symptom: Symptom
    episode: Episode
    sides: Sides
    shortage: Shortage


def judge(window: NodeWindow, uid: str, symptom: Symptom, episode: Episode, masked: Sequence[Episode] = ()) -> Verdict:
    """The verdict on an episode; its places, and those of the victim's other episodes (`masked`), are those of the window."""
    victim = next(unit for unit in window.units if unit.unit.uid == uid)
    sides = sides_of(window, episode, masked, reach=max((cause.reach_seconds for cause in CAUSES.get(symptom, ())), default=0))
    if symptom is not Symptom.THROTTLED and (episode.usual is None or len(sides.calm) < BEFORE_SECONDS_LEAST):
        return _verdict(window, uid, symptom, episode, innocence=Innocence.TOO_LITTLE)
    shortage = shortage_of(window, victim, symptom, sides)
    limit = shortage.limit
    if shortage.innocence is not None:
        return _verdict(window, uid, symptom, episode, innocence=shortage.innocence)
    trial = Trial(window, victim, symptom, episode, sides, shortage)
    tried = [_tried(trial, cause) for cause in CAUSES[symptom]]
    named = [culprits for culprits in tried if not isinstance(culprits, Innocence)]
    if named:
        # The column that says most: the largest part of one neighbour.
        best = max(named, key=lambda culprits: culprits[0].part)
        return _verdict(window, uid, symptom, episode, culprits=best, limit=limit)
    told = [each for each in tried if isinstance(each, Innocence)]
    reason = next((each for each in told if each is not Innocence.NOTHING_ROSE), Innocence.NOTHING_ROSE)
    return _verdict(window, uid, symptom, episode, innocence=reason, limit=limit)


def _verdict(
    window: NodeWindow,
    uid: str,
    symptom: Symptom,
    episode: Episode,
    *,
    culprits: tuple[NoisyNeighbour, ...] = (),
    innocence: Innocence | None = None,
    limit: str | None = None,
) -> Verdict:
    before = None if episode.usual is None else episode.usual.median
    begin, end = window.begin_s + episode.begin, window.begin_s + episode.end
    return Verdict(uid, symptom, begin, end, before, episode.during, culprits, innocence, limit)


def sides_of(window: NodeWindow, episode: Episode, masked: Sequence[Episode], *, reach: int) -> Sides:
    """The calm seconds before an episode, and those of it that are judged. A cause that may begin early has a longer guard."""
    guard = max(GUARD_SECONDS, min(reach // 2, 30)) if reach > BEFORE_SECONDS_LEAST else GUARD_SECONDS
    first = max(0, episode.begin - BEFORE_SECONDS)
    taken = {place for other in masked for place in range(other.begin - GUARD_SECONDS, other.end + GUARD_SECONDS)}
    calm = [place for place in range(first, max(first, episode.begin - guard)) if place not in taken]
    return Sides(calm, episode.begin, min(episode.end, episode.begin + JUDGED_SECONDS_MAX, window.seconds))


def _tried(trial: Trial, cause: Cause) -> tuple[NoisyNeighbour, ...] | Innocence:
    """The neighbours whose column rose, the largest part first; why there is none."""
    window, sides = trial.window, trial.sides
    rises = rises_of(window, cause.column, sides)
    others = {
        place: rise.own
        for place, rise in enumerate(rises)
        if rise is not None and rise.own > 0 and _is_neighbour(trial, window.units[place])
    }
    if cause.column in (LLC, BANDWIDTH):
        others = _once_per_group(window, others)
    roots = [rise_of(unit.columns.get(cause.column), sides) for unit in outermost(window)]
    inside = sum(rise.size for rise in roots if rise is not None)
    outside = rise_outside(window, inside, cause.column, sides)
    # Small changes of many units are noise, and together much.
    total = outside + sum(size for place, size in others.items() if (rise := rises[place]) is not None and rise.is_unusual)
    own = 0.0 if trial.symptom is Symptom.CACHE else own_rise(window, trial.victim, cause.column, sides)
    if own >= total and own > 0:
        return Innocence.OWN_LOAD
    least = max(cause.least, cause.part_of_host * (window.host.cores or 0.0))
    named = []
    for place, size in others.items():
        rise = rises[place]
        if rise is not None and rise.is_unusual and size >= least and size >= PART_LEAST * total:
            culprit = _culprit(trial, cause, place, rise, size / total)
            if culprit is not None:
                named.append(culprit)
    if named:
        return tuple(sorted(named, key=lambda culprit: (-culprit.part, culprit.unit)))
    return Innocence.NO_UNIT if outside >= total / 2 and outside >= least else Innocence.NOTHING_ROSE


def _once_per_group(window: NodeWindow, sizes: Mapping[int, float]) -> dict[int, float]:
    """Units of one group have its values, each: one of them stands for all."""
    first: dict[str, int] = {}
    for place in sizes:
        unit = window.units[place].unit
        first.setdefault(unit.group or unit.uid, place)
    return {place: sizes[place] for place in first.values()}


def _is_neighbour(trial: Trial, other: UnitWindow) -> bool:
    """Whether a unit could take what the victim lacks."""
    victim = trial.victim.unit
    if are_related(victim, other.unit) or not trial.shortage.reaches(other.unit):
        return False
    return trial.symptom is not Symptom.CACHE or victim.group is None or victim.group != other.unit.group


def _culprit(trial: Trial, cause: Cause, place: int, rise: Rise, part: float) -> NoisyNeighbour | None:
    """It as a culprit. *Absent:* None where it did not begin with the victim, or other times fit as well."""
    other = trial.window.units[place]
    series = other.columns[cause.column]
    onset = onset_of(series, rise, trial.episode.begin, cause.reach_seconds)
    if onset is None:
        return None
    suffered = trial.victim.columns[RULES[trial.symptom].column]
    begin, end = max(0, trial.episode.begin - BEFORE_SECONDS), min(trial.window.seconds, trial.sides.end + cause.behind_seconds)
    found = coincidence_of(suffered, series, begin, end)
    if found is None or found.correlation < CORRELATION_LEAST or found.chance > CHANCE_MOST:
        return None
    half = rise.before + rise.size / 2
    seconds = sum(value >= half for value in known(series, trial.sides.begin, trial.sides.end))
    lag = trial.episode.begin - onset
    return NoisyNeighbour(
        other.unit.uid, cause.column, rise.before, rise.during, part, lag, seconds, found.correlation, found.chance
    )
