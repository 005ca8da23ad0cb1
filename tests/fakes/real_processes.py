"""The process sampler over this machine's own `/proc`, ticked by a test, and scripts that run as processes beside it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fakes.bus import RecordingBus
from fakes.row_problem import problem_of_row

from agent.clock import SystemClock
from agent.config import Config
from agent.model.heartbeat import Heartbeat
from workers.framework.sampler import SamplerContext
from workers.runtime.kernel_tree import OpenKernelTree
from workers.samplers.process import SAMPLER

# As many rows as there can be: what is asked is what a row says, not which ones there are.
EVERY_ROW: dict[str, int | str] = {
    "sampler.process.top_rows": 10_000,
    "sampler.process.top_rows_least": 10_000,
    "sampler.process.capture": 1000,
}
Row = dict[str, Any]


class RealTicks:
    """One sampler; each tick is taken when the test asks for it, and all of its rows are checked against their tables."""

    def __init__(self, **settings: int | str) -> None:
        config = Config({**EVERY_ROW, **{f"sampler.process.{name}": value for name, value in settings.items()}})
        self.bus = RecordingBus()
        self.probe = SAMPLER.open(SamplerContext(config, SystemClock(), self.bus, OpenKernelTree, Heartbeat()))

    def tick(self) -> dict[str, list[Row]]:
        """The rows by table."""
        found: dict[str, list[Row]] = {}
        for table, rows in self.probe.sample(time.monotonic_ns(), time.time_ns()):
            for row in rows:
                problem = problem_of_row(table, row)
                assert problem is None, problem
            found.setdefault(table.name, []).extend(dict(zip(table.column_names, row, strict=True)) for row in rows)
        return found

    def close(self) -> None:
        """Give everything back."""
        self.probe.close()


@contextmanager
def ticking(**settings: int | str) -> Iterator[RealTicks]:
    """A sampler for one test."""
    ticks = RealTicks(**settings)
    try:
        yield ticks
    finally:
        ticks.close()


@contextmanager
def script(text: str, *arguments: str) -> Iterator[tuple["subprocess.Popen[str]", list[str]]]:
    """A Python script that runs until its standard input ends, and the words of the line that it prints when it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", text, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield process, process.stdout.readline().split()
    finally:
        process.stdin.close()
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait(30)
            process.stdout.close()
