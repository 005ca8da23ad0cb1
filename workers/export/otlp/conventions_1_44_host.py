"""The tables of the host and of GPUs by version 1.44.0 of the semantic conventions. PURE."""

from workers.export.otlp.column_map import Dimension, MetricKind, NotSent, Point, Role, TableMap, ValueForm
from workers.export.otlp.words import (
    ABSENT,
    READ,
    RECEIVE,
    TRANSMIT,
    WRITE,
    added,
    gauge,
    level,
    mode,
    pressure,
    ratio,
    spent,
)

_HOST = "evergauge.host"
_IN, _OUT = (("system.paging.direction", "in"),), (("system.paging.direction", "out"),)

HOST = TableMap(
    table="host",
    is_whole_host=True,
    columns={
        "timestamp": Role.TIME,
        "boot_timestamp": NotSent("the start_time of totals of processes"),
        "ticks_per_second": NotSent("a constant of the kernel"),
        "elapsed_ns": Role.ELAPSED,
        "cores": level("system.cpu.logical.count", unit="{cpu}"),
        # As the scheduler counts it; the modes below are counted by ticks of the clock.
        "cpu_ns": added(f"{_HOST}.cpu.run_time", unit="ns"),
        "cpu_source": NotSent("a word at a moment is no number"),
        "cpu_user_ns": spent("system.cpu.time", attributes=mode("user")),
        "cpu_nice_ns": spent("system.cpu.time", attributes=mode("nice")),
        "cpu_system_ns": spent("system.cpu.time", attributes=mode("system")),
        "cpu_idle_ns": spent("system.cpu.time", attributes=mode("idle")),
        "cpu_iowait_ns": spent("system.cpu.time", attributes=mode("iowait")),
        "cpu_irq_ns": spent("system.cpu.time", attributes=mode("interrupt")),
        # The convention has one mode for both kinds of interrupts.
        "cpu_softirq_ns": spent(f"{_HOST}.cpu.softirq.time"),
        "cpu_steal_ns": spent("system.cpu.time", attributes=mode("steal")),
        "cpu_guest_ns": spent(f"{_HOST}.cpu.guest.time"),
        "load_1": ratio(f"{_HOST}.load.1m", unit="{thread}"),
        "load_5": ratio(f"{_HOST}.load.5m", unit="{thread}"),
        "load_15": ratio(f"{_HOST}.load.15m", unit="{thread}"),
        "running": level(f"{_HOST}.thread.running", unit="{thread}"),
        "blocked": level(f"{_HOST}.thread.blocked", unit="{thread}"),
        "threads": level(f"{_HOST}.thread.count", unit="{thread}"),
        "processes_started": added("system.process.created", unit="{process}"),
        "context_switches": added(f"{_HOST}.context_switches", unit="{context_switch}"),
        "interrupts": added(f"{_HOST}.interrupts", unit="{interrupt}"),
        "memory_total_bytes": level("system.memory.limit", unit="By"),
        "memory_available_bytes": level("system.memory.linux.available", unit="By"),
        "memory_free_bytes": level("system.memory.usage", unit="By", attributes=(("system.memory.state", "free"),)),
        "memory_buffers_bytes": level("system.memory.usage", unit="By", attributes=(("system.memory.state", "buffers"),)),
        "memory_cached_bytes": level("system.memory.usage", unit="By", attributes=(("system.memory.state", "cached"),)),
        "memory_anonymous_bytes": level(f"{_HOST}.memory.anonymous", unit="By"),
        "memory_shared_bytes": level("system.memory.linux.shared", unit="By"),
        "memory_dirty_bytes": level(f"{_HOST}.memory.dirty", unit="By"),
        "memory_writeback_bytes": level(f"{_HOST}.memory.writeback", unit="By"),
        "memory_slab_bytes": level(f"{_HOST}.memory.slab", unit="By"),
        "memory_slab_reclaimable_bytes": level(
            "system.memory.linux.slab.usage", unit="By", attributes=(("system.memory.linux.slab.state", "reclaimable"),)
        ),
        "memory_page_tables_bytes": level(f"{_HOST}.memory.page_tables", unit="By"),
        "memory_kernel_stack_bytes": level(f"{_HOST}.memory.kernel_stack", unit="By"),
        "memory_huge_pages_bytes": level(f"{_HOST}.memory.huge_pages", unit="By"),
        "swap_total_bytes": level(f"{_HOST}.swap.limit", unit="By"),
        "swap_free_bytes": level("system.paging.usage", unit="By", attributes=(("system.paging.state", "free"),)),
        "swap_cached_bytes": level(f"{_HOST}.swap.cached", unit="By"),
        "pressure_cpu_some_ns": spent(f"{_HOST}.pressure.time", attributes=pressure("cpu", "some")),
        "pressure_memory_some_ns": spent(f"{_HOST}.pressure.time", attributes=pressure("memory", "some")),
        "pressure_memory_full_ns": spent(f"{_HOST}.pressure.time", attributes=pressure("memory", "full")),
        "pressure_io_some_ns": spent(f"{_HOST}.pressure.time", attributes=pressure("io", "some")),
        "pressure_io_full_ns": spent(f"{_HOST}.pressure.time", attributes=pressure("io", "full")),
        "page_faults": added("system.paging.faults", unit="{fault}"),
        # Among those above, so it cannot be a point of the same metric.
        "major_faults": added(f"{_HOST}.paging.major_faults", unit="{fault}"),
        "read_in_bytes": added(f"{_HOST}.disk.io", unit="By", attributes=READ),
        "written_out_bytes": added(f"{_HOST}.disk.io", unit="By", attributes=WRITE),
        # The convention counts operations, the kernel pages.
        "swapped_in_bytes": added(f"{_HOST}.swap.io", unit="By", attributes=_IN),
        "swapped_out_bytes": added(f"{_HOST}.swap.io", unit="By", attributes=_OUT),
        "reclaimed_bytes": added(f"{_HOST}.memory.reclaimed", unit="By"),
        "scanned_pages": added(f"{_HOST}.memory.scanned", unit="{page}"),
        "oom_kills": added(f"{_HOST}.oom.kills", unit="{process}"),
        "tcp_retransmits": added(f"{_HOST}.tcp.retransmits", unit="{segment}"),
        "sockets_tcp": level(f"{_HOST}.tcp.sockets", unit="{socket}"),
        "absent": ABSENT,
    },
)

