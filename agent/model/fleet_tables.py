"""The tables that only a hub holds: what its nodes make of their rows for it, a row for each minute. PURE."""

from agent.model.column_type import DType
from agent.model.table import Column, Table

_MAKER = "sink of the node"


def _whole(name: str, unit: str, about: str, source: str) -> Column:
    return Column(name, DType.INT64, unit, about, source, nullable=True)


def _ratio(name: str, unit: str, about: str, source: str) -> Column:
    return Column(name, DType.FLOAT64, unit, about, source, nullable=True)


def _sum(name: str, unit: str, about: str, source: str) -> Column:
    return _whole(name, unit, f"{about}, all rows of the minute together", source)


def _begin(of: str) -> tuple[Column, ...]:
    return (
        Column("sequence", DType.INT64, "1", "counts the minutes that the node closed; a clock set back repeats minutes", _MAKER),
        Column("rows", DType.INT64, "1", f"rows of table {of} in it", _MAKER),
        Column("late_rows", DType.INT64, "1", "those of them that belong to an earlier minute, which was closed", _MAKER),
        Column("covered_ns", DType.INT64, "ns", "time that these rows cover", f"{of}.elapsed_ns"),
        Column("is_whole", DType.BOOL, "", "nothing of the minute is missing, as far as its rows and the next one tell", _MAKER),
    )


_TIMESTAMP = Column("timestamp", DType.INT64, "ns", "when the minute began, unix time", "sampler clock")
_ABSENT = Column("absent", DType.UTF8, "", "why values of its rows are null, or of this one", _MAKER, True)

UNIT_MINUTE = Table(
    name="unit_minute",
    version=1,
    about="What each unit and container of a node cost and suffered in a minute, of its rows in table `unit`. Only a hub holds it.",
    key=("timestamp", "unit", "container", "sequence"),
    columns=(
        _TIMESTAMP,
        Column("unit", DType.UTF8, "", "the pod's uid, or the path of the unit's cgroup", "unit.unit"),
        Column("kind", DType.UTF8, "", "pod, service, scope, slice or workload", "unit.kind", True),
        Column("container", DType.UTF8, "", "id of the container in the pod; null: the whole unit", "unit.container", True),
        *_begin("unit"),
        Column("is_final", DType.BOOL, "", "it ended in this minute, and did not begin again in it", "unit.is_final"),
        _sum("cpu_ns", "ns", "CPU time", "unit.cpu_ns"),
        _sum("cpu_periods", "1", "periods of its CPU limit", "unit.cpu_periods"),
        _sum("cpu_throttled_periods", "1", "those of them in which it used up its limit", "unit.cpu_throttled_periods"),
        _sum("cpu_throttled_ns", "ns", "time in which its threads were held back by the limit", "unit.cpu_throttled_ns"),
        _sum("io_read_bytes", "bytes", "read from disks", "unit.io_read_bytes"),
        _sum("io_write_bytes", "bytes", "written to disks", "unit.io_write_bytes"),
        _sum("pressure_cpu_some_ns", "ns", "time in which some thread waited for a CPU", "unit.pressure_cpu_some_ns"),
        _sum("pressure_cpu_full_ns", "ns", "time in which all threads waited for a CPU", "unit.pressure_cpu_full_ns"),
        _sum("pressure_memory_some_ns", "ns", "time in which some thread waited for memory", "unit.pressure_memory_some_ns"),
        _sum("pressure_memory_full_ns", "ns", "time in which all threads waited for memory", "unit.pressure_memory_full_ns"),
        _sum("pressure_io_some_ns", "ns", "time in which some thread waited for I/O", "unit.pressure_io_some_ns"),
        _sum("pressure_io_full_ns", "ns", "time in which all threads waited for I/O", "unit.pressure_io_full_ns"),
        _sum("oom_kills", "1", "its processes killed for lack of memory", "unit.oom_kills"),
        _sum("net_received_bytes", "bytes", "received in its own network", "unit.net_received_bytes"),
        _sum("net_sent_bytes", "bytes", "sent in its own network", "unit.net_sent_bytes"),
        _ratio("cpu_cores", "1", "CPUs used, mean of the time covered", "unit.cpu_ns, elapsed_ns"),
        _ratio("cpu_cores_max", "1", "CPUs used, the most of one row", "unit.cpu_ns, elapsed_ns"),
        _whole("memory_current_bytes", "bytes", "all memory charged to it, as in the last row", "unit.memory_current_bytes"),
        _whole("memory_working_set_bytes", "bytes", "working set, as in the last row", "unit.memory_working_set_bytes"),
        _whole("memory_limit_bytes", "bytes", "lowest hard limit, as in the last row; null: none", "unit.memory_limit_bytes"),
        _ratio("cpu_limit_cores", "1", "lowest CPU limit, as in the last row; null: none", "unit.cpu_limit_cores"),
        _whole("memory_current_max_bytes", "bytes", "all memory charged to it, the most of a row", "unit.memory_current_bytes"),
        _whole("memory_working_set_max_bytes", "bytes", "working set, the most of a row", "unit.memory_working_set_bytes"),
        _ABSENT,
    ),
)

