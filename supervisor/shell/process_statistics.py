"""What worker processes cost and what the kernel shows of them, read over descriptors that stay open.

Nothing here takes the memory lock of another process: a worker that waits with its lock held must not keep the supervisor.
"""

import os
import time
from collections import deque
from errno import ESRCH

from agent.model.proc_stat import STAT_BYTES_MAX, parse_stat
from agent.model.timebase import S
from supervisor.core.watchdog import ProcessState

_NS_PER_TICK = S // os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# CPU in percent is shown over some ten seconds, however often it is asked for.
_SAMPLES_MAX = 10
_BETWEEN_SAMPLES_NS = 1 * S
_BETWEEN_COUNTS_NS = 5 * S
# *Source:* linux/include/linux/posix-timers_types.h, CPUCLOCK_SCHED and MAKE_PROCESS_CPUCLOCK.
_SCHED, _PID_SHIFT = 2, 3


class ProcessStatistics:
    """The cost of one process. The descriptor answers ESRCH after its end, so a reused number is never measured."""

    def __init__(self, pid: int) -> None:
        """*Raises:* OSError when the process is gone or there is no descriptor left. *Source:* proc_pid_stat(5)."""
        self._stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        self._clock = (~pid << _PID_SHIFT) | _SCHED
        self._open_files_path = f"/proc/{pid}/fd"
        self._open_files: int | None = None
        self._open_files_at_ns: int | None = None
        self._samples: deque[tuple[int, int]] = deque(maxlen=_SAMPLES_MAX)
        self._latest: tuple[int, int] | None = None
        self.rss_bytes: int | None = None

    def sample(self, now_ns: int) -> ProcessState | None:
        """State letter and CPU time. *Absent:* the process is gone. *Raises:* OSError. *Source:* proc_pid_stat(5)."""
        try:
            line = os.pread(self._stat, STAT_BYTES_MAX, 0)
        except OSError as gone:
            if gone.errno != ESRCH:
                raise
            return None
        stat = parse_stat(line)
        # A number beyond every range tells nothing: what was known last stands.
        known_ns = 0 if self._latest is None else self._latest[1]
        cpu_ns = known_ns if stat.cpu_ticks is None else stat.cpu_ticks * _NS_PER_TICK
        self.rss_bytes = None if stat.rss_pages is None else stat.rss_pages * _PAGE_BYTES
        self._latest = (now_ns, cpu_ns)
        if not self._samples or now_ns - self._samples[-1][0] >= _BETWEEN_SAMPLES_NS:
            self._samples.append(self._latest)
        return ProcessState(stat.state, cpu_ns)

    def cpu_clock_ns(self) -> int | None:
        """The run time of all threads, exact where `stat` counts in ticks, and read without a file. *Absent:* the process is gone.

        *Source:* clock_getcpuclockid(3).
        """
        try:
            return time.clock_gettime_ns(self._clock)
        except OSError:
            return None

    def descriptors(self, now_ns: int) -> int | None:
        """How many files it has open, counted once in some seconds. *Absent:* the kernel does not let it be counted."""
        if self._open_files_at_ns is None or now_ns - self._open_files_at_ns >= _BETWEEN_COUNTS_NS:
            self._open_files_at_ns = now_ns
            self._open_files = _count_open_files(self._open_files_path)
        return self._open_files

    @property
    def cpu_percent(self) -> float | None:
        """*Units:* percent of one core over the last samples. *Absent:* before there are two."""
        if self._latest is None or self._latest == self._samples[0]:
            return None
        (first_at_ns, first_ns), (last_at_ns, last_ns) = self._samples[0], self._latest
        return round(100 * (last_ns - first_ns) / max(1, last_at_ns - first_at_ns), 2)

    @property
    def cpu_seconds(self) -> float | None:
        """CPU time since the process's start. *Absent:* before the first sample."""
        return None if self._latest is None else self._latest[1] / S

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._stat)


def _count_open_files(path: str) -> int | None:
    """Since Linux 6.2 the size of the folder says it; before, its entries are counted."""
    try:
        return os.stat(path).st_size or len(os.listdir(path))
    except OSError:
        return None
