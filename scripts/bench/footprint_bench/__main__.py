"""The cost of the agent, as figures and as ratios to a psutil loop that watches the same processes at the same time.

CPU is read from the scheduler (nanoseconds, all threads), memory as PSS summed over the process tree. Start-up and
`agentctl list-workers` are whole commands, wall time, the median of several.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from harness.proc import cpu_ns, memory

from footprint_bench import price
from footprint_bench.agent import HERE, SUPERVISOR, Agent, Cost, agent, as_json, costs, list_workers_ms, total, wait_settled
from footprint_bench.node import node
from footprint_bench.room import hierarchies, is_inside, run_inside

SAMPLER = "sampler/process"
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
    "agent_cpu_percent": (1.5, 1.2),
    "agent_pss_mib": (60, 50),
    "sampler_cpu_percent": (1.0, 0.6),
    "list_workers_ms": (150, 30),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench/footprint", description=__doc__)
    parser.add_argument("--processes", type=int, default=500, help="processes of the load, a sixth of them busy now and then")
    parser.add_argument("--pods", type=int, default=110, help="pods with a process each, reported by a runtime over NRI; 0: none")
    parser.add_argument("--seconds", type=float, default=30, help="length of one measured window")
    parser.add_argument("--repeats", type=int, default=3, help="windows; the median of each figure is reported")
    parser.add_argument("--starts", type=int, default=9, help="starts of the agent, and half as many commands again")
    parser.add_argument("--base", type=Path, help="another checkout, measured by turns with this one")
    parser.add_argument("--options", action="store_true", help="what each option costs beyond the default, instead of the rest")
    parser.add_argument("--only", default="", help="with --options: those with this word in their name")
    options = parser.parse_args()
    if not is_inside():
        run_inside("footprint_bench", sys.argv[1:])
    found = hierarchies()
    with tempfile.TemporaryDirectory(prefix="eg-") as name:
        folder = Path(name)
        with node(found, folder / "nri.sock", processes=options.processes, pods=options.pods):
            print(as_json(price.measure(options, folder) if options.options else _measure(options, folder)))


def _measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    flags = {"--nri-socket-path": str(folder / "nri.sock")} if options.pods else {}
    starts = [_start_ms(folder / f"start{number}", flags) for number in range(options.starts)]
    bases = [HERE] if options.base is None else [HERE, options.base.resolve()]
    windows: dict[Path, list[dict[str, Cost]]] = {base: [] for base in bases}
    rivals, commands = list[Cost](), dict[str, list[float]]()
    for number in range(options.repeats):
        for base in bases:
            with (
                agent(folder / f"{base.name}{number}{len(windows[base])}{bases.index(base)}", flags, base) as one,
                _rival() as rival,
            ):
                wait_settled(one, options.pods)
                before_ns, began_ns = cpu_ns(rival), time.monotonic_ns()
                windows[base].append(costs(one, options.seconds))
                percent = 100 * (cpu_ns(rival) - before_ns) / (time.monotonic_ns() - began_ns)
                rivals.append(Cost(percent, memory(rival).pss_bytes / 2**20, 0.0))
                if base == HERE and not commands:
                    commands = _commands(one, count=2 * options.starts + 3)
    return _report(options, starts, commands, windows, rivals)


def _start_ms(folder: Path, flags: Mapping[str, str]) -> float:
    """Milliseconds from the start of the process to its own word, after all workers are up, that it is ready."""
    begun = time.perf_counter()
    with agent(folder, flags):
        return (time.perf_counter() - begun) * 1e3


@contextmanager
def _rival() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", RIVAL])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _commands(one: Agent, *, count: int) -> dict[str, list[float]]:
    """Wall milliseconds of whole commands, turn about: ours, and an interpreter that does nothing."""
    times: dict[str, list[float]] = {"list_workers_ms": [], "bare_python_ms": []}
    for _ in range(count):
        times["list_workers_ms"].append(list_workers_ms(one))
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        times["bare_python_ms"].append((time.perf_counter() - begun) * 1e3)
    return times


def _report(
    options: argparse.Namespace,
    starts: list[float],
    commands: dict[str, list[float]],
    windows: dict[Path, list[dict[str, Cost]]],
    rivals: list[Cost],
) -> dict[str, Any]:
    ours = windows[HERE]
    figures = {
        "ready_ms": median(starts),
        **{name: median(times) for name, times in commands.items()},
        "agent_cpu_percent": median(total(each).cpu_percent for each in ours),
        "sampler_cpu_percent": median(each[SAMPLER].cpu_percent for each in ours),
        "psutil_cpu_percent": median(each.cpu_percent for each in rivals),
        "agent_pss_mib": median(total(each).pss_mib for each in ours),
        "psutil_pss_mib": median(each.pss_mib for each in rivals),
    }
    others = {base: each for base, each in windows.items() if base != HERE}
    return {
        "processes": options.processes,
        "pods": options.pods,
        "seconds": options.seconds,
        "repeats": options.repeats,
        "figures": {name: round(value, 3) for name, value in figures.items()},
        "verdicts": {name: _verdict(figures[name], *bounds) for name, bounds in MUST_AND_GOAL.items()},
        "ratios": {
            "agent_cpu_to_psutil_loop": round(figures["agent_cpu_percent"] / figures["psutil_cpu_percent"], 3),
            "sampler_cpu_to_psutil_loop": round(figures["sampler_cpu_percent"] / figures["psutil_cpu_percent"], 3),
            "list_workers_to_bare_python": round(figures["list_workers_ms"] / figures["bare_python_ms"], 2),
        },
        "ready_ms_all": [round(value) for value in starts],
        "by_process": _by_process(ours),
        **{f"by_process_of_{base}": _by_process(each) for base, each in others.items()},
    }


def _by_process(windows: list[dict[str, Cost]]) -> dict[str, dict[str, float]]:
    """The median of each process's figures, and of their sums."""
    names = dict.fromkeys([SUPERVISOR, *(name for window in windows for name in window)])
    table = {
        name: price.median_cost([window[name] for window in windows if name in window]) for name in names if name in windows[0]
    }
    table["all"] = price.median_cost([total(window) for window in windows])
    return {name: price.rounded(cost) for name, cost in table.items()}


def _verdict(value: float, must: float, goal: float) -> str:
    return "goal" if value <= goal else "must" if value <= must else "missed"


if __name__ == "__main__":
    main()
