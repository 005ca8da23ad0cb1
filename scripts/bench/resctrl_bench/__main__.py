"""The parts of scripts/bench/resctrl."""

import sys

from resctrl_bench import bad, churn, cost, coverage, jitter, load, options, rates, storm
from resctrl_bench.bench import Bench
from resctrl_bench.runner import Program


def main() -> int:
    """Measure what the command line asks for. Gives the exit code."""
    wanted = options.parse(sys.argv[1:])
    program = Program[Bench](
        name="resctrl",
        why_root="file systems are mounted and control groups made",
        parts=options.PARTS,
        measures={
            "cost": cost.measure,
            "jitter": jitter.measure,
            "rates": rates.measure,
            "coverage": coverage.measure,
            "storm": storm.measure,
            "churn": churn.measure,
            "bad": bad.measure,
        },
        make_bench=lambda here, say: Bench(wanted, here, load.build(here.folder), say),
        unavailable=(load.LoadError, FileNotFoundError),
    )
    return program.run(wanted)


if __name__ == "__main__":
    sys.exit(main())
