"""The tables of units and their caches by version 1.44.0 of the semantic conventions. PURE.

A row is of a pod, of a container or of another unit, such as a service. Where conventions have a metric of pods or containers, it
has that name; the same of other units has a name of our own.
"""

from collections.abc import Mapping

from workers.export.otlp.column_map import Dimension, Logged, Meaning, NotSent, Point, RecordMap, Role, TableMap
from workers.export.otlp.words import (
    ABSENT,
    OF_INTERVAL,
    READ,
    RECEIVE,
    TRANSMIT,
    WRITE,
    Attributes,
    added,
    duration,
    gauge,
    level,
    mode,
    pressure,
    ratio,
    spent,
)
from workers.export.otlp.words import standing as counter

_UNIT = "evergauge.unit"


def _names(word: str, own: str = "") -> tuple[str, str, str]:
    return f"k8s.pod.{word}", f"container.{word}", f"{_UNIT}.{own or word}"


def _disk(attributes: Attributes) -> Point:
    """Conventions have what containers read and write, but not pods."""
    return added(f"{_UNIT}.disk.io", "container.disk.io", f"{_UNIT}.disk.io", unit="By", attributes=attributes)


UNIT = TableMap(
    table="unit",
    columns={
        "timestamp": Role.TIME,
        "unit": Role.UNIT,
        "kind": Role.UNIT_KIND,
        "container": Role.CONTAINER,
        "cgroup": NotSent("the attributes of the unit say it"),
        "started_timestamp": NotSent("the uptime says it"),
        "uptime_ns": duration(*_names("uptime")),
        "elapsed_ns": Role.ELAPSED,
        "is_final": NotSent("event evergauge.unit.ended says it"),
        "cpu_ns": spent(*_names("cpu.time")),
        "cpu_user_ns": spent(f"{_UNIT}.cpu.mode.time", attributes=mode("user")),
        "cpu_system_ns": spent(f"{_UNIT}.cpu.mode.time", attributes=mode("system")),
        "cpu_cores": OF_INTERVAL,
        "cpu_periods": added(f"{_UNIT}.cpu.periods", unit="{period}"),
        "cpu_throttled_periods": added(f"{_UNIT}.cpu.throttled.periods", unit="{period}"),
        "cpu_throttled_ns": spent(f"{_UNIT}.cpu.throttled.time"),
        "cpu_limit_cores": ratio(f"{_UNIT}.cpu.limit", unit="{cpu}"),
        "cpu_weight": gauge(f"{_UNIT}.cpu.weight", unit="1"),
        "memory_current_bytes": level(*_names("memory.usage"), unit="By"),
        "memory_anon_bytes": level(*_names("memory.rss"), unit="By"),
        "memory_file_bytes": level(f"{_UNIT}.memory.file", unit="By"),
        "memory_shmem_bytes": level(f"{_UNIT}.memory.shared", unit="By"),
        "memory_kernel_bytes": level(f"{_UNIT}.memory.kernel", unit="By"),
        "memory_working_set_bytes": level(*_names("memory.working_set"), unit="By"),
        "memory_swap_bytes": level(f"{_UNIT}.memory.swap", unit="By"),
        "memory_peak_bytes": gauge(f"{_UNIT}.memory.peak", unit="By"),
        "memory_limit_bytes": gauge(f"{_UNIT}.memory.limit", unit="By"),
        "memory_high_bytes": gauge(f"{_UNIT}.memory.high", unit="By"),
        "page_faults": added(*_names("paging.faults"), unit="{fault}"),
        # Among those above, so it cannot be a point of the same metric.
        "major_faults": added(f"{_UNIT}.paging.major_faults", unit="{fault}"),
        "io_read_bytes": _disk(READ),
        "io_write_bytes": _disk(WRITE),
        "io_reads": added(f"{_UNIT}.disk.operations", unit="{operation}", attributes=READ),
        "io_writes": added(f"{_UNIT}.disk.operations", unit="{operation}", attributes=WRITE),
        "io_read_bytes_per_second": OF_INTERVAL,
        "io_write_bytes_per_second": OF_INTERVAL,
        "io_reads_per_second": OF_INTERVAL,
        "io_writes_per_second": OF_INTERVAL,
        "pids": level(f"{_UNIT}.thread.count", unit="{thread}"),
        "pids_limit": gauge(f"{_UNIT}.thread.limit", unit="{thread}"),
        "pressure_cpu_some_ns": spent(f"{_UNIT}.pressure.time", attributes=pressure("cpu", "some")),
        "pressure_cpu_full_ns": spent(f"{_UNIT}.pressure.time", attributes=pressure("cpu", "full")),
        "pressure_memory_some_ns": spent(f"{_UNIT}.pressure.time", attributes=pressure("memory", "some")),
        "pressure_memory_full_ns": spent(f"{_UNIT}.pressure.time", attributes=pressure("memory", "full")),
        "pressure_io_some_ns": spent(f"{_UNIT}.pressure.time", attributes=pressure("io", "some")),
        "pressure_io_full_ns": spent(f"{_UNIT}.pressure.time", attributes=pressure("io", "full")),
        "oom_events": added(f"{_UNIT}.oom.events", unit="{event}"),
        "oom_kills": added(f"{_UNIT}.oom.kills", unit="{process}"),
        "memory_max_events": added(f"{_UNIT}.memory.max.events", unit="{event}"),
        "memory_high_events": added(f"{_UNIT}.memory.high.events", unit="{event}"),
        "net_received_bytes": added(*_names("network.io"), unit="By", attributes=RECEIVE),
        "net_sent_bytes": added(*_names("network.io"), unit="By", attributes=TRANSMIT),
        "net_received_packets": added(f"{_UNIT}.network.packets", unit="{packet}", attributes=RECEIVE),
        "net_sent_packets": added(f"{_UNIT}.network.packets", unit="{packet}", attributes=TRANSMIT),
        "net_received_drops": added(f"{_UNIT}.network.dropped", unit="{packet}", attributes=RECEIVE),
        "net_sent_drops": added(f"{_UNIT}.network.dropped", unit="{packet}", attributes=TRANSMIT),
        "tcp_retransmits": added(f"{_UNIT}.tcp.retransmits", unit="{segment}"),
        "sockets_tcp": level(f"{_UNIT}.tcp.sockets", unit="{socket}"),
        "absent": ABSENT,
    },
)

