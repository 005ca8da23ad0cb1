"""Processes as the process table holds them, for tests of what is made of them."""

from typing import Any

from agent.model.proc_stat import Stat
from workers.process.tracked_process import ProcessIdentity, Totals, TrackedProcess
from workers.process.unit_command import UnitCommand


def sleeping(pid: int, *, pod_uid: str | None = None, command: str = "nginx", **fields: Any) -> TrackedProcess:
    """A process that did nothing in the tick; `fields` change what a test is about."""
    stat = Stat("S", 1, 5, 1, 77, 10)
    key = UnitCommand(pod_uid, command)
    process = TrackedProcess(str(pid), pid, stat, b"", command, key, Totals(), cgroup="/", threads=1, cpu_ns=50)
    process.interval_cpu_ns = process.interval_user_ns = process.interval_system_ns = 0
    process.identity = ProcessIdentity(uid=0, command_line=command)
    for name, value in fields.items():
        setattr(process, name, value)
    return process


def totals_of(processes: list[TrackedProcess]) -> dict[UnitCommand, Totals]:
    """Their sums by unit and command."""
    sums: dict[UnitCommand, Totals] = {}
    for process in processes:
        process.totals = sums.setdefault(process.key, Totals())
        process.totals.move(process, 1)
        process.totals.move_interval(process, 1)
    return sums
