"""Runs the loads one after the other and reports; the exit code is the verdict."""

import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from harness.agent_process import end_strays
from process_bench.checkout import Checkout
from process_bench.load import LoadError, build
from resctrl_bench import report
from resctrl_bench.figures import Section
from supervisors.report import encode

from closing_bench import options
from closing_bench.judge import judge
from closing_bench.loads import LOADS
from closing_bench.measure import measure

# sysexits.h
UNAVAILABLE = 69
MISSED = 1


def main() -> int:
    """Measure, print, judge."""
    wanted = options.parse(sys.argv[1:])
    if os.geteuid() != 0:
        print("scripts/bench/closing: must be root: control groups are made", file=sys.stderr)
        return UNAVAILABLE
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    before = report.circumstances({"seconds": wanted.seconds, "loads": list(wanted.only)})
    sections: list[Section] = []
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="eg-") as folder:
        try:
            program = build(Path(folder))
        except LoadError as failure:
            print(f"scripts/bench/closing: {failure}", file=sys.stderr)
            return UNAVAILABLE
        try:
            for name in wanted.only:
                _run(name, Checkout("ours", wanted.checkout), program, Path(folder) / name, wanted.seconds, sections, failures)
        except KeyboardInterrupt:
            failures.append("interrupted: the loads that were not measured are missing")
    results = report.document(before, sections, failures)
    report.print_table(results)
    if wanted.explain:
        _explain(sections)
    if wanted.output:
        Path(wanted.output).write_text(encode(results))
    return MISSED if failures or any(section.missed for section in sections) else 0


def _run(
    name: str, checkout: Checkout, program: Path, folder: Path, seconds: float, sections: list[Section], failures: list[str]
) -> None:
    begun = time.monotonic()
    print(f"closing: {name}: {LOADS[name].about}", file=sys.stderr, flush=True)
    try:
        sections.append(judge(name, LOADS[name], measure(checkout, program, folder, LOADS[name], seconds)))
    except (RuntimeError, LoadError, OSError, ValueError, AssertionError) as failure:
        traceback.print_exc()
        failures.append(f"{name}: {type(failure).__name__}: {failure}")
    finally:
        end_strays()
    print(f"closing: {name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)


def _explain(sections: list[Section]) -> None:
    for section in sections:
        print(f"\n{section.part}, by tick")
        for tick in section.further.get("ticks", []):
            print("  " + "  ".join(f"{name} {value:>9}" for name, value in tick.items()))


if __name__ == "__main__":
    sys.exit(main())
