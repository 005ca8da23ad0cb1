"""A node for pages and their pictures: fifteen minutes of a shop, its databases, and a batch job that comes among them.

Everything is made from a seed: the same seconds give the same picture.
"""

from collections.abc import Iterator, Sequence
from math import sin
from pathlib import Path
from random import Random
from typing import Any

from fakes.gateway_host import GatewayHost
from fakes.spool_files import SpoolFiles
from fakes.stored_batch import stored
from msgspec import Struct

from agent.model.rule import Assignment, Unit, UnitKind, canonical
from agent.model.table import Table
from agent.model.tables import SYSTEM_TABLES
from agent.model.timebase import S
from workers import registry

# A day in November at noon, UTC.
BEGIN_S = 1_700_049_600
CORES, MEMORY_BYTES, CACHE_BYTES = 16, 64 << 30, 48 << 20
MIB = 1 << 20
# In the story's seconds: the batch job rises, nothing is stored, a service ends.
NOISE = range(520, 700)
GAP = range(300, 338)
SECONDS = 840


class StoryUnit(Struct, frozen=True):
    """One unit, its size, and the commands in it."""

    uid: str
    kind: UnitKind
    namespace: str | None
    name: str | None
    cores: float
    memory_mib: int
    io_mib: float
    cache_mib: float
    bandwidth_mib: float
    commands: tuple[str, ...] = ()


POD, SERVICE = UnitKind.POD, UnitKind.SERVICE
UNITS = (
    StoryUnit("8f2c1d7e-web0", POD, "shop", "web-0", 2.1, 1850, 0.4, 9.0, 820, ("nginx", "gunicorn")),
    StoryUnit("8f2c1d7e-web1", POD, "shop", "web-1", 1.8, 1790, 0.3, 7.5, 760, ("nginx", "gunicorn")),
    StoryUnit("51bb09aa-cart", POD, "shop", "cart-5d9c7", 0.9, 940, 0.2, 3.2, 310, ("java",)),
    StoryUnit("c0ffee11-llm0", POD, "models", "llama-8b-0", 2.6, 17_400, 0.1, 11.0, 2900, ("vllm", "python3")),
    StoryUnit("d4d4aa02-etl0", POD, "batch", "report-nightly", 0.3, 2100, 2.0, 2.0, 260, ("spark-executor", "python3")),
    StoryUnit("70b2e9c4-dns0", POD, "kube-system", "coredns-7c6", 0.05, 64, 0.0, 0.4, 12, ("coredns",)),
    StoryUnit("/system.slice/postgresql.service", SERVICE, None, None, 1.2, 6300, 9.5, 6.1, 640, ("postgres",)),
    StoryUnit("/system.slice/containerd.service", SERVICE, None, None, 0.12, 210, 0.5, 0.8, 40, ("containerd",)),
    StoryUnit("/system.slice/kubelet.service", SERVICE, None, None, 0.18, 320, 0.2, 0.9, 55, ("kubelet",)),
    StoryUnit("/system.slice/sshd.service", SERVICE, None, None, 0.0, 12, 0.0, 0.0, 0, ("sshd",)),
)
NOISY = UNITS[4].uid
VICTIMS = (UNITS[0].uid, UNITS[1].uid)


def story_table(name: str) -> Table:
    """A declared table."""
    return {table.name: table for table in (*registry.tables(), *SYSTEM_TABLES)}[name]


