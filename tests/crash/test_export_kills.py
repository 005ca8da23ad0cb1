"""Exporters and their sinks are killed at any moment: nothing is lost, and what a sink can tell apart is not doubled.

The benchmark `scripts/bench/exports kills` does the same some hundred times.
"""

from pathlib import Path
from random import Random
from time import sleep

import pytest
from harness.export_trial import CollectorSide, ExportTrial, PrometheusSide
from harness.sinks.collector import Collector
from harness.sinks.prometheus import Prometheus

KILLS = 5


@pytest.mark.timeout(240)
def test_a_killed_exporter_costs_prometheus_nothing(tmp_path: Path) -> None:
    """Each tick is there, with its value, and totals go on as if nothing had happened."""
    chance = Random(1)
    with Prometheus(tmp_path / "prometheus") as prometheus, ExportTrial(tmp_path / "agent", PrometheusSide(prometheus)) as trial:
        for _ in range(KILLS):
            sleep(chance.uniform(0.2, 1.5))
            trial.kill_exporter()
        verdict = trial.judge()
        assert (verdict.lost, verdict.doubled) == (0, 0)
        assert verdict.stored > 20
        (series,) = prometheus.samples("evergauge_processes_started_total")
        there = {round(at * 1000): value for at, value in series.samples}
        here = trial.totals_of("started")
        assert {at: total for at, total in there.items() if here[at] != total} == {}


@pytest.mark.timeout(240)
def test_a_killed_prometheus_loses_nothing(tmp_path: Path) -> None:
    """What it had acknowledged is in its log, what it had not is sent again."""
    chance = Random(2)
    with Prometheus(tmp_path / "prometheus") as prometheus, ExportTrial(tmp_path / "agent", PrometheusSide(prometheus)) as trial:
        for _ in range(KILLS):
            sleep(chance.uniform(0.2, 1.0))
            prometheus.kill()
            sleep(chance.uniform(0.0, 0.5))
            prometheus.start()
        verdict = trial.judge()
        assert (verdict.lost, verdict.doubled) == (0, 0)
        assert trial.report["ledger"]["rejected"] == 0


@pytest.mark.timeout(240)
def test_a_killed_exporter_repeats_one_delivery_at_a_collector_at_most(tmp_path: Path) -> None:
    """OTLP cannot tell a repeated request; nothing is lost."""
    chance = Random(3)
    with Collector(tmp_path / "collector") as collector, ExportTrial(tmp_path / "agent", CollectorSide(collector)) as trial:
        for _ in range(KILLS):
            sleep(chance.uniform(0.2, 1.5))
            trial.kill_exporter()
        verdict = trial.judge()
        assert verdict.lost == 0
        assert verdict.doubled_deliveries <= KILLS


@pytest.mark.timeout(240)
def test_a_killed_collector_loses_nothing(tmp_path: Path) -> None:
    """What it had acknowledged is in its file, what it had not is sent again."""
    chance = Random(4)
    with Collector(tmp_path / "collector") as collector, ExportTrial(tmp_path / "agent", CollectorSide(collector)) as trial:
        for _ in range(KILLS):
            sleep(chance.uniform(0.2, 1.0))
            collector.kill()
            sleep(chance.uniform(0.0, 0.5))
            collector.start()
        verdict = trial.judge()
        assert verdict.lost == 0
        assert verdict.doubled_deliveries <= KILLS
