"""The system's clocks as an `agent.ports.Clock`."""

import os
import time

from agent.model.gap_cause import ClockReading

# Three numbers.
_SCHEDSTAT_BYTES_MAX = 256


class SystemClock:
    """CLOCK_MONOTONIC, CLOCK_REALTIME and CLOCK_BOOTTIME, and the CPU time and run delay of this thread."""

    def __init__(self) -> None:
        # Opened at the first reading, by the process that reads: opened before a fork it would show the parent. None: not yet open.
        self._schedstat: int | None = None

    def now_ns(self) -> int:
        """Monotonic nanoseconds."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """Unix time in nanoseconds."""
        return time.time_ns()

    def reading(self) -> ClockReading:
        """All clocks at this moment, see `agent.ports.Clock`. It costs about 3 µs.

        *Absent:* `run_delay_ns` where the kernel does not count it. *Source:* clock_gettime(2), /proc/self/schedstat in proc(5).
        """
        run_delay_ns = self._run_delay_ns()
        # They are compared with each other, so they are read one right after the other.
        return ClockReading(
            now_ns=time.monotonic_ns(),
            boot_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            wall_ns=time.time_ns(),
            cpu_ns=time.thread_time_ns(),
            run_delay_ns=run_delay_ns,
        )

    def _run_delay_ns(self) -> int | None:
        try:
            if self._schedstat is None:
                self._schedstat = os.open("/proc/self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
            return int(os.pread(self._schedstat, _SCHEDSTAT_BYTES_MAX, 0).split()[1])
        except (OSError, ValueError, IndexError):
            # A kernel without CONFIG_SCHED_INFO, or a /proc with other content.
            return None
