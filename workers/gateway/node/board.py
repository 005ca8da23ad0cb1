"""What the page shows of the last minutes: stored batches in, seconds and series out. PURE.

It holds SECONDS_MAX seconds of the host and of at most UNITS_MAX units, in a fixed room for each.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from agent.model.errors import FormatError
from agent.model.table import Value
from agent.model.timebase import S
from agent.store.batch import StoredBatch
from agent.store.record import TableForm
from agent.store.row_decoder import RowDecoder
from workers.export.assigned_names import AssignedNames
from workers.gateway.node.document import GapSpan, HostPoint, ProcessesDocument, ProcessPoint, TickDocument, UnitPoint
from workers.gateway.node.ring import SecondRing
from workers.gateway.node.unit_name import unit_name

TABLES = frozenset({"host", "unit", "occupancy", "process", "gap"})
# Fifteen minutes of one-second ticks: 21 KiB for each unit.
SECONDS_MAX = 900
# A node runs 110 pods, and some hundred services and scopes, most of them idle. The one that was seen longest ago goes first.
UNITS_MAX = 500
GAPS_MAX = 200
PROCESSES_MAX = 60
# Slices hold other units, whose numbers would be shown twice.
_LEFT_OUT = frozenset({"slice"})

HOST_METRICS = ("cpu", "memory", "io", "pressure_cpu", "pressure_memory", "pressure_io")
UNIT_METRICS = ("cpu", "memory", "io", "pressure", "cache", "bandwidth")
# What a unit that did nothing holds on to; its rates are zero.
HELD = frozenset({"memory"})
_CACHE, _BANDWIDTH = UNIT_METRICS.index("cache"), UNIT_METRICS.index("bandwidth")

_Getter = Callable[[str], Any]


class BoardUnit:
    """One unit, and its last seconds. `gone`: its last row has come. `memory`: what it held in that, whenever it came."""

    __slots__ = ("gone", "kind", "memory", "name", "ring", "uid")

    def __init__(self, uid: str, kind: str, name: str) -> None:
        self.uid = uid
        self.kind = kind
        self.name = name
        self.gone = False
        self.memory: float | None = None
        self.ring = SecondRing(len(UNIT_METRICS), SECONDS_MAX)


class HostSize(Struct):
    """What does not change every second. *Absent:* None while no row said it."""

    cores: float | None = None
    memory_bytes: float | None = None
    cache_bytes: float | None = None


class NodeBoard:
    """`take` batches in the order of the spool; `ticks` gives the seconds that have changed since the last call."""

    def __init__(self, names: AssignedNames) -> None:
        self.size = HostSize()
        self.unreadable = 0
        self.host = SecondRing(len(HOST_METRICS), SECONDS_MAX)
        self.units: dict[str, BoardUnit] = {}
        # The seconds in which units were looked at: 1 in its one column.
        self.looked = SecondRing(1, SECONDS_MAX)
        self.gaps: list[GapSpan] = []
        self._names = names
        self._decoders: dict[str, tuple[TableForm, RowDecoder]] = {}
        self._changed: dict[int, set[str]] = {}
        self._gone: dict[int, list[str]] = {}
        self._processes: list[ProcessPoint] = []
        self._processes_at_ns = 0
        self.processes_changed = False
        self._takers: dict[str, Callable[[Mapping[str, Value]], None]] = {
            "host": self._take_host,
            "unit": self._take_unit,
            "occupancy": self._take_occupancy,
            "process": self._take_process,
            "gap": self._take_gap,
        }

    def take(self, batch: StoredBatch) -> None:
        """Learn from one batch; of other tables nothing."""
        take = self._takers.get(batch.table)
        if take is None:
            return
        try:
            known = self._decoders.get(batch.table)
            if known is None or known[0] != batch.form:
                known = self._decoders[batch.table] = batch.form, RowDecoder(batch.form)
            rows = known[1].decode(batch.rows)[0]
        except FormatError:
            self.unreadable += 1
            return
        names = batch.form.names
        for row in rows:
            take(dict(zip(names, row, strict=True)))

    @property
    def newest(self) -> int | None:
        """The newest second that is known."""
        known = [ring.newest for ring in (self.host, self.looked) if ring.newest is not None]
        return max(known, default=None)

    def ticks(self) -> list[TickDocument]:
        """The seconds that have changed, the oldest first."""
        changed, self._changed = self._changed, {}
        gone, self._gone = self._gone, {}
        return [self._tick(second, changed[second], gone.get(second, [])) for second in sorted(changed)]

    def forget_changes(self) -> None:
        """What was taken so far is the past: it is not told as it comes."""
        self._changed.clear()
        self._gone.clear()

    def last_tick(self) -> TickDocument | None:
        """The newest second with every unit that is there."""
        if self.newest is None:
            return None
        return self._tick(self.newest, {uid for uid, unit in self.units.items() if not unit.gone}, [])

    def processes(self) -> ProcessesDocument:
        """Those of the newest tick."""
        self.processes_changed = False
        ordered = sorted(self._processes, key=lambda each: (-(each.cpu or 0.0), -(each.memory or 0.0), each.pid))
        return ProcessesDocument(self._processes_at_ns / S if self._processes_at_ns else None, ordered[:PROCESSES_MAX])

    def value(self, unit: BoardUnit, second: int, column: int) -> float | None:
        """What a unit had in a second: one that was looked at and has no row did nothing."""
        found = unit.ring.get(second, column)
        first, newest = unit.ring.first, unit.ring.newest
        if found is not None or first is None or newest is None or self.looked.get(second, 0) is None:
            return found
        if second < first or (unit.gone and second > newest) or column in (_CACHE, _BANDWIDTH):
            return None
        if UNIT_METRICS[column] in HELD:
            return unit.memory if second > newest else None
        return 0.0

    def _tick(self, second: int, uids: Iterable[str], gone: list[str]) -> TickDocument:
        host = [self.host.get(second, column) for column in range(len(HOST_METRICS))]
        points = []
        for uid in sorted(uids):
            unit = self.units.get(uid)
            if unit is not None:
                values = {
                    name: found
                    for column, name in enumerate(UNIT_METRICS)
                    if (found := self.value(unit, second, column)) is not None
                }
                points.append(UnitPoint(id=uid, name=unit.name, kind=unit.kind, **values))
        has_host = any(value is not None for value in host)
        return TickDocument(
            t=second,
            has_units=self.looked.get(second, 0) is not None,
            host=HostPoint(**dict(zip(HOST_METRICS, host, strict=True))) if has_host else None,
            units=points,
            gone=gone,
        )

    # ---- rows of tables ------------------------------------------------------------------------------

    def _take_host(self, row: Mapping[str, Value]) -> None:
        elapsed, second = _number(row, "elapsed_ns"), _second(row)
        total, free = _number(row, "memory_total_bytes"), _number(row, "memory_available_bytes")
        self.size.cores = _number(row, "cores") or self.size.cores
        self.size.memory_bytes = total or self.size.memory_bytes
        read, written = _number(row, "read_in_bytes"), _number(row, "written_out_bytes")
        self._put_host(
            second,
            (
                _per(_number(row, "cpu_ns"), elapsed),
                None if total is None or free is None else total - free,
                _rate(_sum(read, written), elapsed),
                *(_share(_number(row, f"pressure_{name}_some_ns"), elapsed) for name in ("cpu", "memory", "io")),
            ),
        )

    def _take_unit(self, row: Mapping[str, Value]) -> None:
        if row.get("container") is not None or row.get("kind") in _LEFT_OUT:
            return
        uid, second, elapsed = str(row["unit"]), _second(row), _number(row, "elapsed_ns")
        unit = self._unit(uid, str(row["kind"]), str(row["cgroup"]))
        pressures = [_share(_number(row, f"pressure_{name}_some_ns"), elapsed) for name in ("cpu", "memory", "io")]
        io = _sum(_number(row, "io_read_bytes_per_second"), _number(row, "io_write_bytes_per_second"))
        unit.memory = _number(row, "memory_current_bytes") or unit.memory
        unit.ring.put(
            second,
            (
                _number(row, "cpu_cores"),
                _number(row, "memory_current_bytes"),
                io,
                max((value for value in pressures if value is not None), default=None),
                None,
                None,
            ),
        )
        self.looked.put(second, (1.0,))
        self._changed.setdefault(second, set()).add(uid)
        unit.gone = bool(row.get("is_final"))
        if unit.gone:
            self._gone.setdefault(second, []).append(uid)

    def _take_occupancy(self, row: Mapping[str, Value]) -> None:
        uid, second = str(row["pod_uid"]), _second(row)
        self.size.cache_bytes = _number(row, "llc_size_bytes") or self.size.cache_bytes
        name, namespace = row.get("pod_name"), row.get("pod_namespace")
        unit = self._unit(uid, "", f"{namespace}/{name}" if name and namespace else uid)
        cache, bandwidth = _number(row, "llc_occupancy_bytes"), _number(row, "mbm_total_bytes_per_second")
        unit.ring.put(second, (None, None, None, None, cache, bandwidth))
        self._changed.setdefault(second, set()).add(uid)

    def _take_process(self, row: Mapping[str, Value]) -> None:
        at_ns = row["timestamp"]
        assert isinstance(at_ns, int)
        if at_ns > self._processes_at_ns:
            self._processes, self._processes_at_ns = [], at_ns
        elif at_ns < self._processes_at_ns:
            return
        uid = row.get("pod_uid")
        unit = self.units.get(str(uid)) if uid is not None else None
        share, threads = _number(row, "cpu_share"), row.get("threads")
        io = _sum(_number(row, "read_bytes"), _number(row, "write_bytes"))
        self._processes.append(
            ProcessPoint(
                pid=int(row["pid"]),  # type: ignore[arg-type]  # the decoder has checked the types of the row
                command=str(row.get("comm") or ""),
                unit=None if uid is None else str(uid),
                unit_name="" if uid is None else unit.name if unit is not None else unit_name(self._names, str(uid), str(uid)),
                state=str(row.get("state") or ""),
                cpu=share,
                memory=_number(row, "rss_bytes"),
                io=io,
                threads=threads if isinstance(threads, int) else None,
            )
        )
        self.processes_changed = True

    def _take_gap(self, row: Mapping[str, Value]) -> None:
        since, until = _number(row, "from_timestamp"), _number(row, "until_timestamp")
        if since is None or until is None:
            return
        self.gaps.append(GapSpan(int(since // S), int(until // S), str(row["reason"])))
        del self.gaps[:-GAPS_MAX]

    def _put_host(self, second: int, values: Sequence[float | None]) -> None:
        self.host.put(second, values)
        self._changed.setdefault(second, set())

    def _unit(self, uid: str, kind: str, cgroup: str) -> BoardUnit:
        unit = self.units.pop(uid, None)
        if unit is None:
            if len(self.units) >= UNITS_MAX:
                del self.units[next(iter(self.units))]
            unit = BoardUnit(uid, kind, unit_name(self._names, uid, cgroup))
        # The newest last.
        self.units[uid] = unit
        if kind and not unit.kind:
            unit.kind = kind
        return unit

    def rename(self) -> None:
        """Names of pods may have become known."""
        for unit in self.units.values():
            found = self._names.pod(unit.uid)
            if found is not None and found.name:
                unit.name = unit_name(self._names, unit.uid, unit.uid)


def _second(row: Mapping[str, Value]) -> int:
    at_ns = row["timestamp"]
    assert isinstance(at_ns, int)
    return at_ns // S


def _number(row: Mapping[str, Value], name: str) -> float | None:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _sum(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _per(amount: float | None, elapsed_ns: float | None) -> float | None:
    return amount / elapsed_ns if amount is not None and elapsed_ns else None


def _rate(amount: float | None, elapsed_ns: float | None) -> float | None:
    return amount * S / elapsed_ns if amount is not None and elapsed_ns else None


def _share(amount: float | None, elapsed_ns: float | None) -> float | None:
    found = _per(amount, elapsed_ns)
    return None if found is None else min(found, 1.0)