UNIT_EVENT = TableMap(
    table="unit_event",
    record=RecordMap(_UNIT, column="event", warnings=frozenset({"oom"})),
    columns={
        "timestamp": Role.TIME,
        "unit": Role.UNIT,
        "kind": Role.UNIT_KIND,
        "container": Role.CONTAINER,
        "cgroup": Logged("evergauge.unit.cgroup"),
        "sequence": Logged("evergauge.event.sequence"),
        "event": NotSent("the name of the record"),
        "verdict": Logged("evergauge.oom.verdict"),
        "culprit": Logged("evergauge.oom.culprit"),
        "kills": Logged("evergauge.oom.kills"),
        "limit_bytes": Logged("evergauge.oom.limit_bytes"),
        "exit_code": Logged("process.exit.code"),
        "signal": Logged("evergauge.exit.signal"),
        "limit": Logged("evergauge.limit.file"),
        "before": Logged("evergauge.limit.before"),
        "after": Logged("evergauge.limit.after"),
        "absent": Logged("evergauge.absent"),
    },
)

UNIT_MODEL = TableMap(
    table="unit_model",
    record=RecordMap("evergauge.unit.model"),
    columns={
        "timestamp": Role.TIME,
        "unit": Role.UNIT,
        "kind": Role.UNIT_KIND,
        "container": Role.CONTAINER,
        "model": Logged("evergauge.model.name"),
        "model_raw": Logged("evergauge.model.raw"),
        "served_model": Logged("evergauge.model.served"),
        "engine": Logged("evergauge.model.engine"),
        "model_source": Logged("evergauge.model.source"),
        "absent": Logged("evergauge.absent"),
    },
)

