"""This node's page over real sockets and a real spool: its files, its documents, its stream, and who gets them."""

import gc
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.gateway_host import Client, GatewayHost, running_gateway
from fakes.page_story import BEGIN_S, GAP, NOISY, UNITS, PageStory, name_units
from harness.sinks.certificates import Authority
from harness.waiting import wait_until
from openapi_spec_validator import OpenAPIV31SpecValidator

from agent.model.limit import LadderStep
from agent.model.message import Condition
from agent.model.timebase import S
from workers.gateway.node.site import LINGER_NS, POLL_NS
from workers.gateway.work import LONG_MAX
from workers.http.event_stream import KEEP_ALIVE_NS

TOKEN = "a-token-of-some-length"


class PageHost:
    """A gateway over the story's spool."""

    def __init__(self, host: GatewayHost, story: PageStory) -> None:
        self.host = host
        self.story = story
        name_units(host)

    def pass_seconds(self, seconds: int) -> None:
        """More of the story."""
        self.story.tell(seconds)
        self.host.clock.advance(seconds * S)
        self.host.clock.set_wall_ns((BEGIN_S + self.story.second) * S)

    def get(self, path: str) -> Any:
        """A document."""
        received = self.host.ask(path)
        assert received.status == 200, received.body
        assert received.fields["content-type"] == "application/json"
        assert received.fields["cross-origin-resource-policy"] == "same-origin"
        return json.loads(received.body)

    def stream(self, head: str = "", query: str = "") -> "Listener":
        """A client of the stream that has its first picture."""
        client = self.host.connect()
        client.send(f"GET /v1/stream{query} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
        listener = Listener(self.host, client)
        self.host.turn_until(lambda: b"retry:" in listener.received())
        return listener


class Listener:
    """One client of a stream."""

    def __init__(self, host: GatewayHost, client: Client) -> None:
        self._host = host
        self.client = client

    def received(self) -> bytes:
        """Everything so far."""
        self.client.receive()
        return self.client.received

    def events(self) -> list[tuple[str, Any, str]]:
        """Name, data and id of what has come."""
        found = []
        for block in self.received().partition(b"\r\n\r\n")[2].decode().split("\n\n"):
            fields = dict(line.partition(": ")[::2] for line in block.splitlines() if ": " in line)
            if "data" in fields:
                found.append((fields.get("event", ""), json.loads(fields["data"]), fields.get("id", "")))
        return found

    def wait(self, wanted: Callable[[list[tuple[str, Any, str]]], bool]) -> None:
        """Turn until that has come."""
        self._host.turn_until(lambda: wanted(self.events()))


@pytest.fixture
def page(tmp_path: Path) -> Iterator[PageHost]:
    """Ten minutes of the story."""
    with running_gateway(state_dir=str(tmp_path)) as host:
        made = PageHost(host, PageStory(tmp_path))
        made.pass_seconds(600)
        yield made


def test_nobody_looks_and_nothing_is_read_or_imported(page: PageHost) -> None:
    """Probes and scrapes do not make the page; after the last look it is forgotten, and nothing wakes the gateway."""
    code = "import sys, workers.gateway.work; print([name for name in sys.modules if '.node' in name or 'http.tls' in name])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True).stdout
    assert loaded == "[]\n"
    assert page.host.ask("/live").status == 200
    assert page.host.work.next_deadline_ns() is None
    page.get("/v1/node")
    page.host.turn_until(lambda: len(page.host.work.interests()) == 1)
    page.host.pass_time(LINGER_NS)
    page.host.turn()
    assert (page.host.work.next_deadline_ns(), page.host.work._site) == (None, None)
    assert page.get("/v1/node")["cores"] == 16


def test_the_files_of_the_page_are_given_with_a_strict_policy(page: PageHost) -> None:
    """And again only when they have changed."""
    for path, kind in (("/", "text/html"), ("/node/node.js", "text/javascript"), ("/assets/base.css", "text/css")):
        received = page.host.ask(path)
        assert (received.status, received.fields["content-type"]) == (200, f"{kind}; charset=utf-8")
        policy = received.fields["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert (received.fields["x-content-type-options"], received.fields["referrer-policy"]) == ("nosniff", "no-referrer")
        client = page.host.connect()
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {received.fields['etag']}\r\n\r\n"
        client.send(head.encode())
        again = page.host.finish(client)
        assert (again.status, again.body) == (304, b"")
    assert page.host.ask("/", method="HEAD").body == b""


@pytest.mark.parametrize(
    "path",
    [
        "/node/../setting.py", "/node/%2e%2e/site.py", "/node/.hidden.js", "/assets/package-lock.json", "/assets/vendor/integrity",
        "/assets/none.css", "/node/node.js/x", "/nowhere/node.js", "/v1/none", "/v1/node/none",
    ],
)  # fmt: skip
def test_nothing_else_is_given(page: PageHost, path: str) -> None:
    """No way out of the folders, no other kinds of files."""
    assert page.host.ask(path).status == 404


def test_no_file_of_the_pages_has_markup_that_the_policy_refuses() -> None:
    """No script, style or handler inside of a page, and no address of another server."""
    root = Path(__file__).parents[2] / "workers"
    files = [*root.glob("http/assets/*.*"), *root.glob("gateway/node/page/*")]
    assert len(files) > 10
    for path in files:
        text = path.read_text()
        if path.suffix == ".html":
            assert "<style" not in text
            assert " style=" not in text
            assert " on" not in "".join(part.split(">")[0] for part in text.split("<"))
            assert text.count("<script") == text.count('<script type="module" src=')
        outside = [line for line in text.splitlines() if "http" in line and "://" in line and "www.w3.org" not in line]
        assert not outside, path


def test_the_node_and_its_lines(page: PageHost) -> None:
    """The largest units over time, with the hole where nothing was stored."""
    about = page.get("/v1/node")
    assert (about["host"], about["version"], about["cores"], about["since"]) == ("node-7", "0.1.0", 16.0, BEGIN_S)
    assert (about["cache_bytes"], about["older"]) == (48 << 20, False)
    found = page.get(f"/v1/node/series?since={BEGIN_S}&until={BEGIN_S + 600}")
    assert (found["since"], found["step"], len(found["host"]["cpu"])) == (BEGIN_S, 1, 600)
    assert found["gaps"] == [{"since": BEGIN_S + GAP.start, "until": BEGIN_S + GAP.stop, "reason": "suspended"}]
    units = {unit["id"]: unit for unit in found["units"]}
    assert units[NOISY]["name"] == "batch/report-nightly"
    assert units[NOISY]["kind"] == "pod"
    assert units[NOISY]["values"]["cpu"][GAP.start] is None
    assert max(units[NOISY]["values"]["cpu"][530:]) > 4
    assert len(page.get("/v1/node/series")["host"]["cpu"]) == 600
    assert {each["command"] for each in page.get("/v1/node/processes")["processes"]} >= {"nginx", "postgres", "vllm"}


@pytest.mark.parametrize(
    "query",
    ["since=x", "since=1.5", "until=-1", "since=10&until=10", "since=20&until=10", "since=1", "since=%F0%9F%A6%8A", "at=%D9%A1"],
)
def test_a_parameter_that_cannot_be_read_is_refused(page: PageHost, query: str) -> None:
    """With a sentence; nothing is searched for."""
    received = page.host.ask(f"/v1/node/series?{query}")
    assert received.status == 400
    assert json.loads(received.body)["problem"]


def test_older_times_are_read_from_stored_files(page: PageHost) -> None:
    """By agentctl, aside: probes are answered meanwhile, and the same numbers come out."""
    at_hand = page.get(f"/v1/node/series?since={BEGIN_S}&until={BEGIN_S + 400}")
    client = page.host.connect()
    client.send(f"GET /v1/node/series?since={BEGIN_S - 200}&until={BEGIN_S + 600} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    page.host.turn_until(lambda: len(page.host.work.interests()) > 3)
    assert page.host.ask("/live").status == 200
    found = json.loads(page.host.finish(client).body)
    assert (found["since"], found["step"]) == (BEGIN_S - 200, 2)
    place = (100 + 200) // 2
    assert found["host"]["cpu"][place] == pytest.approx(sum(at_hand["host"]["cpu"][100:102]) / 2, rel=1e-3)
    by_id = {unit["id"]: unit for unit in found["units"]}
    assert by_id[UNITS[0].uid]["name"] == "shop/web-0"
    stored = by_id[UNITS[3].uid]["values"]["cpu"][place]
    (known,) = [unit["values"]["cpu"][100:102] for unit in at_hand["units"] if unit["id"] == UNITS[3].uid]
    assert stored == pytest.approx(sum(known) / 2, rel=1e-3)
    assert [gap["reason"] for gap in found["gaps"]] == ["suspended"]
    assert page.get(f"/v1/node/processes?at={BEGIN_S + 50}")["t"] == pytest.approx(BEGIN_S + 50, abs=1)


def test_the_judge_of_neighbours_is_that_of_agentctl(page: PageHost) -> None:
    """The one that rose is named to the ones that waited."""
    page.pass_seconds(240)
    found = page.get(f"/v1/node/neighbours?since={BEGIN_S + 400}&until={BEGIN_S + 840}")
    blamed = {victim["unit"]: {each["unit"] for each in victim["culprits"]} for victim in found["victims"] if victim["culprits"]}
    assert blamed[UNITS[0].uid] == blamed[UNITS[1].uid] == {NOISY}


def test_a_flood_of_questions_is_bounded(page: PageHost) -> None:
    """One process at a time; those beyond the queue are told to come back."""
    clients = []
    for _ in range(14):
        clients.append(page.host.connect())
        clients[-1].send(b"GET /v1/node/neighbours HTTP/1.1\r\nHost: localhost\r\n\r\n")
        page.host.turn()
    page.host.turn_until(lambda: sum(client.receive() for client in clients) >= 5)
    answered = [client.response() for client in clients if client.is_over]
    assert {each.status for each in answered if b"too many" in each.body} == {503}
    assert len(children()) <= 1


def children() -> list[str]:
    """Processes of this test."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def test_a_stream_begins_with_a_picture_and_goes_on_with_what_comes(page: PageHost) -> None:
    """Each second as soon as it is stored."""
    page.get("/v1/node")
    listener = page.stream()
    listener.wait(lambda events: {name for name, _, _ in events} == {"tick", "processes", "agent"})
    tick = next(data for name, data, _ in listener.events() if name == "tick")
    assert tick["t"] == BEGIN_S + 599
    assert {unit["name"] for unit in tick["units"]} >= {"shop/web-0", "postgresql.service"}
    page.pass_seconds(1)
    listener.wait(lambda events: any(name == "tick" and data["t"] == BEGIN_S + 600 for name, data, _ in events))
    assert page.host.work.next_deadline_ns() is not None
    listener.client.socket.close()
    page.host.turn_until(lambda: len(page.host.work.interests()) == 1)
    page.host.pass_time(KEEP_ALIVE_NS)
    page.host.pass_time(LINGER_NS)
    page.host.turn()
    assert page.host.work.next_deadline_ns() is None


def test_topics_choose_what_a_client_gets(page: PageHost) -> None:
    """Named in the query."""
    page.get("/v1/node")
    listener = page.stream(query="?topics=agent")
    page.pass_seconds(2)
    page.host.pass_time(POLL_NS)
    listener.wait(lambda events: bool(events))
    assert {name for name, _, _ in listener.events()} == {"agent"}


def test_who_comes_back_gets_what_was_missed(page: PageHost) -> None:
    """By the id of the last event; another life of the gateway starts over."""
    page.get("/v1/node")
    first = page.stream()
    page.pass_seconds(1)
    first.wait(lambda events: any(name == "tick" and data["t"] == BEGIN_S + 600 for name, data, _ in events))
    last = first.events()[-1][2]
    page.pass_seconds(3)
    first.wait(lambda events: any(name == "tick" and data["t"] == BEGIN_S + 603 for name, data, _ in events))
    again = page.stream(f"Last-Event-ID: {last}\r\n")
    again.wait(lambda events: any(name == "tick" and data["t"] == BEGIN_S + 603 for name, data, _ in events))
    assert [data["t"] for name, data, _ in again.events() if name == "tick"] == [BEGIN_S + second for second in (601, 602, 603)]
    other = page.stream("Last-Event-ID: e0-5\r\n")
    other.wait(lambda events: len(events) > 1)
    assert other.events()[0][0] == "reset"


def test_the_agent_and_its_conditions(page: PageHost) -> None:
    """With the remedy of each kind; a silent supervisor is no well agent."""
    condition = {
        "worker": "w",
        "kind": "gateway",
        "detail": "its port is taken",
        "blocks_ready": True,
        "since": "2024-01-01T00:00:00Z",
    }
    assert page.host.status is not None
    page.host.status = page.host.status | {"conditions": [condition]}
    found = page.get("/v1/node/agent")
    assert found["ready"] is True
    assert found["conditions"][0]["remedy"].startswith("Free the port")
    page.host.status = None
    client = page.host.connect()
    client.send(b"GET /v1/node/agent HTTP/1.1\r\nHost: localhost\r\n\r\n")
    page.host.turn_until(lambda: page.host.stats["requests"] == 2)
    page.host.pass_time(1 * S)
    assert json.loads(page.host.finish(client).body)["ready"] is None


def test_the_description_is_valid_and_true(page: PageHost) -> None:
    """By the validator of the specification; every path is there."""
    document = page.get("/v1/openapi.json")
    OpenAPIV31SpecValidator(document).validate()
    for path in document["paths"]:
        if path != "/v1/stream":
            page.get(path)


def test_only_reading_is_allowed(page: PageHost) -> None:
    """Nothing here changes anything."""
    for path in ("/", "/v1/node", "/v1/stream"):
        assert page.host.ask(path, method="POST").status == 405


def test_a_page_of_another_origin_gets_nothing(page: PageHost) -> None:
    """Nor one whose name was given this address."""
    for head in ("Host: localhost\r\nOrigin: http://evil.example", "Host: localhost\r\nSec-Fetch-Site: cross-site"):
        client = page.host.connect()
        client.send(f"GET /v1/node HTTP/1.1\r\n{head}\r\n\r\n".encode())
        assert page.host.finish(client).status == 403
    for path in ("/", "/v1/node", "/v1/stream"):
        assert page.host.ask(path, host="evil.example").status == 421


@pytest.mark.runbook("Gateway")
def test_beyond_this_host_the_page_is_not_there_and_a_condition_says_why(tmp_path: Path) -> None:
    """What was served before is served."""
    with running_gateway(address="0.0.0.0", state_dir=str(tmp_path), **{"gateway.metrics": "agent"}) as host:
        assert [host.ask(path).status for path in ("/", "/v1/node", "/live", "/ready", "/metrics")] == [404, 404, 200, 200, 200]
        (told,) = [each for each in host.bus.conditions if isinstance(each, Condition) and each.kind == "page"]
        assert "set gateway.tls_cert_file with gateway.tls_key_file and gateway.token_file, or gateway.trusted_proxy" in told.detail
        assert not told.blocks_ready
    with running_gateway(address="0.0.0.0", state_dir=str(tmp_path), **{"gateway.page": False}) as host:
        assert host.ask("/").status == 404
        assert not host.bus.conditions


def test_with_a_token_it_is_there_for_those_who_have_it(tmp_path: Path) -> None:
    """Over TLS; also where the token cannot be read, nobody gets in."""
    authority = Authority(tmp_path / "authority")
    identity = authority.server("localhost")
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    settings: dict[str, Any] = {"gateway.tls_cert_file": str(identity.certificate), "gateway.tls_key_file": str(identity.key)}
    with running_gateway(address="0.0.0.0", state_dir=str(tmp_path), **settings, **{"gateway.token_file": str(token)}) as host:
        assert not host.bus.conditions
        assert host.work._edge is not None
        assert (host.work._edge.has_tls, host.work._edge.token) == (True, TOKEN.encode())
    token.write_text("short")
    with running_gateway(address="127.0.0.1", state_dir=str(tmp_path), **{"gateway.token_file": str(token)}) as host:
        assert host.ask("/v1/node").status == 404
        assert "holds no token" in host.bus.conditions[0].detail
    with running_gateway(state_dir=str(tmp_path), **{"gateway.tls_cert_file": str(tmp_path / "none.pem")}) as host:
        assert host.stats["address"] is None
        assert "none.pem or its key cannot be used" in host.stats["problem"]


def test_over_its_limit_the_gateway_leaves_the_page_out(page: PageHost) -> None:
    """Health goes on; the page is back when the limit is kept again."""
    page.get("/v1/node")
    page.host.work.on_level([LadderStep.MEASURED_METRICS_OFF], is_off=False)
    assert page.host.ask("/v1/node").status == 503
    assert page.host.ask("/live").status == 200
    page.host.work.on_level([], is_off=False)
    page.get("/v1/node")


def connected(host: str, port: int) -> socket.socket | None:
    """A client; None: the server takes none at the moment."""
    try:
        return socket.create_connection((host, port), 20)
    except OSError:
        return None


IDLE_CLIENTS = """
import gc, os, resource, socket, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from fakes.gateway_host import GatewayHost
from fakes.page_story import BEGIN_S, PageStory
from agent.model.timebase import S
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))

def pss():
    return next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Pss:"))

state = Path(sys.argv[1])
story = PageStory(state)
story.tell(60)
host = GatewayHost(state_dir=str(state))
host.clock.set_wall_ns((BEGIN_S + 60) * S)
address = host.stats["address"]
os.write(1, address.encode() + b"\\n")
import select
def turn():
    interests = host.work.interests()
    poll = select.poll()
    for each in interests:
        poll.register(each.descriptor, (select.POLLIN if each.readable else 0) | (select.POLLOUT if each.writable else 0))
    for descriptor, events in poll.poll(1):
        if events & (select.POLLIN | select.POLLHUP):
            host.work.on_readable(descriptor, host.clock.now_ns())
        if events & select.POLLOUT:
            host.work.on_writable(descriptor, host.clock.now_ns())
    while host._answered < len(host.bus.requests):
        host._answered += 1
        host.work.on_answer(host._answered, host.status)
    deadline = host.work.next_deadline_ns()
    if deadline is not None and deadline <= host.clock.now_ns():
        host.work.on_timer(host.clock.now_ns())

seen = {{}}
while True:
    turn()
    streams = host.work._server.streams
    for mark in (1, 1000):
        if streams >= mark and mark not in seen:
            for _ in range(300):
                turn()
            gc.collect()
            seen[mark] = pss()
            os.write(1, f"{{mark}} {{seen[mark]}}\\n".encode())
    if 1000 in seen:
        break
sys.stdin.readline()
"""


@pytest.mark.timeout(120)
def test_a_thousand_idle_clients_fit_in_thirty_mebibytes(tmp_path: Path) -> None:
    """As PSS of the process that serves them, over what it has with one."""
    tests = str(Path(__file__).parents[1])
    code = IDLE_CLIENTS.format(paths=[tests, str(Path(tests).parent)])
    gc.collect()
    server = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    clients = []
    try:
        assert server.stdout is not None
        host, _, port = server.stdout.readline().strip().rpartition(":")
        marks = {}
        for number in range(1000):
            client = wait_until(lambda: connected(host, int(port)), "the server takes one client more")
            client.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            clients.append(client)
            # A short place is free again once the stream has begun.
            assert client.recv(64).startswith(b"HTTP/1.1 200")
            if number == 0:
                mark, kib = server.stdout.readline().split()
                marks[int(mark)] = int(kib)
        mark, kib = server.stdout.readline().split()
        marks[int(mark)] = int(kib)
        assert (marks[1000] - marks[1]) / 1024 <= 30
        assert LONG_MAX >= 1000
    finally:
        for client in clients:
            client.close()
        server.kill()
        server.communicate()
