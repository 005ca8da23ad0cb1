"""Alerts and dashboard of docs/prometheus, against promtool and a real Prometheus; docs/metrics.md against the declared names."""

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from fakes.gateway_host import GatewayHost, running_gateway
from fakes.gateway_thread import serving
from fakes.measured_node import node_batches
from fakes.spool_files import SpoolFiles
from fakes.status import status_document
from harness.sinks.prometheus import Prometheus, Promtool, Version
from harness.waiting import wait_until

from agent.clock import SystemClock
from agent.model.timebase import S
from workers import registry
from workers.export.series.catalogue import RANKED, SKETCHED, VIEWS
from workers.gateway.metrics import GatewayCounts, families
from workers.gateway.supervisor_answer import status_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "prometheus"
NAME = re.compile(r"\bevergauge_[a-z0-9_]+")
# The exporters declare these; a sink is in no test here.
EXPORTS = "evergauge_export_"


def measured_names() -> set[str]:
    """Every name that stored rows may have."""
    names = {name for view in VIEWS for name in view.families} | {family.name for family in RANKED}
    return names | {name for family in SKETCHED for name in (family.histogram, family.quantile)}


def agent_names() -> set[str]:
    """Every name that the agent may have beside them."""
    conditions = [{"worker": "w", "kind": "k", "detail": "d", "blocks_ready": False}]
    shown = families(status_of(status_document(conditions=conditions)), GatewayCounts(requests=0, refused=0), {})
    names = {family.name for family in shown}
    names |= {statistic.name for each in registry.statistics().values() for statistic in each}
    source = (ROOT / "workers" / "gateway" / "measured.py").read_text()
    return names | set(NAME.findall(source))


def used_names(text: str) -> set[str]:
    """Names in a document, those of exports left out."""
    return {name for name in NAME.findall(text) if not name.startswith(EXPORTS)}


@pytest.mark.parametrize("version", ["old", "new"])
def test_alerts_fire_where_they_should_and_nowhere_else(version: Version) -> None:
    """By the tests beside them."""
    promtool = Promtool(version)
    assert promtool.check_rules(FOLDER / "alerts.yaml")[0] == 0
    status, text = promtool.test_rules(FOLDER)
    assert status == 0, text


def test_every_alert_has_a_test_and_known_names() -> None:
    """A metric that was renamed would silence its alert."""
    alerts, tests = ((FOLDER / name).read_text() for name in ("alerts.yaml", "alerts_test.yaml"))
    named = re.findall(r"- alert: (\w+)", alerts)
    assert len(named) == len(set(named)) >= 18
    assert set(re.findall(r'alertname="(\w+)"', tests)) == set(named)
    assert used_names(alerts) <= measured_names() | agent_names()


def queries() -> Iterator[tuple[str, str]]:
    """Each query of the dashboard with the title of its panel."""
    for panel in json.loads((FOLDER / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def test_the_dashboard_has_known_names() -> None:
    """And its panels ids and places of their own."""
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert used_names(" ".join(query for _, query in queries())) <= measured_names() | agent_names()


@pytest.fixture
def measured_node(tmp_path: Path) -> Iterator[tuple[GatewayHost, SpoolFiles]]:
    """A gateway over the spool of a node, which is empty yet."""
    now_ns = SystemClock().wall_ns()
    spool = SpoolFiles(tmp_path / "state", now_ns - 60 * S)
    with running_gateway(state_dir=str(tmp_path / "state")) as host:
        host.clock.set_wall_ns(now_ns)
        yield host, spool


@pytest.mark.timeout(120)
def test_every_query_of_the_dashboard_gives_data(measured_node: tuple[GatewayHost, SpoolFiles], tmp_path: Path) -> None:
    """From a real Prometheus that scraped a node with units, cache, bandwidth and a GPU; exports have tests of their own."""
    host, spool = measured_node
    begin_ns = host.clock.wall_ns() - 50 * S

    def append(begin: int, end: int) -> None:
        for second in range(begin, end):
            for batch in node_batches(begin_ns + second * S, second):
                spool.append(batch, begin_ns + second * S)

    append(0, 30)
    with serving(host), Prometheus(tmp_path / "prometheus", "new", scrape=[host.stats["address"]]) as prometheus:
        wait_until(lambda: prometheus.query("evergauge_unit_pids"), "the first scrape is stored")
        append(30, 50)
        wait_until(lambda: prometheus.query("changes(evergauge_host_cpu_seconds_total{mode='user'}[1m]) > 0"), "another scrape")
        for title, query in queries():
            asked = query.replace("$__rate_interval", "1m").replace("$instance", ".*")
            if EXPORTS not in query:
                # After a scrape that came too late there is nothing until the next one.
                wait_until(partial(prometheus.query, asked), f"{title}: {asked}")


def test_every_metric_is_documented() -> None:
    """And nothing else is."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    assert measured_names() - used_names(text) == set()
    assert used_names(text) - measured_names() - agent_names() == set()
