"""The three tables of the host sampler. PURE."""

from agent.model.column_type import DType
from agent.model.table import Column, Table

STAT, LOAD, MEMINFO, VMSTAT = "proc_stat(5)", "proc_loadavg(5)", "proc_meminfo(5)", "proc_vmstat(5)"
PSI, SNMP, SOCKSTAT = "linux/Documentation/accounting/psi.rst", "/proc/net/snmp", "/proc/net/sockstat"
DISKSTATS, NET_DEV = "linux/Documentation/admin-guide/iostats.rst", "/proc/net/dev"
SYS_NET = "linux/Documentation/ABI/testing/sysfs-class-net"
SAMPLER = "sampler"


def _whole(name: str, unit: str, about: str, source: str) -> Column:
    return Column(name, DType.INT64, unit, about, source, nullable=True)


def _ratio(name: str, unit: str, about: str, source: str) -> Column:
    return Column(name, DType.FLOAT64, unit, about, source, nullable=True)


_TIMESTAMP = Column("timestamp", DType.INT64, "ns", "when the tick was read, unix time", "sampler clock")
_ABSENT = Column("absent", DType.UTF8, "", "why values of this row are null", SAMPLER, True)

HOST = Table(
    name="host",
    version=1,
    about="The host itself, one row a tick: CPU, load, memory, swap, pressure, page faults, reclaim, OOM kills.",
    key=("timestamp",),
    columns=(
        _TIMESTAMP,
        _whole("boot_timestamp", "ns", "when the host booted, unix time by the clock of this tick", "CLOCK_BOOTTIME"),
        _whole("ticks_per_second", "clock ticks/s", "clock ticks a second, the unit of start_ticks", "sysconf(3)"),
        _whole("elapsed_ns", "ns", "time since the last tick", "sampler clock"),
        _whole("cores", "1", "CPUs that are online", STAT),
        _whole("cpu_ns", "ns", "CPU time of everything since the last tick, as the scheduler counts it", "column cpu_source"),
        Column("cpu_source", DType.UTF8, "", "the file that cpu_ns was read from", SAMPLER, True),
        _whole("cpu_user_ns", "ns", "user time since the last tick, without nice, with guest", STAT),
        _whole("cpu_nice_ns", "ns", "user time of niced processes since the last tick", STAT),
        _whole("cpu_system_ns", "ns", "system time since the last tick", STAT),
        _whole("cpu_idle_ns", "ns", "idle time since the last tick", STAT),
        _whole("cpu_iowait_ns", "ns", "idle time since the last tick while a disk was waited for", STAT),
        _whole("cpu_irq_ns", "ns", "time in interrupts since the last tick", STAT),
        _whole("cpu_softirq_ns", "ns", "time in soft interrupts since the last tick", STAT),
        _whole("cpu_steal_ns", "ns", "time since the last tick that the hypervisor gave to others", STAT),
        _whole("cpu_guest_ns", "ns", "time since the last tick that guests of this host ran", STAT),
        _ratio("load_1", "1", "load average of 1 minute", LOAD),
        _ratio("load_5", "1", "load average of 5 minutes", LOAD),
        _ratio("load_15", "1", "load average of 15 minutes", LOAD),
        _whole("running", "1", "threads that run or wait for a CPU", STAT),
        _whole("blocked", "1", "threads that wait for a disk", STAT),
        _whole("threads", "1", "threads of the host", LOAD),
        _whole("processes_started", "1", "forks and clones since the last tick", STAT),
        _whole("context_switches", "1", "context switches since the last tick", STAT),
        _whole("interrupts", "1", "interrupts since the last tick", STAT),
        _whole("memory_total_bytes", "bytes", "usable memory", MEMINFO),
        _whole("memory_available_bytes", "bytes", "memory that new processes could get without swapping", MEMINFO),
        _whole("memory_free_bytes", "bytes", "unused memory", MEMINFO),
        _whole("memory_buffers_bytes", "bytes", "block device buffers", MEMINFO),
        _whole("memory_cached_bytes", "bytes", "page cache, with shared memory", MEMINFO),
        _whole("memory_anonymous_bytes", "bytes", "memory of processes that is not of a file", MEMINFO),
        _whole("memory_shared_bytes", "bytes", "shared memory and tmpfs", MEMINFO),
        _whole("memory_dirty_bytes", "bytes", "page cache that must be written to disk", MEMINFO),
        _whole("memory_writeback_bytes", "bytes", "page cache that is being written to disk", MEMINFO),
        _whole("memory_slab_bytes", "bytes", "data structures of the kernel", MEMINFO),
        _whole("memory_slab_reclaimable_bytes", "bytes", "the part of slab that can be reclaimed", MEMINFO),
        _whole("memory_page_tables_bytes", "bytes", "page tables", MEMINFO),
        _whole("memory_kernel_stack_bytes", "bytes", "kernel stacks of threads", MEMINFO),
        _whole("memory_huge_pages_bytes", "bytes", "reserved for huge pages, used or not", MEMINFO),
        _whole("swap_total_bytes", "bytes", "swap", MEMINFO),
        _whole("swap_free_bytes", "bytes", "unused swap", MEMINFO),
        _whole("swap_cached_bytes", "bytes", "memory that is in swap too", MEMINFO),
        _whole("pressure_cpu_some_ns", "ns", "time since the last tick in which some thread waited for a CPU", PSI),
        _whole("pressure_memory_some_ns", "ns", "time since the last tick in which some thread waited for memory", PSI),
        _whole("pressure_memory_full_ns", "ns", "time since the last tick in which all threads waited for memory", PSI),
        _whole("pressure_io_some_ns", "ns", "time since the last tick in which some thread waited for I/O", PSI),
        _whole("pressure_io_full_ns", "ns", "time since the last tick in which all threads waited for I/O", PSI),
        _whole("page_faults", "1", "page faults since the last tick, major ones too", VMSTAT),
        _whole("major_faults", "1", "page faults since the last tick that read from a disk", VMSTAT),
        _whole("read_in_bytes", "bytes", "read from block devices since the last tick", VMSTAT),
        _whole("written_out_bytes", "bytes", "written to block devices since the last tick", VMSTAT),
        _whole("swapped_in_bytes", "bytes", "read from swap since the last tick", VMSTAT),
        _whole("swapped_out_bytes", "bytes", "written to swap since the last tick", VMSTAT),
        _whole("reclaimed_bytes", "bytes", "memory reclaimed since the last tick", VMSTAT),
        _whole("scanned_pages", "1", "pages looked at for reclaim since the last tick", VMSTAT),
        _whole("oom_kills", "1", "processes killed for lack of memory since the last tick", VMSTAT),
        _whole("tcp_retransmits", "1", "TCP segments sent again since the last tick", SNMP),
        _whole("sockets_tcp", "1", "TCP sockets in use, IPv4 and IPv6", SOCKSTAT),
        _ABSENT,
    ),
)

