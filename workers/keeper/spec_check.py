"""Whether an order for a workload can be meant at all, before anything is made for it. PURE."""

import math

from agent.model.foreign import readable
from workers.keeper.protocol import NAME_CHARACTERS_MAX, RefusalWord, WorkloadLimits, WorkloadSpec
from workers.keeper.refusal import WorkloadRefused

# The name becomes the name of files and of a cgroup, and is typed by people.
_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_LATER = _FIRST | frozenset("._-")
# The kernel takes no quota below 1 ms of a period, and a period is 100 ms here (sched(7), cpu.max).
CPU_CORES_MIN = 0.01
# Far more than any machine has, and far below where the kernel's own arithmetic ends.
CPU_CORES_MAX = 65_536.0
# cgroup-v2.rst: cpu.weight.
CPU_WEIGHTS = range(1, 10_001)
# A shell does not start with less; the kernel counts in pages.
MEMORY_BYTES_MIN = 64 << 10
COUNT_MAX = (1 << 63) - 1
# PID_MAX_LIMIT of linux/threads.h.
PIDS_MAX = 1 << 22
GRACE_NS_MAX = 3600 * 10**9
OUTPUT_BYTES_MIN = 64 << 10
# 1 TiB: more is no bound.
OUTPUT_BYTES_MAX = 1 << 40
IO_DEVICES_MAX = 64


def check_spec(spec: WorkloadSpec) -> None:
    """*Raises:* WorkloadRefused with the first thing that cannot be."""
    check_name(spec.name)
    if not spec.argv or not spec.argv[0]:
        raise WorkloadRefused(RefusalWord.BAD_COMMAND, spec.name, "has no command", "name a program to run")
    for word in (*spec.argv, *spec.env, *spec.env.values(), spec.folder, spec.user):
        if "\0" in word:
            problem = f"{readable(word, 80)!r} holds a NUL byte, which no program can be handed"
            raise WorkloadRefused(RefusalWord.BAD_COMMAND, spec.name, problem)
    for key in spec.env:
        if not key or "=" in key:
            raise WorkloadRefused(RefusalWord.BAD_SETTING, spec.name, f"{readable(key, 80)!r} is no name of a variable")
    if not spec.folder.startswith("/"):
        problem = f"its folder {readable(spec.folder, 80)!r} is not absolute"
        raise WorkloadRefused(RefusalWord.BAD_FOLDER, spec.name, problem, "write it from / on")
    _check_range(spec.name, "its grace", spec.grace_ns, 0, GRACE_NS_MAX, "ns", RefusalWord.BAD_SETTING)
    _check_range(
        spec.name, "its output", spec.output_bytes_max, OUTPUT_BYTES_MIN, OUTPUT_BYTES_MAX, "bytes", RefusalWord.BAD_SETTING
    )
    check_limits(spec.name, spec.limits)


def check_name(name: str) -> None:
    """*Raises:* WorkloadRefused for what could not be the name of a file and a cgroup."""
    if name and name[0] in _FIRST and len(name) <= NAME_CHARACTERS_MAX and _LATER.issuperset(name):
        return
    problem = f"{readable(name, 80)!r} is no name of a workload"
    remedy = f"take 1 to {NAME_CHARACTERS_MAX} of letters, digits, . _ and -, the first a letter or digit"
    raise WorkloadRefused(RefusalWord.BAD_NAME, "", problem, remedy)


def check_limits(name: str, limits: WorkloadLimits) -> None:
    """*Raises:* WorkloadRefused for a limit that the kernel has no number for."""
    if limits.cpu_cores is not None and not (
        math.isfinite(limits.cpu_cores) and CPU_CORES_MIN <= limits.cpu_cores <= CPU_CORES_MAX
    ):
        problem = f"cannot be limited to {limits.cpu_cores:g} CPUs"
        raise WorkloadRefused(RefusalWord.BAD_LIMIT, name, problem, f"give {CPU_CORES_MIN:g} (1 %) or more")
    for what, value, least, most, unit in (
        ("its CPU weight", limits.cpu_weight, CPU_WEIGHTS[0], CPU_WEIGHTS[-1], ""),
        ("its memory", limits.memory_bytes, MEMORY_BYTES_MIN, COUNT_MAX, "bytes"),
        ("its high memory", limits.memory_high_bytes, MEMORY_BYTES_MIN, COUNT_MAX, "bytes"),
        ("its number of processes", limits.pids, 1, PIDS_MAX, ""),
    ):
        if value is not None:
            _check_range(name, what, value, least, most, unit, RefusalWord.BAD_LIMIT)
    if len(limits.io) > IO_DEVICES_MAX:
        raise WorkloadRefused(RefusalWord.BAD_LIMIT, name, f"limits more than {IO_DEVICES_MAX} disks")
    for each in limits.io:
        rates = (each.read_bytes_per_second, each.write_bytes_per_second, each.reads_per_second, each.writes_per_second)
        for rate in rates:
            _check_range(name, f"a rate of {readable(each.device, 80)}", rate, 0, COUNT_MAX, "", RefusalWord.BAD_LIMIT)
        if not any(rates):
            raise WorkloadRefused(RefusalWord.BAD_LIMIT, name, f"{readable(each.device, 80)} is named without a limit")


def has_limits(limits: WorkloadLimits) -> bool:
    """Whether any is asked for."""
    return limits != WorkloadLimits()


def _check_range(name: str, what: str, value: int, least: int, most: int, unit: str, word: RefusalWord) -> None:
    if not least <= value <= most:
        raise WorkloadRefused(word, name, f"{what} cannot be {value}{unit and ' '}{unit}", f"give {least} to {most}")
