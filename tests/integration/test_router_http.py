"""The router over HTTP: the same questions and answers as agentctl's, some at a time, each with its deadline."""

import json
import socket
import urllib.request
from pathlib import Path
from random import Random

import msgspec
import pytest
from fakes.router_host import running_router, sentence_of
from fakes.router_world import BEGIN, HostWorld, S, WorldShape
from fakes.stored_data import HOST
from fakes.stored_world import store_world
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

from agent.config import Config
from agent.router.cell import WINDOW_NS
from agent.router.question import Kind
from workers.http.edge import edge_of
from workers.router.api import AnswerDocument, RowsDocument

SPAN = "since=2024-01-02T03:00Z&until=2024-01-02T03:03Z"
# It prints what it was asked, and ends as its first word of the question says.
ECHO = "import json, sys; print(json.dumps({'words': sys.argv[2:]}))"
SLEEP = "import time; time.sleep(60)"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three minutes of one host, of which the second has no sketch."""
    folder = tmp_path_factory.mktemp("state")
    shape = WorldShape(windows=4, ticks=4, processes=6, unknown=0, restart=0, clock_step=0, keys_max=50)
    rows = HostWorld(HOST, shape, Random(3)).rows
    kept = [row for row in rows if row.table != "process_sketch" or row.window != BEGIN // WINDOW_NS + 1]
    store_world(folder, kept)
    return folder


def test_every_question_is_answered_as_it_is_described(state: Path) -> None:
    """The documents are what the description says, no field more; one of each form."""
    with running_router(state, at_once=3, waiting_max=8) as router:
        asked = (Kind.PERCENTILE, Kind.TOP, Kind.ROWS)
        clients = {kind: router.send(f"/v1/ask/{kind}?metric=rss&{SPAN}") for kind in asked}
        for kind, client in clients.items():
            answer = router.answer_to(client)
            assert (answer.status, answer.fields["content-type"]) == (200, "application/json"), answer.body
            document: type[RowsDocument | AnswerDocument] = RowsDocument if kind is Kind.ROWS else AnswerDocument
            found = msgspec.json.decode(answer.body)
            assert set(found) <= set(document.__struct_fields__)
            assert msgspec.convert(found, document).kind == kind
        description = json.loads(router.ask("/v1/openapi.json").body)
        assert set(description["paths"]) == {f"/v1/ask/{kind}" for kind in Kind}
        stats = router.work.stats()
        assert (stats["questions"], stats["failed"], stats["under_way"], stats["waiting"]) == (3, 0, 0, 0)


def test_parameters_are_the_options_of_agentctl(state: Path) -> None:
    """Each in one word, so that none is taken for an option; what may be given again is given again."""
    with running_router(state, program=ECHO) as router:
        answer = router.ask("/v1/ask/percentile?metric=cpu&p=50,99&by=pod&host=--json&host=node-*&since=1h&explain=1")
        assert json.loads(answer.body)["words"] == [
            "ask", "percentile", "--metric=cpu", "--p=50,99", "--by=pod", "--host=--json", "--host=node-*", "--since=1h",
            "--explain", "--json", f"--state-dir={state}", "--timeout=20",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        (f"/v1/ask/percentile?metric=nonsense&{SPAN}", 400, "'nonsense' is not accepted; write one of cpu"),
        (f"/v1/ask/percentile?{SPAN}", 400, "--metric: it is missing"),
        ("/v1/ask/percentile?metric=cpu&since=2020-01-01T00:00Z&until=2020-01-01T00:10Z", 404, "in this time"),
    ],
)
def test_what_agentctl_refuses_is_refused_with_its_sentence(state: Path, path: str, status: int, sentence: str) -> None:
    """The status says whose fault it is."""
    with running_router(state) as router:
        answer = router.ask(path)
        assert (answer.status, sentence in sentence_of(answer)) == (status, True), answer.body


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/v1/ask/percentile?metric=cpu&state-dir=/", "state-dir: there is no such parameter"),
        ("/v1/ask/percentile?metric=cpu&lake=file:///etc", "lake: there is no such parameter"),
        ("/v1/ask/sum?metric=cpu&p=50", "p: there is no such parameter"),
        ("/v1/ask/sum?metric=cpu&explain=yes", "explain: it is not 1"),
        (f"/v1/ask/sum?metric=cpu&pod={'x' * 2000}", "pod: it says more than"),
    ],
)
def test_a_bad_parameter_is_refused_before_anything_is_started(state: Path, path: str, sentence: str) -> None:
    """Among them all that would read elsewhere."""
    with running_router(state, program="raise SystemExit(70)") as router:
        answer = router.ask(path)
        assert (answer.status, sentence in sentence_of(answer)) == (400, True), answer.body
        assert router.work.stats()["questions"] == 0


def test_other_paths_and_methods_are_refused(state: Path) -> None:
    """With what there is; a HEAD has no body."""
    with running_router(state, program=ECHO) as router:
        assert router.ask("/live").body == b"alive\n"
        assert router.ask("/v1/ask/median?metric=cpu").status == 404
        assert b"/v1/ask/percentile" in router.ask("/").body
        assert router.ask("/v1/ask/sum?metric=cpu", method="POST", head="Content-Length: 0\r\n").status == 405
        head = router.ask("/v1/ask/sum?metric=cpu", method="HEAD")
        assert (head.status, head.body, router.work.stats()["questions"]) == (200, b"", 0)


@pytest.mark.runbook("Router")
def test_questions_beyond_those_that_may_wait_are_told_when_to_come_back(state: Path) -> None:
    """Two at a time, two wait."""
    with running_router(state, program=SLEEP) as router:
        waiting = [router.send("/v1/ask/sum?metric=cpu") for _ in range(4)]
        answer = router.ask("/v1/ask/sum?metric=cpu")
        assert (answer.status, answer.fields["retry-after"]) == (503, "5")
        assert "too many questions" in sentence_of(answer)
        assert (router.work.stats()["under_way"], router.work.stats()["waiting"], router.work.stats()["busy"]) == (2, 2, 1)
        assert not any(client.receive() for client in waiting)


def test_a_question_that_takes_too_long_is_ended(state: Path) -> None:
    """And the next that waits has its turn."""
    with running_router(state, program=SLEEP, at_once=1, timeout_ns=5 * S) as router:
        first, second = (router.send("/v1/ask/sum?metric=cpu") for _ in range(2))
        router.pass_time(8 * S)
        answer = router.answer_to(first)
        assert (answer.status, "it took too long" in sentence_of(answer)) == (503, True)
        assert (router.work.stats()["under_way"], second.receive()) == (1, False)


def test_a_client_that_has_gone_costs_no_more(state: Path) -> None:
    """Its question is ended, or never begun."""
    with running_router(state, program=SLEEP, at_once=1) as router:
        clients = [router.send("/v1/ask/sum?metric=cpu") for _ in range(2)]
        for client in clients:
            client.socket.close()
        router.turn()

        def is_idle() -> bool:
            router.pass_time(S)
            return bool(router.work.stats()["under_way"] == router.work.stats()["waiting"] == 0)

        router.turn_until(is_idle)


@pytest.mark.parametrize(
    ("program", "status", "sentence"),
    [
        ("import sys; print('x' * (17 << 20))", 400, "the answer is too large"),
        ("import sys; sys.stderr.write('agentctl: a: b\\n'); sys.exit(75)", 503, "a: b"),
        ("import sys; sys.exit(70)", 500, "agentctl ended with 70"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 503, "ended by signal 9"),
        ("raise MemoryError", 400, "router.memory"),
    ],
)
def test_however_a_question_ends_it_is_answered(state: Path, program: str, status: int, sentence: str) -> None:
    """And the loop goes on."""
    with running_router(state, program=program) as router:
        answer = router.ask("/v1/ask/sum?metric=cpu")
        assert (answer.status, sentence in sentence_of(answer)) == (status, True), answer.body[:200]
        assert router.work.stats()["failed"] == 1


def test_memory_is_bounded(state: Path) -> None:
    """A question cannot take more than it was given."""
    with running_router(state, memory_bytes=48 << 20) as router:
        answer = router.ask(f"/v1/ask/percentile?metric=rss&{SPAN}")
        assert answer.status in (400, 500, 503)
        assert router.work.stats()["failed"] == 1


def test_beyond_this_host_a_token_is_needed(state: Path) -> None:
    """As at a hub; /live is for everybody."""
    edge = edge_of("192.0.2.1", token=b"0123456789abcdef0123", has_tls=True, trusted_proxy="", section="router", cookie="c")
    with running_router(state, program=ECHO, edge=edge) as router:
        assert router.ask("/v1/ask/sum?metric=cpu").status == 401
        assert router.ask("/live").status == 200
        told = "Authorization: Bearer 0123456789abcdef0123\r\n"
        assert router.ask("/v1/ask/sum?metric=cpu", head=told).status == 200
    closed = edge_of("192.0.2.1", token=b"", has_tls=False, trusted_proxy="", section="router", cookie="c")
    with running_router(state, program=ECHO, edge=closed) as router:
        answer = router.ask("/v1/ask/sum?metric=cpu")
        assert (answer.status, b"router.token_file" in answer.body) == (403, True)
        assert [each.kind for each in router.bus.conditions] == ["router_http"]


@pytest.mark.runbook("Router")
def test_a_port_that_is_taken_is_a_condition(state: Path) -> None:
    """It is tried again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with running_router(state, port=taken.getsockname()[1]) as router:
            (condition,) = router.bus.conditions
            assert (condition.kind, "set router.port" in condition.detail) == ("router_http", True)
            taken.close()
            router.pass_time(3 * S)
            router.turn_until(lambda: not router.bus.conditions[-1].active)


