"""CPU of one process in an interval, and its user and system parts. PURE.

The process's CPU clock has the run time of all its threads in ns. Where there is none, `stat` has user and system time: their sum
is the same run time, each rounded down to a clock tick.
"""

from typing import NamedTuple


class CpuStep(NamedTuple):
    """What a reading adds: CPU so far, and how far that is ahead of the kernel's counter since it went back (usually 0)."""

    cpu_ns: int
    offset_ns: int
    is_reset: bool


def advance(cpu_ns: int, offset_ns: int, counter_ns: int, counter_before_ns: int) -> CpuStep:
    """The CPU of a process, of which `cpu_ns` is counted so far, after the kernel's counter was read again.

    A counter that went back (a process restored from a checkpoint) adds nothing; from there on its growth counts. CPU never falls.
    """
    if counter_ns < counter_before_ns:
        return CpuStep(cpu_ns, cpu_ns - counter_ns, is_reset=True)
    return CpuStep(max(cpu_ns, counter_ns + offset_ns), offset_ns, is_reset=False)


def user_total_ns(cpu_ns: int, used_ns: int, user_before_ns: int, ticks: tuple[int, int]) -> int:
    """The user part of `cpu_ns`, of which `used_ns` came last; `ticks` are user and system time of `stat`.

    Neither this part nor the rest ever falls. *Source:* `cputime_adjust` of linux/kernel/sched/cputime.c, which does the same.
    """
    user_ticks, system_ticks = ticks
    user_ns = cpu_ns * user_ticks // (user_ticks + system_ticks) if system_ticks else cpu_ns
    if user_ns <= user_before_ns:
        return user_before_ns
    most_ns = user_before_ns + used_ns
    return user_ns if user_ns < most_ns else most_ns


def parse_slices(line: bytes) -> int | None:
    """How often the first thread was given a CPU: the third number of `schedstat`. *Absent:* the kernel does not count it.

    *Source:* linux/Documentation/scheduler/sched-stats.rst, `/proc/<pid>/schedstat`. A kernel that does not count writes zeros, and
    a thread that is read has run.
    """
    words = line.split()
    number = int(words[2]) if len(words) == 3 and words[2].isdigit() else 0
    return number if 0 < number < 1 << 63 else None