HOST_DISK = TableMap(
    table="host_disk",
    columns={
        "timestamp": Role.TIME,
        "device": Dimension("system.device"),
        "devices": level(f"{_HOST}.disk.count", unit="{disk}"),
        "reads": added("system.disk.operations", unit="{operation}", attributes=READ),
        "writes": added("system.disk.operations", unit="{operation}", attributes=WRITE),
        "read_bytes": added("system.disk.io", unit="By", attributes=READ),
        "write_bytes": added("system.disk.io", unit="By", attributes=WRITE),
        "discards": added(f"{_HOST}.disk.discards", unit="{operation}"),
        "flushes": added(f"{_HOST}.disk.flushes", unit="{operation}"),
        "utilisation": ratio(f"{_HOST}.disk.utilization"),
        "queue": ratio(f"{_HOST}.disk.queue", unit="{request}"),
        "read_latency_ns": Point((f"{_HOST}.disk.latency",), "s", MetricKind.GAUGE, ValueForm.SECONDS, READ),
        "write_latency_ns": Point((f"{_HOST}.disk.latency",), "s", MetricKind.GAUGE, ValueForm.SECONDS, WRITE),
        "in_flight": level(f"{_HOST}.disk.pending", unit="{request}"),
        "absent": ABSENT,
    },
)

