"""The gateway over real sockets: what clients get, and what they cannot do to it."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from fakes.gateway_host import GatewayHost, running_gateway
from fakes.status import status_document, worker_row
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain

from agent.model.message import Condition
from agent.model.timebase import MS, S
from workers.gateway.work import BIND_RETRY_NS
from workers.http.connection import DRAIN_TIMEOUT_NS
from workers.http.request import HEAD_BYTES_MAX
from workers.http.server import CONNECTION_TIMEOUT_NS, CONNECTIONS_MAX

READY = b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n"
METRICS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
REQUEST = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def gateway() -> Iterator[GatewayHost]:
    """A gateway on a port of the system's choice, which shows the agent alone: test_gateway_measured.py has the stored rows."""
    with running_gateway(**{"gateway.metrics": "agent"}) as host:
        yield host


def is_at_rest(gateway: GatewayHost) -> bool:
    """Only the listening socket is left, and nothing will wake the gateway."""
    return len(gateway.work.interests()) == 1 and gateway.work.next_deadline_ns() is None


def rest(gateway: GatewayHost) -> None:
    """Turn until it is at rest, in no time of its own: the kernel may tell it a little later that a client has gone."""
    gateway.turn_until(lambda: is_at_rest(gateway))


def test_live_is_answered_without_asking_anybody(gateway: GatewayHost) -> None:
    """It depends on nothing but the gateway's own loop."""
    gateway.status = None
    received = gateway.ask("/live")
    assert (received.status, received.body) == (200, b"alive\n")
    assert gateway.bus.requests == []
    rest(gateway)


def test_ready_says_yes(gateway: GatewayHost) -> None:
    """200, and JSON for people and programs."""
    received = gateway.ask("/ready?verbose")
    assert (received.status, json.loads(received.body)) == (200, {"ready": True, "reasons": []})
    assert received.fields["content-type"] == "application/json"
    assert gateway.bus.requests == ["ready"]


def test_a_probe_does_not_wait_for_a_scrape(gateway: GatewayHost) -> None:
    """A status takes as long as the slowest worker may; readiness is asked for beside it."""
    gateway.status = None
    scraper, probe = gateway.connect(), gateway.connect()
    scraper.send(METRICS)
    gateway.turn_until(lambda: gateway.bus.requests == ["status"])
    probe.send(READY)
    gateway.turn_until(lambda: gateway.bus.requests == ["status", "ready"])
    gateway.work.on_answer(2, {"ready": True, "reasons": []})
    assert gateway.finish(probe).status == 200
    assert not scraper.receive()
    gateway.work.on_answer(1, status_document())
    assert b"evergauge_up 1.0\n" in gateway.finish(scraper).body


@pytest.mark.parametrize("path", ["/ready", "/metrics"])
def test_a_question_that_the_supervisor_refuses_is_no_silence(gateway: GatewayHost, path: str) -> None:
    """Its sentence is the reason; the client does not wait for the end of its time."""
    gateway.status = {"problem": "a worker may not ask that"}
    received = gateway.ask(path)
    if path == "/ready":
        expected = {"ready": False, "reasons": ["a worker may not ask that"]}
        assert (received.status, json.loads(received.body)) == (503, expected)
    else:
        assert b"evergauge_up 0.0\n" in received.body


def test_ready_says_no_and_why(gateway: GatewayHost) -> None:
    """503 with the supervisor's reasons, each request again."""
    gateway.status = status_document(ready=False, reasons=["writer is backoff"])
    received = gateway.ask("/ready")
    assert (received.status, json.loads(received.body)) == (503, {"ready": False, "reasons": ["writer is backoff"]})
    gateway.status = status_document()
    assert gateway.ask("/ready").status == 200


