"""Runs the lines that are wanted, one after the other, and reports."""

import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from harness.control_connection import Refused

from supervisors import backoff, death, growth, hang, kill, report, scale
from supervisors.child_starts import ChildStarts, SupervisorFailed
from supervisors.figures import Section
from supervisors.options import Options
from supervisors.rival import Bench, end_strays
from supervisors.toolchain import Toolchain

LINES: dict[str, Callable[[Bench], list[Section]]] = {
    "kill": lambda bench: [kill.running_again(bench)],
    "ready": lambda bench: [kill.ready_again(bench)],
    "hang": lambda bench: [hang.replaced(bench)],
    "backoff": backoff.measure,
    "scale": scale.measure,
    "death": lambda bench: [death.of_evergauge(bench), death.of_others(bench)],
    "growth": lambda bench: [growth.over_many_kills(bench)],
}
# Lines that are measured over the same fifty children.
TOGETHER = {"scale": {"sweep", "idle", "command"}}


def run(folder: Path) -> int:
    """Measure; the table goes to stdout, everything to `results.json` in the folder. Gives the exit code."""
    order = json.loads((folder / "order.json").read_text())
    bench = Bench(
        toolchain=Toolchain.from_json(order["toolchain"]),
        options=Options.from_json(order["options"]),
        starts=ChildStarts(str(folder / "starts")),
        folder=folder,
        cgroups=order["cgroups"],
        say=_progress_writer(),
    )
    before = report.circumstances(bench)
    sections: list[Section] = []
    failures: list[str] = []
    try:
        for line, measure in LINES.items():
            if TOGETHER.get(line, {line}) & set(bench.options.only):
                try:
                    sections += measure(bench)
                except (SupervisorFailed, Refused, AssertionError, OSError) as failure:
                    traceback.print_exc()
                    failures.append(f"{line}: {type(failure).__name__}: {failure}")
    finally:
        end_strays()
        document = report.document(bench, before, sections, failures)
        (folder / "results.json").write_text(report.encode(document))
        report.print_table(document)
    return 1 if failures else 0


def _progress_writer() -> Callable[[str], None]:
    begun = time.monotonic()
    return lambda text: print(f"supervision: {time.monotonic() - begun:6.1f} s  {text}", file=sys.stderr, flush=True)
