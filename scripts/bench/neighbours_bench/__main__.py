"""The command line of scripts/bench/neighbours."""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from machine import circumstances

ROOT = Path(__file__).parents[3]
FIXTURES = ROOT / "tests" / "fixtures" / "neighbours"


def made_up(runs: int, first: int) -> dict[str, Any]:
    """Made-up nodes of each kind of noise, and quiet ones."""
    from fakes.neighbour_story import noisy_node, quiet_node

    from agent.cli.neighbour_search import verdicts_of

    found: dict[str, Any] = {}
    for kind in ("cpu", "io", "memory", "cache"):
        right = wrong = 0
        for seed in range(first, first + runs):
            window, victim, culprit = noisy_node(seed, kind)
            named = {(each.unit, other.unit) for each in verdicts_of(window) for other in each.culprits}
            right += (victim, culprit) in named and all(other == culprit for _, other in named)
            wrong += any(other != culprit for _, other in named)
        found[kind] = {"runs": runs, "right": right, "others_named": wrong}
    quiet = sum(not any(each.culprits for each in verdicts_of(quiet_node(10_000 + seed))) for seed in range(first, first + runs))
    return {**found, "quiet": {"runs": runs, "right": quiet}}


def recorded(runs: int, first: int) -> dict[str, Any]:
    """Recorded runs, varied by seeds."""
    from neighbours_bench.replay import outcomes

    return outcomes(sorted(FIXTURES.glob("*.json.gz")), range(first, first + runs))


def _arguments() -> argparse.Namespace:
    from neighbours_bench.real import minutes

    parser = argparse.ArgumentParser(
        prog="scripts/bench/neighbours",
        description="How often `agentctl neighbours` is right, and what it costs.",
        epilog=f"`real` takes the machine for {minutes(10)} minutes: all CPUs, the disk or 700 MiB of memory are short again and"
        " again. `cache` lasts as long and takes little. Both need root, and remove what they made, also what an earlier run that"
        " was killed left behind.",
    )
    parser.add_argument("what", choices=("made-up", "recorded", "real", "cache", "speed"))
    parser.add_argument("--runs", type=int, default=None, help="noisy runs, and as many quiet ones: 100, of real and cache 10")
    parser.add_argument("--first-seed", type=int, default=0, help="of made-up, recorded and cache")
    parser.add_argument("--keep", default=None, metavar="FILE", help="of real and cache: gets a recording")
    parser.add_argument("--kinds", default=None, help="of real: kinds of noise by turns, such as cpu,io,memory")
    parser.add_argument("--units", type=int, default=200, help="of speed")
    parser.add_argument("--repeats", type=int, default=5, help="of speed: the median of so many")
    return parser.parse_args()


def main() -> None:
    """Measure what is named, and print it."""
    # An order to end is an end: what was made is removed.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    asked = _arguments()
    told = circumstances()
    match asked.what:
        case "made-up":
            told |= made_up(asked.runs or 100, asked.first_seed)
        case "recorded":
            told |= recorded(asked.runs or 100, asked.first_seed)
        case "real":
            from neighbours_bench.real import KINDS, run

            told |= run(asked.runs or 10, asked.keep, asked.kinds.split(",") if asked.kinds else KINDS)
        case "cache":
            from neighbours_bench import cache

            told |= cache.run(asked.runs or 10, asked.keep, asked.first_seed)
        case _:
            from neighbours_bench.speed import speed

            told |= speed(asked.units, asked.repeats)
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
