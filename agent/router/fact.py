"""What is known of the cells of one host: which have ended, of which a whole sketch is there, and of which every tick is known.
PURE.

Table `process_scan` has a row for each tick, with the time since the tick before: so a tick that is missing shows. It also counts
the processes of the tick, so a sketch that has as many values is whole, and what rows of `process` and `process_tail` lack is
known by number. Where no such rows are stored, a sketch counts as whole if nothing is recorded as lost, it has as many ticks as
the fullest of its host, and rows of a later window, or a mark of the store, say that no more are to come.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from agent.model.timebase import MINUTE
from agent.router.cell import WINDOW_NS, Grid, mask_of

# Rows are written some ticks after their window, and a tick may be 10 minutes long.
WRITTEN_WITHIN_NS = 20 * MINUTE


class Why(StrEnum):
    """Why a cell is not read from sketches, or not known. The words stand in answers."""

    NOT_SKETCHED = "not_sketched"
    """The metric has no sketches."""
    NO_SKETCH = "no_sketch"
    """No row of process_sketch is of this window."""
    FEWER_TICKS = "fewer_ticks"
    """The sketch covers fewer ticks than were taken, or than the fullest window of its host has."""
    FEWER_VALUES = "fewer_values"
    """The sketches count fewer values than there were processes."""
    RECORDED_LOSS = "recorded_loss"
    """Table gap or export_gap has a loss of rows in this time, or the end of the sampler."""
    NOT_SETTLED = "not_settled"
    """Nothing says yet that all of its rows are there."""
    CLOCK_SET = "clock_set"
    """The host's clock passed this time twice, so that nothing says when all rows are there."""
    DAMAGED = "damaged"
    """A row of it holds no sketch."""
    TICKS_MISSING = "ticks_missing"
    """Not every tick of it is known."""


ABOUT = {
    Why.NOT_SKETCHED: "this metric has no sketches",
    Why.NO_SKETCH: "no sketch of the window is stored",
    Why.FEWER_TICKS: "the sketch covers fewer ticks than were taken",
    Why.FEWER_VALUES: "rows of the sketch are missing",
    Why.RECORDED_LOSS: "a loss of rows, or the end of the sampler, is recorded in this time",
    Why.NOT_SETTLED: "more rows of the sketch may still come",
    Why.CLOCK_SET: "the clock was set back over it, or two hosts have this name",
    Why.DAMAGED: "a row of it holds no sketch",
    Why.TICKS_MISSING: "no rows, or ticks are missing: the host was off or cut off, or its rows have not come",
}
assert set(ABOUT) == set(Why)


class ScanWindow(Struct):
    """Sums over the ticks of a window, from table `process_scan`.

    `first_ticks` are those without an interval, in which no CPU is known, and `first_living` their processes. `total` is that of
    the metric. `is_incomplete`: a sum lacks a value that is unknown for some process.
    """

    ticks: int
    living: int
    first_ticks: int = 0
    first_living: int = 0
    dead: int = 0
    total: int = 0
    is_incomplete: bool = False


class SketchWindow(Struct):
    """What the sketches of a window say of themselves, all units and commands together."""

    ticks: int
    values: int
    is_damaged: bool = False


class Stretch(NamedTuple):
    """A time from `since_ns` on and before `until_ns`."""

    since_ns: int
    until_ns: int


class HostFacts(Struct):
    """What was read of one host. `holes`: times in which ticks may have been taken whose rows are not here. `losses`: times in
    which a loss of stored rows is recorded; `deaths`: times in which a sampler ended, with the sketches that it had not written;
    `twice`: times that its clock passed twice. `mark_ns`: everything before is in the store; *Absent:* None: the store says
    nothing.

    `first_ns` and `last_ns` are the times of its first and last row.
    """

    first_ns: int
    last_ns: int
    scans: dict[int, ScanWindow] = {}
    sketches: dict[int, SketchWindow] = {}
    holes: list[Stretch] = []
    losses: list[Stretch] = []
    deaths: list[Stretch] = []
    twice: list[Stretch] = []
    mark_ns: int | None = None
    # The last window that any row of a sketch is of, which may be behind the grid.
    latest: int = -1


