"""One death at a time in each of several supervisors: kill, wait for the replacement, pause for a random time, again."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.control_connection import Refused

from supervisors.child_starts import ChildStart, SupervisorFailed
from supervisors.rival import Bench, Rival, Variant

# Ten times what the slowest rival takes.
REPLACED_SECONDS_MAX = 60.0
# Time before another try when it is another's turn; random, so that kills do not always follow a replacement immediately.
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
class KillSequence:
    """One supervisor: `due_ns` is when its next child is killed, `victim` the one that has just been."""

    cell: Cell
    rival: Rival
    pause_seconds: tuple[float, float]
    healthy_seconds: float = 0.0
    takes_turns: bool = False
    due_ns: int = 0
    killed_at_ns: int = 0
    victim: ChildStart | None = None


def sequences_of(variant: Variant, rivals: Sequence[Rival], cell: Cell) -> list[KillSequence]:
    """One sequence for each of the supervisors of a variant."""
    return [KillSequence(cell, rival, variant.pause_seconds, variant.healthy_seconds, variant.takes_turns) for rival in rivals]


def measure(bench: Bench, sequences: Sequence[KillSequence]) -> None:
    """Fill the cells of the sequences. A supervisor that does not replace a child in time ends its cell with that problem."""
    by_rival = {id(sequence.rival): sequence for sequence in sequences}
    for sequence in sequences:
        _pause(bench, sequence)
    while True:
        open_sequences = [sequence for sequence in sequences if sequence.victim is not None or not sequence.cell.is_full]
        if not open_sequences:
            return
        now_ns = time.monotonic_ns()
        for sequence in open_sequences:
            if sequence.due_ns > now_ns:
                continue
            if sequence.takes_turns and any(other.victim is not None for other in sequences if other is not sequence):
                sequence.due_ns = now_ns + round(bench.rng.uniform(*TURN_SECONDS) * 1e9)
                continue
            _act(bench, sequence)
        heard = bench.starts.next(min(sequence.due_ns for sequence in open_sequences))
        if heard is not None:
            owner, start = heard
            bereaved = by_rival.get(id(owner))
            if bereaved is not None and bereaved.victim is not None:
                _on_replaced(bench, bereaved, start)


def _act(bench: Bench, sequence: KillSequence) -> None:
    """The sequence's time has come: the next kill, or the end of waiting for what the last one should have brought."""
    if sequence.victim is not None:
        sequence.cell.problem = f"a child was not replaced within {REPLACED_SECONDS_MAX:g} s"
        sequence.victim = None
        return
    if sequence.cell.is_full:
        sequence.due_ns = 1 << 62
        return
    # The one that has lived longest: whatever a supervisor grants only to a child that ran for a while, it has.
    victim = min(sequence.rival.living.values(), key=lambda start: start.at_ns)
    del sequence.rival.living[victim.pid]
    sequence.victim = victim
    sequence.killed_at_ns = time.monotonic_ns()
    os.kill(victim.pid, sequence.cell.number)
    sequence.due_ns = sequence.killed_at_ns + round(REPLACED_SECONDS_MAX * 1e9)


def _on_replaced(bench: Bench, sequence: KillSequence, start: ChildStart) -> None:
    sequence.cell.samples_ms.append((start.at_ns - sequence.killed_at_ns) / 1e6)
    sequence.victim = None
    try:
        sequence.rival.on_restarted(start)
    except (OSError, ValueError, SupervisorFailed, Refused) as failure:
        sequence.cell.problem = f"{type(failure).__name__}: {failure}"
    _pause(bench, sequence)


def _pause(bench: Bench, sequence: KillSequence) -> None:
    """The next kill comes at a random moment, and not before the next victim counts as healthy."""
    pause_ns = round(bench.rng.uniform(*sequence.pause_seconds) * 1e9)
    oldest_ns = min(start.at_ns for start in sequence.rival.living.values())
    healthy_ns = oldest_ns + round(sequence.healthy_seconds * 1e9)
    sequence.due_ns = max(time.monotonic_ns(), healthy_ns) + pause_ns
