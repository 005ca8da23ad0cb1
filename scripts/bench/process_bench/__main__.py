"""Runs every program by turns over every load, and reports."""

import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from harness.agent_process import end_strays
from harness.proc import all_pids
from resctrl_bench import report
from supervisors.report import encode

from process_bench import cost, options, results, toolchain
from process_bench.checkout import Checkout
from process_bench.load import LoadError, build, running
from process_bench.programs import PROGRAMS

# sysexits.h
UNAVAILABLE = 69
MISSED = 1
BUSY_MICROSECONDS = 200


class Bench:
    """One run of the benchmark."""

    def __init__(self, wanted: options.Options, folder: Path) -> None:
        self._wanted = wanted
        self._folder = folder
        self._program = build(folder)
        packages = [PROGRAMS[name].package for name in wanted.only] + (["matplotlib"] if wanted.picture else [])
        self.tools = toolchain.set_up(filter(None, packages), _say)
        self.rows: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self._rooms = 0

    def run(self) -> None:
        """Every load, every number of processes."""
        for load in self._wanted.loads:
            for count in self._wanted.counts:
                busy = round(count * self._wanted.busy_share) if load == "busy" else 0
                with running(self._program, ["sleep", count, busy, BUSY_MICROSECONDS]):
                    self._measure(load, count)

    def _measure(self, load: str, count: int) -> None:
        costs: dict[str, list[cost.Cost]] = {}
        names = list(self._wanted.only)
        if self._wanted.base and "evergauge" in names:
            names.insert(names.index("evergauge"), options.BASE)
        for turn in range(self._wanted.repeats):
            # The other way about in every second turn: what the machine does by and by falls on all alike.
            for name in names if turn % 2 == 0 else reversed(names):
                found = self._try(name, f"{load}, {count} processes, {name}")
                if found is not None:
                    costs.setdefault(name, []).append(found)
        for name in names:
            if name in costs:
                self.rows.append(results.row(load, count, name, costs[name], len(all_pids())))
                results.say_row(self.rows[-1])

    def _try(self, name: str, where: str) -> cost.Cost | None:
        self._rooms += 1
        folder = self._folder / f"r{self._rooms}"
        try:
            if name == options.BASE:
                assert self._wanted.base is not None
                return cost.of_ours(Checkout(name, self._wanted.base), folder, self._wanted.seconds)
            program = PROGRAMS[name]
            if program.start is None:
                return cost.of_ours(Checkout(name), folder, self._wanted.seconds)
            if program.package in self.tools.missing:
                return None
            return cost.of_rival(program, self.tools, folder, self._wanted.seconds)
        except (RuntimeError, OSError, AssertionError) as failure:
            traceback.print_exc()
            self.failures.append(f"{where}: {type(failure).__name__}: {failure}")
            return None
        finally:
            end_strays()


def main() -> int:
    """Set up, measure, report. Gives the exit code: 1 when something failed or a must was missed."""
    wanted = options.parse(sys.argv[1:])
    if os.geteuid() != 0:
        print("scripts/bench/process: must be root: control groups are made", file=sys.stderr)
        return UNAVAILABLE
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asked = {"counts": wanted.counts, "seconds": wanted.seconds, "repeats": wanted.repeats, "busy_share": wanted.busy_share}
    before = report.circumstances(asked)
    with tempfile.TemporaryDirectory(prefix="eg-") as folder:
        try:
            bench = Bench(wanted, Path(folder))
            bench.run()
        except LoadError as failure:
            print(f"scripts/bench/process: {failure}", file=sys.stderr)
            return UNAVAILABLE
    document = report.document(before, [], bench.failures)
    document |= {
        "fields": {name: PROGRAMS[name].fields for name in wanted.only},
        "versions": bench.tools.versions,
        "missing": bench.tools.missing,
        "rows": bench.rows,
        "verdicts": results.verdicts(bench.rows),
    }
    return _give(wanted, bench, document)


def _give(wanted: options.Options, bench: Bench, document: dict[str, Any]) -> int:
    text = encode(document)
    if wanted.output:
        Path(wanted.output).write_text(text)
    else:
        print(text)
    for each in document["verdicts"]:
        where = f"{each['load']}, {each['processes']:,} processes"
        print(f"  {where}: {each['what']} {each['value']} (must {each['must']}): {each['verdict']}", file=sys.stderr)
    if wanted.picture and "matplotlib" not in bench.tools.missing:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(text)
            file.flush()
            toolchain.draw(bench.tools, Path(file.name), Path(wanted.picture))
    return MISSED if bench.failures or any(each["verdict"] == "MISSED" for each in document["verdicts"]) else 0


def _say(text: str) -> None:
    print(f"process: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
