"""What exporters hold and use beside 500 processes and 100 pods: PSS and CPU by kind, live and without the sink; a second sink.

Beside them run a psutil loop over the same processes and, where `--otel-python` names an interpreter that has it, the SDK of
OpenTelemetry, whose instrumentation of system metrics exports to the same collector. Needs root, for cgroups of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import linear_regression
from typing import Any

from footprint_bench.__main__ import RIVAL
from footprint_bench.agent import Agent, agent, costs, total, wait_settled
from footprint_bench.node import node
from footprint_bench.room import hierarchies, is_inside, run_inside
from harness.control_connection import call
from harness.proc import cpu_ns, memory
from harness.sinks.collector import Collector
from harness.sinks.kafka_broker import KafkaBroker
from harness.sinks.prometheus import Prometheus
from harness.waiting import wait_until

# How much the PSS of an exporter may be, and how much it may grow from the first to the last fifth of the time without a sink.
PSS_MIB, KAFKA_PSS_MIB, GROWTH_MIB = 24.0, 30.0, 1.0
_AWAY_PAUSE_SECONDS = 2.0
# Its points are counted as it hands them to its exporter, and told on stdout.
_OTEL = """
import sys, time
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

class Counting(OTLPMetricExporter):
    points = 0
    def export(self, data, *rest, **named):
        found = super().export(data, *rest, **named)
        Counting.points += sum(len(metric.data.data_points) for resource in data.resource_metrics
                               for scope in resource.scope_metrics for metric in scope.metrics)
        with open(sys.argv[2], "w") as file:
            file.write(str(Counting.points))
        return found

reader = PeriodicExportingMetricReader(Counting(endpoint=sys.argv[1]), export_interval_millis=1000)
SystemMetricsInstrumentor().instrument(meter_provider=MeterProvider(metric_readers=[reader]))
while True:
    time.sleep(3600)
