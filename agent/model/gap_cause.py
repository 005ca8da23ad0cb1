"""Why a worker missed ticks: derived from two readings of its clocks. PURE.

A stopped process (a signal, the cgroup freezer) cannot observe what stops it. It shows afterwards: time has passed in which the
process neither used a processor nor waited for one.
"""

from enum import StrEnum

from msgspec import Struct


class ClockReading(Struct, frozen=True):
    """The clocks of one thread at one moment, in nanoseconds.

    `now_ns` stands still while the host is suspended, `boot_ns` does not. `wall_ns` is Unix time. `run_delay_ns` is the time that
    the thread was runnable without a processor. *Absent:* None where the kernel does not count it.
    *Source:* proc(5), /proc/PID/schedstat.
    """

    now_ns: int
    boot_ns: int
    wall_ns: int
    cpu_ns: int
    run_delay_ns: int | None


class GapCause(StrEnum):
    """Why ticks were missed. The words stand in the column `reason` of table `gap`."""

    SUSPENDED = "suspended"
    """The host was suspended."""
    STARVED = "starved"
    """The worker was runnable, but got no processor: others used it, or a quota (cpu.max) was used up."""
    OVERRUN = "overrun"
    """The worker's own work took longer than the interval."""
    SLOW_READ = "slow_read"
    """A system call of the measurement did not return, most often the read of a kernel file."""
    FROZEN = "frozen"
    """The worker was stopped while it waited for its next tick: by a signal, the cgroup freezer, or a debugger."""
    UNREADABLE = "unreadable"
    """The tick was taken, but nothing at all could be read; a condition says what."""
    DEGRADED = "degraded"
    """The tick was left out on purpose: the worker used more than its limit (`agentctl list-limits`)."""
    UNKNOWN = "unknown"
    """The kernel does not count run delay (no /proc/self/schedstat), so waiting and stopping look alike."""


def cause_of_gap(before: ClockReading, after: ClockReading, *, planned_ns: int, busy_ns: int) -> GapCause:
    """The cause that took most of the time between two readings, not counting the `planned_ns` that the worker meant to wait.

    `busy_ns` is the time in which the worker was inside its own work. Time without a processor inside its work means a slow system
    call; elsewhere it means a stop. *Units:* nanoseconds.
    """
    suspended_ns = max(0, (after.boot_ns - before.boot_ns) - (after.now_ns - before.now_ns))
    starved_ns = 0
    if before.run_delay_ns is not None and after.run_delay_ns is not None:
        starved_ns = max(0, after.run_delay_ns - before.run_delay_ns)
    cpu_ns = max(0, after.cpu_ns - before.cpu_ns)
    late_ns = after.boot_ns - before.boot_ns - planned_ns
    rest_ns = max(0, late_ns - suspended_ns - starved_ns - cpu_ns)
    # Inside its work a worker that does not run waits for a system call; outside of it only a stop can hold it.
    held_ns = min(rest_ns, max(0, busy_ns - cpu_ns))
    stopped = GapCause.FROZEN if after.run_delay_ns is not None else GapCause.UNKNOWN
    parts = {
        GapCause.SUSPENDED: suspended_ns,
        GapCause.STARVED: starved_ns,
        GapCause.OVERRUN: cpu_ns,
        GapCause.SLOW_READ: held_ns,
        stopped: rest_ns - held_ns,
    }
    # Of equal parts the first one, because it was measured and not inferred.
    return max(parts, key=lambda cause: parts[cause])
