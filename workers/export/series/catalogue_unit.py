"""The metrics of units and containers: cost, limits, pressure, kills, cache and bandwidth, GPUs. PURE."""

from workers.export.series.metric import Metric, View, by_label, grown, seconds, total, value

_UNIT_LABELS = (("unit", "unit"), ("kind", "kind"))


def _usage(of: str, about: str) -> tuple[Metric, ...]:
    """What units and containers both have; under two names, because a unit contains its containers."""
    prefix = f"evergauge_{of}"
    return (
        *by_label(
            seconds,
            f"{prefix}_cpu_seconds_total",
            "mode",
            f"CPU time of the {about}, by mode.",
            [("user", "cpu_user_ns"), ("system", "cpu_system_ns")],
        ),
        grown(f"{prefix}_cpu_periods_total", "cpu_periods", f"Periods of the CPU limit of the {about}."),
        grown(f"{prefix}_cpu_throttled_periods_total", "cpu_throttled_periods", "Periods in which it used up its CPU limit."),
        seconds(f"{prefix}_cpu_throttled_seconds_total", "cpu_throttled_ns", "Time in which threads were held back by the limit."),
        value(f"{prefix}_cpu_limit_cores", "cpu_limit_cores", "Lowest CPU limit of it and all above it."),
        value(f"{prefix}_memory_working_set_bytes", "memory_working_set_bytes", "Memory without the page cache not in active use."),
        value(f"{prefix}_memory_anonymous_bytes", "memory_anon_bytes", "Memory that is not of a file."),
        value(f"{prefix}_memory_limit_bytes", "memory_limit_bytes", "Lowest hard memory limit of it and all above it."),
        grown(f"{prefix}_oom_kills_total", "oom_kills", "Processes killed for lack of memory."),
        *by_label(
            grown,
            f"{prefix}_io_bytes_total",
            "direction",
            f"Bytes that the {about} read from disks and wrote to them.",
            [("read", "io_read_bytes"), ("write", "io_write_bytes")],
        ),
        value(f"{prefix}_pids", "pids", "Processes and threads."),
    )


UNIT = View(
    name="unit",
    table="unit",
    key=("unit", "kind"),
    labels=_UNIT_LABELS,
    unit="unit",
    where=("container", False),
    is_final="is_final",
    rank=20,
    metrics=(
        *_usage("unit", "unit"),
        value("evergauge_unit_memory_current_bytes", "memory_current_bytes", "All memory charged to it, page cache too."),
        value("evergauge_unit_memory_peak_bytes", "memory_peak_bytes", "The most of its memory so far."),
        value("evergauge_unit_memory_swap_bytes", "memory_swap_bytes", "Its memory in swap."),
        grown("evergauge_unit_memory_limit_hits_total", "memory_max_events", "Times that its memory was about to pass its limit."),
        grown("evergauge_unit_major_faults_total", "major_faults", "Page faults that read from a disk."),
        *by_label(
            grown,
            "evergauge_unit_io_operations_total",
            "direction",
            "Operations of the unit on disks.",
            [("read", "io_reads"), ("write", "io_writes")],
        ),
        value("evergauge_unit_pids_limit", "pids_limit", "Lowest limit of processes and threads of it and all above it."),
        *(
            metric
            for extent, about in (("some", "some thread"), ("full", "all threads"))
            for metric in by_label(
                seconds,
                f"evergauge_unit_pressure_{extent}_seconds_total",
                "resource",
                f"Time in which {about} of the unit waited for the resource.",
                [(word, f"pressure_{word}_{extent}_ns") for word in ("cpu", "memory", "io")],
            )
        ),
        *by_label(
            grown,
            "evergauge_unit_network_bytes_total",
            "direction",
            "Bytes of the unit in its own network.",
            [("receive", "net_received_bytes"), ("send", "net_sent_bytes")],
        ),
        *by_label(
            grown,
            "evergauge_unit_network_drops_total",
            "direction",
            "Packets of the unit that were dropped in its own network.",
            [("receive", "net_received_drops"), ("send", "net_sent_drops")],
        ),
        grown("evergauge_unit_tcp_retransmits_total", "tcp_retransmits", "TCP segments sent again in its own network."),
    ),
)

CONTAINER = View(
    name="container",
    table="unit",
    key=("unit", "kind", "container"),
    labels=(*_UNIT_LABELS, ("container_id", "container")),
    unit="unit",
    container="container",
    where=("container", True),
    is_final="is_final",
    rank=22,
    metrics=_usage("container", "container"),
)

_EMULATED = "emulated"
_BANDWIDTH = "Traffic of the caches with memory: all of it, or with the memory of the own node (local)."

OCCUPANCY = View(
    name="occupancy",
    table="occupancy",
    key=("pod_uid", _EMULATED),
    labels=(("unit", "pod_uid"), (_EMULATED, _EMULATED)),
    unit="pod_uid",
    rank=21,
    metrics=(
        value("evergauge_unit_llc_occupancy_bytes", "llc_occupancy_bytes", "What the unit holds of the last-level caches."),
        value("evergauge_unit_llc_size_bytes", "llc_size_bytes", "All last-level caches together."),
        total("evergauge_unit_memory_traffic_bytes_total", "mbm_total_bytes", _BANDWIDTH, traffic="all"),
        total("evergauge_unit_memory_traffic_bytes_total", "mbm_local_bytes", _BANDWIDTH, traffic="local"),
    ),
)

