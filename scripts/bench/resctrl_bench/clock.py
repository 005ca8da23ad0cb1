"""Stored instants are of the wall clock, which is slewed and stepped; intervals are judged by the monotonic one."""

import bisect
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

EVERY_SECONDS = 1.0
# Of several readings the one that took least is the truest.
READINGS = 5


class WallClock:
    """What the wall clock showed at instants of the monotonic one. Use `watched` for one that keeps looking."""

    def __init__(self) -> None:
        self._walls_ns: list[int] = []
        self._offsets_ns: list[int] = []
        self.look()

    def look(self) -> None:
        """Compare both now."""
        readings = []
        for _ in range(READINGS):
            before_ns = time.monotonic_ns()
            wall_ns = time.time_ns()
            after_ns = time.monotonic_ns()
            readings.append((after_ns - before_ns, wall_ns, wall_ns - (before_ns + after_ns) // 2))
        _took_ns, wall_ns, offset_ns = min(readings)
        self._walls_ns.append(wall_ns)
        self._offsets_ns.append(offset_ns)

    def monotonic_ns(self, wall_ns: int) -> int:
        """The monotonic instant of a wall clock reading: on the straight line between the two looks around it."""
        place = bisect.bisect_left(self._walls_ns, wall_ns)
        if place == 0:
            return wall_ns - self._offsets_ns[0]
        if place == len(self._walls_ns):
            return wall_ns - self._offsets_ns[-1]
        begin_ns, end_ns = self._walls_ns[place - 1 : place + 1]
        first_ns, second_ns = self._offsets_ns[place - 1 : place + 1]
        return wall_ns - (first_ns + (second_ns - first_ns) * (wall_ns - begin_ns) // max(1, end_ns - begin_ns))

    @property
    def drift_ms(self) -> float:
        """By how much the clocks have moved apart, at most, since the first look."""
        return (max(self._offsets_ns) - min(self._offsets_ns)) / 1e6


@contextmanager
def watched() -> Iterator[WallClock]:
    """A clock that is compared once a second as long as the context lasts."""
    clock = WallClock()
    over = threading.Event()

    def run() -> None:
        while not over.wait(EVERY_SECONDS):
            clock.look()

    watcher = threading.Thread(target=run, daemon=True)
    watcher.start()
    try:
        yield clock
    finally:
        over.set()
        watcher.join()
        clock.look()
