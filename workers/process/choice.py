"""Which processes have a row in a tick, and for which metric. PURE.

The set is chosen apart for CPU, memory and input and output; the rows are their union.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from operator import attrgetter

from msgspec import Struct

from workers.process.top_n import PATIENCE_TICKS, Limits, TopN
from workers.process.tracked_process import Scan, TrackedProcess

# A process with this many threads is worth a row if no other has more.
MANY_THREADS = 100
# The pool of the largest by memory is this many times as large as rows may be, and all are looked at once in so many ticks.
POOL_FACTOR = 2
POOL_TICKS = 16
RSS: Callable[[TrackedProcess], int] = attrgetter("rss_bytes")


class MetricChoice(Struct, frozen=True):
    """What the rows of one metric hold. `held` counts what all rows hold; `is_short`: less than asked for."""

    rows: int
    held: int
    whole: int
    is_short: bool

    @property
    def capture(self) -> float | None:
        """The part of the whole that named processes hold. *Absent:* None where the whole is 0."""
        return self.held / self.whole if self.whole > 0 else None


class ProcessChoice(Struct):
    """The processes with a row, each with the metrics that chose it, in the order of the rows."""

    chosen_for: dict[TrackedProcess, str]
    cpu: MetricChoice
    rss: MetricChoice
    io: MetricChoice

    def without_rows(self) -> "ProcessChoice":
        """The same tick in which no process has a row: everything is in the remainder, and nothing is held."""
        return ProcessChoice(
            {},
            *(MetricChoice(0, 0, each.whole, is_short=each.whole > 0) for each in (self.cpu, self.rss, self.io)),
        )


class Wholes(Struct, frozen=True):
    """Sums over everything that the rows are measured by: with the dead, and without them for what only the living can hold."""

    cpu_ns: int
    living_cpu_ns: int
    rss_bytes: int
    io_bytes: int
    living_io_bytes: int


def interval_cpu(process: TrackedProcess) -> int:
    """Its CPU of the tick, 0 where it is not known."""
    return process.interval_cpu_ns or 0


def interval_io(process: TrackedProcess) -> int:
    """Its bytes read and written of the tick, 0 where they are not known."""
    io = process.io
    return 0 if io is None else (io.interval_read or 0) + (io.interval_write or 0)


class MemoryPool:
    """The processes that can be among the largest by memory, so that not all are looked at in every tick.

    Those outside held at most `floor` when all were looked at. Memory changes only where a process was read, and one that was
    read with more than that is in the pool from then on.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._members: dict[TrackedProcess, None] = {}
        self._ticks = 0
        # Above every value: at first all are looked at.
        self.floor = -1

    def candidates(
        self, touched: Iterable[TrackedProcess], is_alive: Callable[[TrackedProcess], bool]
    ) -> list[TrackedProcess] | None:
        """The pool of this tick; None: all must be looked at."""
        self._ticks += 1
        if self.floor < 0 or self._ticks >= POOL_TICKS:
            return None
        self._members = {process: None for process in self._members if is_alive(process)}
        self._members |= {process: None for process in touched if process.rss_bytes > self.floor}
        return list(self._members) if len(self._members) <= 4 * self._size else None

    def fill(self, processes: Sequence[TrackedProcess]) -> None:
        """Begin with the largest of all processes."""
        values = sorted(map(RSS, processes), reverse=True)
        self.floor = values[self._size] if len(values) > self._size else 0
        self._members = {process: None for process in processes if process.rss_bytes > self.floor}
        self._ticks = 0


