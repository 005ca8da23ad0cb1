"""What a process did in one interval: CPU with its parts, page faults, context switches, reaped children. PURE."""

from agent.model.absence import Absence
from agent.model.proc_stat import Stat
from workers.process.cpu_time import advance, user_total_ns
from workers.process.tracked_process import TrackedProcess


def count_interval(process: TrackedProcess, before: Stat, clock_ns: int | None, ns_per_tick: int) -> None:
    """Take what the line just read, and the clock, have more than before. `clock_ns` is None where there is no clock."""
    # By place, and without a call where all is as usual: this is done for each process that ran.
    _, _, ticks, _, _, _, _, system_ticks, reaped_ticks, minor, major = process.stat
    minor_before, major_before = before[9], before[10]
    if minor is None or major is None or minor_before is None or major_before is None:
        process.interval_minor_faults = _difference(minor, minor_before)
        process.interval_major_faults = _difference(major, major_before)
    else:
        process.interval_minor_faults = minor - minor_before if minor > minor_before else 0
        process.interval_major_faults = major - major_before if major > major_before else 0
    if reaped_ticks:
        reaped_ns = reaped_ticks * ns_per_tick
        process.interval_reaped_ns = max(0, reaped_ns - process.reaped_ns)
        process.reaped_ns = reaped_ns
    elif reaped_ticks is not None:
        process.interval_reaped_ns = process.reaped_ns = 0
    else:
        process.interval_reaped_ns = 0
    counter_ns = clock_ns
    if counter_ns is None and ticks is not None:
        counter_ns = ticks * ns_per_tick
    counter_before_ns, cpu_ns = process.counter_ns, process.cpu_ns
    if counter_ns is None or counter_before_ns is None or cpu_ns is None:
        _begin_cpu(process, counter_ns)
        process.interval_cpu_ns = process.interval_user_ns = process.interval_system_ns = None
        return
    if counter_ns < counter_before_ns or process.offset_ns:
        step = advance(cpu_ns, process.offset_ns, counter_ns, counter_before_ns)
        used_ns, process.offset_ns = step.cpu_ns - cpu_ns, step.offset_ns
        if step.is_reset:
            process.why_no_cpu = Absence.COUNTER_RESET.value
    else:
        used_ns = counter_ns - cpu_ns if counter_ns > cpu_ns else 0
    process.counter_ns, process.cpu_ns = counter_ns, cpu_ns + used_ns
    user_before_ns = process.user_ns
    user_ticks = 0 if ticks is None else ticks - system_ticks
    user_ns = user_total_ns(cpu_ns + used_ns, used_ns, user_before_ns, (user_ticks, 0 if ticks is None else system_ticks))
    process.interval_cpu_ns, process.interval_user_ns = used_ns, user_ns - user_before_ns
    process.interval_system_ns = used_ns - (user_ns - user_before_ns)
    process.user_ns = user_ns
    process.totals.cpu_ns += used_ns


def count_switches(process: TrackedProcess, slices: int | None) -> None:
    """The kernel counts context switches for each thread, so they are known of a process with one."""
    if slices is None:
        process.interval_switches, process.slices = None, None
        process.why_no_switches = (Absence.UNSUPPORTED if process.stat.threads == 1 else Absence.SEVERAL_THREADS).value
        return
    process.interval_switches = _difference(slices, process.slices)
    process.why_no_switches = Absence.FIRST_TICK.value if process.slices is None else None
    process.slices = slices


def begin(process: TrackedProcess, clock_ns: int | None, ns_per_tick: int) -> None:
    """Take over the counters of a process that is met."""
    process.reaped_ns = (process.stat.reaped_ticks or 0) * ns_per_tick
    _begin_cpu(process, _counter_ns(process.stat, clock_ns, ns_per_tick))


def count_whole(process: TrackedProcess) -> None:
    """Everything that a process ever did was in this interval."""
    stat = process.stat
    process.interval_minor_faults, process.interval_major_faults = stat.minor_faults, stat.major_faults
    process.interval_reaped_ns = process.reaped_ns
    if process.cpu_ns is not None:
        process.interval_cpu_ns, process.interval_user_ns = process.cpu_ns, process.user_ns
        process.interval_system_ns = process.cpu_ns - process.user_ns
        process.totals.cpu_ns += process.cpu_ns


def end(process: TrackedProcess) -> None:
    """The interval is written down; in the next one the process did nothing so far."""
    process.interval_cpu_ns = process.interval_user_ns = process.interval_system_ns = None if process.cpu_ns is None else 0
    process.interval_reaped_ns = 0
    process.interval_minor_faults = None if process.stat.minor_faults is None else 0
    process.interval_major_faults = None if process.stat.major_faults is None else 0
    process.interval_switches = None if process.slices is None else 0
    if process.slices is not None:
        process.why_no_switches = None
    process.why_no_cpu = None


def _begin_cpu(process: TrackedProcess, counter_ns: int | None) -> None:
    """Count CPU from what the kernel says now; what it says later is compared with that."""
    process.offset_ns = 0
    process.counter_ns = process.cpu_ns = counter_ns
    process.user_ns = 0 if counter_ns is None else user_total_ns(counter_ns, counter_ns, 0, _ticks(process.stat))


def _counter_ns(stat: Stat, clock_ns: int | None, ns_per_tick: int) -> int | None:
    if clock_ns is not None:
        return clock_ns
    return None if stat.cpu_ticks is None else stat.cpu_ticks * ns_per_tick


def _ticks(stat: Stat) -> tuple[int, int]:
    return (0, 0) if stat.cpu_ticks is None else (stat.cpu_ticks - stat.system_ticks, stat.system_ticks)


def _difference(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else max(0, now - before)
