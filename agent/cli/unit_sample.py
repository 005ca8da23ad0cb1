"""One moment of all units of a host as `agentctl top --units` shows it, put together from rows of the minute before. PURE.

A unit that does nothing has no row for up to a minute: its last one stands, with levels as they were and rates of 0.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from agent.cli.row_struct import struct_of
from agent.cli.top_sample import Named
from agent.model.timebase import S

UNIT_TABLE, CACHE_TABLE, GPU_TABLE, MODEL_TABLE = "unit", "occupancy", "gpu_process", "unit_model"
UNIT_TABLES = (UNIT_TABLE, CACHE_TABLE, GPU_TABLE, MODEL_TABLE)
# The next row of an idle unit comes within a minute, and a tick may be late.
IDLE_NS = 65 * S
# What is older than this beside the newest row of units is of another tick.
NEAR_NS = 10 * S
# A row that is older than the newest tick by more than its own time is of a unit that did nothing since.
TICK_NS = 3 * S // 2


class UnitReading(Struct, frozen=True):
    """A row of table `unit`; every field has the name and unit of its column. *Absent:* None; `absent` says why."""

    timestamp: int
    unit: str
    kind: str
    cgroup: str
    container: str | None = None
    elapsed_ns: int | None = None
    is_final: bool = False
    started_timestamp: int | None = None
    cpu_cores: float | None = None
    cpu_limit_cores: float | None = None
    cpu_periods: int | None = None
    cpu_throttled_periods: int | None = None
    cpu_throttled_ns: int | None = None
    memory_working_set_bytes: int | None = None
    memory_current_bytes: int | None = None
    memory_limit_bytes: int | None = None
    io_read_bytes_per_second: float | None = None
    io_write_bytes_per_second: float | None = None
    pressure_cpu_some_ns: int | None = None
    pressure_memory_some_ns: int | None = None
    pressure_io_some_ns: int | None = None
    oom_kills: int | None = None
    net_received_bytes: int | None = None
    net_sent_bytes: int | None = None
    pids: int | None = None
    absent: str | None = None

    @property
    def key(self) -> tuple[str, str | None]:
        """What tells it from others of a tick."""
        return self.unit, self.container

    def share_of_time(self, part_ns: int | None) -> float | None:
        """A time since its last row as a part of it, 0..1. *Absent:* where either is not known."""
        return None if part_ns is None or not self.elapsed_ns else min(1.0, max(0.0, part_ns / self.elapsed_ns))

    def per_second(self, amount: int | None) -> float | None:
        """An amount since its last row as a rate. *Absent:* where either is not known."""
        return None if amount is None or not self.elapsed_ns else amount * S / self.elapsed_ns

    @property
    def memory_bytes(self) -> int | None:
        """Its memory: the working set, which is what its limit is compared with; all of it where that is not known."""
        return self.memory_current_bytes if self.memory_working_set_bytes is None else self.memory_working_set_bytes


class UnitCache(Struct, frozen=True):
    """What a unit's resctrl group holds and moves."""

    llc_bytes: int | None = None
    bandwidth: float | None = None


class UnitGpu(Struct, frozen=True):
    """What a unit's processes use of all GPUs together: 1 is one whole device."""

    busy: float | None = None
    memory_bytes: int | None = None


class UnitLine(Struct, frozen=True):
    """All that is known of a unit, or of a container of it. `oom_kills` is the sum of the last minute."""

    reading: UnitReading
    oom_kills: int | None = None
    cache: UnitCache = UnitCache()
    gpu: UnitGpu = UnitGpu()
    model: str | None = None


class UnitSample(Struct, frozen=True):
    """All units of a host at one moment (unix time in nanoseconds), in no order; `bad_rows` do not fit their table."""

    at_wall_ns: int
    host: str
    lines: tuple[UnitLine, ...]
    bad_rows: int = 0


