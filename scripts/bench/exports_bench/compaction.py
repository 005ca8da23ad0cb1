"""Compaction of a fleet's store: files land, puts fail, compactors are killed, and a reader counts each row at every moment.

Then one compaction that nobody disturbs: bytes a second, and the most memory."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

from fakes.landing_files import fleet, land
from harness.lake_trial import LakeTrial
from harness.sinks.object_server import ObjectServer

ROOT = Path(__file__).parents[3]
# So long a compactor lives at most for each file that waits, beside what it takes to begin.
SECONDS_PER_FILE, SECONDS_FIRST = 0.003, 0.1
_UNDISTURBED = """
import json, resource, sys
from agent.lake.folder_bucket import FolderBucket
from agent.lake.log import LogPorts
from workers.compactor.round import CompactorRound
from workers.compactor.round_terms import RoundTerms, RoundView
lake, scratch, memory = sys.argv[1:]
terms = RoundTerms(scratch, 256 << 20, 128 << 20, int(memory), 0, 0)
report = CompactorRound(FolderBucket(lake), "bench", terms, RoundView(), LogPorts()).run()
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"rows": report.rows, "before": report.bytes_before, "after": report.bytes_after, "files": report.files,
    "cpu": used.ru_utime + used.ru_stime, "rss": used.ru_maxrss << 10}))
"""


def main(words: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench/exports compaction", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1_000)
    parser.add_argument("--files", type=int, default=4, help="of each node")
    parser.add_argument("--rows", type=int, default=20, help="of each file")
    parser.add_argument("--kills", type=int, default=100, help="of the compactor")
    parser.add_argument("--failing", type=float, default=0.01, help="share of the puts that fail")
    parser.add_argument("--server", action="store_true", help="in a bucket of an object server instead of a folder")
    parser.add_argument("--speed-rows", type=int, default=4_000, help="of each file of the undisturbed compaction; 0: none")
    parser.add_argument("--memory", type=int, default=256, help="compactor.memory of it, in MiB")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(words)
    found: dict[str, Any] = {"disturbed": _disturbed(options)}
    print(json.dumps(found["disturbed"]), flush=True)
    if options.speed_rows:
        found["undisturbed"] = _undisturbed(options)
        print(json.dumps(found["undisturbed"]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    account = found["disturbed"]
    is_kept = not account["doubles"] and not account["losses"] and account["landed_left"] == 0
    print(f"{account['rows']:,} rows, {account['doubles']} doubled, {account['losses']} lost, {account['reads']} reads")
    return 0 if is_kept else 1


@contextmanager
def _trial(options: argparse.Namespace) -> Iterator[LakeTrial]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eg-")))
        server = None
        if options.server:
            (folder / "server").mkdir()
            server = stack.enter_context(ObjectServer(folder / "server"))
        yield stack.enter_context(LakeTrial(folder, server, failing=options.failing, seed=options.seed))


def _disturbed(options: argparse.Namespace) -> dict[str, Any]:
    chance = Random(options.seed)
    files = list(fleet(options.nodes, options.files, options.rows))
    step = max(1, len(files) // options.kills)
    began = time.monotonic()
    with _trial(options) as trial:
        trial.start_reading()
        size, at, waiting, rounds = 0, 0, 0, 0
        while trial.kills < options.kills or at < len(files):
            landing = files[at : at + step]
            size += trial.land(landing)
            at += len(landing)
            waiting += len(landing)
            if chance.random() < 0.3:
                trial.land_again(chance.choice(files[:at]))
            longest = SECONDS_FIRST + waiting * SECONDS_PER_FILE
            status = trial.compact(kill_after=chance.uniform(0.0, longest) if trial.kills < options.kills else None)
            waiting = waiting if status else 0
            rounds += 1
        trial.stop_reading()
        while trial.compact() and rounds < 10 * options.kills:
            rounds += 1
        trial.check()
        left = [name for name in trial.left() if not name.startswith("_")]
        return {
            "store": "object server" if options.server else "folder",
            "nodes": options.nodes,
            "files": len(files),
            "bytes": size,
            "rows": len(trial.landed),
            "kills": trial.kills,
            "compactors": rounds,
            "failing": options.failing,
            "reads": trial.found.reads,
            "reads_too_late": trial.found.gone,
            "doubles": trial.found.doubles,
            "losses": trial.found.losses,
            "landed_left": len(left),
            "seconds": round(time.monotonic() - began, 1),
        }


def _undisturbed(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="eg-") as name:
        lake, scratch = Path(name) / "lake", Path(name) / "scratch"
        lake.mkdir()
        size = 0
        for file in fleet(options.nodes, 1, options.speed_rows):
            size += land(lake, file).stat().st_size
        began = time.monotonic()
        words = [sys.executable, "-c", _UNDISTURBED, str(lake), str(scratch), str(options.memory << 20)]
        environment = {"PYTHONPATH": str(ROOT), "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        seconds = time.monotonic() - began
    told = json.loads(done.stdout)
    return {
        "files": options.nodes,
        "rows": told["rows"],
        "bytes_before": told["before"],
        "bytes_after": told["after"],
        "files_after": told["files"],
        "seconds": round(seconds, 1),
        "mb_per_second": round(size / seconds / 1e6, 1),
        "mb_per_cpu_second": round(size / told["cpu"] / 1e6, 1),
        "rows_per_cpu_second": round(told["rows"] / told["cpu"]),
        "peak_rss_mib": told["rss"] >> 20,
    }
