"""When nodes become stale that fall silent, by the hub's clock, with the nodes' clocks up to an hour off; false verdicts among the
others; and what a hub says that was itself stopped."""

import argparse
import json
import os
import signal
import time
import urllib.request
from typing import Any

from machine import circumstances

from fleet_bench.bench_hub import bench_hub, hub_pid, show, start_crowd

ABOUT = "when nodes become stale that fall silent, with clocks an hour off; after a stopped hub"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--silent", type=int, default=20, help="how many of them fall silent")
    parser.add_argument("--stale", type=float, default=90.0, help="hub.stale in seconds")
    parser.add_argument("--stop", type=float, default=120.0, help="for how long the hub is stopped afterwards; 0: not")


def run(options: argparse.Namespace) -> int:
    """Measure."""
    found = circumstances()
    rows: list[tuple[str, Any, str]] = []
    with bench_hub(options.nodes, **{"--hub-stale": f"{round(options.stale * 1000)}ms"}) as (hub, members):
        listening = type(members)(members.nodes[options.silent :], members.hub_key)
        falling = type(members)(members.nodes[: options.silent], members.hub_key)
        crowd = start_crowd(hub, listening, units=10, skew_seconds=3600)
        silent = start_crowd(hub, falling, units=10, skew_seconds=3600, seed=2)
        try:
            crowd.wait_ready(120)
            silent.wait_ready(120)
            # The hub judges nobody for as long as a node may be silent after its own start.
            time.sleep(options.stale + 5)
            before = _nodes(hub.address())
            silent.end()
            falling_ids = set(_ids(falling))
            falls = {
                row["node"]: time.monotonic() - row["silent_seconds"] for row in _nodes(hub.address()) if row["node"] in falling_ids
            }
            late: dict[str, float] = {}
            false: set[str] = set()
            end = time.monotonic() + options.stale + 20
            while time.monotonic() < end and len(late) < options.silent:
                for row in _nodes(hub.address()):
                    if row["node"] in falls and row["state"] == "stale":
                        late.setdefault(row["node"], time.monotonic() - falls[row["node"]])
                    elif row["node"] not in falls and row["state"] != "fresh":
                        false.add(row["node"])
                time.sleep(0.05)
            off = [each - options.stale for each in late.values()]
            rows += [
                ("nodes that fell silent", options.silent, ""),
                ("of them stale", len(late), ""),
                ("earliest against hub.stale", min(off), "s"),
                ("latest against hub.stale", max(off), "s"),
                ("others that were not fresh meanwhile", len(false), ""),
                ("clocks shown as off by more than 1 s", sum(abs(row["clock_offset_seconds"] or 0) > 1 for row in before), ""),
            ]
            if options.stop:
                rows += _stopped(hub, options, set(_ids(listening)))
        finally:
            crowd.end()
            silent.end()
    show(rows, to=options.json, circumstances=found)
    return 0


def _stopped(hub: Any, options: argparse.Namespace, living: set[str]) -> list[tuple[str, Any, str]]:
    pid, address = hub_pid(hub), hub.address()
    # The supervisor would restart a worker that does not move: it is stopped too.
    supervisor = hub.agent.process.pid
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(options.stop)
    os.kill(pid, signal.SIGCONT)
    false: set[str] = set()
    end = time.monotonic() + 15
    try:
        while time.monotonic() < end:
            try:
                nodes = _nodes(address)
            except OSError:
                continue
            false |= {row["node"] for row in nodes if row["node"] in living and row["state"] in ("stale", "gone")}
            time.sleep(0.2)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    return [(f"false stale after the hub was stopped for {options.stop:g} s", len(false), "")]


def _ids(members: Any) -> list[str]:
    return [node["install"] for node in members.nodes]


def _nodes(address: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://{address}/v1/nodes", timeout=10) as answer:
        rows: list[dict[str, Any]] = json.load(answer)["nodes"]
    return rows
