"""Measures births by each way in turn, several rounds, and prints the medians as JSON. scripts/bench/spawn has the usage."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fakes.keeper_world import KeeperProcess, hierarchy, own_tree
from machine import circumstances

from workers.keeper.limit_file import CONTROLLERS
from workers.keeper.protocol import Birth, WorkloadLimits, WorkloadSpec

HERE = Path(__file__).parent
LIMITS = WorkloadLimits(cpu_cores=0.5, memory_bytes=256 << 20, pids=100)
MS = 1e6


def main() -> None:
    """All of it."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="spawn-", dir=os.environ.get("TMPDIR")) as folder:
        _compile(Path(folder))
        with own_tree("spawn") as tree:
            figures = circumstances() | _measure(Path(folder), tree, arguments)
    print(json.dumps(figures, indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench/spawn", description=__doc__)
    parser.add_argument("--births", type=int, default=100, help="births of each way in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--forking", type=int, default=1000, help="workloads that fork at once, for the count of those outside")
    return parser.parse_args()


def _compile(folder: Path) -> None:
    for name in ("born", "forker"):
        subprocess.run(["gcc", "-O2", "-w", "-o", str(folder / name), str(HERE / f"{name}.c")], check=True)


def _measure(folder: Path, tree: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    with KeeperProcess(folder / "state", tree) as keeper:
        problem = keeper.listing().problem
        # Without controllers the same births, without limits.
        spec = WorkloadSpec(name="bench", argv=("true",), limits=LIMITS, without_limits=bool(problem))
        plain = tree / "plain"
        plain.mkdir()
        if not problem:
            (plain / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in CONTROLLERS))
        ways: dict[str, Callable[[], list[float]]] = {
            "keeper": lambda: [_spawned_ms(keeper, spec) for _ in range(arguments.births)],
            "C, clone3 into the cgroup": lambda: _in_c(folder, plain, arguments.births, "clone"),
            "C, the parent writes cgroup.procs": lambda: _in_c(folder, plain, arguments.births, "parent"),
            "C, the child writes cgroup.procs": lambda: _in_c(folder, plain, arguments.births, "child"),
        }
        if shutil.which("systemd-run") and Path("/run/systemd/system").exists():
            ways["systemd-run --scope"] = lambda: [_by_systemd_ms() for _ in range(max(1, arguments.births // 10))]
        times: dict[str, list[list[float]]] = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            # In turn: what disturbs one disturbs all.
            for name, way in ways.items():
                times[name].append(way())
        outside, inside = _count_outside(keeper, folder, arguments.forking)
    return {
        "limits": "none: this host has no controllers" if problem else "cpu, memory, pids",
        "births_of_a_round": arguments.births,
        "rounds": arguments.rounds,
        "milliseconds": {name: _summary(rounds) for name, rounds in times.items()},
        "forking_at_once": {"workloads": arguments.forking, "processes_inside": inside, "processes_outside": outside},
    }


def _spawned_ms(keeper: KeeperProcess, spec: WorkloadSpec) -> float:
    begin = time.perf_counter_ns()
    record = keeper.spawn(spec)
    took = time.perf_counter_ns() - begin
    assert record.birth is Birth.CLONE, record.birth
    keeper.wait_ended(spec.name)
    return took / MS


def _in_c(folder: Path, tree: Path, births: int, how: str) -> list[float]:
    command = [str(folder / "born"), str(tree), str(births), how]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(line) / 1000 for line in done.stdout.split()]


def _by_systemd_ms() -> float:
    command = ["systemd-run", "--quiet", "--scope", "-p", "CPUQuota=50%", "-p", "MemoryMax=256M", "-p", "TasksMax=100", "true"]
    begin = time.perf_counter_ns()
    subprocess.run(command, check=True)
    return (time.perf_counter_ns() - begin) / MS


def _count_outside(keeper: KeeperProcess, folder: Path, workloads: int) -> tuple[int, int]:
    shown = Path("/proc/self/cgroup").read_text()
    own = next(line[3:] for line in shown.splitlines() if line.startswith("0::")).rstrip("/")
    root = hierarchy()
    assert root is not None
    path = f"{own}/{keeper.cgroup_root.relative_to(root)}/evergauge-workloads/forker.workload"
    spec = WorkloadSpec(name="forker", argv=(str(folder / "forker"), path))
    for _ in range(workloads):
        keeper.spawn(spec)
        keeper.wait_ended("forker")
    lines = keeper.output("forker").split()
    return lines.count("outside"), lines.count("inside")


def _summary(rounds: Sequence[Sequence[float]]) -> dict[str, float]:
    def median_of(share: int) -> float:
        # The share of a hundred, in each round; the median of the rounds.
        return round(statistics.median(statistics.quantiles(each, n=100, method="inclusive")[share - 1] for each in rounds), 3)

    if any(len(each) < 2 for each in rounds):
        return {"p50": round(statistics.median(each[0] for each in rounds), 3)}
    return {"p50": median_of(50), "p99": median_of(99)}


if __name__ == "__main__":
    main()
