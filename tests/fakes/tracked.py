"""Processes as the process table remembers them, for what works on them without a table."""

from typing import Any

from agent.model.proc_stat import Stat
from workers.process.tracked_process import Totals, TrackedProcess
from workers.process.unit_command import UnitCommand


def tracked(pid: int, *, state: str = "S", is_kernel_thread: bool = False, **fields: Any) -> TrackedProcess:
    """A process with one thread that sleeps."""
    stat = Stat(state, 1, 0, 1, 70 + pid, 10, is_kernel_thread)
    name = str(pid)
    process = TrackedProcess(name, pid, stat, b"", "x", UnitCommand(None, "x"), Totals(), interval_cpu_ns=0)
    for field, value in fields.items():
        setattr(process, field, value)
    return process


class CountedCpu:
    """CPU that the reader is said to use: so much for each call."""

    def __init__(self, step_ns: int = 0) -> None:
        self.step_ns = step_ns
        self._now_ns = 0

    def __call__(self) -> int:
        self._now_ns += self.step_ns
        return self._now_ns
