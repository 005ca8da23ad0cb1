"""What rose while a unit suffered: how much more each other unit used, and which part of all that rose was its own. PURE."""

from collections.abc import Sequence

from msgspec import Struct

from agent.cli.neighbour_series import Series, known, mean, moving_means, quantile
from agent.cli.neighbour_unit import NodeWindow, UnitWindow, parents_of

# A rise is looked at over this much of a long episode.
JUDGED_SECONDS_MAX = 120
# Beside the rise itself: so many seconds before the episode belong to neither side.
GUARD_SECONDS = 2
# Stretches of so many seconds are compared with those before.
STRETCH_SECONDS = 15
# As much as in this part of all stretches before is nothing unusual.
USUAL_PART = 0.95
BEFORE_SECONDS_LEAST = 15
# A cause may be seen a little later than what it causes: rows are means over a second, and ticks have no order within it.
SLACK_SECONDS = 3
ONSET_SECONDS = 4


class Sides(Struct, frozen=True):
    """The two sides of a comparison, as places in a window: the seconds before, and those of the episode.

    `calm` are the places before that are of no earlier episode.
    """

    calm: Sequence[int]
    begin: int
    end: int


class Rise(Struct, frozen=True):
    """How a column of a unit went up: its means before and during, and what of the difference no unit in it has."""

    before: float
    during: float
    own: float
    is_unusual: bool

    @property
    def size(self) -> float:
        """By how much."""
        return self.during - self.before


def rise_of(series: Series | None, sides: Sides) -> Rise | None:
    """How a column went up. *Absent:* None where too little of either side is known."""
    if series is None:
        return None
    before = [value for place in sides.calm if (value := series[place]) == value]
    during = known(series, sides.begin, sides.end)
    usual, now = mean(before), mean(during)
    if usual is None or now is None or len(before) < BEFORE_SECONDS_LEAST:
        return None
    stretches = moving_means(before, min(len(during), STRETCH_SECONDS))
    return Rise(usual, now, now - usual, now > quantile(stretches, USUAL_PART))


def rises_of(window: NodeWindow, column: str, sides: Sides) -> list[Rise | None]:
    """How a column went up in each unit. What units inside of a unit have is not its own."""
    rises = [rise_of(unit.columns.get(column), sides) for unit in window.units]
    inside = [0.0] * len(rises)
    for place, parent in enumerate(parents_of([unit.unit for unit in window.units])):
        found = rises[place]
        if parent is not None and found is not None:
            inside[parent] += max(0.0, found.size)
    return [
        None if rise is None else Rise(rise.before, rise.during, rise.size - held, rise.is_unusual)
        for rise, held in zip(rises, inside, strict=True)
    ]


def outermost(window: NodeWindow) -> list[UnitWindow]:
    """The units that lie in no other."""
    parents = parents_of([unit.unit for unit in window.units])
    return [unit for unit, parent in zip(window.units, parents, strict=True) if parent is None]


def onset_of(series: Series, rise: Rise, around: int, reach: int) -> int | None:
    """The second in which a column went up: from there on most of the next seconds are above half the rise.

    *Absent:* None where it went up at no second within `reach` before `around` or a little behind it, or was up before that.
    """
    half = rise.before + rise.size / 2
    first = max(0, around - reach)
    for place in range(first, min(len(series), around + SLACK_SECONDS + 1)):
        following = known(series, place, place + ONSET_SECONDS)
        if series[place] >= half and sum(value >= half for value in following) * 2 > len(following):
            earlier = known(series, first - ONSET_SECONDS, first)
            was_up = place == first and sum(value >= half for value in earlier) * 2 > len(earlier)
            return None if was_up else place
    return None
