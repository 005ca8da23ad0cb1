"""CPU and memory of all processes as sketches: per unit and command, over windows of 60 s aligned to UTC. PURE.

Each process counts once a tick with the CPU that it used in it, 0 where it slept, and with its resident memory. Neither costs
anything while nothing changes: a process is remembered with the tick since which its memory is the same, and the zeros of those
that slept are what the others leave of all. At a window's end each process is visited once.

Where a sketch cannot be built, the values of the rest of the window are kept as they are, and become rows of table `process_raw`
(docs/decisions/0082-raw-values-of-a-window.md). The next window begins with sketches again.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from heapq import nlargest

from msgspec import Struct
from msgspec.structs import astuple

from agent.model.sketch import SCALE, VALUE_MAX, Sketch, SketchColumns
from agent.model.table import Row, Value
from agent.model.timebase import S
from workers.process.exits.deaths import Deaths
from workers.process.process_table import ProcessTable
from workers.process.raw_values import RawRoom, RawValues
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
# What a sketch that cannot be built or encoded raises; anything else is a bug, and ends the worker.
FAILURES = (ValueError, ArithmeticError, MemoryError, OSError)
_INSTEAD = "the values are in table process_raw"
# The memory of a process is not known.
_UNKNOWN = -1


class _KeySketches(Struct):
    """The window's two sketches of one key. `process_ticks` counts how often its processes could be counted with a CPU time,
    `ran` how often one of them was counted with its own: the others are zeros."""

    key: UnitCommand
    cpu: Sketch | RawValues
    rss: Sketch | RawValues
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
    """A window. `ticks` are those taken so far. `shared` has the keys without sketches of their own, with the CPU they used.

    `room`: no sketch can be built in it any more, and raw values have this room. `built` are its sketches until then.
    """

    number: int
    ticks: int
    by_key: dict[UnitCommand, _KeySketches]
    shared: dict[UnitCommand, int]
    room: RawRoom | None = None
    built: list[tuple[str, UnitCommand, Sketch]] = []
    is_encoded: bool = True


class _EndedPart(Struct, frozen=True):
    """A distribution of a window that has ended, to be written."""

    window: _Window
    metric: str
    key: UnitCommand
    values: Sketch | RawValues


class SketchWindows:
    """Takes each tick once, in order; gives the rows of a window after it has ended, and the rest at the end.

    Keys beyond `keys_max` are summed in a row of their own, so that nothing is missing. A clock that is set to another minute
    ends the window; its ticks so far have their rows, and `ticks` says how many there were.
    """

    def __init__(
        self,
        beat: Callable[[], None] = lambda: None,
        *,
        keys_max: int = KEYS_MAX,
        fault: Callable[[], None] = lambda: None,
    ) -> None:
        """`fault` is called before each tick is counted, and raises OSError where a test orders that no sketch can be built."""
        self._beat = beat
        self._fault = fault
        # Why sketches cannot be built or encoded now; empty: they can, as the last whole window showed.
        self.problem = ""
        self._raw_rows: list[Row] = []
        self._raw_writes = self._raw_dropped = 0
        self._keys_max = keys_max
        # Of sketches that are begun from now on; each row says the scale and the error of its own.
        self.scale = SCALE
        self._window: _Window | None = None
        # Of the last tick.
        self._table: ProcessTable | None = None
        self._last_wall_ns = 0
        self._pending: deque[_EndedPart] = deque()
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
            self._meet_fault(window)
            self._begin_with(table.processes.values(), window)
        else:
            window = self._window
            self._meet_fault(window)
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

    def take_raw_rows(self) -> list[Row]:
        """Rows of `process_raw` that came with the last rows of `process_sketch`."""
        rows, self._raw_rows = self._raw_rows, []
        return rows

    def stats(self) -> dict[str, int]:
        """Keys of this window with sketches of their own, and keys that share a row; rows of raw values so far, and values without
        room."""
        window = self._window
        return {
            "sketch_keys": 0 if window is None else len(window.by_key),
            "sketch_keys_shared": 0 if window is None else len(window.shared),
            "raw_writes": self._raw_writes,
            "raw_dropped": self._raw_dropped,
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
                    self._add_cpu(sketches, min(cpu_ns, VALUE_MAX), window)
            else:
                whole = [min(cpu_ns, VALUE_MAX) for cpu_ns in values] if max(values) > VALUE_MAX else values
                try:
                    sketches.cpu.add_all(whole)
                except FAILURES as failure:
                    self._go_raw(window, failure)
                    sketches.cpu.add_all(whole)
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
            value = min(cpu_ns, VALUE_MAX)
            try:
                sketches.cpu.add(value)
            except FAILURES as failure:
                self._go_raw(window, failure)
                sketches.cpu.add(value)
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
        self._settle(standing, window)
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
            self._settle(process.sketched, self._window)
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
                self._add_cpu(sketches, 0, window, zeros)
        self._last_cpu = {**window.shared, **{key: sketches.cpu.sum for key, sketches in window.by_key.items()}}
        self._last_cpu.pop(OTHER, None)
        self._due = len(self._pending)
        self._pending += [_EndedPart(window, *built) for built in window.built]
        for sketches in window.by_key.values():
            self._pending += [
                _EndedPart(window, "cpu", sketches.key, sketches.cpu),
                _EndedPart(window, "rss", sketches.key, sketches.rss),
            ]
        self._window = None
        if window.room is not None:
            self._raw_dropped += window.room.dropped

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
        room = window.room
        if room is None:
            sketches = _KeySketches(key, Sketch(scale=self.scale), Sketch(scale=self.scale))
        else:
            sketches = _KeySketches(key, RawValues(room), RawValues(room))
        window.by_key[key] = sketches
        return sketches

    def _beating(self, processes: Collection[TrackedProcess]) -> Iterator[TrackedProcess]:
        for number, process in enumerate(processes, start=1):
            yield process
            if number % PROCESSES_PER_BEAT == 0:
                self._beat()

    def _rows(self, count: int, wall_ns: int) -> list[Row]:
        rows = []
        for _ in range(count):
            part = self._pending.popleft()
            window, values = part.window, part.values
            head = (wall_ns, window.number * WINDOW_NS, WINDOW_NS, *part.key, part.metric, window.ticks)
            if isinstance(values, RawValues):
                self._write_raw(head, values.times.items(), 0.0)
            elif (columns := self._columns(values, part)) is not None and columns.count:
                keys = max(1, len(window.shared)) if part.key == OTHER else 1
                rows.append((*head, *astuple(columns), keys))
            if window.is_encoded and window.room is None and not (self._pending and self._pending[0].window is window):
                # A whole window was built and encoded.
                self.problem = ""
        return rows

    # ---- where a sketch cannot be built ------------------------------------------------------------

    def _meet_fault(self, window: _Window) -> None:
        try:
            self._fault()
        except OSError as failure:
            self._go_raw(window, failure)

    def _add_cpu(self, sketches: _KeySketches, value: int, window: _Window, times: int = 1) -> None:
        try:
            sketches.cpu.add(value, times)
        except FAILURES as failure:
            self._go_raw(window, failure)
            sketches.cpu.add(value, times)

    def _settle(self, standing: _Standing, window: _Window) -> None:
        """Count a process for the ticks since it was counted last, up to the one before this."""
        ticks = window.ticks - standing.since_tick
        if ticks:
            standing.since_tick = window.ticks
            sketches = standing.sketches
            if standing.rss_bytes != _UNKNOWN:
                value = min(standing.rss_bytes, VALUE_MAX)
                try:
                    sketches.rss.add(value, ticks)
                except FAILURES as failure:
                    self._go_raw(window, failure)
                    sketches.rss.add(value, ticks)
            if standing.has_cpu:
                sketches.process_ticks += ticks

    def _go_raw(self, window: _Window, failure: Exception) -> None:
        """From now on the values of this window are kept as they are. Its sketches so far are good, and are written."""
        self.problem = f"sketches of processes cannot be built: {str(failure) or type(failure).__name__}; {_INSTEAD}"
        if window.room is not None:
            return
        room = window.room = RawRoom()
        window.built = []
        for key, sketches in window.by_key.items():
            for metric, built in (("cpu", sketches.cpu), ("rss", sketches.rss)):
                # A window without room has nothing else yet.
                assert isinstance(built, Sketch)
                window.built.append((metric, key, built))
            sketches.cpu, sketches.rss = RawValues(room, sketches.cpu.sum), RawValues(room, sketches.rss.sum)

    def _columns(self, sketch: Sketch, part: _EndedPart) -> SketchColumns | None:
        """*Absent:* it cannot be encoded; what its buckets count is written as raw values, as exact as they are."""
        try:
            return sketch.to_columns()
        except FAILURES as failure:
            self.problem = f"sketches of processes cannot be encoded: {str(failure) or type(failure).__name__}; {_INSTEAD}"
            window = part.window
            window.is_encoded = False
            head = (self._last_wall_ns, window.number * WINDOW_NS, WINDOW_NS, *part.key, part.metric, window.ticks)
            self._write_raw(head, sketch.estimates(), sketch.relative_error)
            self._write_raw(head, [(0, sketch.zero_count)] if sketch.zero_count else [], 0.0)
            return None

    def _write_raw(self, head: tuple[Value, ...], counted: Iterable[tuple[int, int]], error: float) -> None:
        rows = [(*head, value, times, error) for value, times in counted]
        self._raw_rows += rows
        self._raw_writes += len(rows)


def _note_shared(window: _Window, key: UnitCommand, cpu_ns: int) -> None:
    """Who uses much of it has sketches of its own in the next window."""
    if key in window.shared:
        window.shared[key] += cpu_ns
