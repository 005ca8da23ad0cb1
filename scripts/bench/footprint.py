"""The cost of the agent, as figures and as ratios to a psutil loop that watches the same processes at the same time.

CPU is read from the scheduler (nanoseconds, all threads), memory as PSS summed over the process tree. Start-up and
`agentctl list-workers` are whole commands, wall time, the median of several.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from harness.proc import cpu_ns, is_alive

BIN = Path(sys.executable).parent
# The kernel keeps 15 bytes of the name of `sampler/process`.
SAMPLER = "eg:sampler/proc"
# What the process sampler reads of each process, read by the library that most agents use.
RIVAL = """
import os, psutil, time
while True:
    due = time.monotonic() + 1
    for process in psutil.process_iter(["pid", "ppid", "name", "status", "num_threads", "cpu_times", "memory_info"]):
        process.info
    time.sleep(max(0, due - time.monotonic()))
"""
MUST_AND_GOAL = {
    "ready_ms": (1000, 300),
    "agent_cpu_percent": (2.0, 1.5),
    "agent_pss_mib": (100 / 1.048576, 60),
    "sampler_cpu_percent": (1.0, 0.6),
    "list_workers_ms": (150, 30),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=500, help="processes of the load, a sixth of them busy now and then")
    parser.add_argument("--seconds", type=float, default=30, help="length of one measured window")
    parser.add_argument("--repeats", type=int, default=3, help="windows; the median of each figure is reported")
    parser.add_argument("--starts", type=int, default=9, help="starts of the agent, and half as many commands again")
    options = parser.parse_args()
    with _load(options.processes), tempfile.TemporaryDirectory(prefix="eg-") as folder:
        starts = [_start_once(Path(folder) / f"start{number}") for number in range(options.starts)]
        with _agent(Path(folder) / "agent") as agent, _rival() as rival:
            commands = _commands(Path(folder) / "agent", count=2 * options.starts + 3)
            windows = [_window(agent, rival, options.seconds) for _ in range(options.repeats)]
    print(json.dumps(_report(options, starts, commands, windows), indent=2))


@contextmanager
def _load(count: int) -> Iterator[None]:
    """`count` processes: five of six sleep, one of six wakes ten times a second and works for some 0.1 ms."""
    children = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            while True:
                time.sleep(0.1 if number % 6 == 0 else 3600)
                sum(range(2000))
        children.append(pid)
    try:
        yield
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)


@contextmanager
def _agent(folder: Path) -> Iterator[psutil.Process]:
    folder.mkdir()
    process = subprocess.Popen(_agentd(folder), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        _wait_for_ready(process)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def _rival() -> Iterator[psutil.Process]:
    process = subprocess.Popen([sys.executable, "-c", RIVAL])
    try:
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def _agentd(folder: Path) -> list[str]:
    # The default agent, except for its folders and the port: a machine may run another one.
    return [str(BIN / "agentd"), "--state-dir", str(folder), "--runtime-dir", str(folder), "--gateway-port", "0"]


def _start_once(folder: Path) -> float:
    """Milliseconds from the start of the process to its own word, after all workers are up, that it is ready."""
    folder.mkdir()
    begun = time.perf_counter()
    process = subprocess.Popen(_agentd(folder), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        _wait_for_ready(process)
        return (time.perf_counter() - begun) * 1e3
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _wait_for_ready(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    first = process.stdout.readline()
    assert ", ready after" in first, f"the agent did not become ready: {first}"


def _commands(folder: Path, *, count: int) -> dict[str, list[float]]:
    """Wall milliseconds of whole commands, turn about: ours, and an interpreter that does nothing."""
    ours = [str(BIN / "agentctl"), "--runtime-dir", str(folder), "list-workers"]
    bare = [sys.executable, "-c", "pass"]
    times: dict[str, list[float]] = {"list_workers_ms": [], "bare_python_ms": []}
    for _ in range(count):
        for name, command in (("list_workers_ms", ours), ("bare_python_ms", bare)):
            begun = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times[name].append((time.perf_counter() - begun) * 1e3)
    return times


def _window(agent: psutil.Process, rival: psutil.Process, seconds: float) -> dict[str, Any]:
    """One stretch of time: CPU of the agent's tree, of its sampler alone and of the rival; PSS at its end."""
    tree = [agent, *agent.children(recursive=True)]
    sampler = next(each for each in tree if each.name() == SAMPLER)
    before = {each.pid: cpu_ns(each.pid) for each in [*tree, rival]}
    begun = time.monotonic_ns()
    time.sleep(seconds)
    elapsed_ns = time.monotonic_ns() - begun
    # A child that looks at the host for the first lines may have ended meanwhile.
    tree = [each for each in tree if is_alive(each.pid)]
    used = {each.pid: cpu_ns(each.pid) - before[each.pid] for each in [*tree, rival]}

    def percent(cpu_ns: int) -> float:
        return 100 * cpu_ns / elapsed_ns

    return {
        "agent_cpu_percent": percent(sum(used[each.pid] for each in tree)),
        "sampler_cpu_percent": percent(used[sampler.pid]),
        "psutil_cpu_percent": percent(used[rival.pid]),
        "agent_pss_mib": sum(_pss_bytes(each) for each in tree) / 2**20,
        "psutil_pss_mib": _pss_bytes(rival) / 2**20,
        "by_process": {
            f"{each.name()} {each.pid}": [round(percent(used[each.pid]), 3), round(_pss_bytes(each) / 2**20, 1)] for each in tree
        },
    }


def _pss_bytes(process: psutil.Process) -> int:
    return int(process.memory_full_info().pss)


def _report(options: Any, starts: list[float], commands: dict[str, list[float]], windows: list[dict[str, Any]]) -> dict[str, Any]:
    figures = {"ready_ms": statistics.median(starts), **{name: statistics.median(times) for name, times in commands.items()}}
    for name in ("agent_cpu_percent", "sampler_cpu_percent", "psutil_cpu_percent", "agent_pss_mib", "psutil_pss_mib"):
        figures[name] = statistics.median(window[name] for window in windows)
    verdict: Callable[[float, float, float], str] = lambda value, must, goal: (  # noqa: E731  one line, used twice
        "goal" if value <= goal else "must" if value <= must else "missed"
    )
    return {
        "processes": options.processes,
        "seconds": options.seconds,
        "repeats": options.repeats,
        "figures": {name: round(value, 3) for name, value in figures.items()},
        "verdicts": {name: verdict(figures[name], must, goal) for name, (must, goal) in MUST_AND_GOAL.items()},
        "ratios": {
            "agent_cpu_to_psutil_loop": round(figures["agent_cpu_percent"] / figures["psutil_cpu_percent"], 3),
            "sampler_cpu_to_psutil_loop": round(figures["sampler_cpu_percent"] / figures["psutil_cpu_percent"], 3),
            "list_workers_to_bare_python": round(figures["list_workers_ms"] / figures["bare_python_ms"], 2),
        },
        "ready_ms_all": [round(value) for value in starts],
        "cpu_percent_and_pss_mib_by_process": windows[-1]["by_process"],
    }


if __name__ == "__main__":
    main()