class _Metric:
    """The choice for one metric, and what it is asked for."""

    def __init__(self, word: str, limits: Limits, value_of: Callable[[TrackedProcess], int]) -> None:
        self.word = word
        self.value_of = value_of
        self._capture = limits.capture
        self.top: TopN[TrackedProcess] = TopN(limits, value_of)
        self._out_of_reach_ticks = 0

    def choose(
        self, items: Sequence[TrackedProcess], living: int, whole: int, is_alive: Callable[[TrackedProcess], bool]
    ) -> list[TrackedProcess]:
        return self.top.choose(items, self.target(living, whole), is_alive).items

    def result(self, rows: int, chosen: Collection[TrackedProcess], whole: int) -> MetricChoice:
        held = sum(map(self.value_of, chosen))
        return MetricChoice(rows, held, whole, held * 1000 < whole * self._capture)

    def target(self, living: int, whole: int) -> int:
        """What the rows are to hold.

        Where the dead hold so much that all living processes together do not reach the share of the whole, it is the same
        share of the living: more rows would not name the dead. It is so until the whole can be reached for a while.
        """
        target = -(-whole * self._capture // 1000)
        self._out_of_reach_ticks = PATIENCE_TICKS if target > living else max(0, self._out_of_reach_ticks - 1)
        return -(-living * self._capture // 1000) if self._out_of_reach_ticks else target


class Chooser:
    """Chooses the rows of each tick. `is_alive` says whether a process that was chosen is still followed."""

    def __init__(self, limits: Limits, is_alive: Callable[[TrackedProcess], bool]) -> None:
        self._is_alive = is_alive
        self._cpu = _Metric("cpu", limits, interval_cpu)
        self._rss = _Metric("rss", limits, RSS)
        self._pool = MemoryPool(POOL_FACTOR * limits.most)
        self._io = _Metric("io", limits, interval_io)
        self._least = limits.least
        self._most_threads: TrackedProcess | None = None

    def set_limits(self, limits: Limits) -> None:
        """Other limits hold from the next tick on; what is remembered of the processes stays."""
        for metric in (self._cpu, self._rss, self._io):
            metric.top.set_limits(limits)
        self._least = limits.least

    def choose(self, processes: Collection[TrackedProcess], scan: Scan, wholes: Wholes) -> ProcessChoice:
        """The rows of a tick: most CPU first, then those that are there for their memory, and for input and output."""
        alive = self._is_alive
        busy = [process for process in scan.active if process.interval_cpu_ns]
        by_cpu = self._cpu.choose(busy, wholes.living_cpu_ns, wholes.cpu_ns, alive)
        by_rss = self._by_rss(processes, scan.touched, wholes)
        by_io = self._io.choose(
            [process for process in scan.io_read if interval_io(process)], wholes.living_io_bytes, wholes.io_bytes, alive
        )
        chosen_for: dict[TrackedProcess, str] = dict.fromkeys(by_cpu, self._cpu.word)
        for word, chosen in ((self._rss.word, by_rss), (self._io.word, by_io), ("threads", self._by_threads(processes))):
            for process in chosen:
                chosen_for[process] = f"{chosen_for[process]},{word}" if process in chosen_for else word
        return ProcessChoice(
            chosen_for,
            self._cpu.result(len(by_cpu), chosen_for, wholes.cpu_ns),
            self._rss.result(len(by_rss), chosen_for, wholes.rss_bytes),
            self._io.result(len(by_io), chosen_for, wholes.io_bytes),
        )

    def _by_rss(
        self, processes: Collection[TrackedProcess], touched: Sequence[TrackedProcess], wholes: Wholes
    ) -> list[TrackedProcess]:
        top, target = self._rss.top, self._rss.target(wholes.rss_bytes, wholes.rss_bytes)
        items = self._pool.candidates(touched, self._is_alive)
        need = None if items is None else top.need(items, target)
        least = min(self._least, len(processes))
        if items is None or need is None or need.threshold <= self._pool.floor or need.count < least:
            # Processes outside of the pool may be needed.
            items, need = list(processes), None
            self._pool.fill(items)
        return top.choose(items, target, self._is_alive, need).items

    def _by_threads(self, processes: Collection[TrackedProcess]) -> list[TrackedProcess]:
        """The process with the most threads, if they are many; of several with as many the one of the last tick."""
        most = max(map(attrgetter("threads"), processes), default=0)
        if most < MANY_THREADS:
            self._most_threads = None
            return []
        last = self._most_threads
        if last is None or last.threads < most or not self._is_alive(last):
            last = self._most_threads = next(process for process in processes if process.threads == most)
        return [last]
