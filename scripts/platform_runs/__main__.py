"""Runs what was asked for on each kernel, tells each end, and writes the table: see scripts/platforms."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.lab.guest_tests import KERNELS, GuestTest, run_in_guest

from platform_runs.cases import PROCESS_TESTS, SOURCE_TESTS, crash_tests
from platform_runs.outcome import Ended, Outcome, from_json, merged, placed, reason, table, to_json

DOCS = Path(__file__).parents[2] / "docs"
KEPT, PAGE = DOCS / "platforms.json", DOCS / "platforms.md"
GROUPS = {"sources": SOURCE_TESTS, "crash": crash_tests(), "process": PROCESS_TESTS}
# A whole kernel beside other work on two processors; less than half of it on quiet ones.
MINUTES_MAX = 180
MISUSE, FAILED, UNAVAILABLE = 64, 1, 69


def main(arguments: Sequence[str]) -> int:
    """Everything; gives the exit code."""
    options = _parse(arguments)
    kept = from_json(KEPT.read_text()) if KEPT.exists() else {}
    if options.render:
        PAGE.write_text(placed(PAGE.read_text(), table(kept)))
        return 0
    if os.geteuid() != 0:
        print("scripts/platforms: must be root to share the disk with a guest; try: sudo scripts/platforms", file=sys.stderr)
        return UNAVAILABLE
    found: dict[str, Outcome] = {}
    for kernel in options.kernels:
        found[kernel] = _run(kernel, options.tests, options.minutes * 60)
        if options.write and found[kernel].tests:
            # At once: an interruption loses one kernel and not the hours before it.
            kept[kernel] = merged(kept.get(kernel), found[kernel])
            together = {each: kept[each] for each in KERNELS if each in kept}
            KEPT.write_text(to_json(together))
            PAGE.write_text(placed(PAGE.read_text(), table(together)))
    print(table(found))
    bad = {kernel: outcome for kernel, outcome in found.items() if outcome.failures() or not outcome.tests}
    for kernel, outcome in bad.items():
        names = ", ".join(each.name for each in outcome.failures()) or "nothing ran"
        print(f"scripts/platforms: on Linux {kernel} failed: {names}", file=sys.stderr)
    return FAILED if bad else 0


def _run(kernel: str, tests: Sequence[str], seconds: float) -> Outcome:
    print(f"Linux {kernel}: boots", file=sys.stderr)
    began_at = time.monotonic()
    run = run_in_guest([*tests, "-p", "no:randomly"], kernel=kernel, seconds=seconds, on_end=lambda test: _tell(kernel, test))
    if not run.tests:
        print(f"Linux {kernel}: nothing ran; the guest said:\n{run.output[-4000:]}", file=sys.stderr)
    # What ran when the time was over has not run, and says nothing of the kernel; where a guest died before, it may have killed it.
    is_over = time.monotonic() - began_at >= seconds
    tests_ended = [each for each in run.tests if not (is_over and each.outcome == "unfinished")]
    ended = [Ended(each.name, each.outcome, reason(each.message), each.properties) for each in tests_ended]
    return Outcome(run.release, tuple(ended))


def _tell(kernel: str, test: GuestTest) -> None:
    print(f"Linux {kernel}: {test.outcome} after {test.seconds:.0f} s: {test.name}", file=sys.stderr, flush=True)
    if test.outcome != "passed":
        print(test.message, file=sys.stderr, flush=True)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/platforms")
    parser.add_argument("--kernels", default=",".join(KERNELS))
    parser.add_argument("--only", default=",".join(GROUPS))
    parser.add_argument("--matching", default="")
    parser.add_argument("--minutes", type=float, default=MINUTES_MAX)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--render", action="store_true")
    options = parser.parse_args(arguments)
    options.kernels, options.only = options.kernels.split(","), options.only.split(",")
    for chosen, known in ((options.kernels, KERNELS), (options.only, GROUPS)):
        for word in chosen:
            if word not in known:
                print(f"scripts/platforms: '{word}' is none of {', '.join(known)}; see scripts/platforms --help", file=sys.stderr)
                raise SystemExit(MISUSE)
    options.tests = [test for group in options.only for test in GROUPS[group] if options.matching in test]
    if not options.tests:
        print(f"scripts/platforms: '{options.matching}' is in the name of no test; see scripts/platforms --help", file=sys.stderr)
        raise SystemExit(MISUSE)
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
