"""The command: see scripts/check --coverage."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coverage_run.measure import FLOOR_PERCENT, Reached, alone, by_own_tests, reached, run_tests
from coverage_run.pure import OwnTests, own_tests, pure_modules

SHORT = 1
LISTED_LINES = 60


def main(arguments: Sequence[str]) -> int:
    """Measure and judge; gives the exit code."""
    options, words = _parse(arguments)
    with tempfile.TemporaryDirectory(prefix="coverage-") as name:
        folder = Path(name)
        data = Path(options.data) if options.data else folder / "data"
        code = 0 if options.data else run_tests(data, [*words, *(() if _names_tests(words) else ("tests",))])
        whole, _ = reached(data, (), folder)
        modules = [own_tests(path) for path in pure_modules()]
        found = by_own_tests(data, modules, folder)
        for own in modules:
            # What a module does at its own import belongs to nobody's test in a run of many; alone it can be told.
            if not _is_whole(found, own) and not options.quick and (again := alone(own, folder)) is not None:
                found[own.module] = again
    short = [own for own in modules if not _is_whole(found, own)]
    document = _document(whole, short, found, modules, code)
    if options.json:
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n")
    _print(whole, short, found, len(modules))
    if code:
        print("coverage: tests failed: the figures are those of what ran", file=sys.stderr)
    return code or (SHORT if short or whole.lines_percent < FLOOR_PERCENT else 0)


def _is_whole(found: dict[Path, Reached], own: OwnTests) -> bool:
    return own.module in found and found[own.module].is_whole


def _document(
    whole: Reached, short: Sequence[OwnTests], found: dict[Path, Reached], modules: Sequence[OwnTests], code: int
) -> dict[str, Any]:
    return {
        "tests_exit_code": code,
        "product": {
            "lines_percent": round(whole.lines_percent, 2),
            "branches_percent": round(whole.branches_percent, 2),
            "statements": whole.statements,
            "branches": whole.branches,
            "floor_percent": FLOOR_PERCENT,
            "is_good": whole.lines_percent >= FLOOR_PERCENT,
        },
        "pure": {
            "modules": len(modules),
            "whole": len(modules) - len(short),
            "by_folder": sum(1 for own in modules if own.by == "folder"),
            "is_good": not short,
            "short": [_row(own, found.get(own.module)) for own in short],
        },
    }


def _row(own: OwnTests, found: Reached | None) -> dict[str, Any]:
    return {
        "module": str(own.module),
        "tests": [str(path) for path in own.files],
        "by": own.by,
        "lines_percent": None if found is None else round(found.lines_percent, 1),
        "branches_percent": None if found is None else round(found.branches_percent, 1),
        "missing_lines": [] if found is None else list(found.missing_lines),
        "missing_branches": [] if found is None else [list(arc) for arc in found.missing_branches],
    }


def _print(whole: Reached, short: Sequence[OwnTests], found: dict[Path, Reached], modules: int) -> None:
    if short:
        print(f"{'PURE module':64} lines branches  missing lines, branches  (own tests by)")
    nothing = Reached(1, 0, 1, 0)
    for own in sorted(short, key=lambda each: found.get(each.module, nothing).lines_percent):
        each = found.get(own.module, nothing)
        lines = ",".join(map(str, each.missing_lines))
        arcs = ",".join(f"{before}-{after}" for before, after in each.missing_branches)
        missing = f"{lines} {arcs}"[:LISTED_LINES]
        print(f"{own.module!s:64} {each.lines_percent:4.0f}% {each.branches_percent:4.0f}%     {missing}  ({own.by})")
    print(f"PURE modules that their own tests reach in whole: {modules - len(short)} of {modules}")
    verdict = "fine" if whole.lines_percent >= FLOOR_PERCENT else f"below {FLOOR_PERCENT:g} %"
    print(f"product: {whole.lines_percent:.2f} % of lines, {whole.branches_percent:.2f} % of branches: {verdict}")


def _names_tests(words: Sequence[str]) -> bool:
    return any(Path(word.partition("::")[0]).exists() for word in words if not word.startswith("-"))


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(prog="scripts/check --coverage", description="more words go to pytest; without any: all tests")
    parser.add_argument("--json", metavar="FILE", help="write the figures, and what is missing, there")
    parser.add_argument(
        "--data", metavar="FILE", help="judge what an earlier run measured; runs no tests but those of PURE modules"
    )
    parser.add_argument(
        "--quick", action="store_true", help="judge PURE modules by the one run alone, which finds too much missing"
    )
    return parser.parse_known_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
