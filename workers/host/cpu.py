"""`/proc/stat`, `/proc/loadavg`, and the CPU time of the root cgroup. PURE.

Each parser gives values by column of table `host`; a line that is missing or cannot be read gives no value.
"""

from collections.abc import Mapping

from agent.model.errors import KernelFormatError
from agent.model.timebase import US, S
from workers.host.number import scaled, whole

# 8,192 CPUs and as many interrupts have some 700 KiB.
STAT_BYTES_MAX = 1 << 20
LOAD_BYTES_MAX = 256
CGROUP_CPU_BYTES_MAX = 4096
CPU_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest")
_LINES = {
    b"ctxt": "context_switches",
    b"intr": "interrupts",
    b"processes": "processes_started",
    b"procs_running": "running",
    b"procs_blocked": "blocked",
}

Values = Mapping[str, int | float | None]


def parse_stat(text: bytes, ticks_per_second: int) -> Values:
    """CPU time by mode in ns, and what else is in it. *Raises:* KernelFormatError. *Source:* proc_stat(5)."""
    ns_per_tick = S // ticks_per_second
    values: dict[str, int | float | None] = {}
    cores = 0
    for line in text.split(b"\n"):
        # The first number of `intr` is the sum; thousands follow.
        name, _, rest = line.partition(b" ")
        if name == b"cpu":
            # `guest` was added in 2.6.24, the last one here.
            for mode, word in zip(CPU_MODES, rest.split(), strict=False):
                values[f"cpu_{mode}_ns"] = scaled(word, ns_per_tick)
        elif name.startswith(b"cpu"):
            cores += name[3:].isdigit()
        elif (column := _LINES.get(name)) is not None:
            values[column] = whole(rest.split(b" ", 1)[0])
    if cores:
        values["cores"] = cores
    if not values:
        raise KernelFormatError("/proc/stat", f"cannot be read: {text[:80]!r}")
    return values


def parse_loadavg(text: bytes) -> Values:
    """Three averages and the number of threads. *Raises:* KernelFormatError. *Source:* proc_loadavg(5)."""
    words = text.split()
    try:
        loads = [float(word) for word in words[:3]]
        threads = whole(words[3].partition(b"/")[2])
    except (IndexError, ValueError) as cause:
        raise KernelFormatError("/proc/loadavg", f"cannot be read: {text[:80]!r}") from cause
    # Float reads `nan` and `inf` too.
    if not all(0 <= load < 1e9 for load in loads):
        raise KernelFormatError("/proc/loadavg", f"cannot be read: {text[:80]!r}")
    return {"load_1": loads[0], "load_5": loads[1], "load_15": loads[2], "threads": threads}


def parse_cpuacct_usage(text: bytes) -> Values:
    """CPU time of a cgroup of version 1. *Raises:* KernelFormatError. *Source:* linux/kernel/sched/cpuacct.c."""
    if (number := whole(text.strip())) is None:
        raise KernelFormatError("cpuacct.usage", f"cannot be read: {text[:80]!r}")
    return {"cpu_ns": number}


def parse_cpu_stat(text: bytes) -> Values:
    """CPU time of a cgroup of version 2. *Raises:* KernelFormatError. *Source:* linux/Documentation/admin-guide/cgroup-v2.rst."""
    for line in text.split(b"\n"):
        name, _, rest = line.partition(b" ")
        if name == b"usage_usec" and (number := scaled(rest, US)) is not None:
            return {"cpu_ns": number}
    raise KernelFormatError("cpu.stat", f"has no usage_usec: {text[:80]!r}")