def test_a_silent_supervisor_is_not_ready_and_not_up(gateway: GatewayHost) -> None:
    """After one second, not before; and it is seen again as soon as it answers."""
    gateway.status = None
    ready, metrics = gateway.connect(), gateway.connect()
    ready.send(READY)
    metrics.send(METRICS)
    gateway.turn_until(lambda: gateway.stats["requests"] == 2)
    gateway.pass_time(999 * MS)
    assert not ready.receive()
    gateway.pass_time(1 * MS)
    assert json.loads(gateway.finish(ready).body) == {"ready": False, "reasons": ["the supervisor does not answer"]}
    received = gateway.finish(metrics)
    assert received.status == 200
    assert {sample.name: sample.value for f in read_plain(received.body.decode()) for sample in f.samples} == {
        "evergauge_up": 0,
        "evergauge_gateway_requests_total": 2,
        "evergauge_gateway_refused_total": 0,
    }
    gateway.status = status_document()
    gateway.pass_time(1 * S)
    assert gateway.ask("/ready").status == 200
    rest(gateway)


def test_a_supervisor_that_speaks_nonsense_is_not_ready(gateway: GatewayHost) -> None:
    """The reason names the part; the gateway lives."""
    gateway.status = {"ready": "perhaps"}
    received = gateway.ask("/ready")
    assert received.status == 503
    assert "the supervisor: the answer has no true or false at ready" in json.loads(received.body)["reasons"][0]
    assert b"evergauge_up 0.0\n" in gateway.ask("/metrics").body


@pytest.mark.parametrize(
    ("accept", "content_type", "read"),
    [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", read_plain),
        (
            "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            read_openmetrics,
        ),
    ],
    ids=["plain", "openmetrics"],
)
def test_metrics_come_in_the_format_that_is_asked_for(
    gateway: GatewayHost, accept: str, content_type: str, read: Callable[[str], Iterable[Metric]]
) -> None:
    """Each format is read by its own parser."""
    received = gateway.ask("/metrics", accept=accept)
    assert (received.status, received.fields["content-type"]) == (200, content_type)
    samples = {(s.name, s.labels.get("worker")): s.value for metric in read(received.body.decode()) for s in metric.samples}
    assert samples["evergauge_up", None] == 1
    assert samples["evergauge_worker_up", "sampler/process"] == 1
    assert samples["evergauge_writer_rows_total", "writer"] == 1000


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/page", 404),
        ("GET", "/metrics/", 200),
        ("GET", "//metrics?name[]=evergauge_up", 200),
        ("GET", "/metrics/x", 404),
        ("HEAD", "/metrics/", 200),
        ("HEAD", "/x", 404),
        ("POST", "/ready", 405),
        ("DELETE", "/x", 405),
        ("HEAD", "/live", 200),
        ("HEAD", "/ready", 200),
    ],
)
def test_everything_else_is_answered_with_its_status(gateway: GatewayHost, method: str, path: str, status: int) -> None:
    """Unknown paths and methods get one sentence; HEAD gets the head alone."""
    received = gateway.ask(path, method=method)
    assert received.status == status
    if method == "HEAD":
        assert received.body == b""
        assert int(received.fields["content-length"]) > 0
    else:
        assert received.body.endswith(b".\n") or status == 200
        assert int(received.fields["content-length"]) == len(received.body)
    assert received.fields["connection"] == "close"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "evil.example:9464", "10.0.0.1", "[fd00::1]:9464", ""])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/metrics"), ("GET", "/ready"), ("HEAD", "/live"), ("POST", "/x"), ("GET", "/x")]
)
def test_a_page_whose_name_leads_here_reads_nothing(gateway: GatewayHost, host: str, method: str, path: str) -> None:
    """Whatever it asks for and how: the name that it has at its own server is none of ours, nor is the supervisor asked."""
    received = gateway.ask(path, method=method, host=host)
    assert received.status == 421
    assert received.body == b"" if method == "HEAD" else b"gateway.allowed_hosts" in received.body
    assert (gateway.stats["requests"], gateway.stats["refused"], gateway.bus.requests) == (0, 1, [])


def test_a_proxys_request_is_judged_by_the_host_of_its_target(gateway: GatewayHost) -> None:
    """As RFC 9112 has it, the field beside it does not count."""
    assert gateway.ask("http://evil.example/metrics", host="localhost").status == 421
    assert gateway.ask("http://localhost:9464/metrics", host="evil.example").status == 200


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9464", "localhost.", "127.0.0.1:1", "127.1.2.3", "[::1]", "[0:0::1]:9464"]
)
def test_the_loopback_names_are_answered_in_every_form(gateway: GatewayHost, host: str) -> None:
    """With any port: who forwards one asks by another."""
    assert gateway.ask("/live", host=host).status == 200


