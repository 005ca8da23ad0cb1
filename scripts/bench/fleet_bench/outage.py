"""A hub that one node could not reach for hours: how soon what the node missed is there, and how old its live state is meanwhile.

The hours are what a default agent stores beside 500 processes and 100 units, laid into the spool of the node before it joins; the
wait itself is left out. The hub stores minutes of units and of the host; each has to be there once.
"""

import argparse
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from exports_bench.outage import lay_down
from fakes.edge import percentile
from fakes.fleet import Fleet, node_agent
from fakes.fleet import join as join_hub
from harness import proc
from harness.proc import MIB
from harness.waiting import wait_until
from machine import circumstances

from agent.model.timebase import MINUTE, S
from fleet_bench.bench_hub import show

ABOUT = "a hub that was away for hours: until the rows of that time are there, the age of the live state meanwhile"
WORKER = "exporter/hub"
LIVE_SECONDS = 2.0
EACH_ONCE = (
    "SELECT count(*) AS rows, count(DISTINCT (unit, container, timestamp)) AS different FROM unit_minute WHERE host = 'node-1'"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--minutes", type=int, default=60, help="how long it was away")


def run(options: argparse.Namespace) -> int:
    """Measure."""
    found = circumstances()
    with TemporaryDirectory(prefix="eg-outage-") as name, ExitStack() as stack:
        folder = Path(name)
        made = Fleet(folder, stack, folder / "h")
        node = node_agent(folder / "node-1", "node-1")
        laid = lay_down(node.state_dir, options.minutes)
        code, _, warnings = join_hub(node, made.hub.invite(), "--host", "node-1")
        assert code == 0, warnings
        stack.enter_context(node)
        made.hub.wait_state("node-1", "fresh", seconds=60)
        begun, begun_wall = time.monotonic(), time.time()
        pid = wait_until(lambda: node.workers()[WORKER]["pid"], "the exporter has a process")
        cpu_ns = proc.cpu_ns(pid)
        live_after = None
        ages, pss = [], []
        while True:
            time.sleep(0.1)
            row = made.hub.nodes()["node-1"]
            # A node that has run on is there already; this one first reads the last segment of its spool.
            if row["age_seconds"] is not None and row["age_seconds"] < LIVE_SECONDS:
                live_after = live_after or time.monotonic() - begun
            if live_after is not None:
                ages.append(row["age_seconds"])
            pss.append(proc.memory(pid).pss_bytes / MIB)
            report = node.stats(WORKER)
            newest = time.time() - report.get("lag_seconds", 1e9)
            if report and not report["has_backlog"] and newest > begun_wall:
                break
            assert time.monotonic() < begun + 1800, f"it does not catch up: {report}"
        took = time.monotonic() - begun
        cpu = 100 * (proc.cpu_ns(pid) - cpu_ns) / (took * S)
        counted = made.hub.query(EACH_ONCE)[0]
        rows: list[tuple[str, Any, str]] = [
            ("rows of the node in that time", laid, ""),
            ("until none of them is missing at the hub", took, "s"),
            ("times as fast as they came", options.minutes * (MINUTE / S) / took, "x"),
            ("until the live state is there", live_after, "s"),
            ("age of the live state from then on, p50", percentile(ages, 0.5), "s"),
            ("age of the live state from then on, worst", max(ages), "s"),
            ("CPU of the exporter meanwhile", cpu, "% of a core"),
            ("PSS of the exporter, most", max(pss), "MiB"),
            ("rows of minutes at the hub", counted["rows"], ""),
            ("of these there twice", counted["rows"] - counted["different"], ""),
            ("minutes of units expected, least", 100 * (options.minutes - 1), ""),
            *((f"rows {word}, by the exporter's own word", str(count), "") for word, count in report["ledger"].items()),
        ]
    show(rows, to=options.json, circumstances=found)
    return 0
