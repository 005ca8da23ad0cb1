"""Runs the parts that are wanted, one after the other, and reports."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from harness.agent_process import end_strays
from resctrl_bench import report
from resctrl_bench.figures import Section
from resctrl_bench.place import place
from supervisors.report import encode

from nri_bench import before, deadline, drops, inside, memory, options, starts
from nri_bench.bench import Bench

# sysexits.h
UNAVAILABLE = 69
MISSED = 1
MEASURES: dict[str, Callable[[Bench], Section]] = {
    "starts": starts.measure,
    "inside": inside.measure,
    "deadline": deadline.measure,
    "before": before.measure,
    "drops": drops.measure,
    "memory": memory.measure,
}


def main() -> int:
    """Set up, measure, report. Gives the exit code: 1 when something failed or a must was missed."""
    wanted = options.parse(sys.argv[1:])
    if os.geteuid() != 0:
        return _give_up("must be root: containers are run and control groups made")
    # As Ctrl-C: everything that was started is ended, and what was measured is reported.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    known = report.circumstances(wanted.document())
    sections: list[Section] = []
    failures: list[str] = []
    interrupted = False
    try:
        with place() as here:
            bench = Bench(wanted, here, _progress_writer())
            for part in wanted.only:
                _run(part, bench, sections, failures)
    except KeyboardInterrupt:
        interrupted = True
    except FileNotFoundError as failure:
        return _give_up(str(failure))
    results = report.document(known, sections, failures)
    if wanted.json_path:
        Path(wanted.json_path).write_text(encode(results))
    report.print_table(results)
    if interrupted:
        return 128 + signal.SIGINT
    return MISSED if failures or any(section.missed for section in sections) else 0


def _run(part: str, bench: Bench, sections: list[Section], failures: list[str]) -> None:
    bench.say(f"{part}: {options.PARTS[part]}")
    try:
        sections.append(MEASURES[part](bench))
    except Exception as failure:  # noqa: BLE001 - a part that fails is told, and the others are measured anyway
        traceback.print_exc()
        failures.append(f"{part}: {type(failure).__name__}: {failure}")
    finally:
        end_strays()


def _progress_writer() -> Callable[[str], None]:
    begun = time.monotonic()
    return lambda text: print(f"nri: {time.monotonic() - begun:6.1f} s  {text}", file=sys.stderr, flush=True)


def _give_up(text: str) -> int:
    print(f"scripts/bench/nri: {text}", file=sys.stderr)
    return UNAVAILABLE


if __name__ == "__main__":
    sys.exit(main())
