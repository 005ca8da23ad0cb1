"""The process sampler over real processes that are not as most are."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fakes.bus import RecordingBus
from fakes.host import why
from harness.waiting import wait_until

from agent.clock import SystemClock
from agent.config import Config
from agent.model.heartbeat import Heartbeat
from agent.model.timebase import S
from workers.framework.sampler import SamplerContext
from workers.process.schema import PROCESS, PROCESS_TAIL
from workers.runtime.kernel_tree import OpenKernelTree
from workers.samplers.process import SAMPLER

MIB = 1 << 20
# The first thread ends by the system call that ends a thread and nothing else; another one holds the memory.
FIRST_THREAD_ENDS = f"""
import ctypes, platform, sys, threading, time
held = bytearray({64 * MIB})
for place in range(0, len(held), 4096): held[place] = 1
threading.Thread(target=time.sleep, args=(60,)).start()
print("up", flush=True)
ctypes.CDLL(None).syscall({{"x86_64": 60}}.get(platform.machine(), 93), 0)
"""
# Writes over the arguments where the kernel keeps them, at each line that comes in.
RETITLES = """
import ctypes, sys
fields = open("/proc/self/stat").read().rpartition(")")[2].split()
start, end = int(fields[45]), int(fields[46])
print("up", flush=True)
for title in sys.stdin:
    ctypes.memmove(start, title.strip().encode().ljust(end - start, b"\\0")[: end - start], end - start)
    print("done", flush=True)
"""
EXECUTES_AND_GIVES_ROOT_UP = """
import os, sys
print("up", flush=True)
sys.stdin.readline()
if os.geteuid() == 0: os.setuid(64999)
os.execv("/proc/self/exe", [sys.argv[0], "-c", "print('done', flush=True); input()", "second"])
"""


@contextmanager
def _running(script: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", script, "first"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.wait(20)
        process.stdin.close()
        process.stdout.close()


class Ticks:
    """A sampler of everything, ticked by the test: each tick is a second after the last one."""

    def __init__(self) -> None:
        config = Config({"sampler.process.top_rows": 10_000, "sampler.process.top_rows_least": 10_000})
        self.probe = SAMPLER.open(SamplerContext(config, SystemClock(), RecordingBus(), OpenKernelTree, Heartbeat()))
        self._now_ns = S

    def row(self, pid: int) -> dict[str, Any]:
        """The row of a process in the next tick; the tail is empty, for every process has a row."""
        self._now_ns += S
        (table, rows), (tail_table, tails), *_ = self.probe.sample(self._now_ns, time.time_ns())
        assert (table, tail_table, list(tails)) == (PROCESS, PROCESS_TAIL, [])
        (found,) = (row for row in rows if row[1] == pid)
        return dict(zip(PROCESS.column_names, found, strict=True))


@pytest.fixture
def ticks() -> Iterator[Ticks]:
    """For one test."""
    made = Ticks()
    yield made
    made.probe.close()


def test_the_memory_of_a_process_whose_first_thread_has_ended(ticks: Ticks) -> None:
    """Its own line says zombie and nothing; the memory, the threads and the command line are those that go on."""
    with _running(FIRST_THREAD_ENDS) as process:
        wait_until(lambda: ticks.row(process.pid)["state"] == "Z", "the first thread has ended")
        row = ticks.row(process.pid)
    assert row["rss_bytes"] > 64 * MIB
    assert (row["threads"], why(row, "rss")) == (2, None)
    assert row["command_line"].startswith(sys.executable)


def test_a_title_is_seen_at_the_next_tick_and_a_wiped_one_has_its_reason(ticks: Ticks) -> None:
    """Neither changes anything else of a process."""
    with _running(RETITLES) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert ticks.row(process.pid)["command_line"].startswith(sys.executable)
        for title, shown in (("worker: busy", ("worker: busy", None)), ("", (None, "empty_command_line"))):
            process.stdin.write(f"{title}\n")
            assert process.stdout.readline() == "done\n"
            row = ticks.row(process.pid)
            assert (row["command_line"], why(row, "command_line")) == shown


def test_an_exec_within_one_interpreter_and_another_user_are_seen_at_the_next_tick(ticks: Ticks) -> None:
    """The name of the process stays the same."""
    with _running(EXECUTES_AND_GIVES_ROOT_UP) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        before = ticks.row(process.pid)
        process.stdin.write("\n")
        assert process.stdout.readline() == "done\n"
        after = ticks.row(process.pid)
    assert before["command_line"].endswith(" first")
    assert after["command_line"].endswith(" second")
    assert after["start_ticks"] == before["start_ticks"]
    assert after["uid"] == (64999 if before["uid"] == 0 else before["uid"])