class HostCells(Struct, frozen=True):
    """The windows of one host. `exists`: those that belong to the answer; `sketched`: those with a whole sketch; `ticked`: those
    of which every tick is known; `partly`: those with some sketch. `why`: why a window is not `sketched`."""

    exists: int
    sketched: int
    ticked: int
    partly: int
    why: dict[Why, int]


def cells_of(grid: Grid, facts: HostFacts, horizon_ns: int, *, counts_dead: bool) -> HostCells:
    """The windows of a host. `horizon_ns`: until then its rows are expected; a later window belongs to the answer only if it has a
    sketch. `counts_dead`: the metric has values of processes that ended, as CPU has."""
    scanned, partly = mask_of(facts.scans), mask_of(facts.sketches)
    holes = _touched(grid, facts.holes)
    exists = partly | grid.over(horizon_ns) & (scanned | holes)
    ticked = scanned & ~holes
    why = _reasons(grid, facts, ticked, counts_dead=counts_dead)
    rest = 0
    for mask in why.values():
        rest |= mask
    if absent := exists & ~partly:
        why[Why.NO_SKETCH] = absent
    return HostCells(exists, partly & ~rest, ticked, partly, why)


def _reasons(grid: Grid, facts: HostFacts, ticked: int, *, counts_dead: bool) -> dict[Why, int]:
    """Why windows with sketches are not whole, as far as anything says."""
    if not facts.sketches:
        return {}
    fullest = max(sketch.ticks for sketch in facts.sketches.values())
    latest = max(facts.latest, max(facts.sketches))
    lost = _touched(grid, [Stretch(loss.since_ns - WRITTEN_WITHIN_NS - WINDOW_NS, loss.until_ns) for loss in facts.losses])
    # Ticks say by themselves what such a sketch lacks.
    died = _touched(grid, facts.deaths) & ~ticked
    twice = _touched(grid, facts.twice)
    found: dict[Why, list[int]] = {}
    for index, sketch in facts.sketches.items():
        scan = facts.scans.get(index) if ticked >> index & 1 else None
        if sketch.is_damaged:
            why = Why.DAMAGED
        elif twice >> index & 1:
            why = Why.CLOCK_SET
        elif scan is not None and _is_counted(sketch, scan, counts_dead=counts_dead):
            continue
        elif (lost | died) >> index & 1:
            why = Why.RECORDED_LOSS
        elif sketch.ticks < (scan.ticks if scan is not None else fullest):
            why = Why.FEWER_TICKS
        elif scan is not None and not scan.is_incomplete and sketch.values < _least_values(scan, counts_dead=counts_dead):
            why = Why.FEWER_VALUES
        elif not _is_settled(grid, facts, index, latest):
            why = Why.NOT_SETTLED
        else:
            continue
        found.setdefault(why, []).append(index)
    return {why: mask_of(indexes) for why, indexes in found.items()}


def _is_counted(sketch: SketchWindow, scan: ScanWindow, *, counts_dead: bool) -> bool:
    """Whether it has a value of every process of every tick, which proves that no row of it is missing."""
    whole = _least_values(scan, counts_dead=counts_dead) + (scan.dead if counts_dead else 0)
    return sketch.values == whole and not scan.is_incomplete


def _least_values(scan: ScanWindow, *, counts_dead: bool) -> int:
    """Of a process that ended the CPU may be unknown; then it is no value."""
    return scan.living - scan.first_living if counts_dead else scan.living


def _is_settled(grid: Grid, facts: HostFacts, index: int, latest: int) -> bool:
    """Whether all rows of a sketch are there, because they are written before those of the next window."""
    if facts.mark_ns is not None:
        return facts.mark_ns >= grid.start_ns(index) + 2 * WINDOW_NS
    return index < latest


def _touched(grid: Grid, stretches: Iterable[Stretch]) -> int:
    found = 0
    for stretch in stretches:
        found |= grid.touched(*stretch)
    return found
