"""The router: what a plan costs, whether the truth is inside every interval of random worlds, and how far merged sketches are off.

The exit code is 0 only if every limit holds: 5 ms for a plan, each world inside, 1 % of error.
"""

import argparse
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from fakes.router_trial import trial
from fakes.router_world import BEGIN, S, WorldRow, WorldRows
from machine import circumstances
from msgspec.structs import asdict

from agent.model.sketch import Sketch
from agent.router import router
from agent.router.cell import WINDOW_NS, Grid
from agent.router.chain import Segment, gaps_of
from agent.router.fact import HostCells, HostFacts, ScanWindow, SketchWindow, cells_of
from agent.router.interval import rank_of
from agent.router.plan import plan_of
from agent.router.question import METRICS, Kind, PodNames, RoutedQuestion

PLAN_MS_MAX, ERROR_MAX = 5.0, 0.01
PERCENTS = (("50", 0.5), ("90", 0.9), ("95", 0.95), ("99", 0.99), ("99.9", 0.999))
TICKS, PROCESSES = 60, 500


def main(words: Sequence[str]) -> int:
    """Measure, print, and write JSON where it is asked for."""
    parser = argparse.ArgumentParser(prog="scripts/bench/exports router", description=__doc__)
    parser.add_argument("--hosts", type=int, default=1_000, help="hosts of the plan")
    parser.add_argument("--windows", type=int, default=60, help="windows of the plan")
    parser.add_argument("--plans", type=int, default=500, help="how often a plan is made")
    parser.add_argument("--worlds", type=int, default=10_000, help="random worlds")
    parser.add_argument("--seed", type=int, default=1_000_000, help="the first world's seed")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    options = parser.parse_args(words)
    found: dict[str, Any] = circumstances()
    found["plan"] = plan = _plans(options.hosts, options.windows, options.plans)
    print(
        f"plan of {options.hosts} hosts x {options.windows} windows: p50 {plan['p50_ms']:.2f} ms, p99 {plan['p99_ms']:.2f} ms "
        f"of CPU (must {PLAN_MS_MAX:g}, goal 1), p99 {plan['wall_p99_ms']:.2f} ms by the clock; "
        f"what is known of the cells takes {plan['facts_ms']:.0f} ms"
    )
    found["errors"] = errors = _errors()
    print(f"merged sketches: largest error of {', '.join(f'p{each} {error:.3%}' for each, error in errors.items())} (must 1 %)")
    found["worlds"] = worlds = _worlds(options.worlds, options.seed)
    print(
        f"worlds: {worlds['inside']} of {worlds['worlds']} inside; minutes: {worlds['sketch']} by sketches, "
        f"{worlds['raw']} by rows, {worlds['unknown']} unknown"
    )
    print(
        f"width of {worlds['intervals']} intervals: {worlds['exact']:.0%} exact, median of the others "
        f"{worlds['width_p50']:.2f} x value, p90 {worlds['width_p90']:.2f} x"
    )
    for line in worlds["wrong"]:
        print(f"  {line}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(found, file, indent=1)
    holds = plan["p99_ms"] <= PLAN_MS_MAX and max(errors.values()) <= ERROR_MAX and worlds["inside"] == worlds["worlds"]
    return 0 if holds else 1


def _plans(hosts: int, windows: int, repeats: int) -> dict[str, float]:
    """The time that a plan takes, with random gaps; and the time to say what is known of its cells."""
    drawn = random.Random(7)
    grid = Grid(BEGIN // WINDOW_NS, windows)
    facts = {f"node-{number:05d}": _facts(grid, drawn) for number in range(hosts)}
    begin = time.perf_counter()
    cells: dict[str, HostCells] = {host: cells_of(grid, known, grid.until_ns, counts_dead=True) for host, known in facts.items()}
    facts_ms = (time.perf_counter() - begin) * 1e3
    times, walls = [], []
    for _ in range(repeats):
        begin, cpu = time.perf_counter(), time.thread_time()
        plan = plan_of(cells)
        times.append((time.thread_time() - cpu) * 1e3)
        walls.append((time.perf_counter() - begin) * 1e3)
    times.sort()
    walls.sort()
    return {
        "p50_ms": statistics.median(times),
        "p99_ms": times[int(0.99 * (len(times) - 1))],
        "wall_p99_ms": walls[int(0.99 * (len(walls) - 1))],
        "facts_ms": facts_ms,
        "sketch": plan.sketch,
        "raw": plan.raw,
        "unknown": plan.unknown,
    }


def _facts(grid: Grid, drawn: random.Random) -> HostFacts:
    """A host of which some windows lack their sketch, some a tick, some everything."""
    segments, scans, sketches = [], {}, {}
    first_ns: int | None = None
    for index in range(grid.count):
        fate = drawn.random()
        if fate > 0.98:
            first_ns = None
            continue
        start_ns = grid.start_ns(index)
        if first_ns is None:
            segments.append(Segment(start_ns, start_ns + WINDOW_NS - S, S))
            first_ns = start_ns
        else:
            segments[-1] = segments[-1]._replace(last_ns=start_ns + WINDOW_NS - S)
        scans[index] = ScanWindow(TICKS, TICKS * PROCESSES)
        if fate < 0.95:
            sketches[index] = SketchWindow(TICKS, TICKS * PROCESSES - (fate < 0.02))
    ends = grid.since_ns, grid.until_ns
    return HostFacts(*ends, scans, sketches, gaps_of([*segments, Segment(grid.until_ns, grid.until_ns, S)], []).holes)


def _errors() -> dict[str, float]:
    """How far percentiles of merged sketches are from the exact ones, at most, over several shapes and many hosts and windows."""
    shapes: tuple[Callable[[random.Random], float], ...] = (
        lambda chance: 1e6 * chance.lognormvariate(0, 2),
        lambda chance: 1e5 * chance.paretovariate(1.1),
        lambda chance: chance.expovariate(1e-7),
        lambda chance: 10 ** chance.uniform(0, 12),
    )
    largest = dict.fromkeys((text for text, _ in PERCENTS), 0.0)
    for number, shape in enumerate(shapes):
        chance, rows, values = random.Random(number), [], []
        for host in range(20):
            for window in range(10):
                some = [1 + int(shape(chance)) for _ in range(300)]
                values += some
                rows.append(_sketch_row(f"h{host}", BEGIN // WINDOW_NS + window, some))
        question = RoutedQuestion(Kind.PERCENTILE, METRICS["cpu"], BEGIN, BEGIN + 10 * WINDOW_NS, PERCENTS)
        (line,) = router.ask(WorldRows(rows), question, PodNames(), BEGIN + 11 * WINDOW_NS).lines
        values.sort()
        for text, part in PERCENTS:
            true, told = values[rank_of(part, len(values) - 1)], line.numbers[text].value
            assert told is not None
            largest[text] = max(largest[text], abs(told - true) / true)
    return largest


def _sketch_row(host: str, window: int, values: Sequence[int]) -> WorldRow:
    sketch = Sketch()
    sketch.add_all(values)
    columns = {
        "timestamp": (window + 1) * WINDOW_NS + S, "host": host, "window_start": window * WINDOW_NS, "window_ns": WINDOW_NS,
        "pod_uid": "u", "command": "c", "metric": "cpu", "ticks": TICKS, **asdict(sketch.to_columns()), "keys": 1,
    }  # fmt: skip
    return WorldRow("process_sketch", columns)


def _worlds(count: int, seed: int) -> dict[str, Any]:
    ways: Counter[str] = Counter()
    widths: list[float] = []
    wrong: list[str] = []
    for number in range(seed, seed + count):
        found = trial(number)
        covered = found.answer.coverage
        ways.update({"sketch": covered.sketch, "raw": covered.raw, "unknown": covered.unknown})
        widths += found.widths
        if found.wrong:
            wrong.append(f"seed {number}: {found.wrong[0]}")
    others = sorted(width for width in widths if width)
    return {
        "worlds": count, "inside": count - len(wrong), "wrong": wrong[:10], **ways, "intervals": len(widths),
        "exact": 1 - len(others) / max(1, len(widths)),
        "width_p50": statistics.median(others) if others else 0.0,
        "width_p90": others[int(0.9 * (len(others) - 1))] if others else 0.0,
    }  # fmt: skip
