"""The options that the scenarios of faults share, and how their figures are printed."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exports_bench.faulty_agent import LATE_P99_MS, PSS_MIB, RECOVERY_S, Fault, FaultyAgent

_QUICK_SECONDS = 5.0


def fault_options(name: str, description: str | None, words: Sequence[str]) -> argparse.Namespace:
    """Of a command line."""
    parser = argparse.ArgumentParser(prog=f"scripts/bench/exports {name}", description=description)
    parser.add_argument("--seconds", type=float, default=15, help="length of one window")
    parser.add_argument("--turns", type=int, default=1, help="windows of each fault; medians are judged")
    parser.add_argument("--processes", type=int, default=100, help="sleeping processes beside the agent")
    parser.add_argument("--only", default="", help="the faults with this word in their name, and the calm windows")
    parser.add_argument("--quick", action="store_true", help="one window of 5 s each: for a look, not for quoting")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(words)
    if options.quick:
        options.seconds, options.turns = _QUICK_SECONDS, 1
    return options


def run_turns(agent: FaultyAgent, faults: Sequence[Fault], options: argparse.Namespace) -> dict[str, Any]:
    """All windows by turns, the first of which is calm."""
    first, *others = faults
    for _ in range(options.turns):
        for fault in (first, *(each for each in others if options.only in each.name)):
            agent.run(fault, options.seconds)
    return agent.judge()


def report(found: dict[str, dict[str, Any]], options: argparse.Namespace) -> int:
    """Print by trial and fault; 0 where all limits hold."""
    print(f"load {os.getloadavg()[0]:.2f}; windows of {options.seconds:g} s, {options.turns} of each fault")
    print(f"limits: p99 {LATE_P99_MS:g} ms later than calm, {PSS_MIB:g} MiB more, recovery {RECOVERY_S:g} s, 0 missed, 0 lost")
    for trial, faults in found.items():
        for name, figures in faults.items():
            verdict = "kept" if figures["is_kept"] else "MISSED"
            print(f"{trial:8} {name:15} {verdict:6} {json.dumps(figures)}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    return 0 if all(each["is_kept"] for faults in found.values() for each in faults.values()) else 1
