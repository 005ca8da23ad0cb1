"""Rows of answers from what the hub holds. PURE."""

from agent.fleet.live import UnitLabel, UnitUse
from agent.model.control.fleet import FleetNodeRow, FleetUnitRow
from agent.model.timebase import MS, S, iso_utc
from workers.hub.fleet_node import FleetNode
from workers.hub.worker_index import is_worker

MIB = 1 << 20
KIB = 1 << 10


def node_row(node: FleetNode, now_ns: int) -> FleetNodeRow:
    """One node as it is shown."""
    label, use, life = node.state.node_label, node.state.node_use, node.life
    counts = node.counts
    # Nothing is held before its first word, and of a new life of its agent.
    labels = None if node.updated_ns is None else node.state.labels
    return FleetNodeRow(
        node=node.install,
        host=node.host,
        state=str(node.phase),
        since=iso_utc(node.phase_since_wall_ns),
        silent_seconds=None if node.last_beat_ns is None else round((now_ns - node.last_beat_ns) / S, 2),
        age_seconds=seconds(node.age_ns(now_ns)),
        last_seen=iso_utc(node.seen_wall_ns) if node.seen_wall_ns else None,
        agent_version=None if life is None else life.agent_version,
        run=None if life is None else life.run,
        cpus=None if label is None else label.cpus,
        cpu_cores=None if use is None else share(use.cpu),
        memory_bytes=None if label is None else scaled(label.memory_kib, KIB),
        memory_available_bytes=None if use is None else scaled(use.memory_available_kib, KIB),
        pressure_cpu=None if use is None else share(use.pressure_cpu),
        pressure_memory=None if use is None else share(use.pressure_memory),
        pressure_io=None if use is None else share(use.pressure_io),
        disk_bytes_per_second=None if use is None else scaled(use.disk_kib_s, KIB),
        network_bytes_per_second=None if use is None else scaled(use.network_kib_s, KIB),
        gpus=None if use is None else len(use.gpus),
        units=None if labels is None else len(labels),
        workers=None if labels is None else sum(map(is_worker, labels.values())),
        conditions=[] if use is None else list(use.conditions),
        clock_offset_seconds=None if node.offset_us is None else round(node.offset_us / 1e6, 3),
        received=counts.received,
        lost=counts.lost,
        doubled=counts.doubled,
        late=counts.late,
        refused=counts.refused,
        problem=node.problem or None,
    )


def unit_row(node: FleetNode, label: UnitLabel, use: UnitUse, held: tuple[int, int], now_ns: int) -> FleetUnitRow:
    """One unit as it is shown. `held`: by how many reservations, and how many MiB they want."""
    reserved, reserved_mib = held
    free_mib = use.vram_free_mib
    return FleetUnitRow(
        node=node.install,
        host=node.host,
        unit=label.unit,
        kind=label.kind,
        name=label.name,
        namespace=label.namespace,
        model=label.model,
        served_model=label.served_model,
        lora=list(label.lora),
        engine=label.engine,
        model_source=label.model_source,
        state=load_state(use),
        started=None if label.started_ms is None else iso_utc(label.started_ms * MS),
        age_seconds=seconds(node.age_ns(now_ns)),
        cpu_cores=share(use.cpu),
        memory_bytes=scaled(use.memory_kib, KIB),
        memory_limit_bytes=scaled(label.memory_limit_kib, KIB),
        pressure_cpu=share(use.pressure_cpu),
        pressure_memory=share(use.pressure_memory),
        pressure_io=share(use.pressure_io),
        throttled=share(use.throttled),
        io_bytes_per_second=scaled(use.io_kib_s, KIB),
        cache_bytes=scaled(use.cache_kib, KIB),
        memory_bandwidth_bytes_per_second=scaled(use.bandwidth_kib_s, KIB),
        gpu_busy=share(use.gpu_busy),
        vram_bytes=scaled(use.vram_mib, MIB),
        vram_free_bytes=None if free_mib is None else max(0, free_mib - reserved_mib) * MIB,
        waiting=use.waiting,
        running=use.running,
        kv_cache=share(use.kv_cache),
        reserved=reserved,
        sources=_sources(label, use),
    )


def load_state(use: UnitUse) -> str:
    """`idle`, `busy` or `unknown`, by the engine's own word and nothing else."""
    if use.waiting is None and use.running is None:
        return "unknown"
    return "busy" if (use.waiting or 0) + (use.running or 0) else "idle"


def seconds(span_ns: int | None) -> float | None:
    """*Absent:* None for None."""
    return None if span_ns is None else round(span_ns / S, 2)


def share(thousandths: int | None) -> float | None:
    """Of thousandths. *Absent:* None for None."""
    return None if thousandths is None else thousandths / 1000


def scaled(amount: int | None, unit: int) -> int | None:
    """*Absent:* None for None."""
    return None if amount is None else amount * unit


def _sources(label: UnitLabel, use: UnitUse) -> dict[str, str]:
    """Who says the numbers of this row; those that nobody says are left out."""
    found: dict[str, str] = {}
    if use.cpu is not None:
        found["cpu"] = "cgroup"
    if use.memory_kib is not None:
        found["memory"] = "cgroup"
    if use.cache_kib is not None:
        found["cache"] = "resctrl"
    if use.vram_mib is not None or use.gpu_busy is not None:
        found["gpu"] = "driver"
    if label.model_source is not None:
        found["model"] = label.model_source
    if use.waiting is not None or use.running is not None:
        found["load"] = label.engine or "engine"
    return found
