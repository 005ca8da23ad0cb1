"""The real programs that exports go to: each takes a real payload, has it after a SIGKILL too, and leaves nothing behind."""

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import obstore
import pytest
from harness import proc
from harness.sinks.certificates import Authority
from harness.sinks.collector import Collector, CollectorTls, requests_of
from harness.sinks.fault_proxy import FaultProxy, FaultyWay
from harness.sinks.http_answer import status
from harness.sinks.http_sink import HttpSink
from harness.sinks.lossy_network import LossyNetwork
from harness.sinks.object_server import ObjectServer
from harness.sinks.program import SINKS, ask, get
from harness.sinks.prometheus import Prometheus
from harness.sinks.redis_server import RedisServer
from harness.waiting import in_time, wait_until
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from agent.prctl import PR_SET_CHILD_SUBREAPER, prctl

MS = 1_000_000


def metrics_request(value: int) -> bytes:
    """One gauge with one point."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="lab")
    metric.gauge.data_points.add(as_int=value, time_unix_nano=1_700_000_000 * 10**9)
    return bytes(request.SerializeToString())


def logs_request(text: str) -> bytes:
    """One record."""
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add().body.string_value = text
    return bytes(request.SerializeToString())


def post(url: str, body: bytes, *, context: ssl.SSLContext | None = None) -> int:
    """The status of the answer to an OTLP request. *Raises:* OSError, HTTPError."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/x-protobuf"})
    with urllib.request.urlopen(request, timeout=20, context=context) as answer:
        return int(answer.status)


