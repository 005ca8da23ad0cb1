"""Runs the parts of a benchmark that are wanted, one after the other, and reports."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from harness.agent_process import end_strays
from supervisors.report import encode

from resctrl_bench import report
from resctrl_bench.figures import Section
from resctrl_bench.place import Place, place

# sysexits.h
UNAVAILABLE = 69
MISSED = 1
Say = Callable[[str], None]


class Wanted(Protocol):
    """What the command line asks for."""

    @property
    def only(self) -> tuple[str, ...]:
        """The parts."""

    @property
    def json_path(self) -> str:
        """Where every sample goes; empty: nowhere."""

    def document(self) -> dict[str, Any]:
        """As JSON."""


class Speaking(Protocol):
    """What every part is handed."""

    @property
    def say(self) -> Say:
        """Says how far it is."""


B = TypeVar("B", bound=Speaking)


# Without slots: Python 3.11 cannot tell such a frozen object what B is.
@dataclass(frozen=True)
class Program(Generic[B]):
    """One benchmark. `unavailable` are the failures that say what is missing on this machine."""

    name: str
    why_root: str
    parts: Mapping[str, str]
    measures: Mapping[str, Callable[[B], Section]]
    make_bench: Callable[[Place, Say], B]
    unavailable: tuple[type[Exception], ...] = (FileNotFoundError,)

    def run(self, wanted: Wanted) -> int:
        """Set up, measure, report. Gives the exit code: 1 when something failed or a must was missed."""
        if os.geteuid() != 0:
            return self._give_up(f"must be root: {self.why_root}")
        # As Ctrl-C: everything that was started is ended, and what was measured is reported.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        before = report.circumstances(wanted.document())
        sections: list[Section] = []
        failures: list[str] = []
        interrupted = False
        try:
            with place() as here:
                bench = self.make_bench(here, self._progress_writer())
                for part in wanted.only:
                    self._run_part(part, bench, sections, failures)
        except KeyboardInterrupt:
            interrupted = True
        except self.unavailable as failure:
            return self._give_up(str(failure))
        results = report.document(before, sections, failures)
        if wanted.json_path:
            Path(wanted.json_path).write_text(encode(results))
        report.print_table(results)
        if interrupted:
            return 128 + signal.SIGINT
        return MISSED if failures or any(section.missed for section in sections) else 0

    def _run_part(self, part: str, bench: B, sections: list[Section], failures: list[str]) -> None:
        bench.say(f"{part}: {self.parts[part]}")
        try:
            sections.append(self.measures[part](bench))
        except Exception as failure:  # noqa: BLE001 - a part that fails is reported, and the others are measured anyway
            traceback.print_exc()
            failures.append(f"{part}: {type(failure).__name__}: {failure}")
        finally:
            end_strays()

    def _progress_writer(self) -> Say:
        begun = time.monotonic()
        return lambda text: print(f"{self.name}: {time.monotonic() - begun:6.1f} s  {text}", file=sys.stderr, flush=True)

    def _give_up(self, text: str) -> int:
        print(f"scripts/bench/{self.name}: {text}", file=sys.stderr)
        return UNAVAILABLE
