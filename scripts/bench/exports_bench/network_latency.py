"""Slow and lossy networks between an agent and its sinks: whether sampling stays on time, memory flat, and every row arrives.

A collector and a Prometheus, first without faults, then with answers that come 50, 200 and 1,000 ms later, then over a network that
drops one packet in ten. The kind `prometheus` sends every row here (resolution 1ms), the rest is as by default.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness.export_trial import CollectorSide, PrometheusSide
from harness.sinks.collector import Collector
from harness.sinks.fault_proxy import FaultProxy, FaultyWay
from harness.sinks.lossy_network import LossyNetwork
from harness.sinks.prometheus import Prometheus

from exports_bench.fault_report import fault_options, report, run_turns
from exports_bench.faulty_agent import Fault, FaultyAgent, FaultySink, calm, sleeping

LATENCIES = {f"latency {ms} ms": ms for ms in (50, 200, 1000)}
LOSS_PERCENT = 10.0
LOSS = f"loss {LOSS_PERCENT:g} %"
SINKS = ("collector", "prometheus")


def main(words: Sequence[str]) -> int:
    """Measure and print."""
    options = fault_options("network-latency", __doc__, words)
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="eg-") as name, sleeping(options.processes):
        folder = Path(name)
        if any(options.only in name for name in LATENCIES):
            found["latency"] = _latency(folder, options)
        if options.only in LOSS:
            try:
                found["loss"] = _loss(folder, options)
            except pytest.skip.Exception as reason:
                print(f"without loss of packets: {reason}")
    return report(found, options)


def two_sinks(collector: Collector, prometheus: Prometheus, otlp_at: str, write_at: str) -> dict[str, FaultySink]:
    """The sinks, reached at HOST:PORT each."""
    there, here = CollectorSide(collector), PrometheusSide(prometheus)
    return {
        "collector": FaultySink(
            f'kind = "otlp"\nendpoint = "http://{otlp_at}"\n', lambda: [tick for each in there.deliveries() for tick in each]
        ),
        "prometheus": FaultySink(
            f'kind = "prometheus"\nendpoint = "http://{write_at}/api/v1/write"\nresolution = "1ms"\n',
            lambda: [tick for each in here.deliveries() for tick in each],
        ),
    }


def _latency(folder: Path, options: Any) -> dict[str, Any]:
    with Collector(folder / "c") as collector, Prometheus(folder / "p") as prometheus, FaultProxy(folder / "f") as proxy:
        ways = proxy.to(collector.http_port), proxy.to(prometheus.port)
        sinks = two_sinks(collector, prometheus, *(f"{proxy.address}:{way.port}" for way in ways))
        with FaultyAgent(folder / "a", sinks) as agent:
            faults = [Fault(name, _later(ways, ms), SINKS) for name, ms in LATENCIES.items()]
            return run_turns(agent, [calm(), *faults], options)


def _later(ways: Sequence[FaultyWay], ms: int) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def context() -> Iterator[None]:
        for way in ways:
            way.latency(ms)
        yield
        for way in ways:
            way.heal()

    return context


def _loss(folder: Path, options: Any) -> dict[str, Any]:
    with LossyNetwork(LOSS_PERCENT) as network:
        network.lose(0)
        placed = network.place(Collector(folder / "lc")), network.place(Prometheus(folder / "lp"))
        with placed[0] as collector, placed[1] as prometheus:
            at = f"{collector.address}:{collector.http_port}", f"{prometheus.address}:{prometheus.port}"
            with FaultyAgent(folder / "la", two_sinks(collector, prometheus, *at)) as agent:
                return run_turns(agent, [calm(), Fault(LOSS, _losing(network), SINKS)], options)


def _losing(network: LossyNetwork) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def context() -> Iterator[None]:
        network.lose(LOSS_PERCENT)
        yield
        network.lose(0)

    return context
