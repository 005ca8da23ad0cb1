"""What a hub holds of one node. PURE."""

from enum import StrEnum
from sys import intern

from msgspec import Struct, field
from msgspec.structs import replace

from agent.fleet.live import UnitLabel
from agent.fleet.update import LiveState
from agent.model.timebase import MS


class NodePhase(StrEnum):
    """How a node stands, by the hub's clock alone."""

    FRESH = "fresh"
    """It beats."""
    LATE = "late"
    """Three beats are missing."""
    STALE = "stale"
    """Silent for so long that it has left scheduling."""
    GONE = "gone"
    """It left on purpose."""
    NEVER_SEEN = "never_seen"
    """It has joined and never reported."""


# Those whose units can be scheduled.
PRESENT = frozenset({NodePhase.FRESH, NodePhase.LATE})


class NodeRun(Struct, frozen=True):
    """One life of a node's agent, as its hello says."""

    run: str
    boot: str
    host: str
    agent_version: str


class Challenger(Struct):
    """Another life that claims to be the same node, or the same one on another connection, while the one before may still be
    alive. `heard` counts the beats that came there meanwhile, `first_sequence` is the number of the first of them."""

    life: NodeRun
    connection: bytes
    since_ns: int
    heard: int = 0
    first_sequence: int | None = None


class BeatCounts(Struct):
    """Beats since the hub's start: those that came, whose numbers never came, that came twice, that came to a late node, and frames
    that were refused."""

    received: int = 0
    lost: int = 0
    doubled: int = 0
    late: int = 0
    refused: int = 0


class FleetNode(Struct):
    """One node. *Units:* `…_ns` by the hub's monotonic clock, `seen_wall_ns` unix time.

    `sequence` is the number of its last beat, `progress_ms` how old its rows were then. `updated_ns`: when its state came last;
    `as_of_ns`: of when what is held of it is, by the hub's clock: when the hub last knew that it is what the node has, less the age
    of the node's own rows. *Absent:* None before the first.
    """

    install: str
    host: str
    phase: NodePhase
    phase_since_wall_ns: int
    seen_wall_ns: int = 0
    life: NodeRun | None = None
    beat_connection: bytes = b""
    live_connection: bytes = b""
    last_beat_ns: int | None = None
    sequence: int = 0
    # On a connection that is new: how many of its beats came before the one before was known to have ended.
    heard_before: int | None = None
    offset_us: int | None = None
    progress_ms: int | None = None
    updated_ns: int | None = None
    as_of_ns: int | None = None
    behind_since_ns: int | None = None
    wanted_at_ns: int = 0
    counts: BeatCounts = field(default_factory=BeatCounts)
    state: LiveState = field(default_factory=LiveState)
    challenger: Challenger | None = None
    retired: tuple[str, ...] = ()
    problem: str = ""
    problem_at_ns: int = 0
    told_at_ns: int | None = None
    # Grows with each change of its state, for those who keep something made of it.
    version: int = 0

    def confirm(self, now_ns: int) -> None:
        """What is held of it is what the node has."""
        self.as_of_ns = now_ns - (self.progress_ms or 0) * MS

    def age_ns(self, now_ns: int) -> int | None:
        """How old what is held of it is. *Absent:* None where nothing is held."""
        return None if self.as_of_ns is None else now_ns - self.as_of_ns


def shared(label: UnitLabel) -> UnitLabel:
    """The same label, whose words that many units have are one object each: a quarter of what a unit takes."""
    return replace(
        label,
        kind=intern(label.kind),
        namespace=_shared(label.namespace),
        model=_shared(label.model),
        served_model=_shared(label.served_model),
        engine=_shared(label.engine),
        model_source=_shared(label.model_source),
    )


def _shared(word: str | None) -> str | None:
    return None if word is None else intern(word)