@pytest.mark.runbook("Router")
def test_new_windows_without_sketches_are_a_condition_once(state: Path) -> None:
    """It begins when an answer says so, and ends when sketches are back; answers of another form say nothing."""
    program = (
        "import json, sys; pods = [word[6:] for word in sys.argv if word.startswith('--pod=')]; "
        "print(json.dumps({'newest': json.loads(pods[0])} if pods else {'rows': []}))"
    )
    bad, none, good = '{"sketch":1,"reasons":{"no_sketch":2}}', '{"sketch":0,"reasons":{}}', '{"sketch":3,"reasons":{}}'
    with running_router(state, program=program) as router:
        for newest in (bad, bad, none):
            assert router.ask(f"/v1/ask/sum?metric=cpu&pod={newest}").status == 200
        assert router.ask("/v1/ask/rows?metric=cpu").status == 200
        (begin,) = router.bus.conditions
        assert (begin.kind, begin.active, "no sketch of the window is stored" in begin.detail) == ("router_fallback", True, True)
        assert router.work.stats()["is_fallback"] == 1
        router.ask(f"/v1/ask/sum?metric=cpu&pod={good}")
        assert [each.active for each in router.bus.conditions] == [True, False]


def test_the_router_looks_by_itself(state: Path) -> None:
    """Once in a while, with a question that reads little."""
    program = """import json; print(json.dumps({"newest": {"sketch": 0, "reasons": {"not_settled": 1}}}))"""
    with running_router(state, program=program, look_ns=60 * S) as router:
        router.pass_time(61 * S)
        assert router.work.stats()["questions"] == 1
        router.turn_until(lambda: router.bus.conditions)
        assert router.bus.conditions[0].kind == "router_fallback"


def test_a_worker_is_wanted_where_a_port_is_set() -> None:
    """And reads the fleet's store where there is one."""
    from workers.router.worker import WORKER

    assert not WORKER.is_wanted(Config({}))
    assert WORKER.is_wanted(Config({"router.port": 9468}))


def test_an_agent_runs_it(tmp_path: Path) -> None:
    """Beside its other workers; it answers of what the agent has stored, and comes back when it was killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with AgentProcess(tmp_path, flags={"--router-port": str(port)}) as agent:

        def answer(path: str) -> bytes:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as found:
                return bytes(found.read())

        wait_until(lambda: agent.stats("router")["http"]["address"] == f"127.0.0.1:{port}", "it listens")
        assert answer("/live") == b"alive\n"
        wait_until(lambda: json.loads(answer("/v1/ask/rows?metric=rss&lines=1"))["rows"], "it answers")
        agent.wait_for_replacement(agent.kill_worker("router"))
        wait_until(lambda: agent.stats("router")["http"]["address"], "it listens again")
