"""Whether a silent worker hangs or is merely kept from running. PURE.

Wall time alone kills busy and starved workers. A worker counts as hung when its loop made no turn for the
timeout *and* the kernel shows that it could have: it sleeps or is stopped where it should work, or it burned
processor time without a turn. One that waits for the disk (D), for a debugger (t) or for a processor (R without
processor time) gets ten times as long: killing it would not help, but there must be a limit.
"""

from enum import Enum

from msgspec import Struct

PATIENCE = 10


class ProcessState(Struct, frozen=True):
    """What the kernel shows of a process: its state letter and the processor time it has used. *Source:* proc_pid_stat(5)."""

    state: str
    cpu_ns: int


class WatchVerdict(Enum):
    """What an observation of a worker found."""

    PROGRESS = "progress"
    SILENT = "silent"
    HUNG = "hung"


class Watch:
    """What was seen of one worker so far.

    Only the time between observations counts, and at most twice the interval each: a supervisor that was itself stopped does
    not blame its workers for the gap.
    """

    def __init__(self, *, timeout_ns: int, interval_ns: int) -> None:
        self._timeout_ns = timeout_ns
        self._interval_ns = interval_ns
        self._turns: int | None = None
        self._observed_at_ns: int | None = None
        self._cpu_at_progress_ns: int | None = None
        self.silent_ns = 0

    def set_timeout(self, timeout_ns: int) -> None:
        """Another time without progress counts as hung from now on."""
        self._timeout_ns = timeout_ns

    def observe(self, turns: int | None, process_state: ProcessState | None, now_ns: int) -> WatchVerdict:
        """Judge one observation. *Absent:* `turns`: the page is torn or was never written; `process_state`: it was not read."""
        elapsed_ns = 0 if self._observed_at_ns is None else min(now_ns - self._observed_at_ns, 2 * self._interval_ns)
        self._observed_at_ns = now_ns
        if turns is not None and turns != self._turns:
            self._turns = turns
            self._cpu_at_progress_ns = None if process_state is None else process_state.cpu_ns
            self.silent_ns = 0
            return WatchVerdict.PROGRESS
        if self._cpu_at_progress_ns is None and process_state is not None:
            # A worker that makes progress is not measured at each observation: its CPU time counts from the first silent one.
            self._cpu_at_progress_ns = process_state.cpu_ns
        self.silent_ns += elapsed_ns
        return WatchVerdict.HUNG if self._is_hung(process_state) else WatchVerdict.SILENT

    def _is_hung(self, process_state: ProcessState | None) -> bool:
        if self.silent_ns < self._timeout_ns:
            return False
        if self.silent_ns >= PATIENCE * self._timeout_ns or process_state is None:
            return True
        # t: a debugger holds it, and must not lose the worker.
        if process_state.state in ("D", "t"):
            return False
        return process_state.state != "R" or self._burned_ns(process_state) >= self._timeout_ns // 4

    def _burned_ns(self, process_state: ProcessState) -> int:
        return 0 if self._cpu_at_progress_ns is None else process_state.cpu_ns - self._cpu_at_progress_ns