@pytest.mark.runbook("Gateway")
def test_names_that_are_set_are_answered_and_addresses_where_it_is_asked_from_outside() -> None:
    """A scraper asks by the address of the pod, or by a name that an operator has added."""
    with running_gateway(address="0.0.0.0", allowed_hosts="node-7.example., metrics_lb") as gateway:
        hosts = ["node-7.example:9464", "NODE-7.example.", "metrics_lb", "10.0.0.1:9464", "[fd00::1%25eth0]:80", "localhost"]
        assert {gateway.ask("/live", host=host).status for host in hosts} == {200}
        assert {gateway.ask("/live", host=host).status for host in ("node-7", "x.node-7.example", "10.0.0.1.example")} == {421}
    with running_gateway(allowed_hosts="*") as gateway:
        assert gateway.ask("/live", host="any.example").status == 200


def test_a_probe_of_http_1_0_without_a_name_is_answered(gateway: GatewayHost) -> None:
    """Load balancers send it; no browser does."""
    client = gateway.connect()
    client.send(b"GET /live HTTP/1.0\r\n\r\n")
    assert gateway.finish(client).status == 200


def test_a_request_may_come_byte_by_byte(gateway: GatewayHost) -> None:
    """Slow is not wrong, within five seconds."""
    client = gateway.connect()
    for byte in REQUEST:
        client.send(bytes([byte]))
        gateway.pass_time(10 * MS)
    assert gateway.finish(client).status == 200


def test_a_client_may_end_its_side_before_it_is_answered(gateway: GatewayHost) -> None:
    """`printf ... | nc -N` does so."""
    client = gateway.connect()
    client.send(b"GET /ready HTTP/1.0\n\n")
    client.socket.shutdown(socket.SHUT_WR)
    assert gateway.finish(client).status == 200


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00\x01\xfc", b"\x00" * 100, b"GET /\r\n\r\n", b"SSH-2.0-x\r\n\r\n"])
def test_garbage_is_refused_at_once(gateway: GatewayHost, garbage: bytes) -> None:
    """One sentence, one count, nobody else disturbed."""
    client = gateway.connect()
    client.send(garbage)
    assert gateway.finish(client).status == 400
    assert gateway.stats["refused"] == 1
    assert gateway.ask("/live").status == 200


