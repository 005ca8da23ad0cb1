"""CPU and memory of all processes as sketches: per unit and command, over windows of 60 s aligned to UTC. PURE.

Each process counts once a tick with the CPU that it used in it, 0 where it slept, and with its resident memory. Neither costs
anything while nothing changes: a process is remembered with the tick since which its memory is the same, and the zeros of those
that slept are what the others leave of all. At a window's end each process is visited once.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from heapq import nlargest

from msgspec import Struct
from msgspec.structs import astuple

from agent.model.sketch import SCALE, VALUE_MAX, Sketch
from agent.model.table import Row
from agent.model.timebase import S
from workers.process.exits.deaths import Deaths
from workers.process.process_table import ProcessTable
from workers.process.tracked_process import Scan, TrackedProcess
from workers.process.unit_command import UnitCommand

WINDOW_NS = 60 * S
# A sketch takes some KiB, and rows are written once a window: 512 keys are 1,024 rows.
KEYS_MAX = 512
# On a host with more keys, places that are left for those that appear within the window; the others go to the largest ones.
KEYS_LEFT_FOR_NEW = 64
# A row is made in some 50 us.
ROWS_PER_TICK = 128
# Any user may make new names all the time. Further ones share the row too, but `keys` grows no more.
SHARED_KEYS_MAX = 8_192
# Adding so many values at once costs as much as adding each.
FEW_VALUES = 8
# Settling a process takes 1 to 2 us.
PROCESSES_PER_BEAT = 512

# The row of all further units and commands.
OTHER = UnitCommand(None, None)
# The memory of a process is not known.
_UNKNOWN = -1


class _KeySketches(Struct):
    """The window's two sketches of one key. `process_ticks` counts how often its processes could be counted with a CPU time,
    `ran` how often one of them was counted with its own: the others are zeros."""

    key: UnitCommand
    cpu: Sketch
    rss: Sketch
    process_ticks: int = 0
    ran: int = 0


class _Standing(Struct, eq=False):
    """What a process is counted with since a tick: in which sketches, with how much memory, whether its CPU is known."""

    sketches: _KeySketches
    key: UnitCommand
    rss_bytes: int
    has_cpu: bool
    since_tick: int


class _Window(Struct):
    """A window. `ticks` are those taken so far. `shared` has the keys without sketches of their own, with the CPU they used."""

    number: int
    ticks: int
    by_key: dict[UnitCommand, _KeySketches]
    shared: dict[UnitCommand, int]


class SketchWindows:
    """Takes each tick once, in order; gives the rows of a window after it has ended, and the rest at the end.

    Keys beyond `keys_max` are summed in a row of their own, so that nothing is missing. A clock that is set to another minute
    ends the window; its ticks so far have their rows, and `ticks` says how many there were.
    """

    def __init__(self, beat: Callable[[], None] = lambda: None, *, keys_max: int = KEYS_MAX) -> None:
        self._beat = beat
        self._keys_max = keys_max
        # Of sketches that are begun from now on; each row says the scale and the error of its own.
        self.scale = SCALE
        self._window: _Window | None = None
        # Of the last tick.
        self._table: ProcessTable | None = None
        self._last_wall_ns = 0
        self._pending: deque[tuple[_Window, str, _KeySketches]] = deque()
        # Rows that a next window's end finds unwritten are due at once, so that they never pile up.
        self._due = 0
        # What the processes of each key used in the last window.
        self._last_cpu: dict[UnitCommand, int] = {}

    def take(self, scan: Scan, deaths: Deaths, table: ProcessTable, wall_ns: int) -> None:
        """Count a tick: what the scan found, and the CPU of each process that died in it.

        It comes before `end_interval` of the table.
        """
        number = wall_ns // WINDOW_NS
        if self._window is None or self._window.number != number:
            for process in (*scan.gone, *scan.lost):
                self._leave(process)
            self._end_window(table.processes.values())
            window = self._window = self._new_window(number, table)
            self._begin_with(table.processes.values(), window)
        else:
            window = self._window
            for process in (*scan.gone, *scan.lost):
                self._leave(process)
            for process in scan.touched:
                self._update(process, window)
        for process in scan.active:
            self._count_cpu(process, window)
        self._count_dead(deaths, window)
        window.ticks += 1
        self._table, self._last_wall_ns = table, wall_ns

    def rows(self, wall_ns: int) -> list[Row]:
        """Rows of `process_sketch` of windows that have ended, some each tick."""
        count = max(self._due, min(ROWS_PER_TICK, len(self._pending)))
        self._due = 0
        return self._rows(count, wall_ns)

    def flush(self) -> list[Row]:
        """All rows that there are, of the window that is not over too; the next tick begins a new one."""
        if self._table is not None:
            self._end_window(self._table.processes.values())
        return self._rows(len(self._pending), self._last_wall_ns)

    def stats(self) -> dict[str, int]:
        """Keys of this window with sketches of their own, and keys that share a row."""
        window = self._window
        return {
            "sketch_keys": 0 if window is None else len(window.by_key),
            "sketch_keys_shared": 0 if window is None else len(window.shared),
        }

    def _count_dead(self, deaths: Deaths, window: _Window) -> None:
        """All of one key at once: where processes come and go there are thousands a tick, and few keys."""
        by_key: defaultdict[UnitCommand, list[int]] = defaultdict(list)
        for key, cpu_ns in deaths.parts:
            by_key[key].append(cpu_ns)
        for key, values in by_key.items():
            sketches = self._sketches_of(key, window)
            if len(values) < FEW_VALUES:
                for cpu_ns in values:
                    sketches.cpu.add(min(cpu_ns, VALUE_MAX))
            else:
                sketches.cpu.add_all([min(cpu_ns, VALUE_MAX) for cpu_ns in values] if max(values) > VALUE_MAX else values)
            if sketches.key is OTHER:
                _note_shared(window, key, sum(values))

    # ---- a process -------------------------------------------------------------------------------

    def _count_cpu(self, process: TrackedProcess, window: _Window) -> None:
        standing = process.sketched
        if not isinstance(standing, _Standing):
            standing = self._join(process, window)
        cpu_ns = process.interval_cpu_ns
        sketches = standing.sketches
        sketches.ran += standing.has_cpu
        if cpu_ns is not None:
            sketches.cpu.add(min(cpu_ns, VALUE_MAX))
            if sketches.key is OTHER:
                _note_shared(window, standing.key, cpu_ns)

    def _update(self, process: TrackedProcess, window: _Window) -> None:
        """The process was read: from this tick on it may stand elsewhere."""
        standing = process.sketched
        if not isinstance(standing, _Standing):
            self._join(process, window)
            return
        rss_bytes = process.rss_bytes if process.why_no_rss is None else _UNKNOWN
        has_cpu = process.cpu_ns is not None
        if standing.rss_bytes == rss_bytes and standing.key is process.key and standing.has_cpu is has_cpu:
            return
        _settle(standing, window.ticks)
        if standing.key is not process.key:
            standing.key, standing.sketches = process.key, self._sketches_of(process.key, window)
        standing.rss_bytes, standing.has_cpu = rss_bytes, has_cpu

    def _join(self, process: TrackedProcess, window: _Window) -> _Standing:
        rss_bytes = process.rss_bytes if process.why_no_rss is None else _UNKNOWN
        sketches = self._sketches_of(process.key, window)
        standing = _Standing(sketches, process.key, rss_bytes, process.cpu_ns is not None, window.ticks)
        process.sketched = standing
        return standing

    def _leave(self, process: TrackedProcess) -> None:
        if self._window is not None and isinstance(process.sketched, _Standing):
            _settle(process.sketched, self._window.ticks)
            process.sketched = None

    # ---- a window --------------------------------------------------------------------------------

    def _end_window(self, processes: Collection[TrackedProcess]) -> None:
        window = self._window
        if window is None:
            return
        for process in self._beating(processes):
            self._leave(process)
        for sketches in window.by_key.values():
            if zeros := sketches.process_ticks - sketches.ran:
                sketches.cpu.add(0, zeros)
        self._last_cpu = {**window.shared, **{key: sketches.cpu.sum for key, sketches in window.by_key.items()}}
        self._last_cpu.pop(OTHER, None)
        self._due = len(self._pending)
        for sketches in window.by_key.values():
            self._pending += [(window, "cpu", sketches), (window, "rss", sketches)]
        self._window = None

    def _new_window(self, number: int, table: ProcessTable) -> _Window:
        window = _Window(number, 0, {}, {})
        if len(table.totals) > self._keys_max:
            for key in self._largest(table):
                self._sketches_of(key, window)
        return window

    def _largest(self, table: ProcessTable) -> Iterable[UnitCommand]:
        """The keys that had most CPU in the last window, and those with most memory, as many of each."""
        count = max(0, self._keys_max - KEYS_LEFT_FOR_NEW) // 2
        by_cpu = nlargest(count, self._last_cpu, key=self._last_cpu.__getitem__)
        by_rss = nlargest(count, table.totals, key=lambda key: table.totals[key].rss_bytes)
        return dict.fromkeys(key for key in (*by_cpu, *by_rss) if key in table.totals)

    def _begin_with(self, processes: Collection[TrackedProcess], window: _Window) -> None:
        for process in self._beating(processes):
            self._join(process, window)

    def _sketches_of(self, key: UnitCommand, window: _Window) -> _KeySketches:
        sketches = window.by_key.get(key)
        if sketches is not None:
            return sketches
        # One place is for the row of those that have none.
        if key != OTHER and len(window.by_key) >= self._keys_max - (OTHER not in window.by_key):
            if len(window.shared) < SHARED_KEYS_MAX:
                window.shared.setdefault(key, 0)
            return self._sketches_of(OTHER, window)
        sketches = window.by_key[key] = _KeySketches(key, Sketch(scale=self.scale), Sketch(scale=self.scale))
        return sketches

    def _beating(self, processes: Collection[TrackedProcess]) -> Iterator[TrackedProcess]:
        for number, process in enumerate(processes, start=1):
            yield process
            if number % PROCESSES_PER_BEAT == 0:
                self._beat()

    def _rows(self, count: int, wall_ns: int) -> list[Row]:
        rows = []
        for _ in range(count):
            window, metric, sketches = self._pending.popleft()
            columns = (sketches.cpu if metric == "cpu" else sketches.rss).to_columns()
            if columns.count:
                keys = max(1, len(window.shared)) if sketches.key == OTHER else 1
                row = (
                    *(wall_ns, window.number * WINDOW_NS, WINDOW_NS, *sketches.key, metric, window.ticks),
                    *astuple(columns),
                    keys,
                )
                rows.append(row)
        return rows


def _note_shared(window: _Window, key: UnitCommand, cpu_ns: int) -> None:
    """Who uses much of it has sketches of its own in the next window."""
    if key in window.shared:
        window.shared[key] += cpu_ns


def _settle(standing: _Standing, tick: int) -> None:
    """Count a process for the ticks since it was counted last, up to the one before this."""
    ticks = tick - standing.since_tick
    if ticks:
        standing.since_tick = tick
        if standing.rss_bytes != _UNKNOWN:
            standing.sketches.rss.add(min(standing.rss_bytes, VALUE_MAX), ticks)
        if standing.has_cpu:
            standing.sketches.process_ticks += ticks