# Of what an engine has to do no convention was found: those of generative models are of its single requests.
_ENGINE = "evergauge.engine"
UNIT_ENGINE = TableMap(
    table="unit_engine",
    columns={
        "timestamp": Role.TIME,
        "unit": Role.UNIT,
        "kind": Role.UNIT_KIND,
        "container": Role.CONTAINER,
        "engine": Dimension("evergauge.model.engine"),
        "waiting": level(f"{_ENGINE}.requests", unit="{request}", attributes=(("evergauge.request.state", "waiting"),)),
        "running": level(f"{_ENGINE}.requests", unit="{request}", attributes=(("evergauge.request.state", "running"),)),
        "kv_cache_share": ratio(f"{_ENGINE}.kv_cache.utilization"),
        "absent": ABSENT,
    },
)

_LLC, _BANDWIDTH = "evergauge.llc", "evergauge.memory.bandwidth"
_TOTAL, _LOCAL = (("evergauge.memory.traffic", "total"),), (("evergauge.memory.traffic", "local"),)
# Not found in any convention: caches and the bandwidth of memory.
_MEASURED: Mapping[str, Meaning] = {
    "llc_occupancy_bytes": gauge(f"{_LLC}.occupancy", unit="By"),
    "llc_size_bytes": gauge(f"{_LLC}.size", unit="By"),
    "mbm_total_bytes": counter(f"{_BANDWIDTH}.io", unit="By", attributes=_TOTAL),
    "mbm_local_bytes": counter(f"{_BANDWIDTH}.io", unit="By", attributes=_LOCAL),
    "mbm_total_bytes_per_second": ratio(f"{_BANDWIDTH}.rate", unit="By/s", attributes=_TOTAL),
    "mbm_local_bytes_per_second": ratio(f"{_BANDWIDTH}.rate", unit="By/s", attributes=_LOCAL),
    "absent": ABSENT,
    "emulated": Dimension("evergauge.resctrl.emulated"),
}

OCCUPANCY = TableMap(
    table="occupancy",
    columns={
        "timestamp": Role.TIME,
        "pod_namespace": Role.NAMESPACE,
        "pod_name": Role.POD_NAME,
        "pod_uid": Role.UNIT,
        "resctrl_group": NotSent("a path of this host; the metrics of domains have it"),
        "start_timestamp": NotSent("the beginning of a scan; each point has its own time"),
        "total_containers": gauge("evergauge.resctrl.containers", unit="{container}"),
        "reconciled_containers": gauge("evergauge.resctrl.containers.reconciled", unit="{container}"),
        "pods_in_group": gauge("evergauge.resctrl.group.pods", unit="{pod}"),
        **_MEASURED,
    },
)

_DOMAIN = "evergauge.resctrl"
OCCUPANCY_DOMAIN = TableMap(
    table="occupancy_domain",
    columns={
        "timestamp": Role.TIME,
        "start_timestamp": NotSent("the beginning of a scan; each point has its own time"),
        "resctrl_group": Dimension(f"{_DOMAIN}.group"),
        "resource": Dimension(f"{_DOMAIN}.resource"),
        "domain": Dimension(f"{_DOMAIN}.domain"),
        "sub_domain": Dimension(f"{_DOMAIN}.sub_domain"),
        **_MEASURED,
        # Of one domain and one group: other series than those of a pod.
        "llc_occupancy_bytes": gauge(f"{_LLC}.domain.occupancy", unit="By"),
        "llc_size_bytes": gauge(f"{_LLC}.domain.size", unit="By"),
        "mbm_total_bytes": counter(f"{_BANDWIDTH}.domain.io", unit="By", attributes=_TOTAL),
        "mbm_local_bytes": counter(f"{_BANDWIDTH}.domain.io", unit="By", attributes=_LOCAL),
        "mbm_total_bytes_per_second": ratio(f"{_BANDWIDTH}.domain.rate", unit="By/s", attributes=_TOTAL),
        "mbm_local_bytes_per_second": ratio(f"{_BANDWIDTH}.domain.rate", unit="By/s", attributes=_LOCAL),
    },
)

TABLES = (UNIT, UNIT_EVENT, UNIT_MODEL, UNIT_ENGINE, OCCUPANCY, OCCUPANCY_DOMAIN)
