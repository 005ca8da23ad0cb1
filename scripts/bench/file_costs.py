"""What each way to learn something of a process costs. The processes sleep; between two rounds other programs have the caches."""

import argparse
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from workers.process.cpu_clock import cpu_clock_of
from workers.runtime.kernel_tree import OpenKernelTree

T = TypeVar("T")

PAUSE_SECONDS = 0.2
OPENED = ("stat", "schedstat", "io", "cgroup", "cmdline", "smaps_rollup")
KEPT = ("stat", "schedstat", "io")


def measured_us(read: Callable[[], object], processes: int, rounds: int) -> float:
    """CPU for each process, the median of the rounds."""
    costs = []
    for _ in range(rounds):
        time.sleep(PAUSE_SECONDS)
        begun_ns = time.process_time_ns()
        read()
        costs.append((time.process_time_ns() - begun_ns) / 1e3 / processes)
    return statistics.median(costs)


def ways(tree: OpenKernelTree, pids: list[int]) -> dict[str, Callable[[], object]]:
    """Each with its name."""
    clocks = [cpu_clock_of(pid) for pid in pids]
    found: dict[str, Callable[[], object]] = {
        "listing of /proc": tree.list_names,
        "CPU clock": lambda: tree.read_clocks(clocks),
        "owner of the directory": lambda: [tree.owner(str(pid)) for pid in pids],
    }
    for file in KEPT:
        descriptors = [tree.open(f"{pid}/{file}") for pid in pids]
        found[f"{file}, kept open"] = partial(_each, partial(tree.read_open, bytes_max=4096), descriptors)
    for file in OPENED:
        found[f"{file}, opened"] = partial(_each, partial(tree.read, bytes_max=4096), [f"{pid}/{file}" for pid in pids])
    return found


def _each(read: Callable[[T], bytes], items: Iterable[T]) -> list[bytes]:
    return [read(item) for item in items]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    children = [subprocess.Popen(["sleep", "600"]) for _ in range(options.processes)]
    try:
        time.sleep(1)
        tree = OpenKernelTree("/proc")
        print(f"{options.processes} sleeping processes, Linux {os.uname().release}, microseconds of CPU for each")
        for name, read in ways(tree, [child.pid for child in children]).items():
            print(f"{name:26} {measured_us(read, options.processes, options.rounds):7.2f}")
    finally:
        for child in children:
            child.kill()
        for child in children:
            child.wait()


if __name__ == "__main__":
    main()