HOST_NETWORK = TableMap(
    table="host_network",
    columns={
        "timestamp": Role.TIME,
        "interface": Dimension("network.interface.name"),
        "interfaces": level(f"{_HOST}.network.count", unit="{interface}"),
        "received_bytes": added("system.network.io", unit="By", attributes=RECEIVE),
        "sent_bytes": added("system.network.io", unit="By", attributes=TRANSMIT),
        # The convention names the interface of system.network.packet.count by another attribute than those of its neighbours.
        "received_packets": added(f"{_HOST}.network.packets", unit="{packet}", attributes=RECEIVE),
        "sent_packets": added(f"{_HOST}.network.packets", unit="{packet}", attributes=TRANSMIT),
        "received_errors": added("system.network.errors", unit="{error}", attributes=RECEIVE),
        "sent_errors": added("system.network.errors", unit="{error}", attributes=TRANSMIT),
        "received_drops": added("system.network.packet.dropped", unit="{packet}", attributes=RECEIVE),
        "sent_drops": added("system.network.packet.dropped", unit="{packet}", attributes=TRANSMIT),
        "speed_bits_per_second": gauge(f"{_HOST}.network.speed", unit="bit/s"),
        "utilisation": ratio(f"{_HOST}.network.utilization"),
        "is_up": gauge(f"{_HOST}.network.up", unit="1"),
        "absent": ABSENT,
    },
)

_GPU = "evergauge.gpu"
GPU = TableMap(
    table="gpu",
    columns={
        "timestamp": Role.TIME,
        "device": Dimension("hw.id"),
        "parent": Dimension("hw.parent"),
        "index": Dimension(f"{_GPU}.index"),
        "name": Dimension("hw.model"),
        "pci": NotSent("hw.id says which device it is"),
        "source": NotSent("which driver told it; table gpu has it"),
        "state": NotSent("evergauge.gpu.stuck_since has a point while its driver does not answer"),
        "stuck_since_timestamp": gauge(f"{_GPU}.stuck_since", unit="ns"),
        "busy_time": ratio("hw.gpu.utilization"),
        "memory_busy_time": ratio(f"{_GPU}.memory.busy"),
        "memory_total_bytes": level("hw.gpu.memory.limit", unit="By"),
        "memory_used_bytes": level("hw.gpu.memory.usage", unit="By"),
        "memory_reserved_bytes": level(f"{_GPU}.memory.reserved", unit="By"),
        "power_milliwatts": Point((f"{_GPU}.power",), "W", MetricKind.GAUGE, ValueForm.MILLI),
        "power_limit_milliwatts": Point((f"{_GPU}.power.limit",), "W", MetricKind.GAUGE, ValueForm.MILLI),
        "temperature_celsius": ratio(f"{_GPU}.temperature", unit="Cel"),
        "clock_graphics_hz": gauge(f"{_GPU}.clock.graphics", unit="Hz"),
        "clock_memory_hz": gauge(f"{_GPU}.clock.memory", unit="Hz"),
        "throttle_reasons": NotSent("words at a moment are no number"),
        "ecc_corrected": gauge(f"{_GPU}.ecc.corrected", unit="{error}"),
        "ecc_uncorrected": gauge(f"{_GPU}.ecc.uncorrected", unit="{error}"),
        "xid": gauge(f"{_GPU}.xid", unit="1"),
        "absent": ABSENT,
    },
)

GPU_PROCESS = TableMap(
    table="gpu_process",
    columns={
        "timestamp": Role.TIME,
        "device": Dimension("hw.id"),
        "source": NotSent("which driver told it; table gpu_process has it"),
        "pid": Dimension("process.pid"),
        "driver_pid": Dimension(f"{_GPU}.driver_pid"),
        "comm": Dimension("process.executable.name"),
        "unit": Role.UNIT,
        "container": Role.CONTAINER,
        "memory_bytes": level(f"{_GPU}.process.memory.usage", unit="By"),
        "busy_share": ratio(f"{_GPU}.process.utilization"),
        "absent": ABSENT,
    },
)

TABLES = (HOST, HOST_DISK, HOST_NETWORK, GPU, GPU_PROCESS)
