"""How long probes wait: /live, /ready and /metrics of a real agent, with all workers running and with one stopped.

The three paths are asked in turn, so that each sees the same machine. A stopped worker answers nothing: /metrics waits 300 ms for
it, /live and /ready must not notice. The worker is not replaced meanwhile, because the time after which it counts as hung is long.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fakes.edge import percentile
from fakes.http_probe import HttpProbe
from harness.agent_process import AgentProcess
from harness.waiting import wait_until
from machine import circumstances

PATHS = ("/live", "/ready", "/metrics")
STOPPED = "sampler/process"
PROBE_MS_P99_MAX = 5.0
# The agent does its usual work in between.
PAUSE_SECONDS = 0.002
# One scrape with a stopped worker takes 300 ms: fewer of them, spread over the probes.
PROBES_PER_SCRAPE = 20


def measure(address: str, pids: list[int], requests: int) -> dict[str, Any]:
    """Ask every path, /metrics less often; the figures of each."""
    probes = {path: HttpProbe(address, path, pids) for path in PATHS}
    for number in range(requests):
        for path, probe in probes.items():
            if path != "/metrics" or number % PROBES_PER_SCRAPE == 0:
                probe.ask()
        time.sleep(PAUSE_SECONDS)
    return {path: _figures(probe) for path, probe in probes.items()}


def _figures(probe: HttpProbe) -> dict[str, Any]:
    return {
        "answers": len(probe.seconds),
        "statuses": sorted(probe.statuses),
        "ms": _spread(probe.seconds),
        # Without the time in which the machine had no processor for the agent, its gateway or the asker.
        "ms_with_a_processor": _spread(probe.own_seconds),
    }


def _spread(seconds: list[float]) -> dict[str, float]:
    return {name: round(percentile(seconds, share) * 1e3, 3) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}


def run_once(folder: Path, requests: int) -> dict[str, Any]:
    """One agent, first whole, then with a stopped worker."""
    flags = {"--gateway-port": "0", "--supervisor-hang-timeout": "10m"}
    with AgentProcess(folder, quick=False, flags=flags) as agent:
        assert agent.process is not None
        address = wait_until(lambda: agent.call("status")["stats"]["gateway"]["address"], "the gateway serves")
        rows = agent.workers()
        pids = [agent.process.pid, rows["gateway"]["pid"]]
        measured = {"running": measure(address, pids, requests)}
        os.kill(rows[STOPPED]["pid"], signal.SIGSTOP)
        try:
            measured["one_stopped"] = measure(address, pids, requests)
        finally:
            os.kill(rows[STOPPED]["pid"], signal.SIGCONT)
    return measured


def verdicts(runs: list[dict[str, Any]]) -> dict[str, bool]:
    """Each must, and whether every repeat meets it."""
    return {
        f"{path} p99 <= {PROBE_MS_P99_MAX:g} ms, {when}": all(run[when][path]["ms"]["p99"] <= PROBE_MS_P99_MAX for run in runs)
        for path in ("/live", "/ready")
        for when in ("running", "one_stopped")
    }


def main() -> int:
    """Measure, print, and say by the exit code whether all is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000, help="probes of /live and of /ready in each part of a repeat")
    parser.add_argument("--repeats", type=int, default=3, help="agents, one after the other")
    options = parser.parse_args()
    known = circumstances()
    runs = []
    for number in range(options.repeats):
        with tempfile.TemporaryDirectory(prefix="eg-") as folder:
            runs.append(run_once(Path(folder), options.requests))
        print(f"repeat {number + 1} of {options.repeats} done", file=sys.stderr)
    met = verdicts(runs)
    print(json.dumps({**known, "load_after": os.getloadavg()[0], "musts": met, "repeats": runs}, indent=2))
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
