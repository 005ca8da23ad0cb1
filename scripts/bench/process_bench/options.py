"""What the command line can ask for."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from process_bench.programs import PROGRAMS

BASE = "evergauge-before"


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured, beside which programs."""

    counts: tuple[int, ...]
    seconds: float
    repeats: int
    only: tuple[str, ...]
    busy_share: float
    loads: tuple[str, ...]
    base: Path | None
    output: str
    picture: str


def parse(arguments: Sequence[str]) -> Options:
    """The options; ends the program when they make no sense."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench/process",
        description="Measure the process sampler and the whole agent beside other programs that watch the same processes.",
        epilog="programs, and what each reads of a process:\n"
        + "\n".join(f"  {name:22} {program.fields}" for name, program in PROGRAMS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--counts", default="100,500,2000,5000", metavar="N,N", help="processes of the load (100,500,2000,5000)")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of one measured window (default 8)")
    parser.add_argument("--repeats", type=int, default=3, help="windows of each program, by turns; medians are given (default 3)")
    parser.add_argument("--only", default=",".join(PROGRAMS), metavar="NAMES", help="some programs (default all)")
    parser.add_argument("--loads", default="sleeping,busy", metavar="NAMES", help="sleeping, busy or both (default)")
    parser.add_argument("--busy", type=float, default=0.2, help="share of the processes that wake in load busy (default 0.2)")
    parser.add_argument("--base", type=Path, metavar="DIR", help="another checkout with its .venv, measured by turns with this one")
    parser.add_argument("--output", default="", metavar="FILE", help="write the JSON here instead of to stdout")
    parser.add_argument("--picture", default="", metavar="FILE.png", help="draw the medians (fetches matplotlib)")
    parser.add_argument("--quick", action="store_true", help="500 processes, one window of four seconds: for a look")
    found = parser.parse_args(arguments)
    names = tuple(found.only.split(","))
    unknown = [name for name in names if name not in PROGRAMS]
    if unknown:
        parser.error(f"there is no program {', '.join(unknown)}")
    counts = (500,) if found.quick else tuple(int(word) for word in found.counts.split(","))
    seconds, repeats = (4.0, 1) if found.quick else (found.seconds, found.repeats)
    base = found.base.resolve() if found.base else None
    loads = tuple(found.loads.split(","))
    if not set(loads) <= {"sleeping", "busy"} or min(counts) < 1 or repeats < 1 or not 0 <= found.busy <= 1:
        parser.error("--loads names sleeping or busy, counts and repeats are at least 1, --busy is a share from 0 to 1")
    return Options(counts, seconds, repeats, names, found.busy, loads, base, found.output, found.picture)
