"""What becomes a row: the top processes by CPU and by memory, and what they leave of each pod. PURE."""

from collections.abc import Iterable, Mapping
from heapq import nlargest

from msgspec import Struct

from agent.model.absence import Absence
from agent.model.table import Row
from workers.process.process_table import Totals, TrackedProcess
from workers.process.unit_command import UnitCommand


class Interval(Struct, frozen=True):
    """A tick: when it was read, and the time since the last one; None: it is the first."""

    wall_ns: int
    elapsed_ns: int | None


def top_processes(processes: Iterable[TrackedProcess], active: Iterable[TrackedProcess], count: int) -> dict[TrackedProcess, str]:
    """The rows of a tick and what chose each: most CPU first, then those that are there for their memory alone."""
    busy = (each for each in active if each.interval_cpu_ns)
    chosen = dict.fromkeys(nlargest(count, busy, key=lambda each: (each.interval_cpu_ns or 0, each.pid)), "cpu")
    for process in nlargest(count, processes, key=lambda each: (each.rss_bytes, each.pid)):
        chosen[process] = f"{chosen[process]},rss" if process in chosen else "rss"
    return chosen


def process_row(process: TrackedProcess, chosen_for: str, interval: Interval) -> Row:
    """One row of `process`; what is not known is null, and `absent` says why."""
    stat, known = process.stat, process.identity
    assert known is not None, "rows are made of processes that were told"
    cpu_ns, share = _interval_values(process.interval_cpu_ns, interval)
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
        process.pod_uid, process.unit_kind, process.container, stat.state, stat.threads, process.cpu_ns, cpu_ns,
        process.interval_user_ns if cpu_ns is not None else None, process.interval_system_ns if cpu_ns is not None else None,
        share, None if process.why_no_rss else process.rss_bytes, None, None, None,
        process.interval_minor_faults, process.interval_major_faults, None, None, None, chosen_for,
        ",".join(dict.fromkeys(filter(None, reasons))) or None,
    )  # fmt: skip


def tail_rows(totals: Mapping[UnitCommand, Totals], top: Iterable[TrackedProcess], interval: Interval) -> list[Row]:
    """Rows of `process_tail`: what the top rows leave of each pod."""
    left: dict[str | None, Totals] = {}
    for key, total in totals.items():
        rest = left.setdefault(key.pod_uid, Totals())
        rest.processes += total.processes
        rest.cpu_ns += total.cpu_ns
        rest.rss_bytes += total.rss_bytes
        rest.incomplete += total.incomplete
    for process in top:
        left[process.pod_uid].move(process, -1)
        left[process.pod_uid].move_interval(process, -1)
    rows: list[Row] = []
    for pod_uid, rest in left.items():
        if rest.processes or rest.cpu_ns:
            cpu_ns, share = _interval_values(rest.cpu_ns, interval)
            reasons = [Absence.FIRST_TICK.value] if cpu_ns is None else []
            if rest.incomplete:
                reasons.append(Absence.INCOMPLETE.value)
            rows.append(
                (interval.wall_ns, pod_uid, None, 1, rest.processes, cpu_ns, share, rest.rss_bytes, None, None, None, None, None,
                 ",".join(reasons) or None)
            )  # fmt: skip
    return rows


def _interval_values(cpu_ns: int | None, interval: Interval) -> tuple[int | None, float | None]:
    if interval.elapsed_ns is None or cpu_ns is None:
        return None, None
    return cpu_ns, cpu_ns / interval.elapsed_ns
