"""What operators and readers see of workloads. PURE.

Readers see it too, so nothing that may be a secret is in it: of the environment the names, command lines and labels masked.
"""

from collections.abc import Iterable

from msgspec import Struct

from agent.model.command_line import parse_command_line
from agent.model.control.workload import WorkloadList, WorkloadRow
from agent.model.foreign import readable
from agent.model.secret import masked
from agent.model.signal_name import signal_name
from agent.model.timebase import S, iso_utc
from workers.keeper.protocol import WorkloadEnding, WorkloadRecord
from workers.workloads.core import WorkloadsCore
from workers.workloads.tracked_workload import TrackedWorkload

COMMAND_BYTES_MAX = 4096


class CgroupUse(Struct, frozen=True):
    """What a workload's cgroup has used, and holds now. *Absent:* None where its kernel has no such file for it."""

    cpu_ns: int | None = None
    memory_bytes: int | None = None


class ListingTime(Struct, frozen=True):
    """The two clocks at one moment."""

    now_ns: int
    wall_ns: int


def listing(core: WorkloadsCore, uses: dict[str, CgroupUse], at: ListingTime, problem: str) -> WorkloadList:
    """All workloads; `uses` has those that run by name, `problem` is why the keeper does not answer."""
    rows = [workload_row(each, uses.get(each.name, CgroupUse()), at) for each in core.table.workloads()]
    told = core.problem if core.is_listed else problem
    return WorkloadList(is_asked=core.is_listed, problem=told or None, workloads=rows)


def workload_row(tracked: TrackedWorkload, use: CgroupUse, at: ListingTime) -> WorkloadRow:
    """One workload."""
    record, spec = tracked.record, tracked.next_spec
    if record is not None and (tracked.is_running or spec is None):
        spec = record.spec
    assert spec is not None, tracked.name
    running = record if tracked.is_running else None
    ending = None if record is None else record.ending
    waits_ns = None if tracked.start_at_ns is None else max(0, tracked.start_at_ns - at.now_ns)
    return WorkloadRow(
        name=tracked.name,
        state=tracked.state,
        pid=None if running is None else running.pid,
        started=None if record is None else iso_utc(record.started_wall_ns),
        uptime_seconds=None if running is None else _seconds(max(0, at.wall_ns - running.started_wall_ns)),
        restart=str(spec.restart),
        restarts=max(0, tracked.incarnation - 1),
        backoff_seconds=None if waits_ns is None else _seconds(waits_ns),
        command=shown_command(spec.argv),
        environment=sorted(readable(name) for name in spec.env),
        labels=dict(shown_label(*each) for each in spec.labels.items()),
        user=readable(spec.user),
        gpus=list(map(readable, spec.gpus)),
        source="command" if tracked.described is None else "file",
        has_changed=tracked.has_changed,
        adopted=record is not None and record.adopted,
        birth=None if record is None else str(record.birth),
        cgroup=None if record is None or not record.cgroup else readable(record.cgroup),
        in_force={} if record is None else dict(record.in_force),
        cpu_seconds=_cpu_seconds(use, ending),
        memory_bytes=use.memory_bytes,
        ended=None if ending is None else iso_utc(ending.at_wall_ns),
        ended_how=None if ending is None else ended_how(ending),
        exit_code=None if ending is None else ending.code,
        signal=None if ending is None or ending.signal is None else signal_name(ending.signal),
        oom_kills=None if ending is None else ending.oom_kills,
        memory_peak_bytes=None if ending is None else ending.memory_peak_bytes,
        output=None if record is None else readable(record.output),
        problem=_problem(tracked, record, ending),
    )


def ended_how(ending: WorkloadEnding) -> str:
    """The end in a few words: `exit code 1`, `SIGKILL, out of memory`, `SIGTERM, stopped`."""
    if ending.signal is not None:
        how = signal_name(ending.signal)
    elif ending.code is not None:
        how = f"exit code {ending.code}"
    else:
        how = f"unknown: {readable(ending.unknown_why)}" if ending.unknown_why else "unknown"
    why = [word for word, holds in (("out of memory", bool(ending.oom_kills)), ("stopped", ending.stopped)) if holds]
    return ", ".join([how, *why])


def shown_command(argv: Iterable[str]) -> str:
    """The command line as others may see it."""
    data = "\0".join(argv).encode("utf-8", "surrogateescape")
    return parse_command_line(data, bytes_max=COMMAND_BYTES_MAX, shown="masked") or ""


def shown_label(key: str, value: str) -> tuple[str, str]:
    """A label as others may see it."""
    pair = f"{key}={value}".encode("utf-8", "surrogateescape")
    shown = masked(pair).decode("utf-8", "replace")
    return readable(key), readable(shown.partition("=")[2] if shown.startswith(f"{key}=") else "***")


def _problem(tracked: TrackedWorkload, record: WorkloadRecord | None, ending: WorkloadEnding | None) -> str | None:
    told = [tracked.problem]
    if record is not None and record.moved_to and ending is None:
        told.append(f"its first process has left its cgroup for {record.moved_to}, where none of its limits holds")
    if ending is not None and ending.left_behind:
        told.append(f"its cgroup could not be removed: {ending.left_behind}")
    return readable("; ".join(filter(None, told)), 2000) or None


def _cpu_seconds(use: CgroupUse, ending: WorkloadEnding | None) -> float | None:
    cpu_ns = use.cpu_ns if ending is None else ending.cpu_ns
    return None if cpu_ns is None else _seconds(cpu_ns)


def _seconds(duration_ns: int) -> float:
    return round(duration_ns / S, 3)
