"""The real clocks behind `agent.ports.Clock`."""

import time


class SystemClock:
    """CLOCK_MONOTONIC and CLOCK_REALTIME."""

    def now_ns(self) -> int:
        """Monotonic nanoseconds."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """Unix time in nanoseconds."""
        return time.time_ns()
