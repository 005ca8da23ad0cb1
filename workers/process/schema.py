"""The two tables of the process sampler. PURE."""

from agent.model.column_type import DType
from agent.model.table import Column, Table

STAT, CGROUP, CMDLINE = "proc_pid_stat(5)", "proc_pid_cgroup(5)", "proc_pid_cmdline(5)"
PROCESS = Table(
    name="process",
    version=1,
    about="The processes of a tick that used the most CPU in it or hold the most memory.",
    key=("timestamp", "pid", "start_ticks"),
    columns=(
        Column("timestamp", DType.INT64, "ns", "when the tick was read, unix time", "sampler clock"),
        Column("pid", DType.INT64, "1", "process id; with start_ticks the identity of a process", STAT),
        Column("start_ticks", DType.INT64, "clock ticks", "start of the process after boot", STAT),
        Column("ppid", DType.INT64, "1", "process id of the parent", STAT, True),
        Column("comm", DType.UTF8, "", "name of the executable, 15 bytes, or of the kernel thread", STAT),
        Column("command_line", DType.UTF8, "", "command line, capped, secrets masked", CMDLINE, True),
        Column("uid", DType.INT64, "1", "effective user id", "owner of proc_pid(5)", True),
        Column("cgroup", DType.UTF8, "", "path in the cgroup hierarchy that tells workloads apart", CGROUP, True),
        Column("pod_uid", DType.UTF8, "", "the pod or unit; null: in none", CGROUP, True),
        Column("state", DType.UTF8, "", "R, S, D, Z, T, t, I or another letter of the kernel", STAT),
        Column("threads", DType.INT64, "1", "threads", STAT, True),
        Column("cpu_total_ns", DType.INT64, "ns", "user and system time since its start", STAT, True),
        Column("cpu_ns", DType.INT64, "ns", "user and system time since the last tick", STAT, True),
        Column("cpu_share", DType.FLOAT64, "1", "cpu_ns per elapsed time: 1 is one core", STAT, True),
        Column("rss_bytes", DType.INT64, "bytes", "resident memory; shared pages count in every process", STAT, True),
        Column("absent", DType.UTF8, "", "why values of this row are null", "sampler", True),
    ),
)
PROCESS_TAIL = Table(
    name="process_tail",
    version=1,
    about="All processes of a tick that have no row in `process`, summed per pod or unit: top rows and tail are the whole host.",
    key=("timestamp", "pod_uid"),
    columns=(
        Column("timestamp", DType.INT64, "ns", "when the tick was read, unix time", "sampler clock"),
        Column("pod_uid", DType.UTF8, "", "the pod or unit; null: all processes in none", CGROUP, True),
        Column("processes", DType.INT64, "1", "how many processes are summed here", STAT),
        Column("cpu_ns", DType.INT64, "ns", "their user and system time since the last tick", STAT, True),
        Column("cpu_share", DType.FLOAT64, "1", "cpu_ns per elapsed time: 1 is one core", STAT, True),
        Column("rss_bytes", DType.INT64, "bytes", "their resident memory", STAT),
        Column("absent", DType.UTF8, "", "why values of this row are null, or a sum is incomplete", "sampler", True),
    ),
)