class UnitMinute:
    """The rows of the last minute, of which a sample is made; older ones are forgotten."""

    def __init__(self) -> None:
        self._readings: dict[tuple[str, str | None], UnitReading] = {}
        self._kills: dict[tuple[str, str | None], list[tuple[int, int]]] = {}
        self._cache: dict[str, tuple[int, UnitCache]] = {}
        self._gpu: dict[tuple[object, ...], Named] = {}
        self._models: dict[tuple[str, object], tuple[int, str | None]] = {}
        self._newest_ns = 0

    def take(self, table: str, rows: Iterable[Named]) -> None:
        """Take rows in, of any time and in any order."""
        match table:
            case "unit":
                for row in rows:
                    self._take_unit(struct_of(UnitReading, row))
            case "occupancy":
                for row in rows:
                    self._take_cache(row)
            case "gpu_process":
                for row in rows:
                    self._gpu[row.get("timestamp"), row.get("device"), row.get("pid"), row.get("driver_pid")] = row
            case "unit_model":
                for row in rows:
                    self._take_model(row)

    def _take_unit(self, reading: UnitReading) -> None:
        self._newest_ns = max(self._newest_ns, reading.timestamp)
        known = self._readings.get(reading.key)
        if known is None or known.timestamp <= reading.timestamp:
            self._readings[reading.key] = reading
        if reading.oom_kills:
            self._kills.setdefault(reading.key, []).append((reading.timestamp, reading.oom_kills))

    def _take_cache(self, row: Named) -> None:
        at, uid, llc, moved = (row.get(name) for name in _CACHE_COLUMNS)
        if isinstance(at, int) and isinstance(uid, str) and at >= self._cache.get(uid, (0, None))[0]:
            self._cache[uid] = at, UnitCache(_whole(llc), float(moved) if isinstance(moved, int | float) else None)

    def _take_model(self, row: Named) -> None:
        at, uid, container, served, model = (row.get(name) for name in _MODEL_COLUMNS)
        if isinstance(at, int) and isinstance(uid, str) and at >= self._models.get((uid, container), (0, None))[0]:
            name = model or served
            self._models[uid, container] = at, name if isinstance(name, str) else None

    def sample(self, host: str, bad_rows: int = 0) -> UnitSample | None:
        """The newest moment. *Absent:* None without any row of a unit."""
        self._forget()
        if not self._readings:
            return None
        gpus = self._gpus()
        lines = [self._line(reading, gpus) for reading in self._readings.values() if not reading.is_final]
        return UnitSample(self._newest_ns, host, tuple(lines), bad_rows)

    def _line(self, reading: UnitReading, gpus: Mapping[str, UnitGpu]) -> UnitLine:
        # What lies in a container is part of its unit, and has no figures of its own in the other tables.
        cache_at, cache = self._cache.get(reading.unit, (0, UnitCache())) if reading.container is None else (0, UnitCache())
        kills = sum(count for _, count in self._kills.get(reading.key, ()))
        return UnitLine(
            _as_of(reading, self._newest_ns),
            None if reading.oom_kills is None and not kills else kills,
            cache if abs(self._newest_ns - cache_at) < NEAR_NS else UnitCache(),
            gpus.get(reading.unit, UnitGpu()) if reading.container is None else UnitGpu(),
            self._models.get(reading.key, (0, None))[1],
        )

    def _forget(self) -> None:
        oldest_ns = self._newest_ns - IDLE_NS
        self._readings = {key: each for key, each in self._readings.items() if each.timestamp >= oldest_ns}
        kills = {key: [each for each in found if each[0] >= oldest_ns] for key, found in self._kills.items()}
        self._kills = {key: found for key, found in kills.items() if found}
        self._cache = {uid: found for uid, found in self._cache.items() if found[0] >= oldest_ns}
        newest_ns = max((at for at, *_ in self._gpu if isinstance(at, int)), default=0)
        self._gpu = {key: row for key, row in self._gpu.items() if key[0] == newest_ns}

    def _gpus(self) -> dict[str, UnitGpu]:
        """What each unit uses of the GPUs, by the newest tick of them, where it is near."""
        by_unit: dict[str, list[Named]] = {}
        for (at, *_), row in self._gpu.items():
            uid = row.get("unit")
            if isinstance(uid, str) and isinstance(at, int) and abs(self._newest_ns - at) < NEAR_NS:
                by_unit.setdefault(uid, []).append(row)
        return {uid: UnitGpu(_sum(rows, "busy_share"), _whole(_sum(rows, "memory_bytes"))) for uid, rows in by_unit.items()}


_MODEL_COLUMNS = ("timestamp", "unit", "container", "served_model", "model")
_CACHE_COLUMNS = ("timestamp", "pod_uid", "llc_occupancy_bytes", "mbm_total_bytes_per_second")


def _as_of(reading: UnitReading, newest_ns: int) -> UnitReading:
    """The reading as it stands at the newest tick: a unit without a row in it did nothing since its last one."""
    if newest_ns - reading.timestamp < TICK_NS:
        return reading
    quiet = {name: 0 for name in _RATES if getattr(reading, name) is not None}
    return replace(reading, **quiet)


_RATES = (
    "cpu_cores",
    "cpu_periods",
    "cpu_throttled_periods",
    "cpu_throttled_ns",
    "io_read_bytes_per_second",
    "io_write_bytes_per_second",
    "pressure_cpu_some_ns",
    "pressure_memory_some_ns",
    "pressure_io_some_ns",
    "net_received_bytes",
    "net_sent_bytes",
)


def _sum(rows: Iterable[Named], column: str) -> float | None:
    known = [value for row in rows if isinstance(value := row.get(column), int | float)]
    return sum(known) if known else None


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
