"""A clock that moves only when it is told to."""

from agent.model.gap_cause import ClockReading


class FakeClock:
    """`agent.ports.Clock` in the hands of a test."""

    def __init__(self, now_ns: int = 1_000_000_000, wall_ns: int = 1_700_000_000_000_000_000) -> None:
        self._now_ns = now_ns
        self._wall_ns = wall_ns
        # What the other clocks of a reading are ahead of the monotonic one, or have counted.
        self.suspended_ns = 0
        self.cpu_ns = 0
        self.run_delay_ns: int | None = 0

    def now_ns(self) -> int:
        """The monotonic time."""
        return self._now_ns

    def wall_ns(self) -> int:
        """The unix time."""
        return self._wall_ns

    def reading(self) -> ClockReading:
        """All clocks; the host booted when the monotonic one was at zero."""
        return ClockReading(self._now_ns, self._now_ns + self.suspended_ns, self._wall_ns, self.cpu_ns, self.run_delay_ns)

    def suspend(self, span_ns: int) -> None:
        """The host sleeps for this time: the monotonic clock stands still."""
        self.suspended_ns += span_ns
        self._wall_ns += span_ns

    def advance(self, span_ns: int) -> int:
        """Both clocks move on; gives the new monotonic time."""
        assert span_ns >= 0
        self._now_ns += span_ns
        self._wall_ns += span_ns
        return self._now_ns

    def set_wall_ns(self, wall_ns: int) -> None:
        """Somebody sets the wall clock; the monotonic one does not move."""
        self._wall_ns = wall_ns