"""


def main(words: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench/exports memory", description=__doc__)
    parser.add_argument("--processes", type=int, default=500)
    parser.add_argument("--pods", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30, help="length of the window with living sinks")
    parser.add_argument("--minutes", type=float, default=3, help="how long the sinks are away")
    parser.add_argument(
        "--otel-python", help="an interpreter with opentelemetry-sdk, its OTLP exporter over HTTP and system metrics"
    )
    parser.add_argument("--quick", action="store_true", help="100 processes, 20 pods, short windows: for a look, not for quoting")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(words)
    if options.quick:
        options.processes, options.pods, options.seconds, options.minutes = 100, 20, 8.0, 0.4
    if os.geteuid() != 0:
        print("needs root: cgroups are made and mounted", file=sys.stderr)
        return 69
    if not is_inside():
        run_inside("exports_bench", ["memory", *words])
    rooms = hierarchies()
    with tempfile.TemporaryDirectory(prefix="eg-") as name:
        folder = Path(name)
        with node(rooms, folder / "nri.sock", processes=options.processes, pods=options.pods):
            found = _by_kind(folder, options) | {"second_sink": _second_sink(folder, options)}
    _print(found, options)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    return 0 if found["is_kept"] else 1


@contextmanager
def _agent(folder: Path, sinks: Mapping[str, str], options: argparse.Namespace) -> Iterator[Agent]:
    path = folder.with_suffix(".toml")
    path.write_text("".join(f'[sink."{name}"]\n{section}\n' for name, section in sinks.items()))
    flags = {"--config": str(path), "--nri-socket-path": str(folder.parent / "nri.sock")}
    with agent(folder, flags) as one:
        wait_settled(one, options.pods)
        # The first deliveries are all that was stored before.
        wait_until(lambda: _has_delivered(one, sinks), "every sink has had deliveries", seconds=60, pause_seconds=0.2)
        yield one


def _reports(one: Agent) -> dict[str, dict[str, Any]]:
    """What each exporter says of itself; those that share a process are members of one."""
    stats = call(one.folder / "control.sock", "status")["stats"]
    found = dict[str, dict[str, Any]]()
    for name, each in stats.items():
        if isinstance(each, dict) and name.startswith("exporter/"):
            found |= each.get("members", {name: each})
    return found


def _has_delivered(one: Agent, sinks: Mapping[str, str]) -> bool:
    reports = _reports(one)
    return all(reports.get(f"exporter/{name}", {}).get("deliveries", 0) > 3 for name in sinks)


def _otlp(collector: Collector) -> str:
    return f'kind = "otlp"\nendpoint = "http://{collector.address}:{collector.http_port}"\n'


def _by_kind(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    with Collector(folder / "c") as collector, Prometheus(folder / "p") as prometheus, KafkaBroker(folder / "k") as broker:
        sinks = {
            "kafka": f'kind = "kafka"\nbrokers = "{broker.address_text}"\n',
            "otlp": _otlp(collector),
            "prometheus": f'kind = "prometheus"\nendpoint = "{prometheus.write_url}"\n',
            "file": f'kind = "file"\npath = "{folder / "copy"}"\n',
        }
        with _agent(folder / "a", sinks, options) as one:
            live = _live(one, collector, folder, options)
            collector.stop()
            prometheus.stop()
            broker.kill()
            away = _away(one, options.minutes)
    kept = [live[name]["pss_mib"] <= _most_mib(name) for name in live if name in sinks]
    kept += [each["most_mib"] <= _most_mib(name) and each["growth_mib"] <= GROWTH_MIB for name, each in away.items()]
    return {"live": live, "away": away, "is_kept": all(kept)}


def _most_mib(name: str) -> float:
    return KAFKA_PSS_MIB if name == "kafka" else PSS_MIB


def _live(one: Agent, collector: Collector, folder: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """CPU and PSS of each exporter and each rival in the same window, and of those that count points what one costs."""
    with _rivals(collector, folder / "points", options) as rivals:
        before = {name: cpu_ns(pid) for name, pid in rivals.items()}
        points = {name: report["points"] for name, report in _reports(one).items()}
        rival_points, began_ns = _count_in(folder / "points"), time.monotonic_ns()
        window = costs(one, options.seconds)
        elapsed_ns = time.monotonic_ns() - began_ns
        found = {}
        for name, report in _reports(one).items():
            held = window[name]
            found[name.removeprefix("exporter/")] = _cost(
                held.cpu_percent, held.pss_mib, report["points"] - points[name], options.seconds
            )
        for name, pid in rivals.items():
            percent = 100 * (cpu_ns(pid) - before[name]) / elapsed_ns
            sent = _count_in(folder / "points") - rival_points if name == "opentelemetry-sdk" else 0
            found[name] = _cost(percent, memory(pid).pss_bytes / 2**20, sent, elapsed_ns / 1e9)
        found["whole agent"] = _cost(total(window).cpu_percent, total(window).pss_mib, 0, options.seconds)
    return found


def _cost(cpu_percent: float, pss_mib: float, points: int, seconds: float) -> dict[str, float]:
    cost = {"cpu_percent": round(cpu_percent, 3), "pss_mib": round(pss_mib, 2)}
    if points:
        cost |= {"points_per_s": round(points / seconds, 1), "cpu_us_per_point": round(cpu_percent * 1e4 * seconds / points, 2)}
    return cost


def _count_in(path: Path) -> int:
    return int(path.read_text() or 0) if path.exists() else 0


@contextmanager
def _rivals(collector: Collector, points: Path, options: argparse.Namespace) -> Iterator[dict[str, int]]:
    commands = {"psutil loop": [sys.executable, "-c", RIVAL]}
    if options.otel_python:
        commands["opentelemetry-sdk"] = [options.otel_python, "-c", _OTEL, collector.url("metrics"), str(points)]
    held = {name: subprocess.Popen(words) for name, words in commands.items()}
    try:
        if options.otel_python:
            wait_until(lambda: _count_in(points) > 0, "the SDK exports", seconds=30, pause_seconds=0.2)
        else:
            time.sleep(2)
        yield {name: each.pid for name, each in held.items()}
    finally:
        for each in held.values():
            each.kill()
            each.wait()


def _away(one: Agent, minutes: float) -> dict[str, dict[str, float]]:
    """PSS of the exporters whose sink is gone: least, most, and how it goes on."""
    names = ("exporter/otlp", "exporter/prometheus", "exporter/kafka")
    wait_until(lambda: all(_reports(one)[name]["state"] == "down" for name in names), "the sinks are away", seconds=60)
    pids = {name: pid for pid, name in one.processes().items() if name in names}
    times, held = list[float](), {name: list[float]() for name in pids}
    begun = time.monotonic()
    while time.monotonic() < begun + 60 * minutes:
        times.append((time.monotonic() - begun) / 60)
        for name, pid in pids.items():
            held[name].append(memory(pid).pss_bytes / 2**20)
        time.sleep(_AWAY_PAUSE_SECONDS)
    fifth = max(1, len(times) // 5)
    return {
        name.removeprefix("exporter/"): {
            "least_mib": round(min(each), 2),
            "most_mib": round(max(each), 2),
            "growth_mib": round(max(each[-fifth:]) - max(each[:fifth]), 2),
            "slope_mib_per_minute": round(linear_regression(times, each).slope, 3),
        }
        for name, each in held.items()
    }


def _second_sink(folder: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """One sink, two, and two in one process: sums over exporters, and over the whole agent, which shares pages with them."""
    found = dict[str, dict[str, float]]()
    with Collector(folder / "c2") as collector:
        plain, shared = _otlp(collector), _otlp(collector) + 'process = "shared"\n'
        for name, sinks in (("one", [plain]), ("two", [plain, plain]), ("two, shared", [shared, shared])):
            named = {f"sink-{number}": section for number, section in enumerate(sinks)}
            with _agent(folder / f"s{len(found)}", named, options) as one:
                window = costs(one, options.seconds)
            of_exporters = [each for worker, each in window.items() if worker.startswith("exporter/")]
            found[name] = {
                "processes": len(of_exporters),
                "exporters_pss_mib": round(sum(each.pss_mib for each in of_exporters), 2),
                "exporters_cpu_percent": round(sum(each.cpu_percent for each in of_exporters), 3),
                "agent_pss_mib": round(total(window).pss_mib, 2),
            }
    return found


def _print(found: Mapping[str, Any], options: argparse.Namespace) -> None:
    print(f"{options.processes} processes, {options.pods} pods, load {os.getloadavg()[0]:.2f}")
    for part in ("live", "away", "second_sink"):
        for name, figures in found[part].items():
            print(f"{part:12} {name:18} {json.dumps(figures)}")
    limits = f"{PSS_MIB:g} MiB for an exporter, {KAFKA_PSS_MIB:g} of Kafka, {GROWTH_MIB:g} MiB more while away"
    print(f"limits: {limits}: {'kept' if found['is_kept'] else 'MISSED'}")
