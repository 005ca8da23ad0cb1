"""One death at a time in each of several supervisors: kill, wait for the replacement, pause for a random time, again."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from supervisors.births import Birth, SupervisorFailed
from supervisors.rival import Bench, Rival, Variant

# Ten times what the slowest rival takes.
REPLACED_SECONDS_MAX = 60.0
# Somebody else's turn: tried again after so long, at random, lest every kill follow another's replacement at once.
TURN_SECONDS = (0.01, 0.06)


@dataclass(slots=True)
class Cell:
    """What is measured under one title, by one supervisor or by several side by side."""

    title: str
    wanted: int
    number: int = signal.SIGKILL
    samples_ms: list[float] = field(default_factory=list)
    problem: str = ""

    @property
    def is_full(self) -> bool:
        """Whether nothing more is wanted."""
        return bool(self.problem) or len(self.samples_ms) >= self.wanted


@dataclass(slots=True)
class Lane:
    """One supervisor: `due_ns` is when its next child is killed, `victim` the one that has just been."""

    cell: Cell
    rival: Rival
    pause_seconds: tuple[float, float]
    healthy_seconds: float = 0.0
    takes_turns: bool = False
    due_ns: int = 0
    killed_at_ns: int = 0
    victim: Birth | None = None


def lanes_of(variant: Variant, rivals: Sequence[Rival], cell: Cell) -> list[Lane]:
    """One lane for each of the supervisors of a variant."""
    return [Lane(cell, rival, variant.pause_seconds, variant.healthy_seconds, variant.takes_turns) for rival in rivals]


def measure(bench: Bench, lanes: Sequence[Lane]) -> None:
    """Fill the cells of the lanes. A supervisor that does not replace a child in time ends its cell with that problem."""
    by_rival = {id(lane.rival): lane for lane in lanes}
    for lane in lanes:
        _pause(bench, lane)
    while True:
        open_lanes = [lane for lane in lanes if lane.victim is not None or not lane.cell.is_full]
        if not open_lanes:
            return
        now_ns = time.monotonic_ns()
        for lane in open_lanes:
            if lane.due_ns > now_ns:
                continue
            if lane.takes_turns and any(other.victim is not None for other in lanes if other is not lane):
                lane.due_ns = now_ns + round(bench.rng.uniform(*TURN_SECONDS) * 1e9)
                continue
            _act(bench, lane)
        heard = bench.births.next(min(lane.due_ns for lane in open_lanes))
        if heard is not None:
            owner, birth = heard
            bereaved = by_rival.get(id(owner))
            if bereaved is not None and bereaved.victim is not None:
                _on_replaced(bench, bereaved, birth)


def _act(bench: Bench, lane: Lane) -> None:
    """The lane's time has come: the next kill, or the end of waiting for what the last one should have brought."""
    if lane.victim is not None:
        lane.cell.problem = f"a child was not replaced within {REPLACED_SECONDS_MAX:g} s"
        lane.victim = None
        return
    if lane.cell.is_full:
        lane.due_ns = 1 << 62
        return
    # The one that has lived longest: whatever a supervisor grants only to a child that ran for a while, it has.
    victim = min(lane.rival.living.values(), key=lambda birth: birth.at_ns)
    del lane.rival.living[victim.pid]
    lane.victim = victim
    lane.killed_at_ns = time.monotonic_ns()
    os.kill(victim.pid, lane.cell.number)
    lane.due_ns = lane.killed_at_ns + round(REPLACED_SECONDS_MAX * 1e9)


def _on_replaced(bench: Bench, lane: Lane, birth: Birth) -> None:
    lane.cell.samples_ms.append((birth.at_ns - lane.killed_at_ns) / 1e6)
    lane.victim = None
    try:
        lane.rival.on_restarted(birth)
    except (OSError, ValueError, SupervisorFailed) as failure:
        lane.cell.problem = f"{type(failure).__name__}: {failure}"
    _pause(bench, lane)


def _pause(bench: Bench, lane: Lane) -> None:
    """The next kill comes at a random moment, and not before the next victim counts as healthy."""
    pause_ns = round(bench.rng.uniform(*lane.pause_seconds) * 1e9)
    oldest_ns = min(birth.at_ns for birth in lane.rival.living.values())
    healthy_ns = oldest_ns + round(lane.healthy_seconds * 1e9)
    lane.due_ns = max(time.monotonic_ns(), healthy_ns) + pause_ns
