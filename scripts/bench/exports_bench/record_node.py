"""Records what a real agent stores in some minutes beside processes and pods, for fleets that are made of it. Needs root."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from fleet_rows.recording import Recording, recording_of
from footprint_bench.agent import agent, wait_settled
from footprint_bench.node import node
from footprint_bench.room import hierarchies, is_inside, run_inside
from harness.waiting import wait_until

from agent.model.timebase import MINUTE, S
from agent.store.place import BEGINNING
from agent.store.spool_follower import SpoolFollower

# Sketches are written some ticks after their window.
_LATE_SECONDS = 5
_READ_BYTES = 1 << 30


def main(words: Sequence[str]) -> int:
    """Record, and say what was recorded. The folder has the spool of the agent."""
    parser = argparse.ArgumentParser(prog="scripts/bench/exports record-node", description=__doc__)
    parser.add_argument("--minutes", type=int, default=1, help="whole minutes of UTC")
    parser.add_argument("--processes", type=int, default=500)
    parser.add_argument("--pods", type=int, default=100)
    parser.add_argument("--output", type=Path, required=True, help="a folder, which is made")
    options = parser.parse_args(words)
    if os.geteuid() != 0:
        print("needs root: cgroups are made and mounted", file=sys.stderr)
        return 69
    if not is_inside():
        run_inside("exports_bench", ["record-node", *words])
    rooms = hierarchies()
    with tempfile.TemporaryDirectory(prefix="eg-") as name:
        folder = Path(name)
        socket = folder / "nri.sock"
        with (
            node(rooms, socket, processes=options.processes, pods=options.pods, busy=True),
            agent(folder / "agent", {"--nri-socket-path": str(socket)}) as one,
        ):
            wait_settled(one, options.pods)
            end_ns = (time.time_ns() // MINUTE + 1 + options.minutes) * MINUTE + _LATE_SECONDS * S
            left = (end_ns - time.time_ns()) // S + 60
            wait_until(lambda: time.time_ns() >= end_ns, "the minutes are over", seconds=left, pause_seconds=0.5)
            shutil.copytree(folder / "agent" / "spool", options.output / "spool")
    minutes = read_recording(options.output).minutes
    print(f"{len(minutes)} whole minutes with {[minute.rows for minute in minutes]} rows in {options.output}")
    return 0 if len(minutes) >= options.minutes else 1


def read_recording(folder: Path) -> Recording:
    """What was recorded. *Raises:* StorageError and others of the spool."""
    return recording_of(SpoolFollower(str(folder), None).read(BEGINNING, _READ_BYTES))
