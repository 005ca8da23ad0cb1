"""What processes read from and write to storage: `io` of every process that ran, aside and in one hand-over per tick.

The counters of a process move only while it runs, so one that sleeps since its last reading has read and written nothing.
`write_bytes` counts pages that became dirty and will be written; what was truncated before it was written is not taken back.
*Source:* proc_pid_io(5), linux/include/linux/task_io_accounting_ops.h.
"""

from collections.abc import Callable, Sequence

from agent.model.absence import Absence
from agent.side_reader import SideReader, Unanswered
from workers.process.answer import is_refused, why_absent
from workers.process.breaker import BreakerLimits, FileBreaker, ReadOutcome
from workers.process.files import ProcFiles
from workers.process.tracked_process import ProcessIo, Scan, TrackedProcess

# A read over a kept descriptor takes some 5 us of CPU, 13 with opening: this is some ten thousand of the latter.
LIMITS = BreakerLimits(cost_ns_max=150_000_000, unanswered_max=8)
# Further ones wait for the next tick.
READS_MAX = 4096
# A process whose file is refused is asked again once in this many ticks.
REFUSED_PERIOD_TICKS = 64


def parse_io(text: bytes) -> tuple[int, int] | None:
    """Bytes read from and written to storage. *Absent:* the text is no such file, or a number is out of its range."""
    numbers: list[int] = []
    for name in (b"\nread_bytes: ", b"\nwrite_bytes: "):
        word = text.partition(name)[2].partition(b"\n")[0]
        if not word.isdigit() or (number := int(word)) >= 1 << 63:
            return None
        numbers.append(number)
    return numbers[0], numbers[1]


class IoReader:
    """Reads `io`, and adds it to the sums. `cpu_ns` is the CPU that this process has used."""

    def __init__(self, files: ProcFiles, reader: SideReader[bytes], breaker: FileBreaker, cpu_ns: Callable[[], int]) -> None:
        self._files = files
        self._reader = reader
        self._breaker = breaker
        self._cpu_ns = cpu_ns
        self._refused: dict[str, TrackedProcess] = {}
        # Not read yet for lack of room; they may have ended meanwhile.
        self._waiting: dict[TrackedProcess, None] = {}
        self._tick = 0

    @property
    def unreadable(self) -> int:
        """How many living processes do not let their file be read."""
        return len(self._refused)

    def read(self, scan: Scan) -> None:
        """Bring the I/O of everything that ran up to date; `scan.io_read` names the processes that were read."""
        self._tick += 1
        for process in scan.gone:
            self._waiting.pop(process, None)
            if self._refused.get(process.name) is process:
                del self._refused[process.name]
        due = [process for process in scan.touched if self._is_due(process)] if self._refused else list(scan.touched)
        if self._waiting:
            due = [*dict.fromkeys([*self._waiting, *due])]
            self._waiting.clear()
        count = min(self._breaker.begin_tick(len(due)), READS_MAX)
        for process in due[count:]:
            # What it did meanwhile is in no reading, so the next one is its first.
            process.io, process.why_no_io = None, (Absence.BREAKER_OPEN if self._breaker.is_open else Absence.OVER_BUDGET).value
            if not self._breaker.is_open:
                self._waiting[process] = None
        self._read_all(due[:count], scan)

    def _is_due(self, process: TrackedProcess) -> bool:
        return process.name not in self._refused or (self._tick + process.pid) % REFUSED_PERIOD_TICKS == 0

    def _read_all(self, due: Sequence[TrackedProcess], scan: Scan) -> None:
        begun_ns = self._cpu_ns()
        started = set(scan.started)
        answers = self._reader.read_all([(process, self._where(process)) for process in due])
        refused = unanswered = 0
        for process in due:
            answer = answers[process]
            if not isinstance(answer, bytes):
                refused += is_refused(answer)
                unanswered += isinstance(answer, Unanswered)
            self._take(process, answer, is_whole=process in started)
        scan.io_read += due
        self._breaker.end_tick(ReadOutcome(len(due), refused, unanswered, self._cpu_ns() - begun_ns))

    def _where(self, process: TrackedProcess) -> str:
        """The first time by its path; who runs again keeps its file open."""
        path = f"{process.name}/io"
        return path if process.io is None else self._files.word_of(path)

    def _take(self, process: TrackedProcess, answer: bytes | OSError | Unanswered, *, is_whole: bool) -> None:
        before = process.io
        numbers = parse_io(answer) if isinstance(answer, bytes) else None
        if numbers is None:
            process.io = None
            process.why_no_io = Absence.UNREADABLE.value if isinstance(answer, bytes) else why_absent(answer)
            if is_refused(answer):
                self._refused[process.name] = process
            return
        if self._refused:
            self._refused.pop(process.name, None)
        process.why_no_io = None
        read, written = numbers
        if before is None:
            process.io = ProcessIo(read, written, *(numbers if is_whole else (None, None)))
            if not is_whole:
                return
            moved_read, moved_written = numbers
        else:
            moved_read = before.interval_read = max(0, read - before.read_bytes)
            moved_written = before.interval_write = max(0, written - before.write_bytes)
            before.read_bytes, before.write_bytes = read, written
        if moved_read or moved_written:
            process.totals.read_bytes += moved_read
            process.totals.write_bytes += moved_written
