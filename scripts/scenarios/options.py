"""What the command line can ask for."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from scenarios.document import near
from scenarios.shapes import CONFIGURATIONS, FAILURES, GOALS, HOST, PLATFORMS, PROGRAMS, VALIDATORS, WORKLOADS

MISUSE = 64


class _Parser(argparse.ArgumentParser):
    """argparse ends with 2; this project's programs end with 64 (sysexits.h)."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(MISUSE)


@dataclass(frozen=True, slots=True)
class Options:
    """Which scenarios, how often, how long, where, and what is written."""

    names: tuple[str, ...]
    goals: tuple[str, ...]
    repeat: int
    seconds: float | None
    platform: str
    json: Path | None
    report: Path | None
    profile: bool
    lists: bool
    checks: bool
    matrix: bool
    plan: bool
    quick: bool
    guests: bool
    last: bool
    short: bool


def parse(arguments: Sequence[str]) -> Options:
    """The options; ends the program with 64 when they make no sense."""
    parser = _Parser(
        prog="scripts/scenario",
        description="Run real loads and failures against a real agent, and judge the goals. The exit code is the verdict: 0 all "
        "hold, 1 one does not, 64 wrong words, 69 something needed is missing.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_kinds(),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios by name (--list), or paths of files")
    parser.add_argument(
        "--goal", action="append", default=[], metavar="G-N", help="only judge this goal; may be given several times"
    )
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="so many times; each must pass (default 1)")
    parser.add_argument("--seconds", type=float, metavar="N", help="measure so long instead; failures move along")
    parser.add_argument("--short", action="store_true", help="the short form of scenarios that have one: for a look")
    parser.add_argument(
        "--platform", default=HOST, metavar="WHERE", help=f"{', '.join(PLATFORMS)}, or all that a scenario names (default host)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="write report.md with pictures, and report.json")
    parser.add_argument("--profile", action="store_true", help="CPU and memory profiles of the agent first, with the hot spots")
    parser.add_argument("--list", action="store_true", help="show the scenarios")
    parser.add_argument("--check", action="store_true", help="only check the files that are named; runs nothing")
    parser.add_argument("--matrix", action="store_true", help="every pair of workload, configuration and failure, short")
    parser.add_argument("--plan", action="store_true", help="with --matrix: show what would run")
    parser.add_argument(
        "--quick", action="store_true", help="with --matrix: every workload, configuration and failure once, not every pair"
    )
    parser.add_argument("--guests", action="store_true", help="with --matrix: also in guests whose kernels are there")
    parser.add_argument("--last", action="store_true", help="all_tests: take the last whole run's result, if no source is newer")
    found = parser.parse_args(arguments)
    for goal in found.goal:
        if goal not in GOALS:
            parser.error(f"there is no goal '{goal}'{near(goal, GOALS)}")
    if found.platform not in (*PLATFORMS, "all"):
        parser.error(f"there is no platform '{found.platform}'{near(found.platform, (*PLATFORMS, 'all'))}")
    if not 1 <= found.repeat <= 1000:
        parser.error("--repeat is from 1 to 1000")
    if found.seconds is not None and not 2 <= found.seconds <= 86_400:
        parser.error("--seconds is from 2 to 86400")
    if found.short and found.seconds is not None:
        parser.error("give either --short or --seconds")
    if (found.plan or found.quick or found.guests) and not found.matrix:
        parser.error("--plan, --quick and --guests belong to --matrix")
    if bool(found.names) == bool(found.matrix or found.list):
        parser.error("name scenarios, or give one of --list and --matrix")
    return Options(
        tuple(found.names), tuple(found.goal), found.repeat, found.seconds, found.platform, found.json, found.report, found.profile,
        found.list, found.check, found.matrix, found.plan, found.quick, found.guests, found.last, found.short,
    )  # fmt: skip


def _kinds() -> str:
    parts = []
    for title, shapes in (("workloads", WORKLOADS), ("programs", PROGRAMS), ("failures", FAILURES), ("validators", VALIDATORS)):
        parts.append(f"{title}:\n" + "\n".join(f"  {name:18} {shape.about}" for name, shape in shapes.items()))
    parts.insert(1, "configurations:\n" + "\n".join(f"  {name:18} {about}" for name, about in CONFIGURATIONS.items()))
    return "\n\n".join(parts) + "\n\nHow to write one: docs/scenarios.md"
