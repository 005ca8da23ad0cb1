"""The parts of scripts/bench/nri."""

import sys

from resctrl_bench.runner import Program

from nri_bench import before, deadline, drops, inside, memory, options, starts
from nri_bench.bench import Bench


def main() -> int:
    """Measure what the command line asks for. Gives the exit code."""
    wanted = options.parse(sys.argv[1:])
    program = Program[Bench](
        name="nri",
        why_root="containers are run and control groups made",
        parts=options.PARTS,
        measures={
            "starts": starts.measure,
            "inside": inside.measure,
            "deadline": deadline.measure,
            "before": before.measure,
            "drops": drops.measure,
            "memory": memory.measure,
        },
        make_bench=lambda here, say: Bench(wanted, here, say),
    )
    return program.run(wanted)


if __name__ == "__main__":
    sys.exit(main())
