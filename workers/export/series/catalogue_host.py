"""The metrics of the host: CPU, memory, pressure, disks, interfaces, and the account of the process sampler. PURE."""

from workers.export.series.metric import View, by_label, grown, seconds, value

_CPU_ABOUT = "CPU time of the host, by mode; user includes guest, which is shown on its own too."
_PRESSURE_ABOUT = "Time in which some threads (or all that were not idle) waited for the resource."

HOST = View(
    name="host",
    table="host",
    key=(),
    rank=10,
    metrics=(
        seconds("evergauge_host_cpu_used_seconds_total", "cpu_ns", "CPU time of everything, as the scheduler counts it."),
        *by_label(
            seconds,
            "evergauge_host_cpu_seconds_total",
            "mode",
            _CPU_ABOUT,
            [(mode, f"cpu_{mode}_ns") for mode in ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest")],
        ),
        value("evergauge_host_cores", "cores", "CPUs that are online."),
        *by_label(value, "evergauge_host_load", "minutes", "Load average.", [("1", "load_1"), ("5", "load_5"), ("15", "load_15")]),
        value("evergauge_host_threads", "running", "Threads of the host, by state.", state="running"),
        value("evergauge_host_threads", "blocked", "Threads of the host, by state.", state="blocked"),
        value("evergauge_host_threads", "threads", "Threads of the host, by state.", state="all"),
        grown("evergauge_host_forks_total", "processes_started", "Processes and threads that were started."),
        grown("evergauge_host_context_switches_total", "context_switches", "Context switches."),
        grown("evergauge_host_interrupts_total", "interrupts", "Interrupts."),
        *by_label(
            value,
            "evergauge_host_memory_bytes",
            "part",
            "Memory of the host, by part; parts overlap.",
            [
                (part, f"memory_{part}_bytes")
                for part in ("total", "available", "free", "buffers", "cached", "anonymous", "shared", "dirty", "writeback", "slab")
            ],
        ),
        value("evergauge_host_swap_bytes", "swap_total_bytes", "Swap of the host, by part.", part="total"),
        value("evergauge_host_swap_bytes", "swap_free_bytes", "Swap of the host, by part.", part="free"),
        *by_label(
            seconds,
            "evergauge_host_pressure_some_seconds_total",
            "resource",
            _PRESSURE_ABOUT,
            [(word, f"pressure_{word}_some_ns") for word in ("cpu", "memory", "io")],
        ),
        *by_label(
            seconds,
            "evergauge_host_pressure_full_seconds_total",
            "resource",
            _PRESSURE_ABOUT,
            [(word, f"pressure_{word}_full_ns") for word in ("memory", "io")],
        ),
        grown("evergauge_host_page_faults_total", "page_faults", "Page faults, major ones too."),
        grown("evergauge_host_major_faults_total", "major_faults", "Page faults that read from a disk."),
        grown("evergauge_host_swapped_in_bytes_total", "swapped_in_bytes", "Read from swap."),
        grown("evergauge_host_swapped_out_bytes_total", "swapped_out_bytes", "Written to swap."),
        grown("evergauge_host_reclaimed_bytes_total", "reclaimed_bytes", "Memory reclaimed."),
        grown("evergauge_host_oom_kills_total", "oom_kills", "Processes killed for lack of memory."),
        grown("evergauge_host_tcp_retransmits_total", "tcp_retransmits", "TCP segments sent again."),
        value("evergauge_host_tcp_sockets", "sockets_tcp", "TCP sockets in use."),
    ),
)

DISK = View(
    name="disk",
    table="host_disk",
    key=("device",),
    labels=(("device", "device"),),
    others="(others)",
    rank=12,
    metrics=(
        grown("evergauge_disk_reads_total", "reads", "Reads."),
        grown("evergauge_disk_writes_total", "writes", "Writes."),
        grown("evergauge_disk_read_bytes_total", "read_bytes", "Bytes read."),
        grown("evergauge_disk_written_bytes_total", "write_bytes", "Bytes written."),
        value("evergauge_disk_busy_ratio", "utilisation", "Share of the last interval in which the disk had something to do."),
        value("evergauge_disk_queue_requests", "queue", "Requests in progress, mean over the last interval."),
        value("evergauge_disk_read_latency_seconds", "read_latency_ns", "Mean time of a read in the last interval.", per=10**9),
        value("evergauge_disk_write_latency_seconds", "write_latency_ns", "Mean time of a write in the last interval.", per=10**9),
    ),
)

_RECEIVE, _SEND = ("receive", "received"), ("send", "sent")

NETWORK = View(
    name="network",
    table="host_network",
    key=("interface",),
    labels=(("interface", "interface"),),
    others="(others)",
    rank=13,
    metrics=(
        *by_label(
            grown,
            "evergauge_network_bytes_total",
            "direction",
            "Bytes over the interface.",
            [(word, f"{past}_bytes") for word, past in (_RECEIVE, _SEND)],
        ),
        *by_label(
            grown,
            "evergauge_network_packets_total",
            "direction",
            "Packets over the interface.",
            [(word, f"{past}_packets") for word, past in (_RECEIVE, _SEND)],
        ),
        *by_label(
            grown,
            "evergauge_network_errors_total",
            "direction",
            "Packets received or sent wrongly.",
            [(word, f"{past}_errors") for word, past in (_RECEIVE, _SEND)],
        ),
        *by_label(
            grown,
            "evergauge_network_drops_total",
            "direction",
            "Packets dropped.",
            [(word, f"{past}_drops") for word, past in (_RECEIVE, _SEND)],
        ),
        value("evergauge_network_busy_ratio", "utilisation", "The busier direction's share of the speed in the last interval."),
        value("evergauge_network_up", "is_up", "1 when the interface can carry packets."),
    ),
)

SCAN = View(
    name="scan",
    table="process_scan",
    key=(),
    rank=11,
    metrics=(
        value("evergauge_processes", "processes", "Living processes."),
        value("evergauge_process_threads", "threads", "Threads of the living processes."),
        grown("evergauge_processes_started_total", "started", "Processes seen for the first time."),
        grown("evergauge_processes_ended_total", "deaths", "Processes that ended."),
        seconds("evergauge_processes_cpu_seconds_total", "cpu_ns", "CPU time of all processes, the dead included."),
        *by_label(
            value,
            "evergauge_capture_ratio",
            "resource",
            "Part of the resource in the last interval that processes with rows of their own hold.",
            [("cpu", "cpu_capture"), ("memory", "rss_capture"), ("io", "io_capture")],
        ),
        grown("evergauge_exit_records_lost_total", "exit_records_lost", "Exit records that the kernel dropped."),
        value("evergauge_processes_unreadable", "unreadable", "Processes that could not be read in the last interval."),
    ),
)

GAP = View(
    name="gap",
    table="gap",
    key=("worker", "reason"),
    labels=(("worker", "worker"), ("reason", "reason")),
    is_lasting=True,
    rank=9,
    metrics=(
        grown("evergauge_gap_rows_total", "rows", "Rows that are missing although they were due, where their number is known."),
        grown("evergauge_gap_ticks_total", "ticks", "Samples that are missing as a whole."),
    ),
)

VIEWS = (GAP, HOST, SCAN, DISK, NETWORK)
