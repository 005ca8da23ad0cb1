"""Windows of units out of stored rows, for the judge of `agentctl neighbours`. It imports pyarrow.

Rows are decoded as columns and become series of one number per second. Memory grows with the units and the seconds of one window,
never with the time that is asked for.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
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
# Texts that repeat in every tick.
_CODED = ("unit", "kind", "container", "cgroup")
# A row of so long covers more than its own second.
_LONG_NS = 3 * S // 2


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
        wanted = (*_IDENTITY, *numbers)
        for batch in self._rows["unit"].batches(bounds, wanted, _CODED):
            coded.take(batch, tuple(name for name in wanted if name not in _CODED))
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

    def take(self, batch: "pyarrow.RecordBatch", columns: Sequence[str]) -> None:
        """Take rows in."""
        if "container" in batch.schema.names:
            batch = batch.filter(compute.is_null(batch.column("container")))
        if not len(batch):
            return
        names = _dictionary(batch.column("unit"))
        codes = [self._code(name, place, names.indices, batch) for place, name in enumerate(names.dictionary.to_pylist())]
        table = _cast(pyarrow.Table.from_batches([batch]), columns)
        code = pyarrow.array(codes, pyarrow.int32()).take(names.indices)
        self._tables.append(table.append_column("code", code).select(list(self._columns)))

    def _code(self, name: str, place: int, indices: "pyarrow.Array", batch: "pyarrow.RecordBatch") -> int | None:
        """*Absent:* None for a name that stands in a file's dictionary and in no row of the batch."""
        if name not in self._codes:
            row = compute.index(indices, pyarrow.scalar(place, indices.type)).as_py()
            if row < 0:
                return None
            kind, cgroup = (str(batch.column(column)[row].as_py() or "") for column in ("kind", "cgroup"))
            self._codes[name] = len(self._codes)
            self.identities.append(JudgedUnit(str(name), kind, cgroup))
        return self._codes[name]

    def table(self) -> "pyarrow.Table | None":
        """All rows. *Absent:* None where there is none."""
        if not self._tables:
            return None
        table = pyarrow.concat_tables(self._tables).combine_chunks()
        self._tables.clear()
        return table


def _dictionary(names: "pyarrow.Array") -> "pyarrow.DictionaryArray":
    return names if pyarrow.types.is_dictionary(names.type) else names.dictionary_encode()


def _units(coded: _CodedUnits, begin_s: int, seconds: int, columns: Mapping[str, float]) -> list[UnitWindow]:
    """Whole units in a window, in the order of their first rows."""
    table = coded.table()
    if table is None:
        return []
    grid = _Grid(table, begin_s, seconds)
    found: list[dict[str, Series]] = [{} for _ in coded.identities]
    for column, least in columns.items():
        for code, series in grid.series(_values(table, column), least, holds=column in _LEVELS):
            found[code][column] = series
    return [UnitWindow(identity, found[code]) for code, identity in enumerate(coded.identities)]


def _values(table: "pyarrow.Table", column: str) -> "pyarrow.Array":
    """A column of a window, as numbers."""
    if column in _SHARES:
        part = compute.divide(_floats(table[_SHARES[column]]), _floats(table["elapsed_ns"]))
        return compute.min_element_wise(part, 1.0, skip_nulls=False)
    if column in _LEVELS:
        return _floats(table[_LEVELS[column]])
    first, *others = (_floats(table[name]) for name in _SUMS[column])
    total = first
    for other in others:
        total = compute.add(total, other)
    return total


def _floats(values: "pyarrow.ChunkedArray") -> "pyarrow.Array":
    joined = values.cast(pyarrow.float64())
    return joined.chunk(0) if joined.num_chunks == 1 else pyarrow.concat_arrays(joined.chunks)


def _doubles(values: "pyarrow.Array") -> memoryview:
    """The numbers as the bytes of doubles, null as NaN."""
    whole = compute.fill_null(values, nan)
    data = whole.buffers()[1]
    begin = 8 * whole.offset
    return memoryview(b"" if data is None else data)[begin : begin + 8 * len(whole)]


class _LastRow(Struct, frozen=True):
    """The last row of a unit: where it lies in the table, its second, and whether the unit is gone since."""

    row: int
    second: int
    is_final: bool


