"""Proportional memory of the processes with a row, within a budget of CPU: `/proc/PID/smaps_rollup`, aside.

The kernel walks all page tables of the process for it, so the cost grows with its memory, and the process waits if it maps memory
meanwhile. What a read will cost is known before from RSS; who costs more than the savings of a minute is never read.
*Source:* proc_pid_smaps(5), linux/fs/proc/task_mmu.c.
"""

from collections.abc import Callable, Sequence

from agent.model.absence import Absence
from agent.model.timebase import S
from agent.side_reader import SideReader, Unanswered
from workers.process.answer import is_refused, why_absent
from workers.process.breaker import FileBreaker, ReadOutcome
from workers.process.tracked_process import TrackedProcess

# Each value is read again after this time at the earliest, and not shown any more after the other.
REFRESH_NS = 10 * S
BELIEVED_NS = 60 * S
# What was not spent is saved for so many ticks.
SAVED_TICKS = 60
# First guess: 4.5 s for 200 GB were reported, and a small process costs some 40 us; corrected by what reads really take.
READ_NS, PAGE_NS, PAGE_BYTES = 40_000, 90, 4096
# The correction follows each tick by a quarter, and stays within these bounds.
FOLLOWS, FACTOR_LEAST, FACTOR_MOST = 0.25, 0.1, 20.0


def parse_pss(text: bytes) -> int | None:
    """Bytes. *Absent:* the text has no such line. *Source:* linux/Documentation/ABI/testing/procfs-smaps_rollup."""
    words = text.partition(b"\nPss:")[2].partition(b"\n")[0].split()
    if len(words) == 2 and words[0].isdigit() and (kib := int(words[0])) < 1 << 53:
        return kib << 10
    return None


class PssReader:
    """Keeps `pss_bytes` of the winners. `budget_ns` is CPU per tick, 0: switched off; `cpu_ns` is what this process has used."""

    def __init__(self, reader: SideReader[bytes], breaker: FileBreaker, *, budget_ns: int, cpu_ns: Callable[[], int]) -> None:
        self._reader = reader
        self._breaker = breaker
        self._budget_ns = budget_ns
        self._cpu_ns = cpu_ns
        self._saved_ns = 0
        self._factor = 1.0

    def read(self, winners: Sequence[TrackedProcess], now_ns: int) -> None:
        """Read those whose value is oldest, as many as the budget allows; all others keep theirs, or say why they have none."""
        if not self._budget_ns:
            for process in winners:
                process.pss_bytes, process.why_no_pss = None, Absence.SWITCHED_OFF.value
            return
        self._saved_ns = min(self._saved_ns + self._budget_ns, SAVED_TICKS * self._budget_ns)
        due = [process for process in winners if self._is_due(process, now_ns)]
        due.sort(key=lambda process: process.pss_at_ns or 0)
        chosen: list[TrackedProcess] = []
        left_ns = self._saved_ns
        for process in due:
            cost_ns = self._cost_ns(process)
            if cost_ns <= left_ns:
                left_ns -= cost_ns
                chosen.append(process)
        self._read_all(chosen[: self._breaker.begin_tick(len(chosen))], now_ns)

    def _is_due(self, process: TrackedProcess, now_ns: int) -> bool:
        if process.stat.is_kernel_thread or process.stat.is_ended:
            process.pss_bytes = None
            process.why_no_pss = (Absence.KERNEL_THREAD if process.stat.is_kernel_thread else Absence.VANISHED).value
            return False
        age_ns = None if process.pss_at_ns is None else now_ns - process.pss_at_ns
        if process.pss_bytes is None or (age_ns is not None and age_ns >= BELIEVED_NS):
            process.pss_bytes = None
            if age_ns is None or age_ns >= REFRESH_NS:
                process.why_no_pss = (Absence.BREAKER_OPEN if self._breaker.is_open else Absence.OVER_BUDGET).value
        return age_ns is None or age_ns >= REFRESH_NS

    def _cost_ns(self, process: TrackedProcess) -> int:
        return int((READ_NS + process.rss_bytes // PAGE_BYTES * PAGE_NS) * self._factor)

    def _read_all(self, chosen: Sequence[TrackedProcess], now_ns: int) -> None:
        if not chosen:
            return
        begun_ns = self._cpu_ns()
        answers = self._reader.read_all([_ask(process) for process in chosen])
        spent_ns = self._cpu_ns() - begun_ns
        expected_ns = sum(map(self._cost_ns, chosen))
        self._saved_ns -= spent_ns
        wanted = self._factor * spent_ns / expected_ns
        self._factor = min(max(self._factor + FOLLOWS * (wanted - self._factor), FACTOR_LEAST), FACTOR_MOST)
        refused = unanswered = 0
        for process in chosen:
            answer = answers[_ask(process)[0]]
            refused += is_refused(answer)
            unanswered += isinstance(answer, Unanswered)
            process.pss_at_ns = now_ns
            process.pss_bytes = parse_pss(answer) if isinstance(answer, bytes) else None
            if process.pss_bytes is not None:
                process.why_no_pss = None
            else:
                process.why_no_pss = Absence.UNREADABLE.value if isinstance(answer, bytes) else why_absent(answer)
        self._breaker.end_tick(ReadOutcome(len(chosen), refused, unanswered, spent_ns))


def _ask(process: TrackedProcess) -> tuple[tuple[str, int, str], str]:
    return (process.name, process.start_ticks, "smaps_rollup"), f"{process.name}/smaps_rollup"
