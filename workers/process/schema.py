"""The tables of the process sampler. PURE.

`process`, `process_tail` and the dead of `process_scan` are the whole host in every tick.
"""

from agent.model.column_type import DType
from agent.model.table import Column, Table

STAT, CGROUP, CMDLINE = "proc_pid_stat(5)", "proc_pid_cgroup(5)", "proc_pid_cmdline(5)"
SCHEDSTAT = "linux/Documentation/scheduler/sched-stats.rst"
IO, SMAPS, EXIT = "proc_pid_io(5)", "proc_pid_smaps(5), smaps_rollup", "linux/include/uapi/linux/taskstats.h"
TCP, SUM = "linux/include/uapi/linux/tcp.h", "sum over processes"
# Run time in ns where the scheduler gives it, else user and system time.
CPU = f"{SCHEDSTAT}; {STAT}"

_INT, _TEXT, _SHARE = DType.INT64, DType.UTF8, DType.FLOAT64
_TIMESTAMP = Column("timestamp", _INT, "ns", "when the tick was read, unix time", "sampler clock")
_ABSENT = Column("absent", _TEXT, "", "why values of this row are null, or a sum is incomplete", "sampler", True)
_POD_UID = Column("pod_uid", _TEXT, "", "uid of the pod, or the unit; null: in none", CGROUP, True)
_COMMAND = Column("command", _TEXT, "", "name of the executable, 15 bytes, kernel threads by family", STAT, True)

PROCESS = Table(
    name="process",
    version=1,
    about="The processes of a tick that hold the most CPU, memory or input and output: enough of each for the capture target.",
    key=("timestamp", "pid", "start_ticks"),
    columns=(
        _TIMESTAMP,
        Column("pid", _INT, "1", "process id; with start_ticks the identity of a process", STAT),
        Column("start_ticks", _INT, "clock ticks", "start of the process after boot", STAT),
        Column("ppid", _INT, "1", "process id of the parent", STAT, True),
        Column("comm", _TEXT, "", "name of the executable, 15 bytes, or of the kernel thread", STAT),
        Column("command_line", _TEXT, "", "command line, capped, secrets masked", CMDLINE, True),
        Column("uid", _INT, "1", "effective user id", "owner of proc_pid(5)", True),
        Column("cgroup", _TEXT, "", "path in the cgroup hierarchy that tells workloads apart", CGROUP, True),
        _POD_UID,
        Column("unit_kind", _TEXT, "", "what pod_uid is: pod, container, service or another unit", CGROUP, True),
        Column("container", _TEXT, "", "id of the container", CGROUP, True),
        Column("state", _TEXT, "", "R, S, D, Z, T, t, I or another letter of the kernel", STAT),
        Column("threads", _INT, "1", "threads", STAT, True),
        Column("cpu_total_ns", _INT, "ns", "run time since its start", CPU, True),
        Column("cpu_ns", _INT, "ns", "run time since the last tick; user and system time together", CPU, True),
        Column("cpu_user_ns", _INT, "ns", "its part in user mode", STAT, True),
        Column("cpu_system_ns", _INT, "ns", "its part in the kernel", STAT, True),
        Column("cpu_share", _SHARE, "1", "cpu_ns per elapsed time: 1 is one core", CPU, True),
        Column("rss_bytes", _INT, "bytes", "resident memory; shared pages count in every process", STAT, True),
        Column("pss_bytes", _INT, "bytes", "resident memory; a shared page counts in equal parts", SMAPS, True),
        Column("read_bytes", _INT, "bytes", "read from storage since the last tick", IO, True),
        Column("write_bytes", _INT, "bytes", "written to storage since the last tick", IO, True),
        Column("minor_faults", _INT, "1", "page faults without a read, since the last tick", STAT, True),
        Column("major_faults", _INT, "1", "page faults with a read, since the last tick", STAT, True),
        Column("context_switches", _INT, "1", "how often it was given a CPU since the last tick", SCHEDSTAT, True),
        Column("tcp_sent_bytes", _INT, "bytes", "sent over TCP and acknowledged, since the last tick", TCP, True),
        Column("tcp_received_bytes", _INT, "bytes", "received over TCP since the last tick", TCP, True),
        Column("chosen_for", _TEXT, "", "what chose the row: of cpu, rss, io, threads, tcp, by commas", "sampler"),
        _ABSENT,
    ),
)  # fmt: skip

