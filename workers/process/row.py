"""What becomes a row: the top processes by CPU and by memory, and what they leave of each pod. PURE."""

from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest

from msgspec import Struct

from agent.model.absence import Absence
from agent.model.table import Row
from workers.process.process_table import Sum, TrackedProcess


class Units(Struct, frozen=True):
    """What the kernel's units are here."""

    ns_per_tick: int
    page_bytes: int


class Interval(Struct, frozen=True):
    """A tick: when it was read, and the time since the last one; None: it is the first."""

    wall_ns: int
    elapsed_ns: int | None


def top_processes(processes: Iterable[TrackedProcess], active: Iterable[TrackedProcess], count: int) -> list[TrackedProcess]:
    """The rows of a tick: most CPU first, then those that are there for their memory alone."""
    busy = (each for each in active if each.interval_ticks)
    by_cpu = nlargest(count, busy, key=lambda each: (each.interval_ticks or 0, each.pid))
    by_rss = nlargest(count, processes, key=lambda each: (each.rss_pages, each.pid))
    return list(dict.fromkeys([*by_cpu, *by_rss]))


def process_row(process: TrackedProcess, interval: Interval, units: Units) -> Row:
    """One row of `process`; what is not known is null, and `absent` says why."""
    stat, known = process.stat, process.identity
    assert known is not None, "rows are made of processes that were told"
    cpu_ns, share = _interval_values(process.interval_ticks, interval, units)
    reasons: list[str | None] = []
    if cpu_ns is None and stat.cpu_ticks is not None:
        reasons.append(Absence.FIRST_TICK.value)
    if known.command_line is None:
        reasons.append(known.why_no_command_line)
    if known.uid is None or process.cgroup is None:
        reasons.append(Absence.UNREADABLE.value)
    if None in (stat.ppid, stat.threads, stat.cpu_ticks):
        reasons.append(Absence.OUT_OF_RANGE.value)
    reasons.append(process.why_no_rss)
    return (
        interval.wall_ns, process.pid, stat.start_ticks, stat.ppid, process.comm, known.command_line, known.uid, process.cgroup,
        process.pod_uid, stat.state, stat.threads, None if stat.cpu_ticks is None else stat.cpu_ticks * units.ns_per_tick,
        cpu_ns, share, None if process.why_no_rss else process.rss_pages * units.page_bytes,
        ",".join(dict.fromkeys(filter(None, reasons))) or None,
    )  # fmt: skip


def tail_rows(sums: Mapping[str | None, Sum], top: Sequence[TrackedProcess], interval: Interval, units: Units) -> list[Row]:
    """Rows of `process_tail`: what the top rows leave of each pod."""
    shown: dict[str | None, Sum] = {}
    for process in top:
        part = shown.setdefault(process.pod_uid, Sum())
        part.move(process, 1)
        part.cpu_ticks += process.interval_ticks or 0
    nothing = Sum()
    rows: list[Row] = []
    for pod_uid, total in sums.items():
        part = shown.get(pod_uid, nothing)
        processes, cpu_ticks = total.processes - part.processes, total.cpu_ticks - part.cpu_ticks
        if processes or cpu_ticks:
            cpu_ns, share = _interval_values(cpu_ticks, interval, units)
            reasons = [Absence.FIRST_TICK.value] if cpu_ns is None else []
            if total.incomplete > part.incomplete:
                reasons.append(Absence.INCOMPLETE.value)
            rss_bytes = (total.rss_pages - part.rss_pages) * units.page_bytes
            rows.append((interval.wall_ns, pod_uid, processes, cpu_ns, share, rss_bytes, ",".join(reasons) or None))
    return rows


def _interval_values(ticks: int | None, interval: Interval, units: Units) -> tuple[int | None, float | None]:
    if interval.elapsed_ns is None or ticks is None:
        return None, None
    cpu_ns = ticks * units.ns_per_tick
    return cpu_ns, cpu_ns / interval.elapsed_ns
