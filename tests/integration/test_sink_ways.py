"""A bad way to a sink, by a real proxy: late, cut, reset, half-open, narrow. Everything arrives, each row is in one place."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.real_sink_host import HostSpool, Receiver, over_http
from harness.sinks.fault_proxy import FaultProxy, FaultyWay

from agent.model.timebase import MS

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    """One for all stories."""
    with FaultProxy(tmp_path_factory.mktemp("proxy")) as made:
        yield made


@pytest.mark.parametrize("kind", ["otlp", "prometheus"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(lambda way: way.latency(1_000), "did not answer within 0.3 s", id="late"),
        pytest.param(lambda way: way.timeout(), "did not answer within 0.3 s", id="half-open"),
        pytest.param(lambda way: way.bandwidth(0), "did not answer within 0.3 s", id="narrow"),
        pytest.param(lambda way: way.reset_peer(), "closed the connection", id="reset"),
        pytest.param(lambda way: way.limit_data(10), "in the middle of its answer", id="cut-answer"),
        pytest.param(lambda way: way.limit_data(100, direction="upstream"), "closed the connection", id="cut-request"),
        pytest.param(lambda way: way.down(), "nothing takes connections", id="refused"),
    ],
)
def test_a_way_that_carries_nothing(
    tmp_path: Path, proxy: FaultProxy, kind: str, spoil: Callable[[FaultyWay], None], words: str
) -> None:
    """Rows wait, and all are there once the way is mended."""
    with Receiver() as receiver:
        spool = HostSpool(tmp_path)
        way = proxy.to(receiver.port)
        host = over_http(tmp_path, kind, f"http://127.0.0.1:{way.port}")
        spool.append(2)
        host.wait_settled(2)
        spoil(way)
        spool.append(2)
        host.wait_state("down")
        host.run_until(lambda: words in host.problem, words)
        assert host.ledger["pending"] == 2
        way.heal()
        spool.append(1)
        host.wait_settled(5)
        assert receiver.missing(5) == []
        assert host.ledger["delivered"] == host.ledger["produced"] == 5
        host.kill()


@pytest.mark.parametrize("kind", ["otlp", "prometheus"])
def test_a_slow_way_is_no_fault(tmp_path: Path, proxy: FaultProxy, kind: str) -> None:
    """As long as an answer comes in time."""
    with Receiver() as receiver:
        spool = HostSpool(tmp_path)
        way = proxy.to(receiver.port)
        way.latency(100, jitter_ms=50)
        way.slices(7, pause_us=100)
        host = over_http(tmp_path, kind, f"http://127.0.0.1:{way.port}", timeout=5_000 * MS)
        for _ in range(3):
            spool.append(2)
            host.wait_settled(spool.rows)
        assert receiver.missing(6) == []
        assert host.stats["failures"] == 0
        host.kill()
