"""What a real Prometheus makes of /metrics, and what promtool says about it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.gateway_host import GatewayHost, running_gateway
from fakes.gateway_thread import serving
from fakes.http_probe import ask_http
from fakes.series_rows import BEGIN_NS, process_batch, sketch_batch, unit_batch
from fakes.spool_files import SpoolFiles
from harness.agent_process import AgentProcess
from harness.sinks.prometheus import Prometheus, Promtool, Series
from harness.waiting import wait_until

from agent.clock import SystemClock
from agent.model.timebase import S

QUANTILE = "histogram_quantile({part}, evergauge_process_memory_bytes{{command='x'}})"


@pytest.fixture
def stored_host(tmp_path: Path) -> Iterator[GatewayHost]:
    """A gateway over some rows of now."""
    now_ns = SystemClock().wall_ns()
    spool = SpoolFiles(tmp_path / "state", now_ns - 30 * S)
    for ago in range(20, 0, -1):
        at_ns = now_ns - ago * S
        since = (at_ns - BEGIN_NS) / S
        for batch in (
            unit_batch(since, "/a", 'q"u\\o', cpu_user_ns=S // 2, memory_current_bytes=ago, pressure_cpu_some_ns=1),
            process_batch(since, ("bash", 1, S // 4, 100, 5)),
            sketch_batch(since, "/a", "x", "rss", list(range(1, 10_001))),
            sketch_batch(since, "/a", "x", "cpu", [0]),
        ):
            spool.append(batch, at_ns)
    with running_gateway(state_dir=str(tmp_path / "state")) as host:
        host.clock.set_wall_ns(now_ns)
        yield host


def _found(prometheus: Prometheus, query: str) -> list[Series]:
    """What a query finds. After a scrape that came too late there is nothing until the next one."""
    return wait_until(lambda: prometheus.query(query), query)


@pytest.mark.timeout(120)
def test_a_prometheus_that_wants_native_histograms_gets_them(stored_host: GatewayHost, tmp_path: Path) -> None:
    """Quantiles are right within the sketch's error, counters have their start, hostile names come through."""
    address = stored_host.stats["address"]
    with serving(stored_host), Prometheus(tmp_path / "prometheus", "new", scrape=[address]) as prometheus:
        wait_until(lambda: prometheus.query("evergauge_process_memory_bytes"), "a scrape is stored")
        for part in (0.5, 0.9, 0.99):
            (found,) = _found(prometheus, QUANTILE.format(part=part))
            assert found.samples[0][1] == pytest.approx(part * 10_000, rel=0.01)
        (counted,) = _found(prometheus, "histogram_count(evergauge_process_memory_bytes)")
        assert counted.samples[0][1] == 10_000
        units = {series.labels["unit"]: series.samples[0][1] for series in _found(prometheus, "evergauge_unit_cpu_seconds_total")}
        assert units == {"/a": 10.0, 'q"u\\o': 10.0}
        assert prometheus.metadata()["evergauge_process_memory_bytes"][0]["type"] == "gaugehistogram"
        wait_until(lambda: prometheus.query("up")[0].samples[0][1] == 1, "it is up")


@pytest.mark.timeout(120)
def test_an_old_prometheus_gets_the_text(stored_host: GatewayHost, tmp_path: Path) -> None:
    """Quantiles as gauges; or native histograms, which it may be told to take."""
    address = stored_host.stats["address"]
    with serving(stored_host), Prometheus(tmp_path / "prometheus", "old", scrape=[address]) as prometheus:
        wait_until(lambda: prometheus.query("evergauge_unit_cpu_seconds_total"), "a scrape is stored")
        found = wait_until(
            lambda: (
                prometheus.query("evergauge_process_memory_quantile_bytes{quantile='0.9'}")
                or prometheus.query(QUANTILE.format(part=0.9))
            ),
            "the quantile",
        )
        assert found[0].samples[0][1] == pytest.approx(9_000, rel=0.01)


@pytest.mark.timeout(120)
def test_promtool_finds_nothing_to_say(tmp_path: Path) -> None:
    """Names, types and texts of a real agent keep every habit."""
    with AgentProcess(tmp_path, flags={"--sampler-process-interval": "1s"}) as agent:
        address = agent.stats("gateway")["address"]
        wait_until(
            lambda: b"evergauge_top_command_cpu_cores" in ask_http(address, "/metrics")[1], "commands are shown", pause_seconds=0.5
        )
        status, body = ask_http(address, "/metrics")
        assert status == 200
        assert Promtool("new").check_metrics(body.decode())[1] == ""
        assert Promtool("old").check_metrics(body.decode())[1] == ""
