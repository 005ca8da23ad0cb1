"""What the judge of `agentctl neighbours` says of an episode. PURE."""

from enum import StrEnum

from msgspec import Struct

from agent.cli.neighbour_episode import Symptom


class Innocence(StrEnum):
    """Why no neighbour is named."""

    OWN_LIMIT = "own_limit"
    """Its own limit held it back: no neighbour can."""
    OWN_LOAD = "own_load"
    """It wanted more itself, and no neighbour more than it."""
    LESS_WORK = "less_work"
    """It worked less itself, and so needed less cache."""
    NO_SHORTAGE = "no_shortage"
    """The host had enough of it, and no limit that it shares with others was hit."""
    NOTHING_ROSE = "nothing_rose"
    """No neighbour used clearly more in the same seconds."""
    NO_UNIT = "no_unit"
    """What rose most belongs to no unit: to the kernel, or to processes outside of all units."""
    TOO_LITTLE = "too_little_data"
    """Too few seconds before or during are known."""


class NoisyNeighbour(Struct, frozen=True):
    """A neighbour that rose in the same seconds.

    `column` went from `before` to `during` (means), which is `part` of all that rose. `lag_seconds` is how long before the victim
    (negative: after) it began, `seconds` in how many seconds of the episode it was up. `chance` is the part of shifts in time that
    fit as well.
    """

    unit: str
    column: str
    before: float
    during: float
    part: float
    lag_seconds: int
    seconds: int
    correlation: float
    chance: float

    @property
    def rise(self) -> float:
        """By how much it rose."""
        return self.during - self.before


class Verdict(Struct, frozen=True):
    """An episode of a unit (`unit` its uid), from `begin_s` on and before `end_s` (unix time), and who caused it.

    `before` and `during` are the symptom's means. Without a culprit `innocence` says why; `limit` is the cgroup whose limit was
    hit, where that is known and is not its own.
    """

    unit: str
    symptom: Symptom
    begin_s: int
    end_s: int
    before: float | None
    during: float
    culprits: tuple[NoisyNeighbour, ...] = ()
    innocence: Innocence | None = None
    limit: str | None = None

    @property
    def seconds(self) -> int:
        """How long it was."""
        return self.end_s - self.begin_s

    @property
    def lost_seconds(self) -> float:
        """How much more of the time it suffered than is usual, in seconds."""
        return max(0.0, self.during - (self.before or 0.0)) * self.seconds
