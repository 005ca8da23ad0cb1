"""What a whole `agentctl neighbours` costs over an hour of rows."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def _store_hour(folder: str, units: int) -> None:
    """Store an hour of rows of so many units, all active, with one noisy minute."""
    from fakes.neighbour_story import Node
    from fakes.stored_units import store_window

    from agent.cli.neighbour_unit import CPU, PRESSURE_CPU

    node = Node(5, seconds=3600, units=units)
    node.add(node.actors[1], CPU, 2000, 2060, 7.0)
    node.suffer(node.actors[0], PRESSURE_CPU, 2000, 2060, 0.5)
    store_window(Path(folder), node.window(gaps=5))


def speed(units: int, repeats: int) -> dict[str, Any]:
    """An hour of rows of so many units: seconds, CPU seconds and peak memory of a whole command."""
    from fakes.neighbour_story import BEGIN_S

    taken: dict[str, list[float]] = {"seconds": [], "cpu_seconds": [], "peak_mib": []}
    with tempfile.TemporaryDirectory(prefix="eg-") as folder:
        # In a process of its own: the kernel counts the memory of this one, from which a command starts, to the command's peak.
        with get_context("spawn").Pool(1) as pool:
            pool.apply(_store_hour, (folder, units))
        bounds = ["--since", f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(BEGIN_S))}", "--until"]
        bounds.append(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGIN_S + 3600)))
        command = [sys.executable, "-m", "agent.cli.main", "neighbours", "--json", "--state-dir", folder, "--runtime-dir", folder]
        for _ in range(repeats):
            begin = time.monotonic()
            with subprocess.Popen([*command, *bounds], stdout=subprocess.DEVNULL, cwd=ROOT) as process:
                _, status, used = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0
            taken["seconds"].append(time.monotonic() - begin)
            taken["cpu_seconds"].append(used.ru_utime + used.ru_stime)
            taken["peak_mib"].append(used.ru_maxrss / 1024)
    return {"units": units, **{name: round(statistics.median(values), 2) for name, values in taken.items()}}
