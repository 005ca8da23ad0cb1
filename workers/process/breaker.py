"""Stops reading a kind of file while that costs more than it may, or gives nothing; tries again later. PURE.

Some files of a process can be very slow to read (`smaps_rollup` of 200 GB takes seconds), wait for locks of that process, or be
refused. One breaker watches one kind of file over all processes. While it is open the values are absent with reason `breaker_open`.
"""

from collections.abc import Callable

from msgspec import Struct

from workers.framework.condition import Conditions

# So many bad ticks, less the good ones between them, open it.
BAD_TICKS_MAX = 3
# A tick that costs so many times what it may is as bad as three.
FAR_OVER = 4
# Until the first try after it opened; doubled after each try that fails.
WAIT_TICKS, WAIT_TICKS_MAX = 30, 960
# Of fewer reads it says nothing that all were refused.
REFUSED_READS_LEAST = 16
# So many files are read to try.
PROBE_READS = 16


class BreakerLimits(Struct, frozen=True):
    """What the reads of one tick may cost (CPU), and how many of them may be left unanswered."""

    cost_ns_max: int
    unanswered_max: int = 4


class ReadOutcome(Struct, frozen=True):
    """What became of the reads of one tick."""

    reads: int
    refused: int = 0
    unanswered: int = 0
    cost_ns: int = 0


class Metered(Struct, frozen=True):
    """A breaker and the clock that its reads are measured by: the CPU that this process has used."""

    breaker: "FileBreaker"
    cpu_ns: Callable[[], int]


class FileBreaker:
    """The breaker of one kind of file. It is open, closed, or (half-open) lets a few reads through to try."""

    def __init__(self, file: str, limits: BreakerLimits, conditions: Conditions) -> None:
        self.file = file
        self._limits = limits
        self._conditions = conditions
        self._bad_ticks = 0
        self._ticks_left = 0
        self._wait_ticks = WAIT_TICKS
        self._is_tripped = False
        # Nothing is read, whatever it costs: the sampler uses more than its limit.
        self.is_held = False

    @property
    def is_open(self) -> bool:
        """Whether no such file is read for now, but to try."""
        return self._is_tripped or self.is_held

    def begin_tick(self, wanted: int) -> int:
        """How many files may be read in this tick; called once in each."""
        if self.is_held:
            return 0
        if not self._is_tripped:
            return wanted
        self._ticks_left -= 1
        return 0 if self._ticks_left > 0 else min(wanted, PROBE_READS)

    def end_tick(self, outcome: ReadOutcome) -> None:
        """Judge the reads of this tick; without any nothing changes."""
        if not outcome.reads:
            return
        problem = self._problem(outcome)
        if self._is_tripped:
            self._judge_probe(problem)
            return
        weight = BAD_TICKS_MAX if outcome.cost_ns > FAR_OVER * self._limits.cost_ns_max else 1
        self._bad_ticks = self._bad_ticks + weight if problem else max(0, self._bad_ticks - 1)
        if self._bad_ticks >= BAD_TICKS_MAX:
            self._is_tripped, self._wait_ticks = True, WAIT_TICKS
            self._ticks_left = self._wait_ticks
            # The sentence stays as it is while the condition holds: its numbers are those of the moment.
            self._conditions.begin(self._kind, f"{self.file} of processes is not read for now: {problem}")

    @property
    def _kind(self) -> str:
        return f"breaker_open:{self.file}"

    def _judge_probe(self, problem: str) -> None:
        if problem:
            self._wait_ticks = min(2 * self._wait_ticks, WAIT_TICKS_MAX)
            self._ticks_left = self._wait_ticks
        else:
            self._is_tripped, self._bad_ticks = False, 0
            self._conditions.end(self._kind, f"{self.file} of processes is read again")

    def _problem(self, outcome: ReadOutcome) -> str:
        """What was too much, as a sentence; empty: nothing."""
        if outcome.cost_ns > self._limits.cost_ns_max:
            return (
                f"{outcome.reads} reads took {outcome.cost_ns / 1e6:.1f} ms of CPU in a tick, "
                f"and {self._limits.cost_ns_max / 1e6:g} ms are allowed"
            )
        if outcome.unanswered > self._limits.unanswered_max:
            return f"{outcome.unanswered} of {outcome.reads} reads in a tick have no answer"
        if outcome.refused == outcome.reads and (outcome.reads >= REFUSED_READS_LEAST or self._is_tripped):
            return f"all {outcome.reads} reads of a tick were refused: run the agent as root, with CAP_SYS_PTRACE"
        return ""
