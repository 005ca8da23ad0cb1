"""Measures, compares with the baselines that are kept, and says what became dearer: see scripts/bench/compare."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from compare_bench.judgement import Baseline, CannotMeasureError, format_baseline, judge, parse_baseline
from compare_bench.measurements import MEASUREMENTS

KEPT = Path(__file__).parents[1] / "baselines"
TRIES_MAX = 4
MISUSE, REGRESSION, UNAVAILABLE = 64, 1, 69


def main(arguments: Sequence[str]) -> int:
    """Everything; gives the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/bench/compare")
    parser.add_argument("--only", default=",".join(MEASUREMENTS))
    parser.add_argument("--baselines", type=Path, default=KEPT)
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args(arguments)
    names = options.only.split(",")
    if unknown := [name for name in names if name not in MEASUREMENTS]:
        return _give_up(MISUSE, f"'{unknown[0]}' is none of {', '.join(MEASUREMENTS)}")
    try:
        baselines = {name: parse_baseline((options.baselines / f"{name}.json").read_text()) for name in names}
    except (OSError, ValueError) as cause:
        return _give_up(UNAVAILABLE, f"cannot read a baseline in {options.baselines}: {cause}; name their folder by --baselines")
    try:
        return _update(options.baselines, baselines) if options.update else _compare(baselines)
    except CannotMeasureError as cause:
        return _give_up(UNAVAILABLE, str(cause))


def _compare(baselines: dict[str, Baseline]) -> int:
    is_dearer = False
    for name, baseline in baselines.items():
        measurement = MEASUREMENTS[name]
        verdict = judge(name, f"{measurement.about} ({measurement.reference})", baseline, measurement.measure, TRIES_MAX)
        print(verdict.sentence, flush=True)
        is_dearer |= verdict.is_regression
    return REGRESSION if is_dearer else 0


def _update(folder: Path, baselines: dict[str, Baseline]) -> int:
    for name, baseline in baselines.items():
        # Of some tries the one in the middle: neither the luckiest nor one beside other work.
        tries = sorted(MEASUREMENTS[name].measure() for _ in range(TRIES_MAX + 1))
        measured = replace(baseline, ratio=tries[len(tries) // 2])
        (folder / f"{name}.json").write_text(format_baseline(measured))
        print(f"{name}: {measured.ratio:.3f}, was {baseline.ratio:.3f}; tries {', '.join(f'{each:.2f}' for each in tries)}")
    return 0


def _give_up(code: int, sentence: str) -> int:
    print(f"scripts/bench/compare: {sentence}; see scripts/bench/compare --help", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
