"""Measure, and print a table or JSON."""

import argparse
import gc
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import circumstances

from agent.model.message import encode
from agent.model.row_check import check_of
from units_bench.world import build, busy, cgroups, files_of, probe_over
from workers.unit.schema import UNIT

# name: units, of them busy, must and goal in percent of a core.
STEADY = {
    "all-busy": (200, 200, 1.0, 0.5),
    "some-busy": (200, 40, 1.0, 0.5),
    "hundred": (100, 100, None, None),
    "many-idle": (10_000, 100, None, None),
}
COLLECTION = {"collect-10": (10, 10.0, 1.0), "collect-100": (100, 50.0, 5.0)}
MEMORY_GOAL_MIB = 8.0
# A busy unit works so long, so often.
BURN_US, PERIOD_MS = 50, 200
COLLECTIONS = 200
# Until it is known which units are idle.
SETTLING_TICKS = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench/units", description=__doc__)
    parser.add_argument("--seconds", type=int, default=15, help="length of one measured window")
    parser.add_argument("--repeats", type=int, default=3, help="windows; the median is reported")
    parser.add_argument("--many", type=int, default=10_000, help="units of the case many-idle, of which 100 are busy")
    parser.add_argument("--only", default="", help=f"some of: {', '.join([*STEADY, *COLLECTION])}")
    parser.add_argument("--json", metavar="FILE", help="write all figures there; - for stdout, instead of the table")
    options = parser.parse_args()
    wanted = set(filter(None, options.only.split(","))) or {*STEADY, *COLLECTION}
    if unknown := wanted - {*STEADY, *COLLECTION}:
        parser.error(f"--only: no such case: {', '.join(sorted(unknown))}; there are {', '.join([*STEADY, *COLLECTION])}")
    # A bench that is ended removes its cgroups too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    _raise_descriptor_limit()
    results: dict[str, Any] = {"circumstances": circumstances(), "cases": {}}
    with tempfile.TemporaryDirectory(prefix="eg-units-") as folder:
        programs = {name: build(Path(folder), name) for name in ("load", "reader")}
        for name, (units, working, must, goal) in STEADY.items():
            if name in wanted:
                print(f"{name} ...", file=sys.stderr)
                count = options.many if name == "many-idle" else units
                results["cases"][name] = _steady(programs, count, working, options) | {"must": must, "goal": goal}
        for name, (units, must, goal) in COLLECTION.items():
            if name in wanted:
                print(f"{name} ...", file=sys.stderr)
                results["cases"][name] = _collection(programs, units) | {"must": must, "goal": goal}
    if options.json == "-":
        print(json.dumps(results, indent=2))
        return
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2))
    _print_table(results["cases"])


def _raise_descriptor_limit() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _steady(programs: dict[str, str], count: int, working: int, options: Any) -> dict[str, Any]:
    """CPU of a core in percent at one tick a second: ours, every file in C, every file in Python, systemd-cgtop."""
    with cgroups(count) as path, busy(programs["load"], path, working, microseconds=BURN_US, period_ms=PERIOD_MS):
        before = _pss_bytes()
        probe = probe_over(path, count)
        check = check_of(UNIT)
        for _ in range(SETTLING_TICKS):
            _tick(probe, check)
            time.sleep(1)
        # As workers do when their modules are loaded.
        gc.freeze()
        ours: list[float] = []
        reads = probe.stats()["reads"]
        rows = 0
        for _ in range(options.repeats):
            begun, used = time.monotonic(), 0
            for _ in range(options.seconds):
                time.sleep(1)
                at = time.thread_time_ns()
                rows += _tick(probe, check)
                used += time.thread_time_ns() - at
            ours.append(100 * used / 1e9 / (time.monotonic() - begun))
        ticks = options.repeats * options.seconds
        memory = (_pss_bytes() - before) / 2**20
        found = {
            "units": count,
            "busy": working,
            "cpu_percent": statistics.median(ours),
            "reads_per_tick": (probe.stats()["reads"] - reads) / ticks,
            "rows_per_tick": rows / ticks,
            "memory_mib": memory,
        }
        files = files_of(probe, path, count)
        probe.close()
        found["files"] = len(files)
        found["c_percent"] = _in_c(programs["reader"], files)
        found["python_percent"] = _in_python(files) if count <= 1000 else None
        found["cgtop_percent"] = _cgtop()
        found["ratio_to_c"] = found["cpu_percent"] / found["c_percent"]
    return found