def values(collector: Collector) -> list[int]:
    """The value of the one point of each request that it took."""
    points = [each["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["gauge"]["dataPoints"][0] for each in collector.records()]
    return [int(point["asInt"]) for point in points]


# ---- the collector -----------------------------------------------------------------------------------


def test_what_a_collector_acknowledged_is_there_after_it_was_killed(tmp_path: Path) -> None:
    """Metrics and logs are in files of their own; the same ports take the next request after a new start."""
    with Collector(tmp_path / "collector") as collector:
        assert [post(collector.url("metrics"), metrics_request(number)) for number in (1, 2)] == [200, 200]
        assert post(collector.url("logs"), logs_request("text")) == 200
        collector.kill()
        with pytest.raises(OSError, match="refused"):
            post(collector.url("metrics"), metrics_request(3))
        collector.start()
        assert post(collector.url("metrics"), metrics_request(4)) == 200
        assert values(collector) == [1, 2, 4]
        # What gRPC says first: a connection of HTTP/2 begins with the server's settings.
        with socket.create_connection(("127.0.0.1", collector.grpc_port), 20) as grpc:
            grpc.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            assert grpc.recv(9)[3] == 4
        (logs,) = collector.records("logs")
        assert logs["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["body"] == {"stringValue": "text"}


def test_a_request_that_was_cut_is_left_out_of_the_records() -> None:
    """As a SIGKILL leaves it, with the next start's first request on the same line."""
    whole = '{"resourceMetrics":[{"resource":{}}]}'
    text = f'{whole}\n{{"resourceMetrics":[{{"resource":{{"a{whole}\n{whole}{whole}\n{whole[:-9]}'
    assert list(requests_of(text)) == [{"resourceMetrics": [{"resource": {}}]}] * 4


def test_a_collector_with_batches_answers_and_writes_later(tmp_path: Path) -> None:
    """Several requests may be one record there."""
    with Collector(tmp_path / "collector", batched=True) as collector:
        assert post(collector.url("metrics"), metrics_request(5)) == 200
        wait_until(lambda: values(collector) == [5], "the batch is written")


def test_a_collector_refuses_a_body_that_is_too_long(tmp_path: Path) -> None:
    """It says so by a status of its own, and takes the next one."""
    with Collector(tmp_path / "collector", body_bytes_max=1000) as collector:
        with pytest.raises(HTTPError) as refused:
            post(collector.url("logs"), logs_request("x" * 2000))
        with refused.value:
            assert refused.value.code == 400
        assert post(collector.url("logs"), logs_request("x")) == 200
        assert len(collector.records("logs")) == 1


def test_a_collector_proves_who_it_is_and_asks_the_client_to(tmp_path: Path) -> None:
    """Without the authority, and without a certificate of its own, a client is refused."""
    authority = Authority(tmp_path / "authority")
    tls = CollectorTls(authority.server("127.0.0.1"), client_authority=authority.certificate)
    with Collector(tmp_path / "collector", tls=tls) as collector:
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            post(collector.url("metrics"), metrics_request(1))
        context = ssl.create_default_context(cafile=authority.certificate)
        # What it sees depends on whether the end of the connection or the reason arrives first.
        with pytest.raises(OSError):
            post(collector.url("metrics"), metrics_request(1), context=context)
        client = authority.client("node-7")
        context.load_cert_chain(client.certificate, client.key)
        assert post(collector.url("metrics"), metrics_request(2), context=context) == 200
        assert values(collector) == [2]


def test_a_collector_hands_metrics_to_a_prometheus(tmp_path: Path) -> None:
    """By remote write, as deployments do it."""
    with (
        Prometheus(tmp_path / "prometheus", out_of_order_window="100y") as prometheus,
        Collector(tmp_path / "collector", remote_write=prometheus.write_url) as collector,
    ):
        assert post(collector.url("metrics"), metrics_request(6)) == 200
        wait_until(lambda: prometheus.samples("lab"), "the sample is there", pause_seconds=0.05)
        (series,) = prometheus.samples("lab")
        assert series.samples == ((1_700_000_000.0, 6.0),)


# ---- the object server -------------------------------------------------------------------------------


def test_an_object_that_was_acknowledged_is_there_after_the_server_was_killed(tmp_path: Path) -> None:
    """A conditional put succeeds once; the object is a file of the bucket's folder."""
    with ObjectServer(tmp_path / "server") as server:
        store = S3Store(server.bucket, **server.store_options)
        obstore.put(store, "process/date=2026-01-01/a.parquet", b"rows", mode="create")
        server.kill()
        server.start()
        with pytest.raises(AlreadyExistsError):
            obstore.put(store, "process/date=2026-01-01/a.parquet", b"others", mode="create")
        assert bytes(obstore.get(store, "process/date=2026-01-01/a.parquet").bytes()) == b"rows"
        assert server.objects() == {"process/date=2026-01-01/a.parquet": 4}


def test_an_object_server_may_speak_https(tmp_path: Path) -> None:
    """With a certificate of the test's own authority."""
    authority = Authority(tmp_path / "authority")
    with ObjectServer(tmp_path / "server", tls=authority.server("127.0.0.1")) as server:
        store = S3Store(server.bucket, **{**server.store_options, "client_options": {"allow_invalid_certificates": True}})
        obstore.put(store, "a", b"rows")
        assert (server.endpoint[:8], server.objects()) == ("https://", {"a": 4})


# ---- faults ------------------------------------------------------------------------------------------


@pytest.fixture
def way(tmp_path: Path) -> Iterator[tuple[FaultProxy, FaultyWay]]:
    """A proxy before a server that answers everything."""
    with HttpSink() as sink, FaultProxy(tmp_path / "proxy") as proxy:
        yield proxy, proxy.to(sink.port)


def test_a_proxy_delays(way: tuple[FaultProxy, FaultyWay]) -> None:
    """By as much as it was told, until it is healed."""
    _, faulty = way

    def took(_number: int = 0) -> float:
        begin = time.monotonic()
        assert get(faulty.port, "/")[0] == 200
        return time.monotonic() - begin

    faulty.latency(1000)
    assert took() >= 1
    faulty.heal()
    in_time(took, seconds=0.5)


def test_a_proxy_takes_connections_and_never_answers(way: tuple[FaultProxy, FaultyWay]) -> None:
    """The client's own time-out ends it."""
    _, faulty = way
    faulty.timeout()
    with pytest.raises(TimeoutError):
        urllib.request.urlopen(f"http://127.0.0.1:{faulty.port}/", timeout=0.3)
    faulty.heal()
    assert get(faulty.port, "/")[0] == 200


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (lambda faulty: faulty.reset_peer(), "reset|without response|closed"),
        (lambda faulty: faulty.limit_data(10), ""),
        (lambda faulty: faulty.down(), "refused"),
    ],
)  # fmt: skip
def test_a_proxy_ends_connections(way: tuple[FaultProxy, FaultyWay], fault: object, error: str) -> None:
    """By a reset, in the middle of an answer, or because nobody listens; after a new start too, and not after `heal`."""
    proxy, faulty = way
    assert callable(fault)
    fault(faulty)
    for _ in range(2):
        with pytest.raises((OSError, http.client.HTTPException), match=f"(?i){error}"):
            get(faulty.port, "/")
        proxy.kill()
        proxy.start()
    faulty.heal()
    assert get(faulty.port, "/")[0] == 200


def test_a_proxy_leads_elsewhere(way: tuple[FaultProxy, FaultyWay]) -> None:
    """From one request to the next, on the same port, and over a new start."""
    proxy, faulty = way
    with HttpSink(otherwise=status(429)) as other:
        faulty.lead_to(other.port)
        assert get(faulty.port, "/")[0] == 429
        proxy.kill()
        proxy.start()
        assert get(faulty.port, "/")[0] == 429


def test_a_network_that_loses_packets_brings_every_request(tmp_path: Path) -> None:
    """TCP repeats what is lost; the program is reached by another address."""
    with LossyNetwork(10) as network, network.place(Collector(tmp_path / "collector")) as collector:
        sent = 0
        while network.lost < 3:
            assert post(collector.url("metrics"), metrics_request(sent)) == 200
            sent += 1
        collector.kill()
        network.lose(0)
        collector.start()
        assert post(collector.url("metrics"), metrics_request(sent)) == 200
        assert network.lost == 0
        assert values(collector) == list(range(sent + 1))


# ---- all of them -------------------------------------------------------------------------------------


def test_a_program_that_is_paused_answers_later(way: tuple[FaultProxy, FaultyWay]) -> None:
    """As one that hangs: its kernel takes the connection and what is sent, and the answer comes when it goes on."""
    proxy, faulty = way
    proxy.pause()
    connection = http.client.HTTPConnection("127.0.0.1", faulty.port, timeout=0.3)
    connection.request("GET", "/")
    with pytest.raises(TimeoutError):
        connection.sock.recv(1)
    proxy.resume()
    connection.sock.settimeout(20)
    assert connection.getresponse().status == 200
    connection.close()


# ---- Redis -------------------------------------------------------------------------------------------


def test_a_cache_that_was_killed_is_empty(tmp_path: Path) -> None:
    """It keeps nothing on the disk, and takes what comes next."""
    with RedisServer(tmp_path / "redis") as server:
        assert server.call("HSET", "marks", "node-1", "5") == ["1"]
        assert server.call("HGETALL", "marks") == ["node-1", "5"]
        server.kill()
        server.start()
        assert server.call("HLEN", "marks") == ["0"]


# ---- all ---------------------------------------------------------------------------------------------


def test_a_program_ends_with_the_test_run_that_started_it(tmp_path: Path) -> None:
    """Also where that is killed, and ends nothing itself."""
    code = """
import pathlib, sys, time
from harness.sinks.fault_proxy import FaultProxy
with FaultProxy(pathlib.Path(sys.argv[1])) as proxy:
    print(proxy.pid, flush=True)
    time.sleep(60)
"""
    variables = {**os.environ, "PYTHONPATH": str(SINKS.parents[2] / "tests")}
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "proxy"], stdout=subprocess.PIPE, text=True, env=variables
    ) as run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        # It becomes a child of this process, which alone can wait for it where nobody reaps orphans.
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        try:
            run.kill()
            run.wait()
            assert os.waitpid(pid, 0) == (pid, signal.SIGKILL)
        finally:
            prctl(PR_SET_CHILD_SUBREAPER, 0)


def test_nothing_of_a_program_outlives_its_test(tmp_path: Path) -> None:
    """Its process ends, also one that the test has forgotten to resume, and its port is free."""
    with FaultProxy(tmp_path / "proxy") as proxy:
        pid, port = proxy.pid, proxy.to(1).port
        proxy.pause()
    assert not proc.is_alive(pid)
    with pytest.raises(OSError, match="refused"):
        ask(port, "GET", "/")


def test_a_component_that_is_not_made_is_named(tmp_path: Path) -> None:
    """With the command that makes it; nothing is made by the question."""
    ended = subprocess.run(
        [SINKS, "find", "collector"],
        env={"PATH": "/usr/bin:/bin", "LAB_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, "scripts/lab/sinks package collector" in ended.stderr) == (69, True)
    assert list(tmp_path.iterdir()) == []