PROCESS_TAIL = Table(
    name="process_tail",
    version=1,
    about="All processes of a tick that have no row in `process`, summed per unit and command.",
    key=("timestamp", "pod_uid", "command"),
    columns=(
        _TIMESTAMP,
        _POD_UID,
        Column("command", _TEXT, "", "name of the executable; null: several commands together", STAT, True),
        Column("commands", _INT, "1", "how many commands are summed here", "sampler"),
        Column("processes", _INT, "1", "how many processes are summed here", STAT),
        Column("cpu_ns", _INT, "ns", "their run time since the last tick", CPU, True),
        Column("cpu_share", _SHARE, "1", "cpu_ns per elapsed time: 1 is one core", CPU, True),
        Column("rss_bytes", _INT, "bytes", "their resident memory", STAT, True),
        Column("read_bytes", _INT, "bytes", "read from storage since the last tick", IO, True),
        Column("write_bytes", _INT, "bytes", "written to storage since the last tick", IO, True),
        Column("cpu_largest_ns", _INT, "ns", "run time of the one that used the most of it", CPU, True),
        Column("rss_largest_bytes", _INT, "bytes", "resident memory of the one that holds the most", STAT, True),
        Column("threads", _INT, "1", "their threads", STAT, True),
        _ABSENT,
    ),
)  # fmt: skip

PROCESS_SCAN = Table(
    name="process_scan",
    version=1,
    about="The account of each tick: all processes, those that died, and the share of them that rows of `process` hold.",
    key=("timestamp",),
    columns=(
        _TIMESTAMP,
        Column("processes", _INT, "1", "living processes that were read", STAT),
        Column("threads", _INT, "1", "their threads", STAT, True),
        Column("started", _INT, "1", "processes seen for the first time", STAT, True),
        Column("deaths", _INT, "1", "processes that ended since the last tick, known by exit_source", EXIT, True),
        Column("cpu_ns", _INT, "ns", "run time since the last tick, of the living and the dead", CPU, True),
        Column("cpu_share", _SHARE, "1", "cpu_ns per elapsed time: 1 is one core", CPU, True),
        Column("cpu_dead_ns", _INT, "ns", "the part of cpu_ns of processes that ended", EXIT, True),
        Column("rss_bytes", _INT, "bytes", "resident memory of all processes; shared pages count in each", STAT, True),
        Column("read_bytes", _INT, "bytes", "read from storage since the last tick", IO, True),
        Column("write_bytes", _INT, "bytes", "written to storage since the last tick", IO, True),
        Column("cpu_capture", _SHARE, "1", "part of cpu_ns that rows of `process` hold; null: cpu_ns is 0", SUM, True),
        Column("rss_capture", _SHARE, "1", "part of rss_bytes that they hold", SUM, True),
        Column("io_capture", _SHARE, "1", "part of read_bytes and write_bytes that they hold", SUM, True),
        Column("cpu_rows", _INT, "1", "rows of `process` that CPU chose", "sampler", True),
        Column("rss_rows", _INT, "1", "rows that memory chose", "sampler", True),
        Column("io_rows", _INT, "1", "rows that input and output chose", "sampler", True),
        Column("exit_source", _TEXT, "", "how deaths are known: taskstats, connector or cutime", "sampler", True),
        Column("exit_records_lost", _INT, "1", "exit records that the kernel dropped since the last tick", EXIT),
        Column("io_unreadable", _INT, "1", "processes whose io could not be read", IO),
        Column("unreadable", _INT, "1", "processes that could not be read at all", STAT),
        Column("elapsed_ns", _INT, "ns", "since the last tick; null: it is the first", "sampler clock", True),
        _ABSENT,
    ),
)  # fmt: skip

