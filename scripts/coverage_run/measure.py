"""Runs tests under coverage, and reads what they reached: the whole product, and each PURE module by its own tests."""

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from coverage import Coverage, CoverageData

from coverage_run.plugin import RUN
from coverage_run.pure import ROOT, OwnTests, import_lines

FLOOR_PERCENT = 85.0
CONFIGURATION = str(ROOT / "pyproject.toml")


@dataclass(frozen=True)
class Reached:
    """One module, or all together: statements, branches, and how many of each were reached; lines and branches that were not."""

    statements: int
    covered: int
    branches: int
    covered_branches: int
    missing_lines: tuple[int, ...] = ()
    missing_branches: tuple[tuple[int, int], ...] = ()

    @property
    def lines_percent(self) -> float:
        """*Range:* 100 where there is no statement."""
        return 100 * self.covered / self.statements if self.statements else 100.0

    @property
    def branches_percent(self) -> float:
        """*Range:* 100 where there is no branch."""
        return 100 * self.covered_branches / self.branches if self.branches else 100.0

    @property
    def is_whole(self) -> bool:
        """Every line and every branch."""
        return self.covered == self.statements and self.covered_branches == self.branches


def run_tests(data: Path, words: Sequence[str], *, quiet: bool = False) -> int:
    """pytest with these words under coverage; what processes measured is put together in `data`. Gives pytest's exit code."""
    command = [sys.executable, "-m", "coverage", "run", f"--rcfile={CONFIGURATION}", f"--data-file={data}", "-m", "pytest"]
    ended = subprocess.run([*command, "-p", "coverage_run.plugin", *words], cwd=ROOT, capture_output=quiet, check=False)
    combine = [sys.executable, "-m", "coverage", "combine", "-q", f"--rcfile={CONFIGURATION}", f"--data-file={data}"]
    subprocess.run(combine, cwd=ROOT, capture_output=True, check=False)
    return ended.returncode


def reached(data: Path, files: Iterable[Path], folder: Path) -> tuple[Reached, dict[Path, Reached]]:
    """Of all together and of each of these files, from measured data. A file that was never imported counts with all its lines."""
    cov = Coverage(data_file=str(data), config_file=CONFIGURATION)
    cov.load()
    report = folder / "report.json"
    wanted = [str(ROOT / path) for path in files]
    cov.json_report(morfs=wanted or None, outfile=str(report))
    document = json.loads(report.read_text())
    totals = document["totals"]
    whole = Reached(totals["num_statements"], totals["covered_lines"], totals["num_branches"], totals["covered_branches"])
    each = {}
    for name, found in document["files"].items():
        summary = found["summary"]
        each[Path(name)] = Reached(
            summary["num_statements"],
            summary["covered_lines"],
            summary["num_branches"],
            summary["covered_branches"],
            tuple(found["missing_lines"]),
            tuple((before, after) for before, after in found["missing_branches"]),
        )
    return whole, each


def by_own_tests(data: Path, modules: Sequence[OwnTests], folder: Path) -> dict[Path, Reached]:
    """What each module's own tests reached of it in a run of many: lines that run at its import count always."""
    measured = CoverageData(basename=str(data))
    measured.read()
    kept = CoverageData(basename=str(folder / "own"))
    for own in modules:
        path = str(ROOT / own.module)
        at_import = import_lines((ROOT / own.module).read_bytes())
        measured.set_query_contexts(None)
        arcs = {arc for arc in measured.arcs(path) or () if all(abs(line) in at_import for line in arc)}
        contexts = [f"^{RUN}{test}$" for test in own.files]
        if contexts:
            measured.set_query_contexts(contexts)
            arcs |= set(measured.arcs(path) or ())
        kept.add_arcs({path: arcs})
    kept.write()
    return reached(folder / "own", [own.module for own in modules], folder)[1]


def alone(own: OwnTests, folder: Path) -> Reached | None:
    """What its own tests reach of a module in a run of their own; None where it has none."""
    if not own.files:
        return None
    data = folder / f"alone-{'-'.join(own.module.parts)}"
    run_tests(data, ["-q", "-p", "no:randomly", "-p", "no:cacheprovider", *map(str, own.files)], quiet=True)
    if not data.exists():
        return None
    return reached(data, [own.module], folder)[1].get(own.module)
