"""A hub with many simulated nodes: what it costs, what it loses, how fast it answers meanwhile."""

import argparse
import http.client
import time
from typing import Any

from fakes.edge import percentile
from harness import proc
from harness.proc import MIB
from machine import circumstances

from fleet_bench.bench_hub import bench_hub, hub_pid, loop_cpu_ns, show, start_crowd

ABOUT = "a hub with simulated nodes: CPU, memory, losses, questions under load"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--units", type=int, default=100, help="workers on each node, all of which change each second")
    parser.add_argument("--idle", action="store_true", help="none of them changes")
    parser.add_argument("--processes", type=int, default=1, help="processes of simulated nodes")
    parser.add_argument("--patience", type=float, default=300.0, help="seconds until all nodes have to be welcome")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--questions", type=int, default=300, help="over HTTP, one after the other, while the load goes on")


def run(options: argparse.Namespace) -> int:
    """Measure."""
    found = circumstances()
    rows: list[tuple[str, Any, str]] = []
    with bench_hub(options.nodes) as (hub, members):
        pid = hub_pid(hub)
        begin = time.monotonic()
        crowd = start_crowd(hub, members, units=options.units, processes=options.processes, is_idle=options.idle)
        try:
            crowd.wait_ready(options.patience)
            rows.append(("all nodes welcome after", time.monotonic() - begin, "s"))
            time.sleep(5.0)
            before = hub.agent.stats("hub")
            cpu, loop, crowd_cpu, at = proc.cpu_ns(pid), loop_cpu_ns(pid), crowd.cpu_ns(), time.monotonic_ns()
            time.sleep(options.seconds)
            took_ns = time.monotonic_ns() - at
            after = hub.agent.stats("hub")
            rows += [
                ("CPU of the hub's loop", 100 * (loop_cpu_ns(pid) - loop) / took_ns, "% of a core"),
                ("CPU of the hub", 100 * (proc.cpu_ns(pid) - cpu) / took_ns, "% of a core"),
                ("CPU of the simulated nodes", 100 * (crowd.cpu_ns() - crowd_cpu) / took_ns, "% of a core"),
                ("PSS of the hub", proc.memory(pid).pss_bytes / MIB, "MiB"),
                ("frames taken", (after["frames"] - before["frames"]) / (took_ns / 1e9), "1/s"),
                ("beats taken", (after["beats"] - before["beats"]) / (took_ns / 1e9), "1/s"),
                ("beats lost", after["lost"] - before["lost"], ""),
                ("frames refused", after["refused"] - before["refused"], ""),
                ("workers known", after["workers"], ""),
                ("nodes fresh", after["states"].get("fresh", 0), ""),
            ]
            rows += _questions(hub.address(), options)
        finally:
            crowd.end()
    show(rows, to=options.json, circumstances=found)
    return 0


def _questions(address: str, options: argparse.Namespace) -> list[tuple[str, Any, str]]:
    host, _, port = address.rpartition(":")
    rows: list[tuple[str, Any, str]] = []
    for name, path in (
        ("question by model", "/v1/workers?model=org/model-7&order=load&limit=5&max_age=5s"),
        ("question by model, of two random ones", "/v1/workers?model=org/model-7&order=random2&limit=1"),
        ("question by model, least load with room", "/v1/workers?model=org/model-7&limit=5&min_free_vram=32000000000"),
        ("question of all, least load", "/v1/workers?order=load&limit=5"),
        ("question of all, most room", "/v1/workers?order=vram&limit=5&min_free_vram=1000000"),
        ("question of all, least load with room", "/v1/workers?limit=5&min_free_vram=32000000000"),
    ):
        took = []
        for _ in range(1 + options.questions):
            begin = time.perf_counter()
            connection = http.client.HTTPConnection(host, int(port), timeout=30)
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, body
            connection.close()
            took.append(1000 * (time.perf_counter() - begin))
            time.sleep(0.02)
        # The first of all workers makes the scores of all nodes, which are kept up to date from then on.
        rows.append((f"{name}, the first", took.pop(0), "ms"))
        rows += [(f"{name}, p50", percentile(took, 0.5), "ms"), (f"{name}, p99", percentile(took, 0.99), "ms")]
    return rows