class _Grid:
    """Where the rows of a table lie in units times seconds. Rows of one second are placed all at once.

    Only those that cover several seconds, which idle units and late ticks have, are looked at one by one.
    """

    def __init__(self, table: "pyarrow.Table", begin_s: int, seconds: int) -> None:
        self._seconds, self._codes = seconds, table["code"]
        second = compute.subtract(compute.divide(table["timestamp"], S), begin_s)
        elapsed = compute.if_else(compute.greater(compute.fill_null(table["elapsed_ns"], 0), 0), table["elapsed_ns"], S)
        is_long = compute.greater_equal(elapsed, _LONG_NS)
        is_inside = compute.and_(compute.greater_equal(second, 0), compute.less(second, seconds))
        cell = compute.add(compute.multiply(self._codes.cast(pyarrow.int64()), seconds), second)
        cell = compute.if_else(compute.and_(is_inside, compute.invert(is_long)), cell, -1)
        self._last = _last_rows(table, second)
        cells = pyarrow.array(array("q", range((max(self._last) + 1) * seconds)), pyarrow.int64())
        self._rows = compute.index_in(cells, value_set=cell)
        long_rows = compute.indices_nonzero(is_long)
        order = compute.sort_indices(table["timestamp"].take(long_rows))
        long_rows = long_rows.take(order)
        self._long = [
            (row, code, at - max(1, round(length / S)) + 1, at + 1)
            for row, code, at, length in zip(
                *(values.to_pylist() for values in (long_rows, *(each.take(long_rows) for each in (self._codes, second, elapsed)))),
                strict=True,
            )
        ]
        # Behind the last tick of the node nothing is known of anybody.
        self._known = min(seconds, max(last.second for last in self._last.values()) + 1)

    def series(self, values: "pyarrow.Array", least: float, *, holds: bool) -> Iterator[tuple[int, Series]]:
        """The values of each unit that has one of at least `least`, by its code. `holds`: an idle unit keeps what it had."""
        table = pyarrow.table({"code": self._codes, "value": values})
        high = compute.greater_equal(compute.fill_null(values, -1.0), least)
        codes = set(compute.unique(table["code"].filter(high)).to_pylist())
        if not codes:
            return
        placed, plain = _doubles(values.take(self._rows)), _doubles(values).cast("d")
        found = {code: array("d", placed[8 * code * self._seconds :][: 8 * self._seconds].tobytes()) for code in sorted(codes)}
        for row, code, first, behind in self._long:
            if code in codes:
                first, behind = max(0, first), min(behind, self._seconds)
                found[code][first:behind] = array("d", [plain[row]]) * max(0, behind - first)
        for code, series in found.items():
            last = self._last[code]
            # Its next row has not come yet: it does nothing, and holds what it held.
            rest = plain[last.row] if holds else 0.0
            for place in range(max(0, last.second + 1), min(0 if last.is_final else self._known, last.second + IDLE_SECONDS)):
                series[place] = rest
            yield code, series


def _last_rows(table: "pyarrow.Table", second: "pyarrow.ChunkedArray") -> dict[int, _LastRow]:
    """The last row of each unit, by its code."""
    latest = table.group_by("code").aggregate([("timestamp", "max")])
    places = compute.index_in(table["code"], value_set=latest["code"])
    rows = compute.indices_nonzero(compute.equal(table["timestamp"], latest["timestamp_max"].take(places)))
    found = (values.to_pylist() for values in (rows, *(each.take(rows) for each in (table["code"], second, table["is_final"]))))
    return {code: _LastRow(row, at, bool(is_final)) for row, code, at, is_final in zip(*found, strict=True)}


# ---- cache -------------------------------------------------------------------------------------------


def _runs(names: "pyarrow.ChunkedArray") -> Iterator[tuple[Any, int, int]]:
    """Each value, the place of its first row, and the place behind its last."""
    first = 0
    for counted in compute.value_counts(names).to_pylist():
        yield counted["values"], first, first + counted["counts"]
        first += counted["counts"]


def _cache(table: "pyarrow.Table", begin_s: int, seconds: int) -> dict[str, tuple[str | None, dict[str, Series]]]:
    """Group and columns of each unit that has cache measured, by its uid."""
    if not len(table):
        return {}
    order = compute.sort_indices(table, [("pod_uid", "ascending"), ("timestamp", "ascending")])
    table = table.take(order).combine_chunks()
    columns = {LLC: "llc_occupancy_bytes", BANDWIDTH: "mbm_total_bytes_per_second"}
    values = {column: array("d", _doubles(_floats(table[name])).tobytes()) for column, name in columns.items()}
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
