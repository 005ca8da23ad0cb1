"""The real clocks behind `agent.ports.Clock`."""

import os
import time

from agent.model.gap_cause import ClockReading

# Three numbers.
_SCHEDSTAT_BYTES_MAX = 256


class SystemClock:
    """CLOCK_MONOTONIC and CLOCK_REALTIME, and for readings CLOCK_BOOTTIME and what the scheduler counts of the main thread."""

    def __init__(self) -> None:
        # Opened by the process that reads, at its first reading: before a fork it would be the parent's. None: not opened yet.
        self._schedstat: int | None = None

    def now_ns(self) -> int:
        """Monotonic nanoseconds."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """Unix time in nanoseconds."""
        return time.time_ns()

    def reading(self) -> ClockReading:
        """See `agent.ports.Clock`; it costs some 3 us."""
        run_delay_ns = self._run_delay_ns()
        # The two clocks that are compared are read side by side.
        return ClockReading(
            now_ns=time.monotonic_ns(),
            boot_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            cpu_ns=time.thread_time_ns(),
            run_delay_ns=run_delay_ns,
        )

    def _run_delay_ns(self) -> int | None:
        try:
            if self._schedstat is None:
                self._schedstat = os.open("/proc/self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
            return int(os.pread(self._schedstat, _SCHEDSTAT_BYTES_MAX, 0).split()[1])
        except (OSError, ValueError, IndexError):
            # A kernel without CONFIG_SCHED_INFO, or a /proc that shows something else.
            return None