class PageStory:
    """Writes the story into a spool, second by second; `random` gives the small differences between seconds."""

    def __init__(self, state: Path, *, seed: int = 7) -> None:
        self.spool = SpoolFiles(state, BEGIN_S * S)
        self.second = 0
        self._random = Random(seed)

    def tell(self, seconds: int) -> None:
        """So many more seconds."""
        for _ in range(seconds):
            if self.second not in GAP:
                for table, rows in self._rows(self.second):
                    self.append(table, rows)
            if self.second == GAP.stop:
                self.append("gap", [self._gap()])
            self.second += 1

    def append(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        """Rows of now."""
        if rows:
            self.spool.append(stored(story_table(table), rows), (BEGIN_S + self.second) * S)

    def _gap(self) -> dict[str, Any]:
        head = {"worker": "sampler/node", "run": "run-1", "epoch": 1, "reason": "suspended", "ticks": len(GAP)}
        begin, end = ((BEGIN_S + second) * S for second in (GAP.start - 1, GAP.stop))
        return head | {"timestamp": end, "from_timestamp": begin, "until_timestamp": end}

    def _rows(self, second: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        at_ns = (BEGIN_S + second) * S + 40_000_000
        units, cache, processes = [], [], []
        cpu = io = 0.0
        worst = 0.0
        for place, unit in enumerate(UNITS):
            level = self._level(unit, second)
            cores = unit.cores * level
            pressure = self._pressure(unit, second, level)
            written = (
                unit.io_mib * MIB * (0.85 + 0.3 * self._random.random()) * (6.5 if unit.uid == NOISY and second in NOISE else 1)
            )
            cpu, io, worst = cpu + cores, io + written, max(worst, pressure)
            if unit.cores:
                units.append(self._unit_row(unit, at_ns, cores, written, pressure))
            elif second % 60 == 5:
                units.append(self._unit_row(unit, at_ns, 0.0, 0.0, 0.0) | {"elapsed_ns": 60 * S})
            if unit.kind is POD:
                cache.append(self._cache_row(unit, at_ns, second, level))
            for number, command in enumerate(unit.commands):
                processes.append(self._process_row(unit, command, 2000 + 40 * place + number, at_ns, cores / len(unit.commands)))
        held = sum(unit.memory_mib for unit in UNITS) * MIB + (5 << 30)
        host = {
            "timestamp": at_ns, "elapsed_ns": S, "cores": CORES, "cpu_ns": int((cpu + 0.35) * S),
            "memory_total_bytes": MEMORY_BYTES, "memory_available_bytes": MEMORY_BYTES - held - int(2e8 * sin(second / 90)),
            "read_in_bytes": int(io * 0.4), "written_out_bytes": int(io * 0.7),
            "pressure_cpu_some_ns": int(worst * 0.8 * S), "pressure_memory_some_ns": 0,
            "pressure_io_some_ns": int(0.012 * S * (1 + self._random.random())),
        }  # fmt: skip
        yield "host", [host]
        yield "unit", units
        yield "occupancy", cache
        yield "process", processes

    def _level(self, unit: StoryUnit, second: int) -> float:
        wave = 1 + 0.16 * sin(second / 47 + len(unit.uid)) + 0.07 * (self._random.random() - 0.5)
        if unit.uid == NOISY and second in NOISE:
            return wave * 19
        return wave * (0.82 if unit.uid in VICTIMS and second in NOISE else 1)

    def _pressure(self, unit: StoryUnit, second: int, level: float) -> float:
        if unit.uid in VICTIMS and second in NOISE:
            return 0.34 + 0.06 * self._random.random() + (0.05 if unit.uid == VICTIMS[0] else 0)
        return 0.012 * min(level, 1.3) * self._random.random() if unit.cores else 0.0

    def _unit_row(self, unit: StoryUnit, at_ns: int, cores: float, written: float, pressure: float) -> dict[str, Any]:
        return {
            "timestamp": at_ns, "unit": unit.uid, "kind": str(unit.kind), "cgroup": _cgroup(unit), "is_final": False,
            "elapsed_ns": S, "cpu_ns": int(cores * S), "cpu_cores": cores,
            "memory_current_bytes": unit.memory_mib * MIB + int(40 * MIB * self._random.random()),
            "io_read_bytes": int(written * 0.4), "io_write_bytes": int(written * 0.6),
            "io_read_bytes_per_second": written * 0.4, "io_write_bytes_per_second": written * 0.6,
            "pressure_cpu_some_ns": int(pressure * S), "pressure_memory_some_ns": 0, "pressure_io_some_ns": int(pressure * S / 9),
        }  # fmt: skip

    def _cache_row(self, unit: StoryUnit, at_ns: int, second: int, level: float) -> dict[str, Any]:
        is_noisy, is_victim = unit.uid == NOISY, unit.uid in VICTIMS
        factor = {(True, False): 8.5, (False, True): 0.45}.get((is_noisy, is_victim), 0.9) if second in NOISE else 1.0
        return {
            "timestamp": at_ns, "pod_uid": unit.uid, "pod_namespace": unit.namespace, "pod_name": unit.name,
            "resctrl_group": f"/sys/fs/resctrl/mon_groups/{unit.uid}",
            "llc_occupancy_bytes": int(unit.cache_mib * MIB * factor * (0.96 + 0.08 * self._random.random())),
            "mbm_total_bytes_per_second": unit.bandwidth_mib * MIB * min(level, 12.0), "llc_size_bytes": CACHE_BYTES,
        }  # fmt: skip

    def _process_row(self, unit: StoryUnit, command: str, pid: int, at_ns: int, cores: float) -> dict[str, Any]:
        share = unit.memory_mib * MIB // max(len(unit.commands), 1)
        return {
            "timestamp": at_ns, "pid": pid, "start_ticks": pid, "comm": command, "pod_uid": unit.uid,
            "unit_kind": str(unit.kind), "state": "R" if cores > 0.5 else "S", "cpu_share": cores, "cpu_ns": int(cores * S),
            "rss_bytes": share, "read_bytes": 0, "write_bytes": int(unit.io_mib * MIB / 2), "threads": 4 + len(command),
            "chosen_for": "cpu",
        }  # fmt: skip


def _cgroup(unit: StoryUnit) -> str:
    return unit.uid if unit.kind is not POD else f"/kubepods.slice/kubepods-pod{unit.uid.replace('-', '_')}.slice"


def name_units(host: GatewayHost) -> None:
    """What a container runtime would have reported."""
    for unit in UNITS:
        if unit.kind is POD:
            found = Unit(unit.uid, unit.kind, _cgroup(unit), namespace=unit.namespace, name=unit.name)
            host.rules.put(f"pod/{unit.uid}", canonical(Assignment(found, None, None, 1)))
