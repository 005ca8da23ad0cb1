"""Windows of units out of stored rows, for the judge of `agentctl neighbours`. It imports pyarrow.

Rows are decoded as columns and become series of one number per second. Memory grows with the units and the seconds of one window,
never with the time that is asked for.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from math import nan
from typing import Any

import pyarrow
from msgspec import Struct
from pyarrow import compute

from agent.cli.neighbour_episode import RULES
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
_SOURCES = {column: (name,) for column, name in (*_SHARES.items(), *_LEVELS.items())} | _SUMS
_IDENTITY = ("timestamp", "unit", "kind", "container", "cgroup", "elapsed_ns", "is_final")
UNIT_COLUMNS = (*_IDENTITY, *_SHARES.values(), *(name for names in _SUMS.values() for name in names), *_LEVELS.values())
HOST_COLUMNS = ("timestamp", "elapsed_ns", "cores", "cpu_ns", "memory_total_bytes", "memory_available_bytes")
DISK_COLUMNS = ("timestamp", "utilisation")
CACHE_COLUMNS = ("timestamp", "pod_uid", "resctrl_group", "llc_occupancy_bytes", "mbm_total_bytes_per_second")
_TABLES = {"unit": UNIT_COLUMNS, "host": HOST_COLUMNS, "host_disk": DISK_COLUMNS, "occupancy": CACHE_COLUMNS}
# What is enough to find episodes: no other values make one.
SYMPTOM_COLUMNS = {rule.column: rule.floor for rule in RULES.values() if rule.column in _SHARES}
ALL_COLUMNS = dict.fromkeys((*_SHARES, *_SUMS, *_LEVELS), 0.0)
# A tick may be late; the one behind it is then early.
_USUAL_NS_MAX = 3 * S // 2


class NodeRows:
    """The tables of a node, held open for a time. `left_out` says which files were not read and why."""

    def __init__(self, rows: Mapping[str, HeldRows]) -> None:
        self._rows = rows

    def window(self, begin_s: int, seconds: int, columns: Mapping[str, float] = ALL_COLUMNS) -> NodeWindow:
        """All units in a number of seconds, with those of some columns in which a value is at least as large as it says.

        *Raises:* FormatError.
        """
        bounds = TimeBounds(begin_s * S, (begin_s + seconds + IDLE_SECONDS) * S)
        units = _units(self._coded(bounds, columns), begin_s, seconds, columns)
        cache = _cache(self._table("occupancy", bounds, CACHE_COLUMNS), begin_s, seconds)
        joined = [_with_cache(unit, cache.pop(unit.unit.uid, None)) for unit in units]
        alone = [_with_cache(UnitWindow(JudgedUnit(uid, "", f"/?/{uid}"), {}), found) for uid, found in cache.items()]
        host = self._host(bounds, begin_s, seconds) if CPU in columns else HostWindow()
        return NodeWindow(begin_s, seconds, (*joined, *alone), host)

    def ticks(self, begin_s: int, seconds: int) -> int:
        """In how many seconds some unit has a row. *Raises:* FormatError."""
        table = self._table("unit", TimeBounds(begin_s * S, (begin_s + seconds) * S), ("timestamp",))
        return len(compute.unique(compute.divide(table["timestamp"], S)))

    def _coded(self, bounds: TimeBounds, columns: Iterable[str]) -> "_CodedUnits":
        """The rows of whole units, with numbers for their names; rows of containers are parts of them."""
        numbers = tuple(dict.fromkeys(name for column in columns for name in _SOURCES[column]))
        coded = _CodedUnits(numbers)
        for batch in self._rows["unit"].batches(bounds, (*_IDENTITY, *numbers)):
            coded.take(_cast(pyarrow.Table.from_batches([batch]), (*_IDENTITY, *numbers)))
        return coded

    def _table(self, name: str, bounds: TimeBounds, columns: Sequence[str]) -> "pyarrow.Table":
        batches = [batch for batch in self._rows[name].batches(bounds, columns) if len(batch)]
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


class _CodedUnits:
    """Rows of whole units, put together batch by batch: names are kept once, and a row has the number of its unit."""

    def __init__(self, numbers: Sequence[str]) -> None:
        self._columns = ("code", "timestamp", "elapsed_ns", "is_final", *numbers)
        self._tables: list[pyarrow.Table] = []
        self._codes: dict[str, int] = {}
        # Kind and cgroup of each unit, by its code.
        self.identities: list[JudgedUnit] = []

    def take(self, table: "pyarrow.Table") -> None:
        """Take rows in."""
        table = table.filter(compute.is_null(table["container"]))
        if not len(table):
            return
        names = table["unit"].combine_chunks().dictionary_encode()
        for uid, kind, cgroup in _identities(table):
            if uid not in self._codes:
                self._codes[uid] = len(self._codes)
                self.identities.append(JudgedUnit(uid, kind, cgroup))
        codes = pyarrow.array([self._codes[uid] for uid in names.dictionary.to_pylist()], pyarrow.int32())
        self._tables.append(table.append_column("code", codes.take(names.indices)).select(list(self._columns)))

    def table(self) -> "pyarrow.Table | None":
        """All rows, by unit and time. *Absent:* None where there is none."""
        if not self._tables:
            return None
        table = pyarrow.concat_tables(self._tables)
        self._tables.clear()
        return table.take(compute.sort_indices(table, [("code", "ascending"), ("timestamp", "ascending")]))


def _identities(table: "pyarrow.Table") -> Iterator[tuple[str, str, str]]:
    """Uid, kind and cgroup of each unit of a batch."""
    found = table.select(["unit", "kind", "cgroup"]).group_by("unit").aggregate([("kind", "max"), ("cgroup", "max")])
    for row in found.to_pylist():
        yield str(row["unit"] or ""), str(row["kind_max"] or ""), str(row["cgroup_max"] or "")


def _units(coded: _CodedUnits, begin_s: int, seconds: int, columns: Mapping[str, float]) -> list[UnitWindow]:
    """Whole units in a window, in the order of their first rows."""
    table = coded.table()
    if table is None:
        return []
    values = {column: array("d", _doubles(_values(table, column))) for column in columns}
    times, elapsed = table["timestamp"].to_pylist(), table["elapsed_ns"].to_pylist()
    # Behind the last tick of the node nothing is known of anybody.
    seconds_known = min(seconds, max(times) // S - begin_s + 1)
    units = []
    for code, first, behind in _runs(table["code"]):
        until = 0 if table["is_final"][behind - 1].as_py() else seconds_known
        rows = _UnitRows(times[first:behind], elapsed[first:behind], _WindowPlace(begin_s, seconds, until))
        series = {name: rows.series(name, found[first:behind], columns[name]) for name, found in values.items()}
        units.append(UnitWindow(coded.identities[code], {name: each for name, each in series.items() if each is not None}))
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


def _runs(names: "pyarrow.ChunkedArray") -> Iterator[tuple[Any, int, int]]:
    """Each value, the place of its first row, and the place behind its last."""
    first = 0
    for counted in compute.value_counts(names).to_pylist():
        yield counted["values"], first, first + counted["counts"]
        first += counted["counts"]


class _WindowPlace(Struct, frozen=True):
    """A window, and the second in it up to which a unit whose next row has not come yet is known to be idle."""

    begin_s: int
    seconds: int
    until: int


class _UnitRows:
    """The rows of one unit in the order of time, and how they lie in a window."""

    def __init__(self, times: Sequence[int], elapsed: Sequence[int | None], place: _WindowPlace) -> None:
        self._place = place
        places = [at // S - place.begin_s for at in times]
        # The first row behind the window covers the time since the one before it, and no other does.
        count = min(len(places), bisect_left(places, place.seconds) + 1)
        self._times = times[:count]
        self._elapsed = [each or S for each in elapsed[:count]]
        self._places = places[:count]
        self._stretches = list(_stretches(self._places, self._elapsed, place.seconds))

    def series(self, column: str, values: Series, least: float) -> Series | None:
        """*Absent:* None where no row has a value of at least `least`."""
        values = values[: len(self._places)]
        if max(chain((-1.0,), values)) < least:
            return None
        series = gap_series(self._place.seconds)
        for first, behind in self._stretches:
            if behind - first > 1:
                place = self._places[first]
                series[place : place + behind - first] = values[first:behind]
            else:
                put(series, self._place.begin_s, self._times[first], self._elapsed[first], values[first])
        # Its next row has not come yet: it does nothing, and holds what it held.
        rest = values[-1] if column in _LEVELS else 0.0
        last = self._places[-1]
        for place in range(max(0, last + 1), min(self._place.until, last + IDLE_SECONDS)):
            series[place] = rest
        return series


def _stretches(places: Sequence[int], elapsed: Sequence[int], seconds: int) -> Iterator[tuple[int, int]]:
    """Rows of seconds in a row, from one on and before another: what an active unit has. Any other row stands alone."""
    first = 0
    for index in range(1, len(places) + 1):
        if (
            index == len(places)
            or places[index] != places[index - 1] + 1
            or not 0 <= places[index - 1] < places[index] < seconds
            or elapsed[index] > _USUAL_NS_MAX
            or elapsed[index - 1] > _USUAL_NS_MAX
        ):
            yield first, index
            first = index


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
    for uid, first, behind in _runs(table["pod_uid"]):
        series = {column: _placed(places[first:behind], numbers[first:behind], seconds) for column, numbers in values.items()}
        known = {column: each for column, each in series.items() if _unless_empty(each) is not None}
        found[str(uid)] = table["resctrl_group"][behind - 1].as_py(), known
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
