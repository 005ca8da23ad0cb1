"""Profiles of the default agent while it collects 100 units, each real cgroups with a process that burns CPU, once a second."""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from footprint_bench.agent import agent, costs, wait_settled
from footprint_bench.node import node
from footprint_bench.price import rounded
from footprint_bench.room import hierarchies, is_inside, run_inside

from profile_bench.inside import FOLDER, KIND
from profile_bench.summary import functions, memory

_ENTRY = "import sys; sys.path[:0] = [{root!r}]; from agent.multiprocess_bootstrap import hide_unused_packages; \
hide_unused_packages(); from profile_bench.inside import main; main()"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench/profile", description=__doc__)
    parser.add_argument("--units", type=int, default=100, help="pods with a process each that burns 1 % of a core")
    parser.add_argument("--processes", type=int, default=500, help="processes in all; the others sleep")
    parser.add_argument("--seconds", type=float, default=60, help="length of each profile")
    parser.add_argument("--stacks", type=Path, help="write all stacks of the CPU profile into this folder, one file per worker")
    options = parser.parse_args()
    if not is_inside():
        run_inside("profile_bench", sys.argv[1:])
    found = hierarchies()
    with tempfile.TemporaryDirectory(prefix="eg-") as name:
        folder = Path(name)
        with node(found, folder / "nri.sock", processes=options.processes, pods=options.units, busy=True):
            print(json.dumps({kind: _profile(kind, options, folder) for kind in ("cpu", "memory")}, indent=2))


def _profile(kind: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    written = folder / f"{kind}-profile"
    written.mkdir()
    flags = {"--nri-socket-path": str(folder / "nri.sock"), "--supervisor-hang-timeout": "60s"}
    variables = {FOLDER: str(written), KIND: kind}
    with agent(folder / kind, flags, variables=variables, entry=_ENTRY) as one:
        wait_settled(one, options.units)
        began = {path.name: path.read_text() for path in written.iterdir()} if kind == "cpu" else {}
        spent = costs(one, options.seconds)
        time.sleep(2.5)
        profiles = {path.name: json.loads(path.read_text()) for path in sorted(written.iterdir())}
    if kind == "memory":
        return {name.removesuffix(".json"): memory(each) for name, each in profiles.items()}
    after = {name: Counter(each) - Counter(json.loads(began.get(name, "{}"))) for name, each in profiles.items()}
    if options.stacks:
        options.stacks.mkdir(exist_ok=True)
        for name, stacks in after.items():
            (options.stacks / name).write_text("".join(f"{stack} {count}\n" for stack, count in stacks.most_common()))
    return {
        "cost": {name: rounded(each) for name, each in spent.items()},
        "functions": {name.removesuffix(".json"): functions(stacks) for name, stacks in after.items()},
    }


if __name__ == "__main__":
    main()
