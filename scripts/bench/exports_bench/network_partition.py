"""Sinks that refuse, never answer or are full: whether sampling stays on time, memory flat, and what arrives once they are back.

A collector, a Prometheus and a folder, first without faults. Then both servers answer 429, 413 and 400; then they take connections
and never answer; then the disk of the folder is full. What is answered 413 (of a single row) and 400 is final: those rows are
rejected, and counted so. The kind `prometheus` sends every row here (resolution 1ms), the rest is as by default. Needs root for
the small disk; without it that fault is left out.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from fakes.small_disk import fill, mounted
from harness.export_trial import Tick, ticks_in
from harness.sinks.collector import Collector, requests_of
from harness.sinks.fault_proxy import FaultProxy, FaultyWay
from harness.sinks.http_answer import status
from harness.sinks.http_sink import HttpSink
from harness.sinks.prometheus import Prometheus

from exports_bench.fault_report import fault_options, report, run_turns
from exports_bench.faulty_agent import Fault, FaultyAgent, FaultySink, calm, sleeping
from exports_bench.network_latency import SINKS, two_sinks

REFUSALS = (429, 413, 400)
# What has never succeeded, and never will, for a row that cannot be divided.
_FINAL = (413, 400)
DISK_SIZE = "64m"


def main(words: Sequence[str]) -> int:
    """Measure and print."""
    options = fault_options("network-partition", __doc__, words)
    with ExitStack() as stack:
        enter = stack.enter_context
        folder = Path(enter(tempfile.TemporaryDirectory(prefix="eg-")))
        enter(sleeping(options.processes))
        collector, prometheus = enter(Collector(folder / "c")), enter(Prometheus(folder / "p"))
        proxy = enter(FaultProxy(folder / "f"))
        ports = collector.http_port, prometheus.port
        ways = [proxy.to(port) for port in ports]
        sinks = two_sinks(collector, prometheus, *(f"{proxy.address}:{way.port}" for way in ways))
        faults = [Fault(f"answers {code}", _refusing(ways, ports, code), SINKS, code in _FINAL) for code in REFUSALS]
        faults.append(Fault("half-open", _half_open(ways), SINKS))
        if os.geteuid() == 0:
            disk = enter(mounted(folder / "disk", DISK_SIZE))
            sinks["folder"] = FaultySink(f'kind = "file"\npath = "{disk / "copy"}"\n', lambda: _ticks_of_files(disk / "copy"))
            faults.append(Fault("full disk", _full(disk), ("folder",)))
        else:
            print("without a full disk: mounting one needs root")
        with FaultyAgent(folder / "a", sinks) as agent:
            found = run_turns(agent, [calm(), *faults], options)
    return report({"partition": found}, options)


def _ticks_of_files(folder: Path) -> list[Tick]:
    return [
        tick
        for path in sorted(folder.glob("*-metrics-*.jsonl"))
        for request in requests_of(path.read_text())
        for tick in ticks_in(request)
    ]


def _refusing(ways: Sequence[FaultyWay], ports: Sequence[int], code: int) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def context() -> Iterator[None]:
        with HttpSink(otherwise=status(code)) as refusing:
            for way in ways:
                way.lead_to(refusing.port)
            yield
            for way, port in zip(ways, ports, strict=True):
                way.lead_to(port)

    return context


def _half_open(ways: Sequence[FaultyWay]) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def context() -> Iterator[None]:
        for way in ways:
            way.timeout()
        yield
        for way in ways:
            way.heal()

    return context


def _full(disk: Path) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def context() -> Iterator[None]:
        filler = disk / "filler"
        fill(filler)
        yield
        filler.unlink()

    return context
