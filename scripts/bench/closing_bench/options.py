"""What the command line can ask for."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from process_bench.checkout import HERE

from closing_bench.loads import LOADS


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured, and of which checkout."""

    only: tuple[str, ...]
    seconds: float
    checkout: Path
    output: str
    explain: bool


def parse(arguments: Sequence[str]) -> Options:
    """The options; ends the program when they make no sense."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench/closing",
        description="Compare what the agent stores with what the kernel counts. The exit code is 1 when a figure misses its must.",
        epilog="loads:\n" + "\n".join(f"  {name:13} {load.about}{'' if load.is_judged else ' *'}" for name, load in LOADS.items())
        + "\n  * only when it is named",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    judged = ",".join(name for name, load in LOADS.items() if load.is_judged)
    parser.add_argument("--only", default=judged, metavar="LOADS", help=f"comma-separated names (default {judged})")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long a load runs (default 20)")
    parser.add_argument("--quick", action="store_true", help="six seconds each: for a look, not for quoting")
    parser.add_argument("--checkout", type=Path, default=HERE, metavar="DIR", help="another checkout with its .venv")
    parser.add_argument("--output", default="", metavar="FILE", help="also write everything as JSON")
    parser.add_argument("--explain", action="store_true", help="print kernel and rows of every tick")
    found = parser.parse_args(arguments)
    names = tuple(found.only.split(","))
    unknown = [name for name in names if name not in LOADS]
    if unknown:
        parser.error(f"there is no load {', '.join(unknown)}")
    return Options(names, 6.0 if found.quick else found.seconds, found.checkout.resolve(), found.output, found.explain)
