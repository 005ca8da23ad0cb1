"""What the choice of rows costs, and how steady it is.

The time is that of one choice over so many items, of which at most `most` are chosen, beside a full sort of the same values; the
load has a heavy tail (lognormal, s = 2). With a heap the time a row stays about the same however many rows there are.

Steadiness is measured over 500 items on seven loads: each tick every value is multiplied by noise around 1. `ratio` is the number
of rows by the smallest possible number, `changed` the part of the rows that is new from tick to tick; means, and the largest.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from machine import circumstances

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from msgspec import Struct

from workers.process.top_n import Limits, TopN, need_of

CAPTURE, LEAST = 950, 5
ITEMS = 500
NOISES = (0.02, 0.1, 0.2)
# The first ticks begin without a memory of earlier ones.
SETTLE_TICKS = 20


class Item(Struct, eq=False):
    """A process with its value of the tick."""

    pid: int
    value: int


Load = Callable[[random.Random], list[float]]
LOADS: dict[str, Load] = {
    "zipf 1": lambda drawn: [1e9 / rank for rank in range(1, ITEMS + 1)],
    "zipf 1.5": lambda drawn: [1e9 / rank**1.5 for rank in range(1, ITEMS + 1)],
    "zipf 2": lambda drawn: [1e9 / rank**2 for rank in range(1, ITEMS + 1)],
    "lognormal 1": lambda drawn: [1e6 * drawn.lognormvariate(0, 1) for _ in range(ITEMS)],
    "lognormal 2": lambda drawn: [1e6 * drawn.lognormvariate(0, 2) for _ in range(ITEMS)],
    "uniform": lambda drawn: [1e6] * ITEMS,
    "all sizes": lambda drawn: [1e6 * drawn.random() for _ in range(ITEMS)],
}


def _value_of(item: Item) -> int:
    return item.value


def _is_alive(item: Item) -> bool:
    return True


def _target(items: list[Item]) -> int:
    return -(-sum(item.value for item in items) * CAPTURE // 1000)


def _least_us(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begun = time.process_time_ns()
        work()
        times.append((time.process_time_ns() - begun) / 1e3)
    return min(times)


def time_of(size: int, most: int, repeats: int) -> dict[str, Any]:
    """The time of one choice, of the heap in it, and of a sort."""
    drawn = random.Random(size)
    items = [Item(pid, round(1e6 * drawn.lognormvariate(0, 2))) for pid in range(1, size + 1)]
    values = [item.value for item in items]
    target = _target(items)
    top: TopN[Item] = TopN(Limits(CAPTURE, LEAST, most), _value_of)
    choice = top.choose(items, target, _is_alive)
    whole = _least_us(lambda: top.choose(items, target, _is_alive), repeats)
    heap = _least_us(lambda: need_of(values, target, LEAST, most), repeats)
    full_sort = _least_us(lambda: sorted(items, key=_value_of, reverse=True), repeats)
    return {
        "rows": size,
        "chosen": len(choice.items),
        "choice_us": round(whole, 1),
        "choice_us_per_row": round(whole / size, 4),
        "heap_us": round(heap, 1),
        "heap_us_per_row": round(heap / size, 4),
        "full_sort_us": round(full_sort, 1),
    }


def steadiness_of(name: str, noise: float, most: int, ticks: int) -> dict[str, Any]:
    """How many rows are chosen and how many change on one load."""
    drawn = random.Random(f"{name} {noise}")
    bases = LOADS[name](drawn)
    items = [Item(pid, 0) for pid in range(1, ITEMS + 1)]
    top: TopN[Item] = TopN(Limits(CAPTURE, LEAST, most), _value_of)
    ratios, captures, chosen = [], [], []
    for _ in range(ticks + SETTLE_TICKS):
        for item, base in zip(items, bases, strict=True):
            item.value = max(0, round(base * drawn.gauss(1, noise)))
        choice = top.choose(items, _target(items), _is_alive)
        ratios.append(len(choice.items) / choice.smallest)
        captures.append(choice.held / sum(map(_value_of, items)))
        chosen.append(set(choice.items))
    changed = [len(now - before) / len(now) for before, now in pairwise(chosen[SETTLE_TICKS:])]
    return {
        "load": name,
        "noise": noise,
        "most": most,
        "rows": round(statistics.mean(map(len, chosen)), 1),
        "capture": round(statistics.mean(captures), 4),
        "ratio": round(statistics.mean(ratios), 3),
        "ratio_largest": round(max(ratios), 3),
        "changed": round(statistics.mean(changed), 4),
        "changed_largest": round(max(changed), 4),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench/selection", description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default="100,1000,10000,100000,1000000", metavar="N,N", help="numbers of rows")
    parser.add_argument("--most", type=int, default=100, help="rows that are chosen at most (100)")
    parser.add_argument("--ticks", type=int, default=120, help="ticks of each steady load (120)")
    parser.add_argument("--repeats", type=int, default=5, help="the least of so many times (5)")
    options = parser.parse_args()
    results: dict[str, Any] = circumstances()
    results["time"] = [time_of(int(size), options.most, options.repeats) for size in options.sizes.split(",")]
    results["steadiness"] = [
        steadiness_of(name, noise, most, options.ticks)
        for most in (options.most, 100 * options.most)
        for name in LOADS
        for noise in NOISES
    ]
    print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