def _tick(probe: Any, check: Any) -> int:
    """One tick as the worker does it, up to the encoded batch."""
    (_, rows), *_ = probe.sample(time.monotonic_ns(), time.time_ns())
    good, bad = check.sift(rows)
    assert not bad, bad
    encode(list(good))
    return len(rows)


def _collection(programs: dict[str, str], count: int) -> dict[str, Any]:
    """Wall milliseconds of one collection of busy units, the first after a pause included."""
    with cgroups(count) as path, busy(programs["load"], path, count, microseconds=BURN_US, period_ms=PERIOD_MS):
        probe = probe_over(path, count)
        check = check_of(UNIT)
        _tick(probe, check)
        gc.freeze()
        took, used = [], []
        for _ in range(COLLECTIONS):
            time.sleep(0.05)
            at, cpu = time.perf_counter(), time.thread_time()
            _tick(probe, check)
            took.append((time.perf_counter() - at) * 1e3)
            used.append((time.thread_time() - cpu) * 1e3)
        probe.close()
    took.sort()
    # On a busy machine a collection waits for a processor too; its CPU time does not.
    return {
        "units": count,
        "p50_ms": took[len(took) // 2],
        "p99_ms": took[len(took) * 99 // 100],
        "cpu_p50_ms": statistics.median(used),
    }


def _in_c(program: str, files: list[str]) -> float:
    ended = subprocess.run([program, "7", "1000"], input="\n".join(files), capture_output=True, text=True, check=True)
    rounds = [int(word) for word in ended.stdout.split()]
    return 100 * statistics.median(rounds) / 1e9


def _in_python(files: list[str]) -> float:
    """As an exporter that opens and reads everything."""
    took = []
    for _ in range(5):
        time.sleep(1)
        at = time.thread_time_ns()
        for path in files:
            with open(path) as file:
                file.read().split()
        took.append(time.thread_time_ns() - at)
    return 100 * statistics.median(took) / 1e9


def _cgtop() -> float | None:
    """systemd-cgtop in batch mode. *Absent:* it is not installed, or refuses this host."""
    program = shutil.which("systemd-cgtop")
    if program is None:
        return None
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run([program, "--batch", "--iterations=6", "--delay=1s", "--raw"], capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 100 * used / 5 if ended.returncode == 0 else None


def _pss_bytes() -> int:
    text = Path("/proc/self/smaps_rollup").read_text()
    return int(text.partition("Pss:")[2].split()[0]) << 10


def _print_table(cases: dict[str, Any]) -> None:
    head = ("units", "busy", "CPU %", "C %", "ratio", "Python %", "cgtop %", "reads", "MiB")
    print("case".ljust(12) + "".join(word.rjust(9) for word in head))
    for name, case in cases.items():
        if "cpu_percent" in case:
            numbers = (case["cpu_percent"], case["c_percent"], case["ratio_to_c"], case["python_percent"], case["cgtop_percent"])
            words = ["-" if number is None else f"{number:.2f}" for number in numbers]
            cells = (case["units"], case["busy"], *words, round(case["reads_per_tick"]), round(case["memory_mib"], 1))
            print(name.ljust(12) + "".join(str(cell).rjust(9) for cell in cells))
    for name, case in cases.items():
        if "p50_ms" in case:
            times = f"p50 {case['p50_ms']:.2f} ms, p99 {case['p99_ms']:.2f} ms, CPU {case['cpu_p50_ms']:.2f} ms"
            print(f"{name:<12} {case['units']:>6} {times}")
    print(f"load of the machine: {os.getloadavg()[0]:.1f}; CPU is of one core, with rows checked and encoded")


main()
