"""The sampler of GPUs over a stand-in for NVIDIA's library: what a hanging driver costs others, and how true shares are.

Ticks with and without a hang are compared in pairs of windows, one after the other in one agent, because the machine's own
unsteadiness is larger than what is measured. The stand-in reads its scenario at each call, so the collector's CPU is too high
rather than too low.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
from fakes.nvml import NvmlStub
from harness.agent_process import AgentProcess
from harness.proc import cpu_ns
from harness.waiting import wait_until
from machine import circumstances

from agent.cli.query_database import QueryRequest, open_query_database
from agent.model.timebase import MS, S
from workers import registry

INTERVAL_NS = 100 * MS
# Of the busy time, in percent, that the stand-in's devices have; the last is idle.
TRUTH = (80, 60, 40, 20, 95, 5, 50, 0)
MUST_AND_GOAL = {
    "tick_ms_p99": (50, 5),
    "hang_adds_to_own_tick_ms_p50": (1, 1),
    "hang_adds_to_own_tick_ms_p99": (1, 1),
    "hang_adds_to_host_lateness_ms_p50": (1, 1),
    "hang_adds_to_process_lateness_ms_p50": (1, 1),
    "share_sum_error_points": (5, 2),
    "share_error_points": (5, 2),
    "idle_to_zero_seconds": (5, 2),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=8, choices=range(1, 9), help="devices of the stand-in")
    parser.add_argument("--processes", type=int, default=100, help="processes on them")
    parser.add_argument("--seconds", type=float, default=10, help="length of one window")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of windows, with and without a hang; idle is tried as often")
    options = parser.parse_args()
    said = circumstances()
    with tempfile.TemporaryDirectory(prefix="eg-") as folder, _sleepers(options.processes) as pids:
        stub = NvmlStub(Path(folder))
        truth = _scenario(stub, options.devices, pids)
        figures = _of_hangs(Path(folder) / "hang", stub, options) | _of_shares(Path(folder) / "share", stub, truth, options)
    report = {"circumstances": said, "options": vars(options), "figures": figures, "must_and_goal": MUST_AND_GOAL}
    print(json.dumps(report, indent=2))
    missed = [name for name, (must, _) in MUST_AND_GOAL.items() if figures[name] > must]
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


@contextmanager
def _sleepers(count: int) -> Iterator[list[int]]:
    started = [subprocess.Popen(["sleep", "3600"]) for _ in range(count)]
    try:
        yield [each.pid for each in started]
    finally:
        for each in started:
            each.kill()
            each.wait()


def _scenario(stub: NvmlStub, devices: int, pids: Sequence[int]) -> dict[tuple[str, int], float]:
    """Have processes on the devices in turn, with samples as of processes that take turns: each is counted twice what it had. Gives
    the true share of each."""
    lines, truth = [f"count {devices}"], {}
    for device in range(devices):
        lines.append(f"gpu {device} busy {TRUTH[device]}")
        own = pids[device::devices]
        weights = range(1, len(own) + 1)
        for pid, weight in zip(own, weights, strict=True):
            share = TRUTH[device] * weight / sum(weights)
            lines.append(f"process {device} Compute {pid} {weight << 20}")
            if share:
                lines.append(f"sample {device} {pid} {min(100, round(2 * share))}")
            truth[f"GPU-0000000{device}", pid] = share
    stub.say(*lines)
    return truth


def _agent(folder: Path, stub: NvmlStub, interval: str) -> AgentProcess:
    folder.mkdir()
    flags = {f"--sampler-{name}-interval": interval for name in ("gpu", "host", "process")}
    return AgentProcess(folder, flags=flags | {"--sampler-gpu-patience": "500ms"}, quick=False, environment=stub.environment)


def _rows(agent: AgentProcess, statement: str) -> list[tuple[Any, ...]]:
    with closing(open_query_database(QueryRequest(str(agent.state_dir), statement), registry.tables())) as database:
        return database.connection.execute(statement).fetchall()


# ---- a driver that hangs -------------------------------------------------------------------------


def _of_hangs(folder: Path, stub: NvmlStub, options: argparse.Namespace) -> dict[str, Any]:
    with _agent(folder, stub, "100ms") as agent:
        wait_until(lambda: _state(agent) == "ok", "the devices answer")
        before = _cost(agent)
        began = time.monotonic()
        pairs = [
            [_window(agent, stub, hangs=hangs, seconds=options.seconds) for hangs in (False, True)] for _ in range(options.pairs)
        ]
        cost = _cost(agent, before, time.monotonic() - began)
        stub.unsay("hang")
        wait_until(lambda: _state(agent) == "ok", "it recovers")
    added = {name: statistics.median(hung[name] - free[name] for free, hung in pairs) for name in pairs[0][0]}
    return {
        "tick_ms_p50": statistics.median(free["own_p50"] for free, _ in pairs),
        "tick_ms_p99": statistics.median(free["own_p99"] for free, _ in pairs),
        "hang_adds_to_own_tick_ms_p50": added["own_p50"],
        "hang_adds_to_own_tick_ms_p99": added["own_p99"],
        "hang_adds_to_host_lateness_ms_p50": added["host_p50"],
        "hang_adds_to_host_lateness_ms_p99": added["host_p99"],
        "hang_adds_to_process_lateness_ms_p50": added["process_scan_p50"],
        "hang_adds_to_process_lateness_ms_p99": added["process_scan_p99"],
        "windows_ms": pairs,
        "cost_at_ten_ticks_a_second_half_hung": cost,
    }


def _state(agent: AgentProcess) -> str:
    rows = _rows(agent, "SELECT state FROM gpu ORDER BY timestamp DESC LIMIT 1")
    return str(rows[0][0]) if rows else ""


def _window(agent: AgentProcess, stub: NvmlStub, *, hangs: bool, seconds: float) -> dict[str, float]:
    """Of a window: the sampler's own ticks, as it says itself, and how late other samplers' rows are on their grid."""
    if hangs:
        stub.say("hang nvmlDeviceGetPowerUsage")
    else:
        stub.unsay("hang")
    wait_until(lambda: _state(agent) == ("stuck" if hangs else "ok"), "the window's state")
    since_ns = time.time_ns()
    own, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        own.append(agent.stats("sampler/gpu")["tick_seconds_last"] * 1000)
        time.sleep(INTERVAL_NS / S)
    found = {"own_p50": statistics.median(own), "own_p99": _p99(own)}
    for table in ("host", "process_scan"):
        statement = f"SELECT DISTINCT timestamp FROM {table} WHERE timestamp >= {since_ns} ORDER BY timestamp"
        found[f"{table}_p50"], found[f"{table}_p99"] = _lateness_ms([int(row[0]) for row in _rows(agent, statement)])
    return found


def _lateness_ms(moments: Sequence[int]) -> tuple[float, float]:
    """How far behind the earliest place on the grid ticks are: p50 and p99."""
    places = [moment % INTERVAL_NS for moment in moments]
    # Places may lie on both sides of the grid's end.
    middle = statistics.median(places)
    around = [(place - middle + INTERVAL_NS // 2) % INTERVAL_NS for place in places]
    return (statistics.median(around) - min(around)) / MS, (_p99(around) - min(around)) / MS


def _p99(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]


# ---- shares ----------------------------------------------------------------------------------------


def _of_shares(folder: Path, stub: NvmlStub, truth: dict[tuple[str, int], float], options: argparse.Namespace) -> dict[str, Any]:
    with _agent(folder, stub, "1s") as agent:
        wait_until(lambda: _rows(agent, "SELECT 1 FROM gpu_process WHERE busy_share IS NOT NULL LIMIT 1"), "shares")
        before, began = _cost(agent), time.monotonic()
        time.sleep(options.seconds)
        cost = _cost(agent, before, time.monotonic() - began)
        shares = _rows(agent, "SELECT timestamp, device, pid, busy_share FROM gpu_process WHERE busy_share IS NOT NULL")
        busy = {(row[0], row[1]): row[2] for row in _rows(agent, "SELECT timestamp, device, busy_time FROM gpu")}
        sums: dict[tuple[int, str], float] = dict.fromkeys(((row[0], row[1]) for row in shares), 0.0)
        for moment, device, _, share in shares:
            sums[moment, device] += share
        idle, seen = zip(*(_idle_seconds(agent, stub) for _ in range(options.pairs)), strict=True)
    return {
        "share_sum_error_points": max(100 * abs(total - busy[place]) for place, total in sums.items()),
        "share_error_points": max(abs(100 * share - truth[device, pid]) for _, device, pid, share in shares),
        "idle_to_zero_seconds": max(idle),
        "idle_seen_by_a_query_seconds": max(seen),
        "cost_at_one_tick_a_second": cost,
    }


def _idle_seconds(agent: AgentProcess, stub: NvmlStub) -> tuple[float, float]:
    """From the moment at which a device is idle for the driver, to the tick whose row says so, and until a query shows it."""
    newest = (
        "SELECT max(busy_share) FROM gpu_process WHERE device = 'GPU-00000000' AND timestamp = (SELECT max(timestamp) FROM gpu)"
    )

    def shown() -> float | None:
        rows = _rows(agent, newest)
        return rows[0][0] if rows else None

    stub.say(f"gpu 0 busy {TRUTH[0]}")
    wait_until(lambda: (shown() or 0) > 0, "it is busy")
    began_ns = time.time_ns()
    stub.say("gpu 0 busy 0")
    wait_until(lambda: shown() == 0, "it is idle")
    seen_ns = time.time_ns()
    first = f"SELECT min(timestamp) FROM gpu_process WHERE device = 'GPU-00000000' AND busy_share = 0 AND timestamp > {began_ns}"
    ((tick_ns,),) = _rows(agent, first)
    return (tick_ns - began_ns) / S, (seen_ns - began_ns) / S


# ---- cost ------------------------------------------------------------------------------------------


def _cost(agent: AgentProcess, before: dict[str, Any] | None = None, seconds: float = 0) -> dict[str, Any]:
    """PSS of collector and worker, and their CPU since `before`."""
    found: dict[str, Any] = {}
    for process in agent.note_processes():
        try:
            name = process.name()
            if name.startswith(("eg~gpu", "eg:sampler/gpu")):
                part = "collector" if name.startswith("eg~") else "worker"
                found[f"{part}_cpu_ns"] = cpu_ns(process.pid)
                found[f"{part}_pss_mib"] = process.memory_full_info().pss / (1 << 20)
        except psutil.NoSuchProcess:
            continue
    for part in ("collector", "worker"):
        if before is not None:
            found[f"{part}_cpu_percent"] = (found.pop(f"{part}_cpu_ns") - before[f"{part}_cpu_ns"]) / seconds / S * 100
    return found


if __name__ == "__main__":
    main()
