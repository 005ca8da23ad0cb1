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

_ENTRY = "import sys; sys.path[:0] = [{root!r}]; from agent.multiprocess_bootstrap import hide_unused_packages; \
hide_unused_packages(); from profile_bench.inside import main; main()"
SHOWN = 12


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
        return {name.removesuffix(".json"): _memory(each) for name, each in profiles.items()}
    after = {name: Counter(each) - Counter(json.loads(began.get(name, "{}"))) for name, each in profiles.items()}
    if options.stacks:
        options.stacks.mkdir(exist_ok=True)
        for name, stacks in after.items():
            (options.stacks / name).write_text("".join(f"{stack} {count}\n" for stack, count in stacks.most_common()))
    return {
        "cost": {name: rounded(each) for name, each in spent.items()},
        "functions": {name.removesuffix(".json"): _functions(stacks) for name, stacks in after.items()},
    }


def _functions(stacks: Counter[str]) -> dict[str, dict[str, float]]:
    """Share of samples in a function itself, and with all that it calls: the highest of both."""
    own, within = Counter[str](), Counter[str]()
    for stack, count in stacks.items():
        names = [word.split(":")[0].rpartition("/")[2].removesuffix(".py") + "." + word.split(":")[2] for word in stack.split(";")]
        own[names[-1]] += count
        for name in set(names):
            within[name] += count
    samples = max(1, sum(stacks.values()))

    def shares(counted: Counter[str]) -> dict[str, float]:
        # What every stack has, the way into the loop, says nothing.
        telling = [(name, count) for name, count in counted.most_common() if count < samples]
        return {name: round(100 * count / samples, 1) for name, count in telling[:SHOWN]}

    return {"samples": {"all": samples}, "itself_percent": shares(own), "with_callees_percent": shares(within)}


def _memory(profile: dict[str, Any]) -> dict[str, Any]:
    lines = {line: round(size / 1024) for line, size in list(profile["lines"].items())[:SHOWN]}
    return {"held_kib": profile["held_bytes"] // 1024, "most_kib": profile["most_bytes"] // 1024, "lines_kib": lines}


if __name__ == "__main__":
    main()