HOST_DISK = Table(
    name="host_disk",
    version=1,
    about="Each disk of the host that was ever used, one row a tick: operations, bytes, utilisation, queue, latency.",
    key=("timestamp", "device"),
    columns=(
        _TIMESTAMP,
        Column("device", DType.UTF8, "", "name of a whole disk; null: all disks without a row of their own", DISKSTATS, True),
        Column("devices", DType.INT64, "1", "how many disks are summed in this row", SAMPLER),
        _whole("reads", "1", "reads since the last tick", DISKSTATS),
        _whole("writes", "1", "writes since the last tick", DISKSTATS),
        _whole("read_bytes", "bytes", "read since the last tick", DISKSTATS),
        _whole("write_bytes", "bytes", "written since the last tick", DISKSTATS),
        _whole("discards", "1", "discards since the last tick", DISKSTATS),
        _whole("flushes", "1", "flushes since the last tick", DISKSTATS),
        _ratio("utilisation", "1", "share of the time in which the disk had something to do, at most 1", DISKSTATS),
        _ratio("queue", "1", "requests in progress, mean over the time since the last tick", DISKSTATS),
        _whole("read_latency_ns", "ns", "mean time of a read, waiting included; null: none since the last tick", DISKSTATS),
        _whole("write_latency_ns", "ns", "mean time of a write, waiting included; null: none since the last tick", DISKSTATS),
        _whole("in_flight", "1", "requests in progress at this moment", DISKSTATS),
        _ABSENT,
    ),
)

HOST_NETWORK = Table(
    name="host_network",
    version=1,
    about="Each network interface of the host that was ever used, one row a tick: bytes, packets, errors, drops, utilisation.",
    key=("timestamp", "interface"),
    columns=(
        _TIMESTAMP,
        Column("interface", DType.UTF8, "", "name; null: all interfaces without a row of their own", NET_DEV, True),
        Column("interfaces", DType.INT64, "1", "how many interfaces are summed in this row", SAMPLER),
        _whole("received_bytes", "bytes", "received since the last tick", NET_DEV),
        _whole("sent_bytes", "bytes", "sent since the last tick", NET_DEV),
        _whole("received_packets", "1", "packets received since the last tick", NET_DEV),
        _whole("sent_packets", "1", "packets sent since the last tick", NET_DEV),
        _whole("received_errors", "1", "packets received wrongly since the last tick", NET_DEV),
        _whole("sent_errors", "1", "packets that could not be sent since the last tick", NET_DEV),
        _whole("received_drops", "1", "packets received and dropped since the last tick", NET_DEV),
        _whole("sent_drops", "1", "packets dropped before they were sent since the last tick", NET_DEV),
        _whole("speed_bits_per_second", "bits/s", "speed of the link; null: it has none, or it is down", SYS_NET),
        _ratio("utilisation", "1", "the busier direction's share of the speed", SYS_NET),
        Column("is_up", DType.BOOL, "", "whether the interface can carry packets", SYS_NET, True),
        _ABSENT,
    ),
)
