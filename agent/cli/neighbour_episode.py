"""When a unit suffered: stretches in which its pressure, throttling or loss of cache was clearly above the usual. PURE."""

from collections.abc import Mapping
from enum import StrEnum
from math import nan

from msgspec import Struct

from agent.cli.neighbour_series import Level, Series, gap_series, known, level_of, median_of
from agent.cli.neighbour_unit import PRESSURE_CPU, PRESSURE_IO, PRESSURE_MEMORY, THROTTLED

# What is usual is taken of so many seconds before, and of these at least so many must be known.
USUAL_SECONDS, USUAL_SECONDS_LEAST = 120, 20
# It is computed again after so many seconds.
USUAL_STEP = 20
# A rise is that of an episode if it lasts: so many of so many seconds.
SUSTAINED, SUSTAINED_OF = 5, 8
# An episode ends when the next seconds are calm. So few of them that count are odd ones, which every unit has: they would stretch
# an episode far behind its cause, and its means would say that nothing was short.
CALM_SECONDS, ODD_SECONDS_MAX = 8, 2
# A rise must be so many usual deviations large.
SIGMAS = 4.0
# And such a part of what is usual.
RISE_OF_USUAL = 0.5
EPISODES_MAX = 200
# Who holds less has none to lose: the counters of caches are coarse.
CACHE_BYTES_LEAST = 256 * 1024
# A level that has held so long is what is usual now.
EPISODE_SECONDS_MAX = 300


class Symptom(StrEnum):
    """What a unit suffers from."""

    CPU = "cpu"
    """Its threads wait for a CPU."""
    MEMORY = "memory"
    """Its threads wait for memory."""
    IO = "io"
    """Its threads wait for I/O."""
    THROTTLED = "throttled"
    """Its own CPU limit holds it back."""
    CACHE = "cache"
    """It lost last-level cache."""


class SymptomRule(Struct, frozen=True):
    """The column of a symptom, from which value on it counts, and by how much it must rise."""

    column: str
    floor: float
    rise: float


LOSS = "llc_loss"
# A twentieth of the time is what a person notices. Memory that is waited for at all is short.
RULES: Mapping[Symptom, SymptomRule] = {
    Symptom.CPU: SymptomRule(PRESSURE_CPU, 0.05, 0.05),
    Symptom.MEMORY: SymptomRule(PRESSURE_MEMORY, 0.02, 0.02),
    Symptom.IO: SymptomRule(PRESSURE_IO, 0.05, 0.05),
    Symptom.THROTTLED: SymptomRule(THROTTLED, 0.05, 0.05),
    Symptom.CACHE: SymptomRule(LOSS, 0.25, 0.2),
}


class Episode(Struct, frozen=True):
    """A stretch of a series: from place `begin` on and before `end`. `usual` is what was before; None: too little is known."""

    begin: int
    end: int
    usual: Level | None
    during: float

    @property
    def seconds(self) -> int:
        """How long it was."""
        return self.end - self.begin

    @property
    def lost_seconds(self) -> float:
        """How much more of the time it suffered than is usual, in seconds."""
        return max(0.0, self.during - (self.usual.median if self.usual is not None else 0.0)) * self.seconds


def episodes_of(series: Series, rule: SymptomRule) -> list[Episode]:
    """The episodes of a series, in the order of time; EPISODES_MAX at most, the first ones."""
    found: list[Episode] = []
    # What is usual is not taken of earlier episodes.
    calm = series[:]
    place, usual_until = 0, 0
    usual: Level | None = None
    threshold = rule.floor
    while place < len(series) and len(found) < EPISODES_MAX:
        if not series[place] >= rule.floor:
            place += 1
            continue
        if place >= usual_until:
            usual, usual_until = usual_before(calm, place), place + USUAL_STEP
            # Without a past a level counts that is above what follows: one that never changes is no rise.
            expected = usual or level_of(known(series, place, place + USUAL_SECONDS))
            threshold = threshold_of(rule, expected)
        if not series[place] >= threshold or not _lasts(series, place, threshold):
            place += 1
            continue
        end = _end_of(series, place, threshold)
        values = known(series, place, end)
        found.append(Episode(place, end, usual, sum(values) / len(values)))
        if end - place < EPISODE_SECONDS_MAX:
            for second in range(place, end):
                calm[second] = nan
        place, usual_until = end, 0
    return found


def usual_before(calm: Series, place: int) -> Level | None:
    """What was usual before a second. *Absent:* None where too little is known."""
    values = known(calm, place - USUAL_SECONDS, place)
    return level_of(values) if len(values) >= USUAL_SECONDS_LEAST else None


def threshold_of(rule: SymptomRule, usual: Level | None) -> float:
    """From which value on a second counts."""
    if usual is None:
        return rule.floor
    return max(rule.floor, usual.median + max(rule.rise, SIGMAS * usual.spread, RISE_OF_USUAL * usual.median))


def _lasts(series: Series, place: int, threshold: float) -> bool:
    return sum(value >= threshold for value in series[place : place + SUSTAINED_OF]) >= SUSTAINED


def _end_of(series: Series, place: int, threshold: float) -> int:
    """Behind the last second that counts before a calm stretch."""
    limit = min(len(series), place + EPISODE_SECONDS_MAX)
    # What made it begin is part of it.
    last = _counting(series, place, min(limit, place + SUSTAINED_OF), threshold)[-1]
    # Each step takes a second of the episode.
    while following := _counting(series, last + 1, min(limit, last + 1 + CALM_SECONDS), threshold):
        are_odd = following[0] > last + 1 and len(following) <= ODD_SECONDS_MAX
        if are_odd and not any(_lasts(series, second, threshold) for second in following):
            break
        last = following[0]
    return last + 1


def _counting(series: Series, begin: int, end: int, threshold: float) -> list[int]:
    return [second for second in range(begin, end) if series[second] >= threshold]


def loss_of(occupancy: Series) -> Series:
    """Which part of the cache that it usually holds a unit lacks, by second: 0..1, against the two minutes before."""
    lost = gap_series(len(occupancy))
    for begin in range(USUAL_STEP, len(occupancy), USUAL_STEP):
        usual = median_of(known(occupancy, begin - USUAL_SECONDS, begin))
        if usual is not None and usual >= CACHE_BYTES_LEAST:
            for place in range(begin, min(begin + USUAL_STEP, len(occupancy))):
                # A gap stays one: every comparison with it is false.
                lost[place] = min(1.0, 1.0 - occupancy[place] / usual) if occupancy[place] < usual else occupancy[place] * 0.0
    return lost
