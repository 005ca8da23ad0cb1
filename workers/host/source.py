"""Which file of `/proc` gives which columns of table `host`, and the row that they make. PURE."""

from collections.abc import Callable, Mapping
from functools import partial

from msgspec import Struct

from agent.model.absence import Absence
from agent.model.table import Row
from workers.host.cpu import LOAD_BYTES_MAX, STAT_BYTES_MAX, Values, parse_loadavg, parse_stat
from workers.host.interval import HostInterval, joined
from workers.host.memory import (
    MEMINFO_BYTES_MAX,
    MEMORY_LINES,
    PRESSURE_BYTES_MAX,
    VMSTAT_BYTES_MAX,
    parse_meminfo,
    parse_pressure,
    parse_vmstat,
)
from workers.host.number import increase
from workers.host.schema import HOST
from workers.host.tcp import SNMP_BYTES_MAX, parse_snmp

# Beside those that sources give.
GIVEN = ("timestamp", "boot_timestamp", "ticks_per_second", "elapsed_ns", "cpu_ns", "cpu_source", "sockets_tcp", "absent")


class ProcFile(Struct, frozen=True):
    """One file. `counters` are columns that hold an increase, `gauges` those that hold the value itself."""

    path: str
    bytes_max: int
    parse: Callable[[bytes], Values]
    gauges: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()


def sources(ticks_per_second: int, page_bytes: int) -> tuple[ProcFile, ...]:
    """Every file below the proc root with columns of `host`; those of the network are named below the folder of one."""
    cpu = tuple(f"cpu_{mode}_ns" for mode in ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest"))
    return (
        ProcFile(
            "stat", STAT_BYTES_MAX, lambda text: parse_stat(text, ticks_per_second), ("cores", "running", "blocked"),
            (*cpu, "processes_started", "context_switches", "interrupts"),
        ),
        ProcFile("loadavg", LOAD_BYTES_MAX, parse_loadavg, ("load_1", "load_5", "load_15", "threads")),
        ProcFile("meminfo", MEMINFO_BYTES_MAX, parse_meminfo, tuple(MEMORY_LINES.values())),
        ProcFile(
            "vmstat", VMSTAT_BYTES_MAX, lambda text: parse_vmstat(text, page_bytes), (),
            (
                "page_faults", "major_faults", "read_in_bytes", "written_out_bytes", "swapped_in_bytes", "swapped_out_bytes",
                "reclaimed_bytes", "scanned_pages", "oom_kills",
            ),
        ),
        ProcFile("pressure/cpu", PRESSURE_BYTES_MAX, lambda text: parse_pressure(text, "cpu"), (), ("pressure_cpu_some_ns",)),
        *(
            ProcFile(
                f"pressure/{resource}", PRESSURE_BYTES_MAX, partial(parse_pressure, resource=resource), (),
                (f"pressure_{resource}_some_ns", f"pressure_{resource}_full_ns"),
            )
            for resource in ("memory", "io")
        ),
        ProcFile("net/snmp", SNMP_BYTES_MAX, parse_snmp, (), ("tcp_retransmits",)),
    )  # fmt: skip


class Given(Struct, frozen=True):
    """What of a row comes from no source: the boot, the CPU time of the root cgroup so far, and TCP sockets, or why not."""

    boot_at_wall_ns: int
    cpu: Values | Absence
    cpu_source: str | None
    sockets_tcp: int | Absence


class HostCounters:
    """The counters of the last tick."""

    def __init__(self, ticks_per_second: int, every: tuple[ProcFile, ...]) -> None:
        self._ticks_per_second = ticks_per_second
        self._sources = every
        self._before: dict[str, int] = {}

    def row(self, readings: Mapping[str, Values | Absence], given: Given, interval: HostInterval) -> Row:
        """The row of `host`. `readings` are by path of source; what is missing is null, and `absent` says why."""
        values: dict[str, int | float | str | None] = {
            "timestamp": interval.wall_ns,
            "boot_timestamp": given.boot_at_wall_ns,
            "ticks_per_second": self._ticks_per_second,
            "elapsed_ns": interval.elapsed_ns,
            "cpu_source": given.cpu_source,
        }
        reasons = [Absence.FIRST_TICK] if interval.elapsed_ns is None else []
        for source in self._sources:
            reading = readings[source.path]
            for column in source.gauges:
                values[column] = _known(reading, column, reasons)
            for column in source.counters:
                values[column] = self._increase(column, _known(reading, column, reasons), reasons)
        values["cpu_ns"] = self._increase("cpu_ns", _known(given.cpu, "cpu_ns", reasons), reasons)
        if isinstance(given.sockets_tcp, Absence):
            reasons.append(given.sockets_tcp)
        else:
            values["sockets_tcp"] = given.sockets_tcp
        values["absent"] = joined(reasons)
        return tuple([values.get(column) for column in HOST.column_names])

    def _increase(self, column: str, now: int | float | None, reasons: list[Absence]) -> int | None:
        """Since the last tick that had a value; what is not known now begins again."""
        before = self._before.pop(column, None)
        if now is None:
            return None
        assert isinstance(now, int), "counters are whole numbers"
        self._before[column] = now
        grown = increase(before, now)
        if grown is None:
            reasons.append(Absence.FIRST_TICK if before is None else Absence.COUNTER_RESET)
        return grown


def _known(reading: Values | Absence, column: str, reasons: list[Absence]) -> int | float | None:
    if isinstance(reading, Absence):
        reasons.append(reading)
        return None
    value = reading.get(column)
    if value is None:
        reasons.append(Absence.OUT_OF_RANGE if column in reading else Absence.NOT_IN_KERNEL)
    return value