OCCUPANCY_DOMAIN = View(
    name="occupancy_domain",
    table="occupancy_domain",
    key=("resctrl_group", "resource", "domain", "sub_domain", _EMULATED),
    labels=(
        ("group", "resctrl_group"),
        ("cache", "resource"),
        ("domain", "domain"),
        ("sub_domain", "sub_domain"),
        (_EMULATED, _EMULATED),
    ),
    rank=25,
    metrics=(
        value("evergauge_group_llc_occupancy_bytes", "llc_occupancy_bytes", "What the group holds of this cache."),
        value("evergauge_group_llc_size_bytes", "llc_size_bytes", "Size of this cache."),
        total("evergauge_group_memory_traffic_bytes_total", "mbm_total_bytes", _BANDWIDTH, traffic="all"),
        total("evergauge_group_memory_traffic_bytes_total", "mbm_local_bytes", _BANDWIDTH, traffic="local"),
    ),
)

EVENT = View(
    name="event",
    table="unit_event",
    key=("verdict",),
    labels=(("limit", "verdict"),),
    others="unknown",
    is_lasting=True,
    rank=14,
    metrics=(grown("evergauge_units_oom_kills_total", "kills", "Processes killed for lack of memory, by whose limit it was."),),
)

GPU = View(
    name="gpu",
    table="gpu",
    key=("device", "index", "name", "source"),
    labels=(("device", "device"), ("index", "index"), ("model", "name"), ("source", "source")),
    rank=15,
    metrics=(
        value("evergauge_gpu_busy_ratio", "busy_time", "Share of the time with at least one kernel running; no measure of load."),
        value("evergauge_gpu_memory_busy_ratio", "memory_busy_time", "Share of the time with the memory read or written."),
        value("evergauge_gpu_memory_bytes", "memory_total_bytes", "Memory of the device, by part.", part="total"),
        value("evergauge_gpu_memory_bytes", "memory_used_bytes", "Memory of the device, by part.", part="used"),
        value("evergauge_gpu_power_watts", "power_milliwatts", "Power draw.", per=1000),
        value("evergauge_gpu_power_limit_watts", "power_limit_milliwatts", "Power limit in force.", per=1000),
        value("evergauge_gpu_temperature_celsius", "temperature_celsius", "Temperature of the GPU."),
        value("evergauge_gpu_clock_hertz", "clock_graphics_hz", "Clocks.", clock="graphics"),
        value("evergauge_gpu_clock_hertz", "clock_memory_hz", "Clocks.", clock="memory"),
        total("evergauge_gpu_memory_errors_total", "ecc_corrected", "Memory errors since the driver was loaded.", kind="corrected"),
        total(
            "evergauge_gpu_memory_errors_total", "ecc_uncorrected", "Memory errors since the driver was loaded.", kind="uncorrected"
        ),
    ),
)

GPU_PROCESS = View(
    name="gpu_process",
    table="gpu_process",
    key=("device", "unit", "container"),
    labels=(("device", "device"), ("unit", "unit"), ("container_id", "container")),
    unit="unit",
    container="container",
    is_summed=True,
    rank=16,
    metrics=(
        value("evergauge_unit_gpu_memory_bytes", "memory_bytes", "Memory of the unit's processes on the device."),
        value("evergauge_unit_gpu_busy_ratio", "busy_share", "Share of the last interval in which its processes used the device."),
    ),
)

ENGINE = View(
    name="engine",
    table="unit_engine",
    key=("unit", "kind"),
    labels=_UNIT_LABELS,
    unit="unit",
    rank=17,
    metrics=(
        *by_label(
            value,
            "evergauge_unit_engine_requests",
            "state",
            "Requests of the unit's engine, all data-parallel engines together.",
            [("waiting", "waiting"), ("running", "running")],
        ),
        value(
            "evergauge_unit_engine_kv_cache_ratio",
            "kv_cache_share",
            "Share of the engine's KV cache in use; of several the fullest.",
        ),
    ),
)

TAIL = View(
    name="tail",
    table="process_tail",
    key=("pod_uid",),
    labels=(("unit", "pod_uid"),),
    others="(none)",
    unit="pod_uid",
    is_summed=True,
    rank=40,
    metrics=(
        seconds("evergauge_tail_cpu_seconds_total", "cpu_ns", "CPU time of the processes of the unit without rows of their own."),
        value("evergauge_tail_memory_bytes", "rss_bytes", "Resident memory of these processes."),
        value("evergauge_tail_processes", "processes", "How many processes they are."),
    ),
)

VIEWS = (UNIT, CONTAINER, OCCUPANCY, OCCUPANCY_DOMAIN, EVENT, GPU, GPU_PROCESS, ENGINE, TAIL)
