"""Counts how long replies took, in few fixed buckets. PURE."""

from itertools import accumulate

from agent.model.timebase import MS

# Upper bounds; twice as much each time from a fifth of a millisecond. The last ones are beyond the default deadline.
BOUNDS_NS = tuple(MS // 5 << doublings for doublings in range(14))


class LatencyCount:
    """How often which time was taken. One thread counts, any other may read: figures may be one count apart."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_NS) + 1)
        self.count = 0
        self.max_ns = 0

    def add(self, elapsed_ns: int) -> None:
        """Count one."""
        bucket = next((index for index, bound_ns in enumerate(BOUNDS_NS) if elapsed_ns <= bound_ns), len(BOUNDS_NS))
        self._counts[bucket] += 1
        self.count += 1
        self.max_ns = max(self.max_ns, elapsed_ns)

    def percentile_ns(self, percent: int) -> int:
        """The bound that so many percent did not exceed, or the largest time where that is less. *Range:* 0 without any count."""
        assert 0 < percent <= 100
        counts = tuple(self._counts)
        # The rank is rounded up: of fewer than a hundred the 99th percentile is the largest.
        rank = -(-sum(counts) * percent // 100)
        for bound_ns, so_far in zip(BOUNDS_NS, accumulate(counts), strict=False):
            if so_far >= rank:
                return min(bound_ns, self.max_ns)
        return self.max_ns