PROCESS_EXIT = Table(
    name="process_exit",
    version=1,
    about="The processes that ended since the last tick: one by one those that matter, all others summed per unit and command.",
    key=("timestamp", "pid", "start_ticks", "pod_uid", "command"),
    columns=(
        _TIMESTAMP,
        Column("source", _TEXT, "", "how the death is known: taskstats, connector or cutime", "sampler"),
        Column("pid", _INT, "1", "process id; null: several deaths together", EXIT, True),
        Column("start_ticks", _INT, "clock ticks", "start of the process after boot", EXIT, True),
        Column("ppid", _INT, "1", "process id of the parent", EXIT, True),
        Column("command", _TEXT, "", "name of the executable, 15 bytes; null: several commands together", EXIT, True),
        _POD_UID,
        Column("unit_from", _TEXT, "", "how the unit is known: seen, or parent (its own was never seen)", "sampler", True),
        Column("deaths", _INT, "1", "how many processes are summed here", EXIT),
        Column("unseen", _INT, "1", "how many of them began and ended between two ticks", EXIT),
        Column("cpu_ns", _INT, "ns", "run time since their last sample", EXIT, True),
        Column("cpu_share", _SHARE, "1", "cpu_ns per elapsed time: 1 is one core", EXIT, True),
        Column("cpu_tail_ns", _INT, "ns", "the part of cpu_ns that is estimated", EXIT, True),
        Column("exit_code", _INT, "1", "exit status", EXIT, True),
        Column("signal", _INT, "1", "signal that ended it", EXIT, True),
        Column("rss_max_bytes", _INT, "bytes", "largest resident memory of its life", EXIT, True),
        Column("read_bytes", _INT, "bytes", "read from storage since its last sample", EXIT, True),
        Column("write_bytes", _INT, "bytes", "written to storage since its last sample", EXIT, True),
        Column("lifetime_ns", _INT, "ns", "from its start to its end", EXIT, True),
        _ABSENT,
    ),
)  # fmt: skip

PROCESS_SKETCH = Table(
    name="process_sketch",
    version=1,
    about="The distribution of CPU and memory over the processes and ticks of a window, per unit and command (DDSketch).",
    key=("window_start", "pod_uid", "command", "metric", "timestamp"),
    columns=(
        Column("timestamp", _INT, "ns", "when the row was written, unix time", "sampler clock"),
        Column("window_start", _INT, "ns", "beginning of the window, unix time", "sampler clock"),
        Column("window_ns", _INT, "ns", "length of the window", "sampler"),
        _POD_UID,
        Column("command", _TEXT, "", "name of the executable; null: all further units and commands", STAT, True),
        Column("metric", _TEXT, "", "cpu: ns per process and tick; rss: bytes per process and tick", "sampler"),
        Column("ticks", _INT, "1", "ticks of the window that the row covers", "sampler"),
        Column("scale", _INT, "1", "bucket i ends at 2^((i + 1) / 2^scale); 6, lower after a collapse", "sampler"),
        Column("relative_error", _SHARE, "1", "largest relative error of a quantile", "sampler"),
        Column("zero_count", _INT, "1", "values that are 0", "sampler"),
        Column("count", _INT, "1", "values", "sampler"),
        Column("sum", _INT, "ns or bytes", "their exact sum; 2^63 - 1 if it is larger than that", "sampler", True),
        Column("min", _INT, "ns or bytes", "the least", "sampler", True),
        Column("max", _INT, "ns or bytes", "the largest", "sampler", True),
        Column("first_bucket", _INT, "1", "index of the first bucket", "sampler"),
        Column("counts", DType.LIST_INT64, "1", "values in each bucket from first_bucket on", "sampler"),
        Column("keys", _INT, "1", "units and commands in the row; above 1 where command is null", "sampler"),
    ),
)  # fmt: skip

PROCESS_RAW = Table(
    name="process_raw",
    version=1,
    about="CPU and memory of a window of which no sketch could be built: each value, per unit and command.",
    key=("window_start", "pod_uid", "command", "metric", "value", "relative_error", "timestamp"),
    columns=(
        Column("timestamp", _INT, "ns", "when the row was written, unix time", "sampler clock"),
        Column("window_start", _INT, "ns", "beginning of the window, unix time", "sampler clock"),
        Column("window_ns", _INT, "ns", "length of the window", "sampler"),
        _POD_UID,
        Column("command", _TEXT, "", "name of the executable; null: all further units and commands", STAT, True),
        Column("metric", _TEXT, "", "cpu: ns per process and tick; rss: bytes per process and tick", "sampler"),
        Column("ticks", _INT, "1", "ticks of the window so far", "sampler"),
        Column("value", _INT, "ns or bytes", "the value", "sampler"),
        Column("times", _INT, "1", "how often it came, over processes and ticks", "sampler"),
        Column("relative_error", _SHARE, "1", "0: the value is exact; else it stands for a bucket of a sketch", "sampler"),
    ),
)  # fmt: skip

TABLES = (PROCESS, PROCESS_TAIL, PROCESS_SCAN, PROCESS_EXIT, PROCESS_SKETCH, PROCESS_RAW)
