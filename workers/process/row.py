"""The rows of `process`. PURE."""

from collections.abc import Callable, Mapping

from agent.model.absence import Absence
from agent.model.table import Row
from workers.process.exits.deaths import TickTimes
from workers.process.tracked_process import ProcessIdentity, TrackedProcess

# Rows take microseconds each: the heartbeat is called once in this many.
ROWS_PER_BEAT = 256

_FIRST_TICK = Absence.FIRST_TICK.value
_UNREADABLE, _OUT_OF_RANGE = Absence.UNREADABLE.value, Absence.OUT_OF_RANGE.value


class ProcessRows:
    """Makes the rows of each tick. Of a process that did nothing, everything behind the timestamp is the row of the last tick."""

    def __init__(self) -> None:
        self._idle: dict[TrackedProcess, tuple[tuple[object, ...], Row]] = {}

    def make(self, reasons: Mapping[TrackedProcess, str], times: TickTimes, beat: Callable[[], None]) -> list[Row]:
        """One row for each process, in this order; `reasons` say what chose it."""
        known, self._idle = self._idle, {}
        rows: list[Row] = []
        for number, (process, chosen_for) in enumerate(reasons.items(), start=1):
            signature = _signature(process, chosen_for)
            last = known.get(process)
            values = last[1] if last is not None and last[0] == signature else _values(process, chosen_for, times)
            if process.interval_cpu_ns == 0:
                # Only then no value depends on the length of the tick.
                self._idle[process] = (signature, values)
            rows.append((times.wall_ns, *values))
            if number % ROWS_PER_BEAT == 0:
                beat()
        return rows


def _signature(process: TrackedProcess, chosen_for: str) -> tuple[object, ...]:
    """Everything that a row is made of, but for the length of the tick."""
    known, io = process.identity, process.io
    assert known is not None, "rows are made of processes with an identity"
    return (
        process.stat, process.comm, process.interval_cpu_ns, process.why_no_cpu, process.rss_bytes, process.why_no_rss,
        process.key, process.cgroup, chosen_for,
        known.command_line, known.uid, known.why_no_command_line,
        process.interval_minor_faults, process.interval_major_faults, process.interval_switches, process.why_no_switches,
        None if io is None else io.interval_read, None if io is None else io.interval_write, process.why_no_io,
        process.pss_bytes, process.why_no_pss, process.tcp_sent, process.tcp_received, process.why_no_tcp,
    )  # fmt: skip


def _values(process: TrackedProcess, chosen_for: str, times: TickTimes) -> Row:
    """A row behind its timestamp."""
    stat, known, io = process.stat, process.identity, process.io
    assert known is not None, "rows are made of processes with an identity"
    cpu_ns: int | None = process.interval_cpu_ns
    user_ns, system_ns = process.interval_user_ns, process.interval_system_ns
    share: float | None = None
    if times.elapsed_ns is None or cpu_ns is None:
        cpu_ns = user_ns = system_ns = None
    else:
        share = cpu_ns / times.elapsed_ns
    read = written = None
    if io is not None:
        read, written = io.interval_read, io.interval_write
    return (
        process.pid, stat.start_ticks, stat.ppid, process.comm, known.command_line, known.uid, process.cgroup,
        process.key.pod_uid, process.unit_kind, process.container, stat.state, stat.threads,
        process.cpu_ns, cpu_ns, user_ns, system_ns, share,
        None if process.why_no_rss else process.rss_bytes, process.pss_bytes, read, written,
        process.interval_minor_faults, process.interval_major_faults, process.interval_switches,
        process.tcp_sent, process.tcp_received, chosen_for, _absent(process, known, cpu_ns, read),
    )  # fmt: skip


def _absent(process: TrackedProcess, known: ProcessIdentity, cpu_ns: int | None, read: int | None) -> str | None:
    """Why values are null, as `what:reason`."""
    stat, io = process.stat, process.io
    why_no_cpu = process.why_no_cpu or (_OUT_OF_RANGE if process.cpu_ns is None else _FIRST_TICK)
    values = (
        # With a reason a number is the least that it was.
        (None if process.why_no_cpu else cpu_ns, "cpu", why_no_cpu),
        (known.command_line, "command_line", known.why_no_command_line),
        (known.uid, "uid", _UNREADABLE),
        (process.cgroup, "cgroup", _UNREADABLE),
        (stat.ppid, "ppid", _OUT_OF_RANGE),
        (stat.threads, "threads", _OUT_OF_RANGE),
        (None if process.why_no_rss else 0, "rss", process.why_no_rss),
        (process.pss_bytes, "pss", process.why_no_pss),
        (read, "io", process.why_no_io if io is None else _FIRST_TICK),
        (process.interval_minor_faults, "faults", _OUT_OF_RANGE if stat.minor_faults is None else _FIRST_TICK),
        (process.interval_switches, "switches", process.why_no_switches or _FIRST_TICK),
        (None if process.why_no_tcp else 0, "tcp", process.why_no_tcp),
    )
    return ",".join(f"{what}:{reason}" for value, what, reason in values if value is None) or None
