"""The tables of units: what each costs and suffers, what happened to it, which model it serves, how busy it is. PURE."""

from agent.model.column_type import DType
from agent.model.table import Column, Table

CGROUP = "linux/Documentation/admin-guide/cgroup-v2.rst"
PSI = "linux/Documentation/accounting/psi.rst"
NET_DEV, SNMP, SOCKSTAT = "/proc/PID/net/dev", "/proc/PID/net/snmp", "/proc/PID/net/sockstat"
SAMPLER = "sampler"


def _whole(name: str, unit: str, about: str, source: str) -> Column:
    return Column(name, DType.INT64, unit, about, source, nullable=True)


def _ratio(name: str, unit: str, about: str, source: str) -> Column:
    return Column(name, DType.FLOAT64, unit, about, source, nullable=True)


_TIMESTAMP = Column("timestamp", DType.INT64, "ns", "when the row was made, unix time", "sampler clock")
_UNIT = Column("unit", DType.UTF8, "", "the pod's uid, or the path of the unit's cgroup", "cgroup tree")
_KIND = Column("kind", DType.UTF8, "", "pod, service, scope, slice or workload", "cgroup tree")
_CONTAINER = Column(
    "container", DType.UTF8, "", "id of the container in the pod; null: the row is of the whole unit", "cgroup tree", True
)
_ABSENT = Column("absent", DType.UTF8, "", "why values of this row are null", SAMPLER, True)

UNIT = Table(
    name="unit",
    version=1,
    about="What each pod, container, service, scope, slice and workload costs and suffers. A unit that did something has a row "
    "each tick; one that did nothing has its next row after a minute at most, which covers the whole time (`elapsed_ns`).",
    # A service that is started again in one tick has two: the last one of its former cgroup, and the first one of the next.
    key=("timestamp", "unit", "container", "is_final"),
    columns=(
        _TIMESTAMP,
        _UNIT,
        _KIND,
        _CONTAINER,
        Column("cgroup", DType.UTF8, "", "path of its cgroup below the cgroup root", "cgroup tree"),
        _whole("started_timestamp", "ns", "when its cgroup was made, unix time", "mtime of the cgroup"),
        _whole("uptime_ns", "ns", "time since then", "mtime of the cgroup"),
        _whole("elapsed_ns", "ns", "time since its last row", "sampler clock"),
        Column("is_final", DType.BOOL, "", "its last row: the unit is gone", SAMPLER),
        _whole("cpu_ns", "ns", "CPU time since its last row", CGROUP),
        _whole("cpu_user_ns", "ns", "user time since its last row", CGROUP),
        _whole("cpu_system_ns", "ns", "system time since its last row", CGROUP),
        _ratio("cpu_cores", "1", "CPUs used, mean since its last row: 1 is one whole CPU", CGROUP),
        _whole("cpu_periods", "1", "periods of its CPU limit since its last row", CGROUP),
        _whole("cpu_throttled_periods", "1", "those of them in which it used up its limit", CGROUP),
        _whole("cpu_throttled_ns", "ns", "time since its last row in which its threads were held back by the limit", CGROUP),
        _ratio("cpu_limit_cores", "1", "lowest CPU limit of it and all above it; null: none", CGROUP),
        _whole("cpu_weight", "1", "its share where CPUs are short, 1 to 10000", CGROUP),
        _whole("memory_current_bytes", "bytes", "all memory charged to it, page cache too", CGROUP),
        _whole("memory_anon_bytes", "bytes", "memory that is not of a file", CGROUP),
        _whole("memory_file_bytes", "bytes", "page cache, with shared memory", CGROUP),
        _whole("memory_shmem_bytes", "bytes", "shared memory and tmpfs", CGROUP),
        _whole("memory_kernel_bytes", "bytes", "memory of the kernel for it", CGROUP),
        _whole("memory_working_set_bytes", "bytes", "current without the page cache that is not in active use", CGROUP),
        _whole("memory_swap_bytes", "bytes", "in swap", CGROUP),
        _whole("memory_peak_bytes", "bytes", "the most of current so far", CGROUP),
        _whole("memory_limit_bytes", "bytes", "lowest hard limit of it and all above it; null: none", CGROUP),
        _whole("memory_high_bytes", "bytes", "lowest throttling limit of it and all above it; null: none", CGROUP),
        _whole("page_faults", "1", "page faults since its last row, major ones too", CGROUP),
        _whole("major_faults", "1", "page faults since its last row that read from a disk", CGROUP),
        _whole("io_read_bytes", "bytes", "read from disks since its last row, all devices", CGROUP),
        _whole("io_write_bytes", "bytes", "written to disks since its last row, all devices", CGROUP),
        _whole("io_reads", "1", "read operations since its last row", CGROUP),
        _whole("io_writes", "1", "write operations since its last row", CGROUP),
        _ratio("io_read_bytes_per_second", "bytes/s", "mean since its last row", CGROUP),
        _ratio("io_write_bytes_per_second", "bytes/s", "mean since its last row", CGROUP),
        _ratio("io_reads_per_second", "1/s", "mean since its last row", CGROUP),
        _ratio("io_writes_per_second", "1/s", "mean since its last row", CGROUP),
        _whole("pids", "1", "its processes and threads", CGROUP),
        _whole("pids_limit", "1", "lowest limit of them of it and all above it; null: none", CGROUP),
        _whole("pressure_cpu_some_ns", "ns", "time since its last row in which some thread waited for a CPU", PSI),
        _whole("pressure_cpu_full_ns", "ns", "time since its last row in which all threads waited for a CPU", PSI),
        _whole("pressure_memory_some_ns", "ns", "time since its last row in which some thread waited for memory", PSI),
        _whole("pressure_memory_full_ns", "ns", "time since its last row in which all threads waited for memory", PSI),
        _whole("pressure_io_some_ns", "ns", "time since its last row in which some thread waited for I/O", PSI),
        _whole("pressure_io_full_ns", "ns", "time since its last row in which all threads waited for I/O", PSI),
        _whole("oom_events", "1", "times since its last row that it was at a limit and could not get memory", CGROUP),
        _whole("oom_kills", "1", "its processes killed for lack of memory since its last row", CGROUP),
        _whole("memory_max_events", "1", "times since its last row that its memory was about to go over its limit", CGROUP),
        _whole("memory_high_events", "1", "times since its last row that it was throttled for its memory", CGROUP),
        _whole("net_received_bytes", "bytes", "received since its last row in its own network", NET_DEV),
        _whole("net_sent_bytes", "bytes", "sent since its last row in its own network", NET_DEV),
        _whole("net_received_packets", "1", "packets received since its last row", NET_DEV),
        _whole("net_sent_packets", "1", "packets sent since its last row", NET_DEV),
        _whole("net_received_drops", "1", "packets received and dropped since its last row", NET_DEV),
        _whole("net_sent_drops", "1", "packets dropped before they were sent since its last row", NET_DEV),
        _whole("tcp_retransmits", "1", "TCP segments sent again since its last row", SNMP),
        _whole("sockets_tcp", "1", "TCP sockets in use, IPv4 and IPv6", SOCKSTAT),
        _ABSENT,
    ),
)

