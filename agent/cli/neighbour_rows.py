"""Windows of units out of stored rows, for the judge of `agentctl neighbours`. It imports pyarrow.

Rows are decoded as columns and become series of one number per second. Memory grows with the units and the seconds of one window,
never with the time that is asked for.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from math import nan

import pyarrow
from msgspec import Struct
from pyarrow import compute

from agent.cli.neighbour_series import Series, gap_series, put
from agent.cli.neighbour_unit import (
    BANDWIDTH,
    CPU,
    IO_BYTES,
    IO_OPERATIONS,
    LLC,
    MEMORY,
    MEMORY_EVENTS,
    MEMORY_LIMIT,
    PRESSURE_CPU,
    PRESSURE_IO,
    PRESSURE_MEMORY,
    THROTTLED,
    HostWindow,
    JudgedUnit,
    NodeWindow,
    UnitWindow,
)
from agent.cli.stored_rows import HeldRows, StoredRows
from agent.cli.time_bounds import TimeBounds
from agent.model.table import Table
from agent.model.timebase import S

# A unit that did nothing has its next row after so long, which covers the whole time.
IDLE_SECONDS = 61
_SHARES = {
    PRESSURE_CPU: "pressure_cpu_some_ns",
    PRESSURE_MEMORY: "pressure_memory_some_ns",
    PRESSURE_IO: "pressure_io_some_ns",
    THROTTLED: "cpu_throttled_ns",
}
_SUMS = {
    CPU: ("cpu_cores",),
    IO_BYTES: ("io_read_bytes_per_second", "io_write_bytes_per_second"),
    IO_OPERATIONS: ("io_reads_per_second", "io_writes_per_second"),
    MEMORY_EVENTS: ("memory_max_events", "memory_high_events", "oom_events"),
}
_LEVELS = {MEMORY: "memory_current_bytes", MEMORY_LIMIT: "memory_limit_bytes"}
_IDENTITY = ("timestamp", "unit", "kind", "container", "cgroup", "elapsed_ns", "is_final")
UNIT_COLUMNS = (*_IDENTITY, *_SHARES.values(), *(name for names in _SUMS.values() for name in names), *_LEVELS.values())
HOST_COLUMNS = ("timestamp", "elapsed_ns", "cores", "cpu_ns", "memory_total_bytes", "memory_available_bytes")
DISK_COLUMNS = ("timestamp", "utilisation")
CACHE_COLUMNS = ("timestamp", "pod_uid", "resctrl_group", "llc_occupancy_bytes", "mbm_total_bytes_per_second")
_TABLES = {"unit": UNIT_COLUMNS, "host": HOST_COLUMNS, "host_disk": DISK_COLUMNS, "occupancy": CACHE_COLUMNS}
# What is enough to find episodes.
SYMPTOM_COLUMNS = tuple(_SHARES)
ALL_COLUMNS = (*_SHARES, *_SUMS, *_LEVELS)


class NodeRows:
    """The tables of a node, held open for a time. `left_out` says which files were not read and why."""

    def __init__(self, rows: Mapping[str, HeldRows]) -> None:
        self._rows = rows

    def window(self, begin_s: int, seconds: int, columns: Sequence[str] = ALL_COLUMNS) -> NodeWindow:
        """All units in a number of seconds, with some of their columns. *Raises:* FormatError."""
        bounds = TimeBounds(begin_s * S, (begin_s + seconds + IDLE_SECONDS) * S)
        units = _units(self._table("unit", bounds, UNIT_COLUMNS), begin_s, seconds, columns)
        cache = _cache(self._table("occupancy", bounds, CACHE_COLUMNS), begin_s, seconds)
        joined = [_with_cache(unit, cache.pop(unit.unit.uid, None)) for unit in units]
        alone = [_with_cache(UnitWindow(JudgedUnit(uid, "", f"/?/{uid}"), {}), found) for uid, found in cache.items()]
        host = self._host(bounds, begin_s, seconds) if CPU in columns else HostWindow()
        return NodeWindow(begin_s, seconds, (*joined, *alone), host)

    def ticks(self, begin_s: int, seconds: int) -> int:
        """In how many seconds some unit has a row. *Raises:* FormatError."""
        table = self._table("unit", TimeBounds(begin_s * S, (begin_s + seconds) * S), ("timestamp",))
        return len(compute.unique(compute.divide(table["timestamp"], S)))

    def _table(self, name: str, bounds: TimeBounds, columns: Sequence[str]) -> "pyarrow.Table":
        batches = [batch for batch in self._rows[name].batches(bounds) if len(batch)]
        tables = [pyarrow.Table.from_batches([batch]) for batch in batches]
        if not tables:
            return pyarrow.table({column: pyarrow.array([], _type_of(column)) for column in columns})
        return pyarrow.concat_tables([_cast(table, columns) for table in tables])

    def _host(self, bounds: TimeBounds, begin_s: int, seconds: int) -> HostWindow:
        rows = self._table("host", bounds, HOST_COLUMNS).to_pylist()
        if not rows:
            return HostWindow()
        busy, available = gap_series(seconds), gap_series(seconds)
        for row in rows:
            elapsed, cpu, free = row["elapsed_ns"], row["cpu_ns"], row["memory_available_bytes"]
            if elapsed and cpu is not None:
                put(busy, begin_s, row["timestamp"], elapsed, cpu / elapsed)
            if free is not None:
                put(available, begin_s, row["timestamp"], elapsed or S, float(free))
        disk = gap_series(seconds)
        for row in self._table("host_disk", bounds, DISK_COLUMNS).to_pylist():
            place = row["timestamp"] // S - begin_s
            if row["utilisation"] is not None and 0 <= place < seconds:
                disk[place] = max(row["utilisation"], disk[place] if disk[place] == disk[place] else 0.0)
        cores, total = (next((row[name] for row in rows if row[name]), None) for name in ("cores", "memory_total_bytes"))
        return HostWindow(
            None if cores is None else float(cores), _unless_empty(busy), total, _unless_empty(available), _unless_empty(disk)
        )


@contextmanager
def node_rows(state_dir: str, declared: Sequence[Table], bounds: TimeBounds) -> Iterator[tuple[NodeRows, dict[str, str]]]:
    """The tables of a node, and the files that were left out with the reason. *Raises:* EvergaugeError."""
    known = {table.name: table for table in declared}
    with ExitStack() as stack:
        stored = {name: StoredRows(state_dir, known[name]) for name in _TABLES}
        rows = {name: stack.enter_context(stored[name].held(bounds, columns)) for name, columns in _TABLES.items()}
        yield NodeRows(rows), {path: reason for each in stored.values() for path, reason in each.left_out.items()}


def _type_of(column: str) -> "pyarrow.DataType":
    if column in ("unit", "kind", "container", "cgroup", "pod_uid", "resctrl_group"):
        return pyarrow.utf8()
    if column == "is_final":
        return pyarrow.bool_()
    return pyarrow.int64() if column == "timestamp" or column.endswith("_ns") else pyarrow.float64()


def _cast(table: "pyarrow.Table", columns: Sequence[str]) -> "pyarrow.Table":
    """The asked columns, each of the one type that it is used as; null where a file has none."""
    names = set(table.column_names)
    found = {
        column: table[column].cast(_type_of(column)) if column in names else pyarrow.nulls(len(table), _type_of(column))
        for column in columns
    }
    return pyarrow.table(found)


def _unless_empty(series: Series) -> Series | None:
    return series if any(value == value for value in series) else None


# ---- units -------------------------------------------------------------------------------------------


def _units(table: "pyarrow.Table", begin_s: int, seconds: int, columns: Sequence[str]) -> list[UnitWindow]:
    """Whole units in the order of their names; rows of containers are parts of them."""
    table = table.filter(compute.is_null(table["container"]))
    if not len(table):
        return []
    values = {column: _values(table, column) for column in columns}
    order = compute.sort_indices(table, [("unit", "ascending"), ("timestamp", "ascending")])
    sorted_table = table.select(list(_IDENTITY)).take(order).combine_chunks()
    sorted_values = {column: array("d", _doubles(found.take(order))) for column, found in values.items()}
    times, elapsed = sorted_table["timestamp"].to_pylist(), sorted_table["elapsed_ns"].to_pylist()
    # Behind the last tick of the node nothing is known of anybody.
    seconds_known = min(seconds, compute.max(table["timestamp"]).as_py() // S - begin_s + 1)
    units = []
    for first, behind in _runs(sorted_table["unit"]):
        last = behind - 1
        identity = JudgedUnit(*(str(sorted_table[name][last].as_py() or "") for name in ("unit", "kind", "cgroup")))
        is_final = bool(sorted_table["is_final"][last].as_py())
        until = 0 if is_final else seconds_known
        rows = _UnitRows(times[first:behind], elapsed[first:behind], _WindowPlace(begin_s, seconds, until))
        series = {column: rows.series(column, found[first:behind]) for column, found in sorted_values.items()}
        units.append(UnitWindow(identity, {column: found for column, found in series.items() if found is not None}))
    return units


def _values(table: "pyarrow.Table", column: str) -> "pyarrow.ChunkedArray":
    """A column of a window, as numbers."""
    if column in _SHARES:
        part = compute.divide(table[_SHARES[column]].cast(pyarrow.float64()), table["elapsed_ns"].cast(pyarrow.float64()))
        return compute.min_element_wise(part, 1.0, skip_nulls=False)
    if column in _LEVELS:
        return table[_LEVELS[column]]
    first, *others = (table[name] for name in _SUMS[column])
    total = first
    for other in others:
        total = compute.add(total, other)
    return total


def _doubles(values: "pyarrow.ChunkedArray") -> bytes:
    """The numbers as the bytes of doubles, null as NaN."""
    joined = compute.fill_null(values.cast(pyarrow.float64()), nan)
    whole = pyarrow.concat_arrays(joined.chunks) if joined.num_chunks != 1 else joined.chunk(0)
    data = whole.buffers()[1]
    begin = 8 * whole.offset
    return b"" if data is None else memoryview(data)[begin : begin + 8 * len(whole)].tobytes()


def _runs(names: "pyarrow.ChunkedArray") -> Iterator[tuple[int, int]]:
    """Where each name begins, and the place behind its last row."""
    counts = compute.value_counts(names)
    first = 0
    for count in counts.field("counts").to_pylist():
        yield first, first + count
        first += count


class _WindowPlace(Struct, frozen=True):
    """A window, and the second in it up to which a unit whose next row has not come yet is known to be idle."""

    begin_s: int
    seconds: int
    until: int


class _UnitRows:
    """The rows of one unit in the order of time, and how they lie in a window."""

    def __init__(self, times: Sequence[int], elapsed: Sequence[int | None], place: _WindowPlace) -> None:
        self._begin_s = place.begin_s
        self._seconds = place.seconds
        self._times = times
        self._elapsed = [each or S for each in elapsed]
        self._until = place.until
        places = [at // S - place.begin_s for at in times]
        self._first, self._last = places[0], places[-1]
        # One row in every second: what an active unit has.
        self._is_dense = self._last - self._first + 1 == len(places) == len(set(places)) and max(self._elapsed) < 1.5 * S

    def series(self, column: str, values: Series) -> Series | None:
        """*Absent:* None where no row has a value."""
        if not any(value == value for value in values):
            return None
        if self._is_dense and self._first >= 0 and self._last < self._seconds:
            series = gap_series(self._first) + values + gap_series(self._seconds - 1 - self._last)
        else:
            series = gap_series(self._seconds)
            for at, elapsed, value in zip(self._times, self._elapsed, values, strict=True):
                put(series, self._begin_s, at, elapsed, value)
        # Its next row has not come yet: it does nothing, and holds what it held.
        rest = values[-1] if column in _LEVELS else 0.0
        for place in range(max(0, self._last + 1), min(self._until, self._last + IDLE_SECONDS)):
            series[place] = rest
        return series


# ---- cache -------------------------------------------------------------------------------------------


def _cache(table: "pyarrow.Table", begin_s: int, seconds: int) -> dict[str, tuple[str | None, dict[str, Series]]]:
    """Group and columns of each unit that has cache measured, by its uid."""
    if not len(table):
        return {}
    order = compute.sort_indices(table, [("pod_uid", "ascending"), ("timestamp", "ascending")])
    table = table.take(order).combine_chunks()
    columns = {LLC: "llc_occupancy_bytes", BANDWIDTH: "mbm_total_bytes_per_second"}
    values = {column: array("d", _doubles(table[name])) for column, name in columns.items()}
    places = [at // S - begin_s for at in table["timestamp"].to_pylist()]
    found: dict[str, tuple[str | None, dict[str, Series]]] = {}
    for first, behind in _runs(table["pod_uid"]):
        series = {column: _placed(places[first:behind], numbers[first:behind], seconds) for column, numbers in values.items()}
        known = {column: each for column, each in series.items() if _unless_empty(each) is not None}
        found[table["pod_uid"][first].as_py()] = table["resctrl_group"][behind - 1].as_py(), known
    return found


def _placed(places: Sequence[int], values: Series, seconds: int) -> Series:
    series = gap_series(seconds)
    for place, value in zip(places, values, strict=True):
        if 0 <= place < seconds:
            series[place] = value
    return series


def _with_cache(unit: UnitWindow, cache: tuple[str | None, dict[str, Series]] | None) -> UnitWindow:
    if cache is None:
        return unit
    group, columns = cache
    identity = unit.unit
    return UnitWindow(JudgedUnit(identity.uid, identity.kind, identity.cgroup, group), {**unit.columns, **columns})
