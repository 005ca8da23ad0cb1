"""What the sketch costs and how far it is from exact quantiles, beside the package `ddsketch` in the same run.

Both have the same relative error, 0.5415 %. Times are the least of several, in CPU time; the loop that calls is part of them.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from ddsketch import DDSketch
from machine import circumstances

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from agent.model.message import encode
from agent.model.sketch import SCALE, Sketch, merged, relative_error

PARTS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
# Values of each sketch that is merged: about what a busy command has in a minute.
MERGED_VALUES = 1_000
MERGED_KINDS = 50
# What a distribution is made of: a shape, and its scale in ns or bytes.
SHAPES: dict[str, Callable[[random.Random], float]] = {
    "lognormal, sigma 2": lambda chance: 1e6 * chance.lognormvariate(0, 2),
    "pareto, alpha 1.1": lambda chance: 1e5 * chance.paretovariate(1.1),
    "exponential": lambda chance: chance.expovariate(1e-7),
    "uniform over 12 decades": lambda chance: 10 ** chance.uniform(0, 12),
    "resident memory": lambda chance: 4096 * (1 + int(chance.lognormvariate(8, 1.5))),
}


def drawn(shape: Callable[[random.Random], float], count: int, seed: int) -> list[int]:
    """Whole numbers of a shape; the same seed gives the same ones."""
    chance = random.Random(seed)
    return [1 + int(shape(chance)) for _ in range(count)]


def least_ns(work: Callable[[], object], items: int, repeats: int) -> float:
    """The CPU time of the fastest run, an item."""
    found = []
    for _ in range(repeats):
        begin = time.process_time_ns()
        work()
        found.append(time.process_time_ns() - begin)
    return round(min(found) / items, 1)


def add_each(sketch: Sketch | DDSketch, values: Sequence[int]) -> Sketch | DDSketch:
    """One call for each value."""
    add = sketch.add
    for value in values:
        add(value)
    return sketch


def bulk(values: Sequence[int]) -> Sketch:
    """One call for all values."""
    sketch = Sketch()
    sketch.add_all(values)
    return sketch


def theirs_of(values: Sequence[int]) -> DDSketch:
    """The same values in the other library."""
    sketch = DDSketch(relative_error(SCALE))
    add_each(sketch, values)
    return sketch


def merge_theirs(sketches: Sequence[DDSketch], count: int) -> DDSketch:
    """All of them, again and again, in one."""
    whole = DDSketch(relative_error(SCALE))
    for number in range(count):
        whole.merge(sketches[number % len(sketches)])
    return whole


def errors(values: Sequence[int], estimate: Callable[[float], float | None]) -> dict[str, float]:
    """How far each quantile is from the exact one, in percent of it."""
    exact = sorted(values)
    found = {}
    for name, part in PARTS.items():
        true = exact[int(part * (len(exact) - 1))]
        found[name] = round(100 * abs((estimate(part) or 0.0) - true) / true, 4)
    return found


def measure_costs(count: int, merges: int, repeats: int) -> dict[str, Any]:
    """Times, and the bytes of a row's counts."""
    values = drawn(SHAPES["lognormal, sigma 2"], count, seed=1)
    parts = [bulk(drawn(SHAPES["lognormal, sigma 2"], MERGED_VALUES, seed=seed)) for seed in range(MERGED_KINDS)]
    theirs = [theirs_of(drawn(SHAPES["lognormal, sigma 2"], MERGED_VALUES, seed=seed)) for seed in range(MERGED_KINDS)]
    columns = bulk(values).to_columns()
    return {
        "add_ns": least_ns(lambda: add_each(Sketch(), values), count, repeats),
        "add_all_ns": least_ns(lambda: bulk(values), count, repeats),
        "ddsketch_add_ns": least_ns(lambda: theirs_of(values), count, repeats),
        "empty_call_ns": least_ns(lambda: [_same(value) for value in values], count, repeats),
        "merges": merges,
        "buckets_of_each": len(parts[0].buckets),
        "merge_seconds": round(least_ns(lambda: merged(parts[n % MERGED_KINDS] for n in range(merges)), 1, repeats) / 1e9, 3),
        "ddsketch_merge_seconds": round(least_ns(lambda: merge_theirs(theirs, merges), 1, repeats) / 1e9, 3),
        "columns_us": round(least_ns(lambda: [part.to_columns() for part in parts], MERGED_KINDS, repeats) / 1e3, 1),
        "from_columns_us": round(
            least_ns(lambda: [Sketch.from_columns(each) for each in [part.to_columns() for part in parts]], MERGED_KINDS, repeats)
            / 1e3,
            1,
        ),
        "buckets": len(columns.counts),
        "msgpack_bytes": len(encode(columns.counts)),
    }


def _same(value: int) -> int:
    """What a call of a function costs by itself."""
    return value


def measure_errors(count: int) -> dict[str, Any]:
    """Each shape by both libraries; `scale` below 6 says that the sketch collapsed."""
    found: dict[str, Any] = {}
    worst = 0.0
    for seed, (name, shape) in enumerate(SHAPES.items()):
        values = drawn(shape, count, seed)
        ours, theirs = bulk(values), theirs_of(values)
        percents = errors(values, ours.quantile)
        worst = max(worst, *percents.values()) if ours.scale == SCALE else worst
        found[name] = {"scale": ours.scale, "ours": percents, "ddsketch": errors(values, theirs.get_quantile_value)}
    return {"worst_percent_at_scale_6": worst, "by_shape": found}


def main() -> int:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=int, default=200_000)
    parser.add_argument("--merges", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    found = {
        **circumstances(),
        "relative_error_percent": round(100 * relative_error(SCALE), 4),
        "costs": measure_costs(options.values, options.merges, options.repeats),
        "errors_percent": measure_errors(options.values),
    }
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
