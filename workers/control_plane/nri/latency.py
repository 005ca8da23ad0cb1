"""Counts how long replies took, in few fixed buckets. PURE."""

from bisect import bisect_left
from itertools import accumulate

from agent.model.timebase import MS

# Upper bounds from a fifth of a millisecond to 1.6 s, four for each doubling: a percentile is right within a fifth.
BOUNDS_NS = tuple(round(MS / 5 * 2 ** (quarter / 4)) for quarter in range(4 * 13 + 1))


class LatencyCount:
    """How often which time was taken. One thread counts, any other may read: figures may be one count apart."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_NS) + 1)
        self.count = 0
        self.max_ns = 0

    def add(self, elapsed_ns: int) -> None:
        """Count one."""
        self._counts[bisect_left(BOUNDS_NS, elapsed_ns)] += 1
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
