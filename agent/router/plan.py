"""The way of each cell: from its sketches, from raw rows, or unknown. PURE."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from agent.router.cell import WINDOW_NS, Grid, runs_of
from agent.router.fact import HostCells, Why


class Way(StrEnum):
    """Where the values of a cell come from."""

    SKETCH = "sketch"
    RAW = "raw"
    UNKNOWN = "unknown"


class HostPlan(Struct, frozen=True, gc=False):
    """The windows of one host by their way. `partly`: unknown ones with sketches that are read for what they have."""

    sketch: int
    raw: int
    unknown: int
    partly: int = 0


class CellPlan(Struct, frozen=True):
    """The ways of all cells, by host, and how many cells go each."""

    hosts: dict[str, HostPlan]
    sketch: int
    raw: int
    unknown: int

    @property
    def total(self) -> int:
        """How many cells the question has."""
        return self.sketch + self.raw + self.unknown


class Leg(Struct, frozen=True):
    """Windows of a host without a gap between them that go one way for one reason. *Absent:* `why` None: from whole sketches."""

    host: str
    since_ns: int
    until_ns: int
    way: Way
    why: Why | None

    @property
    def windows(self) -> int:
        """How many they are."""
        return (self.until_ns - self.since_ns) // WINDOW_NS


def plan_of(cells: Mapping[str, HostCells], *, has_sketches: bool = True) -> CellPlan:
    """A whole sketch first; else raw rows, where every tick is known; else the cell is unknown. `has_sketches`: the metric has
    them."""
    hosts: dict[str, HostPlan] = {}
    sketches = raws = unknowns = 0
    for host, known in cells.items():
        exists = known.exists
        sketch = exists & known.sketched if has_sketches else 0
        rest = exists & ~sketch
        raw = rest & known.ticked
        unknown = rest & ~raw
        hosts[host] = HostPlan(sketch, raw, unknown, unknown & known.partly if unknown and has_sketches else 0)
        sketches += sketch.bit_count()
        raws += raw.bit_count()
        unknowns += unknown.bit_count()
    return CellPlan(hosts, sketches, raws, unknowns)


def legs_of(plan: CellPlan, cells: Mapping[str, HostCells], grid: Grid, *, has_sketches: bool = True) -> list[Leg]:
    """The plan as people read it: host by host, each stretch of windows with its way and the reason, in the order of time."""
    found: list[Leg] = []
    for host, ways in sorted(plan.hosts.items()):
        legs = [_leg(grid, host, run, Way.SKETCH, None) for run in runs_of(ways.sketch)]
        for way, mask in ((Way.RAW, ways.raw), (Way.UNKNOWN, ways.unknown)):
            for why, part in _by_reason(mask, way, cells[host], has_sketches=has_sketches):
                legs += [_leg(grid, host, run, way, why) for run in runs_of(part)]
        found += sorted(legs, key=lambda leg: leg.since_ns)
    return found


def _by_reason(mask: int, way: Way, cells: HostCells, *, has_sketches: bool) -> list[tuple[Why, int]]:
    if not has_sketches and way is Way.RAW:
        return [(Why.NOT_SKETCHED, mask)]
    found = [(why, mask & part) for why, part in cells.why.items()] if has_sketches else [(Why.NO_SKETCH, mask)]
    # What has no sketch could be read from rows, if every tick were known.
    return [(Why.TICKS_MISSING if why is Why.NO_SKETCH and way is Way.UNKNOWN else why, part) for why, part in found]


def _leg(grid: Grid, host: str, run: tuple[int, int], way: Way, why: Why | None) -> Leg:
    return Leg(host, grid.start_ns(run[0]), grid.start_ns(run[1]), way, why)
