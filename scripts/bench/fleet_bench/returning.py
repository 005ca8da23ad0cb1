"""kill -9 of the hub's worker: until it serves again, until all nodes are back, and how many connect in a second."""

import argparse
import json
import os
import signal
import time
import urllib.error
import urllib.request
from typing import Any

from machine import circumstances

from fleet_bench.bench_hub import bench_hub, hub_pid, show, start_crowd

ABOUT = "kill -9 of the hub: until it serves, until all nodes are back, connects a second"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--units", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)


def run(options: argparse.Namespace) -> int:
    """Measure."""
    found = circumstances()
    serving, back, half, shares = [], [], [], []
    with bench_hub(options.nodes, **{"--hub-port": "19867"}) as (hub, members):
        crowd = start_crowd(hub, members, units=options.units)
        try:
            crowd.wait_ready(180)
            time.sleep(3)
            for _ in range(options.repeats):
                killed = time.monotonic()
                os.kill(hub_pid(hub), signal.SIGKILL)
                counts: list[tuple[float, int]] = []
                served = None
                while not counts or counts[-1][1] < options.nodes:
                    now = time.monotonic() - killed
                    assert now < 120, counts[-1:]
                    try:
                        with urllib.request.urlopen("http://127.0.0.1:19867/v1/nodes", timeout=5) as answer:
                            nodes = json.load(answer)["nodes"]
                    except (OSError, urllib.error.URLError, json.JSONDecodeError):
                        time.sleep(0.02)
                        continue
                    served = served or time.monotonic() - killed
                    counts.append((time.monotonic() - killed, sum(row["state"] == "fresh" and bool(row["cpus"]) for row in nodes)))
                    time.sleep(0.1)
                assert served is not None
                serving.append(served)
                back.append(counts[-1][0])
                half.append(next(at for at, count in counts if count >= options.nodes / 2))
                shares.append(_peak(counts))
                time.sleep(10)
        finally:
            crowd.end()
    rows: list[tuple[str, Any, str]] = [
        ("kills", options.repeats, ""),
        ("serving again after, worst", max(serving), "s"),
        (f"half of {options.nodes} nodes back with their state after, worst", max(half), "s"),
        (f"all of {options.nodes} nodes back with their state after, worst", max(back), "s"),
        ("most nodes that came back in a second, to the mean", max(shares), "times"),
    ]
    show(rows, to=options.json, circumstances=found)
    return 0


def _peak(counts: list[tuple[float, int]]) -> float:
    """The most that came back within any second, against the mean from the first to the last."""
    first, last = next(at for at, count in counts if count), counts[-1][0]
    mean = counts[-1][1] / max(1.0, last - first)
    most = max(later - earlier for at, earlier in counts for then, later in counts if at < then <= at + 1.0)
    return most / mean
