"""What a worker has used, as the supervisor measured it, and its processor time over spans of the past. PURE."""

from collections import deque

from msgspec import Struct

from agent.model.limit import CPU_PER_CORE
from agent.model.timebase import S

# Readings closer together than this are not kept: four a second would say no more.
KEPT_EVERY_NS = 1 * S
# What is asked for at most, and one reading before it.
SPAN_MOST_NS = 60 * S


class WorkerUsage(Struct, frozen=True):
    """One measurement of a process.

    *Units:* `cpu_ns` since its start, `rss_bytes`, `descriptors`, `queue_bytes` of rows without an acknowledgement. The queue alone
    is the worker's own word: nobody else can see it. *Absent:* None where it could not be measured.
    """

    cpu_ns: int | None = None
    rss_bytes: int | None = None
    descriptors: int | None = None
    queue_bytes: int | None = None


class CpuHistory:
    """Readings of one process's clock. *Range:* the last SPAN_MOST_NS."""

    def __init__(self) -> None:
        self._readings: deque[tuple[int, int]] = deque()

    def add(self, at_ns: int, cpu_ns: int) -> None:
        """A reading; those that are not needed any more are dropped."""
        if self._readings and cpu_ns < self._readings[-1][1]:
            # Another process: what the one before it used says nothing.
            self._readings.clear()
        if len(self._readings) > 1 and self._readings[-1][0] - self._readings[-2][0] < KEPT_EVERY_NS:
            self._readings.pop()
        self._readings.append((at_ns, cpu_ns))
        while len(self._readings) > 2 and at_ns - self._readings[1][0] >= SPAN_MOST_NS:
            self._readings.popleft()

    def used(self, since_ns: int) -> tuple[int, int]:
        """Processor time since the first reading at or after an instant, and the time from that reading to the last: ns, ns."""
        if not self._readings:
            return 0, 0
        last_at_ns, last_ns = self._readings[-1]
        first_at_ns, first_ns = last_at_ns, last_ns
        # From the end: what is asked for four times a second is near it.
        for at_ns, cpu_ns in reversed(self._readings):
            if at_ns < since_ns:
                break
            first_at_ns, first_ns = at_ns, cpu_ns
        return last_ns - first_ns, last_at_ns - first_at_ns

    def share(self, since_ns: int) -> int | None:
        """*Units:* thousandths of a percent of a core since an instant. *Absent:* there are no two readings."""
        used_ns, span_ns = self.used(since_ns)
        return used_ns * CPU_PER_CORE // span_ns if span_ns else None