UNIT_EVENT = Table(
    name="unit_event",
    version=1,
    about="What happened to units: started, ended, killed for lack of memory, a limit changed. Once each.",
    key=("timestamp", "unit", "container", "event", "sequence"),
    columns=(
        _TIMESTAMP,
        _UNIT,
        _KIND,
        _CONTAINER,
        Column("cgroup", DType.UTF8, "", "path of its cgroup below the cgroup root", "cgroup tree"),
        Column("sequence", DType.INT64, "1", "counts all events of one start of the sampler", SAMPLER),
        Column("event", DType.UTF8, "", "started, ended, oom or limit_changed", SAMPLER),
        Column("verdict", DType.UTF8, "", "of an oom: own_limit, ancestor or host; null: not an oom, or unknown", CGROUP, True),
        Column("culprit", DType.UTF8, "", "of an oom by an ancestor: the path of the cgroup whose limit was hit", CGROUP, True),
        _whole("kills", "1", "of an oom: processes killed", CGROUP),
        _whole("limit_bytes", "bytes", "of an oom: the limit that was hit", CGROUP),
        _whole("exit_code", "1", "of an end: exit code of its first process, where it can be known", "keeper, kernel"),
        _whole("signal", "1", "of an end: the signal that ended its first process", "keeper, kernel"),
        Column("limit", DType.UTF8, "", "of a changed limit: its file", CGROUP, True),
        Column("before", DType.UTF8, "", "of a changed limit: bytes, CPUs or threads before; max: none", CGROUP, True),
        Column("after", DType.UTF8, "", "of a changed limit: the same now", CGROUP, True),
        _ABSENT,
    ),
)

_MODEL_SAYER = "column model_source, or the next source that says it"

UNIT_MODEL = Table(
    name="unit_model",
    version=1,
    about="Which model each unit serves. A row is written when it becomes known, when it changes, and once in every day.",
    key=("timestamp", "unit", "container"),
    columns=(
        _TIMESTAMP,
        _UNIT,
        _KIND,
        _CONTAINER,
        Column(
            "model",
            DType.UTF8,
            "",
            "repository and name; null: not known, for the reason in absent, or the unit serves none any more",
            "column model_source",
            True,
        ),
        Column("model_raw", DType.UTF8, "", "as it was given, secrets masked", "column model_source", True),
        Column("served_model", DType.UTF8, "", "the name that clients ask for", _MODEL_SAYER, True),
        Column(
            "engine",
            DType.UTF8,
            "",
            "vllm, sglang, llama-server, tgi, tei, ollama, trtllm, triton or ray-serve",
            _MODEL_SAYER,
            True,
        ),
        Column("model_source", DType.UTF8, "", "label, spawn_record, engine_api, arguments, descendant or title", SAMPLER),
        _ABSENT,
    ),
)

_METRICS = "metrics of the engine"

UNIT_ENGINE = Table(
    name="unit_engine",
    version=1,
    about="How busy the engine of each unit is, where the operator named it: requests and KV cache. A row is written when "
    "something changes, at once when it becomes unknown, and at least once a minute; unknown is null and never zero.",
    key=("timestamp", "unit", "container"),
    columns=(
        Column("timestamp", DType.INT64, "ns", "when the engine was asked, or was found unknown, unix time", "sampler clock"),
        _UNIT,
        _KIND,
        _CONTAINER,
        Column("engine", DType.UTF8, "", "vllm, sglang, tgi or llama-server; null: not known so far", _METRICS, True),
        _whole("waiting", "1", "requests that wait to be worked on, all data-parallel engines together", _METRICS),
        _whole("running", "1", "requests that are worked on, all data-parallel engines together", _METRICS),
        _ratio("kv_cache_share", "1", "share of the KV cache in use, 0 to 1; of several engines that of the fullest", _METRICS),
        _ABSENT,
    ),
)

TABLES: tuple[Table, ...] = (UNIT, UNIT_EVENT, UNIT_MODEL, UNIT_ENGINE)