def test_an_oversize_head_is_refused_and_the_refusal_arrives(gateway: GatewayHost) -> None:
    """Although the client goes on sending: its bytes are read and dropped, or the kernel would reset the connection."""
    client = gateway.connect()
    client.send(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (HEAD_BYTES_MAX // 6 + 1))
    gateway.turn_until(lambda: gateway.stats["refused"] == 1)
    client.send(b"A: b\r\n" * 5000)
    assert gateway.finish(client).status == 431
    rest(gateway)


def test_who_sends_without_end_is_cut(gateway: GatewayHost) -> None:
    """Reading and dropping has its limit too."""
    client = gateway.connect()
    client.send(REQUEST)
    gateway.turn_until(client.receive)
    for _ in range(200):
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            client.socket.send(b"x" * 4096)
        gateway.turn()
    rest(gateway)


def test_a_silent_client_is_cut_after_five_seconds(gateway: GatewayHost) -> None:
    """Its one byte a second does not prolong its stay."""
    client = gateway.connect()
    # The listener and the client, whose time begins here.
    gateway.turn_until(lambda: len(gateway.work.interests()) == 2)
    for byte in b"GET /":
        client.send(bytes([byte]))
        gateway.turn()
        assert not client.receive()
        gateway.pass_time(CONNECTION_TIMEOUT_NS // 5)
    assert gateway.finish(client).status == 0
    assert gateway.stats["refused"] == 1
    rest(gateway)


def test_a_client_that_does_not_hang_up_is_left(gateway: GatewayHost) -> None:
    """One second after its answer it is forgotten."""
    client = gateway.connect()
    client.send(REQUEST)
    gateway.turn_until(client.receive)
    gateway.pass_time(DRAIN_TIMEOUT_NS)
    rest(gateway)
    assert gateway.stats["refused"] == 0


def test_a_hundred_idle_connections_shut_nobody_out(gateway: GatewayHost) -> None:
    """The longest silent ones make room; those that stay are cut in their time and cost no wake-up before it."""
    idle = []
    for _ in range(100):
        idle.append(gateway.connect())
        gateway.turn()
    gateway.turn_until(lambda: gateway.stats["refused"] == 100 - CONNECTIONS_MAX)
    assert len(gateway.work.interests()) == CONNECTIONS_MAX + 1
    assert [gateway.ask(path).status for path in ("/live", "/ready", "/metrics")] == [200, 200, 200]
    gateway.turn_until(lambda: gateway.work.next_deadline_ns() == gateway.clock.now_ns() + CONNECTION_TIMEOUT_NS)
    gateway.pass_time(CONNECTION_TIMEOUT_NS)
    rest(gateway)
    assert all(gateway.finish(client).status == 0 for client in idle)


def test_clients_that_wait_for_an_answer_keep_their_place(gateway: GatewayHost) -> None:
    """When every place waits for the supervisor, the newcomer is refused, and the others get their answer."""
    gateway.status = None
    waiting = []
    for _ in range(CONNECTIONS_MAX):
        waiting.append(gateway.connect())
        waiting[-1].send(READY)
        gateway.turn()
    gateway.turn_until(lambda: gateway.stats["requests"] == CONNECTIONS_MAX)
    newcomer = gateway.connect()
    assert gateway.finish(newcomer).status == 0
    assert gateway.stats["refused"] == 1
    assert len(gateway.bus.requests) == 1
    gateway.pass_time(1 * S)
    assert {gateway.finish(client).status for client in waiting} == {503}


def large_status() -> dict[str, object]:
    """A status whose metrics are larger than what kernels buffer for a socket."""
    return status_document(workers=[worker_row(f"sampler/{'x' * 100}{number}") for number in range(20_000)])


def test_a_reader_that_does_not_read_delays_nobody_and_is_cut(gateway: GatewayHost) -> None:
    """The rest of its answer waits for room, for five seconds in all, and the gateway sleeps meanwhile."""
    gateway.status = large_status()
    client = gateway.connect(receive_buffer_bytes=4096)
    client.send(METRICS)
    gateway.turn_until(lambda: any(each.writable for each in gateway.work.interests()))
    assert [each.readable for each in gateway.work.interests() if each.writable] == [False]
    assert gateway.work.next_deadline_ns() == gateway.clock.now_ns() + CONNECTION_TIMEOUT_NS
    gateway.status = status_document()
    assert gateway.ask("/ready").status == 200
    gateway.pass_time(CONNECTION_TIMEOUT_NS)
    rest(gateway)
    assert gateway.stats["refused"] == 1


def test_a_slow_reader_gets_all_of_a_large_answer(gateway: GatewayHost) -> None:
    """In as many pieces as it takes, whole and in order."""
    gateway.status = large_status()
    client = gateway.connect()
    client.send(METRICS)
    while not client.is_over:
        gateway.turn(0.001)
        client.receive()
    received = gateway.finish(client)
    assert len(received.body) == int(received.fields["content-length"]) > 10 << 20


def test_a_client_that_leaves_before_its_answer_is_forgotten(gateway: GatewayHost) -> None:
    """The answer that comes then is for nobody."""
    gateway.status = None
    client = gateway.connect()
    client.send(READY)
    gateway.turn_until(lambda: len(gateway.bus.requests) == 1)
    # Linger 0: the end is a reset, the rudest way to leave.
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    client.socket.close()
    gateway.work.on_answer(1, status_document())
    rest(gateway)


def in_use(where: str, holder: str) -> str:
    """What is said of a port that another program holds."""
    return f"{where} is in use by {holder}; end that program, or set gateway.port (--gateway-port); 0 lets the system choose"


def own_name() -> str:
    """The kernel's name for this process."""
    return Path("/proc/self/comm").read_text().strip()


@pytest.mark.parametrize("option", [0, socket.SO_REUSEADDR, socket.SO_REUSEPORT])
@pytest.mark.parametrize("taken", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_port_that_another_would_answer_at_is_never_shared(taken: str, option: int) -> None:
    """At our address or at all, of both families, whatever the other allows: no two programs take turns with the scrapes."""
    with socket.socket(socket.AF_INET6 if ":" in taken else socket.AF_INET) as other:
        if ":" in taken:
            other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if option:
            other.setsockopt(socket.SOL_SOCKET, option, 1)
        other.bind((taken, 0))
        other.listen()
        with running_gateway(port=other.getsockname()[1]) as gateway:
            assert gateway.stats["address"] is None
            assert [(held.kind, held.blocks_ready) for held in gateway.bus.conditions] == [("gateway", True)]
            assert f"(process {os.getpid()})" in gateway.bus.conditions[0].detail


def test_a_holder_that_cannot_be_seen_is_not_guessed(tmp_path: Path) -> None:
    """The user of its socket is told, and where there is no table nobody is."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with running_gateway(port=port, proc_root=str(tmp_path)) as gateway:
            assert gateway.stats["problem"] == in_use(f"127.0.0.1:{port}", "another program")
        (tmp_path / "self").symlink_to("/proc/self")
        with running_gateway(port=port, proc_root=str(tmp_path)) as gateway:
            assert gateway.stats["problem"] == in_use(
                f"127.0.0.1:{port}", f"a program of user {os.geteuid()} (`ss -ltnp` names it)"
            )


@pytest.mark.runbook("Gateway")
def test_a_port_in_use_is_a_condition_until_it_is_free() -> None:
    """The worker stays up, says what is wrong and what to do, and tries every two seconds."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with running_gateway(port=port) as gateway:
            sentence = in_use(f"127.0.0.1:{port}", f"{own_name()} (process {os.getpid()})")
            assert gateway.bus.conditions == [Condition(kind="gateway", active=True, detail=sentence, blocks_ready=True)]
            assert (gateway.stats["address"], gateway.stats["problem"]) == (None, sentence)
            gateway.pass_time(BIND_RETRY_NS)
            assert len(gateway.bus.conditions) == 1
            other.close()
            gateway.pass_time(BIND_RETRY_NS - 1)
            assert gateway.stats["address"] is None
            gateway.pass_time(1)
            assert gateway.bus.conditions[1:] == [Condition(kind="gateway", active=False, detail=f"127.0.0.1:{port} is served")]
            assert (gateway.ask("/live").status, gateway.stats["problem"]) == (200, None)
            rest(gateway)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("localhost.invalid", "localhost.invalid:0 is not an IP address; set gateway.address"),
        ("192.0.2.1", "192.0.2.1:0 is not an address of this host; set gateway.address"),
    ],
)
def test_an_address_that_cannot_be_served_is_a_condition(address: str, problem: str) -> None:
    """A name is not looked up: that could take seconds, and the loop may not wait."""
    with running_gateway(address=address) as gateway:
        assert gateway.bus.conditions[0].detail.startswith(problem)


def test_a_stopped_gateway_leaves_no_descriptor() -> None:
    """Clients in every phase, then the end."""
    before = set(os.listdir("/proc/self/fd"))
    with running_gateway() as gateway:
        gateway.status = None
        for words in (b"", b"GET ", READY, REQUEST):
            gateway.connect().send(words)
        gateway.turn_until(lambda: gateway.stats["requests"] == 2)
        gateway.work.on_stop(gateway.clock.now_ns(), for_good=True)
        assert gateway.work.is_done()
        assert gateway.stats["address"] is None
    assert set(os.listdir("/proc/self/fd")) <= before


def test_the_encoder_comes_without_servers_tls_and_mail() -> None:
    """A gateway's memory is the reason; and a later whole import is whole."""
    program = """
import sys
from workers.gateway.exposition import expose
expose([], openmetrics=True)
assert not {"ssl", "http", "http.server", "wsgiref", "email", "urllib.request", "prometheus_client"} & set(sys.modules)
import prometheus_client
assert prometheus_client.generate_latest(prometheus_client.CollectorRegistry()) == b""
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