HOST_MINUTE = Table(
    name="host_minute",
    version=1,
    about="What a node itself cost and suffered in a minute, of its rows in table `host`. Only a hub holds it.",
    key=("timestamp", "sequence"),
    columns=(
        _TIMESTAMP,
        *_begin("host"),
        _sum("cpu_ns", "ns", "CPU time of everything", "host.cpu_ns"),
        _sum("cpu_iowait_ns", "ns", "idle time while a disk was waited for", "host.cpu_iowait_ns"),
        _sum("cpu_steal_ns", "ns", "time that the hypervisor gave to others", "host.cpu_steal_ns"),
        _sum("read_in_bytes", "bytes", "read from block devices", "host.read_in_bytes"),
        _sum("written_out_bytes", "bytes", "written to block devices", "host.written_out_bytes"),
        _sum("pressure_cpu_some_ns", "ns", "time in which some thread waited for a CPU", "host.pressure_cpu_some_ns"),
        _sum("pressure_memory_some_ns", "ns", "time in which some thread waited for memory", "host.pressure_memory_some_ns"),
        _sum("pressure_memory_full_ns", "ns", "time in which all threads waited for memory", "host.pressure_memory_full_ns"),
        _sum("pressure_io_some_ns", "ns", "time in which some thread waited for I/O", "host.pressure_io_some_ns"),
        _sum("pressure_io_full_ns", "ns", "time in which all threads waited for I/O", "host.pressure_io_full_ns"),
        _sum("oom_kills", "1", "processes killed for lack of memory", "host.oom_kills"),
        _ratio("cpu_cores", "1", "CPUs used, mean of the time covered", "host.cpu_ns, elapsed_ns"),
        _ratio("cpu_cores_max", "1", "CPUs used, the most of one row", "host.cpu_ns, elapsed_ns"),
        _whole("cores", "1", "CPUs that are online, as in the last row", "host.cores"),
        _whole("memory_total_bytes", "bytes", "usable memory, as in the last row", "host.memory_total_bytes"),
        _whole(
            "memory_available_bytes", "bytes", "memory for new processes, as in the last row", "host.memory_available_bytes"
        ),
        _whole("swap_free_bytes", "bytes", "unused swap, as in the last row", "host.swap_free_bytes"),
        _ratio("load_1", "1", "load average of 1 minute, as in the last row", "host.load_1"),
        _whole("memory_available_min_bytes", "bytes", "the same, the least of a row", "host.memory_available_bytes"),
        _ratio("load_1_max", "1", "load average of 1 minute, the most of a row", "host.load_1"),
        _ABSENT,
    ),
)  # fmt: skip

FLEET_TABLES: tuple[Table, ...] = (UNIT_MINUTE, HOST_MINUTE)
