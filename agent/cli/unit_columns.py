"""The columns of `agentctl top --units`: what each holds, and which of them a width has room for. PURE."""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from agent.cli.render import ABSENT
from agent.cli.top_number import short_age, short_bytes, short_count
from agent.cli.unit_sample import UnitLine

GAP = " "
NAME_COLUMNS_LEAST, NAME_COLUMNS_MAX = 16, 48


class UnitColumn(Struct, frozen=True):
    """A column: the number that it sorts by, and its text. Columns of a smaller `rank` come first where room is short."""

    name: str
    title: str
    least: int
    rank: int
    value: Callable[[UnitLine], float | None]
    text: Callable[[float | None], str] = short_bytes


def _percent(share: float | None) -> str:
    """A share in whole percents: `7`, `100`; what is above none and rounds to it is `<1`."""
    if share is None:
        return ABSENT
    return "<1" if 0 < share < 0.005 else f"{share * 100:.0f}"


def _cores(cores: float | None) -> str:
    """CPUs in use, five columns at most: `0.03`, `12.5`, `128`."""
    return ABSENT if cores is None else f"{cores:.2f}" if cores < 9.995 else f"{cores:.1f}" if cores < 99.95 else f"{cores:.0f}"


def _of(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _both(*parts: float | None) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def io_of(line: UnitLine) -> float | None:
    """Bytes a second from and to disks."""
    return _both(line.reading.io_read_bytes_per_second, line.reading.io_write_bytes_per_second)


def network_of(line: UnitLine) -> float | None:
    """Bytes a second through its own network, both ways."""
    reading = line.reading
    return _both(reading.per_second(reading.net_received_bytes), reading.per_second(reading.net_sent_bytes))


def throttled_of(line: UnitLine) -> float | None:
    """The part of the time in which its CPU limit held it back."""
    return line.reading.share_of_time(line.reading.cpu_throttled_ns)


def pressure_of(line: UnitLine) -> float | None:
    """The largest of its three pressures."""
    known = [value for name in ("cpu", "memory", "io") if (value := _pressure(name)(line)) is not None]
    return max(known, default=None)


def _pressure(resource: str) -> Callable[[UnitLine], float | None]:
    return lambda line: line.reading.share_of_time(getattr(line.reading, f"pressure_{resource}_some_ns"))


def _age(line: UnitLine) -> float | None:
    started = line.reading.started_timestamp
    return None if started is None else line.reading.timestamp - started


COLUMNS = (
    UnitColumn("cpu", "CPU", 5, 0, lambda line: line.reading.cpu_cores, _cores),
    UnitColumn("cpu_limit", "LIM%", 4, 3, lambda line: _of(line.reading.cpu_cores, line.reading.cpu_limit_cores), _percent),
    UnitColumn("throttled", "THR%", 4, 2, throttled_of, _percent),
    UnitColumn("memory", "MEM", 5, 0, lambda line: line.reading.memory_bytes),
    UnitColumn(
        "memory_limit", "LIM%", 4, 1, lambda line: _of(line.reading.memory_bytes, line.reading.memory_limit_bytes), _percent
    ),
    UnitColumn("read", "READ/s", 6, 7, lambda line: line.reading.io_read_bytes_per_second),
    UnitColumn("write", "WRITE/s", 7, 6, lambda line: line.reading.io_write_bytes_per_second),
    UnitColumn("pressure_cpu", "pCPU", 4, 4, _pressure("cpu"), _percent),
    UnitColumn("pressure_memory", "pMEM", 4, 4, _pressure("memory"), _percent),
    UnitColumn("pressure_io", "pIO", 3, 4, _pressure("io"), _percent),
    UnitColumn("oom", "OOM", 3, 5, lambda line: line.oom_kills, short_count),
    UnitColumn("net", "NET/s", 5, 9, network_of),
    UnitColumn("llc", "LLC", 5, 8, lambda line: line.cache.llc_bytes),
    UnitColumn("bandwidth", "BW/s", 5, 8, lambda line: line.cache.bandwidth),
    UnitColumn("gpu", "GPU%", 4, 8, lambda line: line.gpu.busy, _percent),
    UnitColumn("gpu_memory", "GMEM", 5, 8, lambda line: line.gpu.memory_bytes),
    UnitColumn("pids", "PIDS", 4, 11, lambda line: line.reading.pids, short_count),
    UnitColumn("age", "AGE", 5, 12, _age, lambda age: short_age(None if age is None else int(age))),
)
_BY_NAME = {column.name: column for column in COLUMNS}
# Orders, and the columns that each sorts by; these are shown wherever there is room for any.
COLUMNS_OF_SORT: Mapping[str, tuple[str, ...]] = {
    "cpu": ("cpu",),
    "mem": ("memory",),
    "throttled": ("throttled",),
    "io": ("write", "read"),
    "pressure": ("pressure_cpu", "pressure_memory", "pressure_io"),
    "net": ("net",),
    "oom": ("oom",),
    "name": (),
}
UNIT_SORTS = tuple(COLUMNS_OF_SORT)
_ORDERS: Mapping[str, Callable[[UnitLine], float | None]] = {
    "cpu": _BY_NAME["cpu"].value,
    "mem": _BY_NAME["memory"].value,
    "throttled": throttled_of,
    "io": io_of,
    "pressure": pressure_of,
    "net": network_of,
    "oom": _BY_NAME["oom"].value,
}


def order_of(sort: str, line: UnitLine, name: str) -> tuple[float, float, str]:
    """The key of an order: the most first, what is not known last, equals by CPU, then by name."""
    cpu = line.reading.cpu_cores or 0.0
    if sort == "name":
        return (0.0, 0.0, name)
    value = _ORDERS[sort](line)
    return (1.0 if value is None else -value, -cpu, name)


def columns_for(lines: Sequence[UnitLine], sort: str, room: int | None) -> list[UnitColumn]:
    """The columns that hold anything and that there is room for, in their order; None: all that hold anything."""
    known = [column for column in COLUMNS if column.rank == 0 or any(column.value(line) is not None for line in lines)]
    if room is None:
        return known
    sorted_by = COLUMNS_OF_SORT[sort]
    chosen: set[str] = set()
    for column in sorted(known, key=lambda each: -1 if each.name in sorted_by else each.rank):
        needed = column.least + len(GAP)
        if needed <= room:
            chosen.add(column.name)
            room -= needed
    return [column for column in known if column.name in chosen]
