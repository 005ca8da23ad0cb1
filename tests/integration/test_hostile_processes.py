"""Real processes that mean harm, or are as large as they may be: rows are right, absent values say why, nothing stops."""

import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes.real_processes import RealTicks, script, ticking
from harness.proc import rss_bytes, stat_of
from harness.waiting import SLOWNESS, wait_until

LOAD = Path(__file__).parents[2] / "scripts" / "bench" / "process_bench" / "load.c"
NAMES = (
    b"a) S 1 (b",
    b"new\nline",
    b"\x1b[2J\x1b[H",
    b"\xff\xfe\xed\xa0\x80",
    b")",
    b"((((",
    b" ",
    b"",
    b"\xe2\x80\xaeevil",
    b"\x00cut",
)
NAMED = f"""
import ctypes, os, sys
pids = []
for name in {NAMES!r}:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(15, name, 0, 0, 0)
        os.write(write, b"x")
        sys.stdin.read()
        os._exit(0)
    os.read(read, 1)
    pids.append(pid)
print(*pids, flush=True)
sys.stdin.read()
for pid in pids: os.kill(pid, 9); os.waitpid(pid, 0)
"""
ZOMBIES = """
import os, sys, time
pids = []
for number in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        if number == 0:
            while time.process_time() < 0.3: pass
        os._exit(0)
    pids.append(pid)
for pid in pids: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
print(*pids, flush=True)
sys.stdin.read()
"""
FORKS = """
import os, select
print("up", flush=True)
while not select.select([0], [], [], 0)[0]: os.waitpid(os.fork() or os._exit(0), 0)
"""
LARGE = "import sys; print('up', flush=True); sys.stdin.read()"
# Of a machine with a low limit of threads as many as it gives.
THREADS = 10_000


@contextmanager
def _many_threads(tmp_path: Path, count: int) -> Iterator[int]:
    assert shutil.which("gcc"), "needs gcc"
    program = tmp_path / "load"
    if not program.exists():
        subprocess.run(["gcc", "-O2", "-static", "-pthread", "-o", str(program), str(LOAD), "-lm"], check=True)
    # One burn of nothing in ten seconds: what is large here is the number.
    process = subprocess.Popen(
        [str(program), "idle-threads", "1", str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.stdin.close()
        process.wait(30 * SLOWNESS)
        process.stdout.close()


def _row(ticks: RealTicks, pid: int) -> dict[str, Any]:
    (found,) = (row for row in ticks.tick()["process"] if row["pid"] == pid)
    return found


def test_names_that_steer_terminals_or_forge_fields_are_shown_and_change_nothing_else() -> None:
    """Numbers are those behind the last parenthesis; a name keeps its characters as text, escaped where it is no UTF-8."""
    with script(NAMED) as (process, words), ticking() as ticks:
        pids = [int(word) for word in words]
        rows = {row["pid"]: row for row in ticks.tick()["process"]}
        assert len(pids) == len(NAMES)
        for pid, name in zip(pids, NAMES, strict=True):
            row = rows[pid]
            assert (row["ppid"], row["threads"]) == (process.pid, 1), name
            assert row["rss_bytes"] == pytest.approx(rss_bytes(pid), rel=0.2), name
            row["comm"].encode()
        assert rows[pids[0]]["comm"] == "a) S 1 (b"
        assert rows[pids[4]]["comm"] == ")"


def test_a_command_line_of_two_megabytes_is_cut_and_costs_no_more_than_a_short_one() -> None:
    """What is stored is the beginning; the process's other values are there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    # The kernel takes at most a quarter of this for arguments.
    resource.setrlimit(resource.RLIMIT_STACK, (min(64 << 20, hard) if hard != resource.RLIM_INFINITY else 64 << 20, hard))
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", LARGE, *["x" * 100_000] * 21], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "up\n"
        assert len(Path(f"/proc/{process.pid}/cmdline").read_bytes()) > 2_000_000
        with ticking() as ticks:
            row = _row(ticks, process.pid)
    finally:
        process.stdin.close()
        process.wait(30 * SLOWNESS)
        process.stdout.close()
    assert row["command_line"].startswith(sys.executable)
    assert len(row["command_line"].encode()) <= 256
    assert row["rss_bytes"] > 1 << 20


def test_ten_thousand_threads_are_one_number(tmp_path: Path) -> None:
    """The tick does not list them, and the process is a row like others."""
    allowed = int(Path("/proc/sys/kernel/threads-max").read_text()) // 2
    count = min(THREADS, allowed)
    with _many_threads(tmp_path, count) as parent, ticking() as ticks:
        rows = [row for row in ticks.tick()["process"] if row["ppid"] == parent]
        begun = time.thread_time()
        ticks.tick()
        took_seconds = time.thread_time() - begun
    assert [row["threads"] for row in rows] == [count]
    assert took_seconds < 1.0 * SLOWNESS


def test_zombies_are_counted_and_what_they_used_is_not_lost() -> None:
    """They hold no memory, nothing of them can be read but the line, and the sums contain their CPU."""
    with script(ZOMBIES, "200") as (_process, words), ticking() as ticks:
        pids = {int(word) for word in words}
        found = ticks.tick()
        rows = [row for row in found["process"] if row["pid"] in pids]
        assert {row["state"] for row in rows} <= {"Z"}
        assert all(row["command_line"] is None and row["absent"] for row in rows)
        counted = len(found["process"]) + sum(row["processes"] for row in found["process_tail"])
        (scan,) = found["process_scan"]
        assert scan["processes"] == counted >= len(pids)
        assert ticks.probe.stats()["unreadable"] == 0


def test_processes_that_come_and_go_while_they_are_read_are_no_error() -> None:
    """Nothing is counted as unreadable, and every tick has its account."""
    with script(FORKS), script(FORKS), ticking() as ticks:
        for _ in range(30):
            assert len(ticks.tick()["process_scan"]) == 1
        assert ticks.probe.stats()["unreadable"] == 0


def test_a_process_that_waits_for_its_tracer_is_a_row_like_others() -> None:
    """A stopped one does not stop the sampler."""
    with script(LARGE) as (process, _words), ticking() as ticks:
        process.send_signal(19)
        wait_until(lambda: (stat := stat_of(process.pid)) is not None and stat.state == "T", "it has stopped")
        row = _row(ticks, process.pid)
        process.send_signal(18)
    assert row["state"] == "T"
    assert row["command_line"].startswith(sys.executable)
