"""The client of ClickHouse's HTTP interface with a server that answers whatever a test says."""

import pytest
from harness.sinks.http_answer import Answer, Manner
from harness.sinks.http_sink import HttpSink
from harness.sinks.loopback_port import LoopbackPort

from agent.endpoint import Endpoint
from agent.lake.clickhouse_server import ClickHouseAccess, ClickHouseFailure, ClickHouseServer
from agent.lake_setting import ClickHousePlace
from agent.model.errors import ConfigError
from agent.model.timebase import MS, S


def client(port: int, timeout_ns: int = 5 * S, **variables: str) -> ClickHouseServer:
    """One of the server at this port."""
    place = ClickHousePlace(Endpoint(is_tls=False, host="127.0.0.1", port=port), "lab")
    return ClickHouseServer(ClickHouseAccess(place, timeout_ns, S, variables=variables))


def test_a_statement_has_its_settings_and_its_data() -> None:
    """And says who asks."""
    with HttpSink([Answer(body=b'[1,"x"]\n[2,null]\n'), Answer()]) as sink:
        server = client(sink.port, CLICKHOUSE_USER="u", CLICKHOUSE_PASSWORD="pw")
        assert server.ask("SELECT 1") == [[1, "x"], [2, None]]
        server.insert("INSERT INTO t FORMAT Parquet", b"data", {"insert_deduplication_token": "a b"})
        server.close()
        first, second = sink.requests
    assert first.body == b"SELECT 1\nFORMAT JSONCompactEachRow"
    assert "wait_end_of_query=1" in first.target
    assert {("X-ClickHouse-User", "u"), ("X-ClickHouse-Key", "pw")} <= set(first.headers)
    assert "insert_deduplication_token=a+b" in second.target
    assert "query=INSERT+INTO+t" in second.target
    assert second.body == b"data"
    assert sink.connections == 1


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(500, body=b"Code: 60. geheim is no\n table"), r"it answered 500: Code: 60\. … is no table"),
        (Answer(503), "it answered 503: nothing"),
        (Answer(body=b"<html>"), "its answer is no JSON"),
        (Answer(body=b"[1]\n", manner=Manner.CUT, length=10), "it does not answer"),
        (Answer(manner=Manner.RESET), "it does not answer"),
        (Answer(manner=Manner.SILENT), "it does not answer"),
        (Answer(body=b"[1]\n" * 50, manner=Manner.SLOW, pause_seconds=0.05), "it took longer than 0.3 s"),
    ],
)
def test_what_goes_wrong_is_a_sentence(answer: Answer, problem: str) -> None:
    """Within the time, and without the password."""
    with HttpSink(otherwise=answer) as sink:
        server = client(sink.port, 300 * MS, CLICKHOUSE_PASSWORD="geheim")
        with pytest.raises(ClickHouseFailure, match=problem):
            server.ask("SELECT 1")
        server.close()


def test_a_kept_connection_that_the_server_closed_is_made_again() -> None:
    """Once; the second time it is a failure."""
    gone = Answer(manner=Manner.CUT)
    with HttpSink([Answer(), gone, Answer(body=b"[7]\n"), gone], otherwise=gone) as sink:
        server = client(sink.port)
        server.run("SELECT 1")
        assert server.ask("SELECT 2") == [[7]]
        with pytest.raises(ClickHouseFailure):
            server.ask("SELECT 3")
        server.close()


def test_nobody_there_is_a_sentence() -> None:
    """With the place."""
    port = LoopbackPort.take()
    try:
        with pytest.raises(ClickHouseFailure, match=f"127.0.0.1:{port.number}/lab: it does not answer"):
            client(port.number).run("SELECT 1")
    finally:
        port.release()


def test_credentials_have_no_control_characters() -> None:
    """They would be other headers."""
    with pytest.raises(ConfigError, match="CLICKHOUSE_USER has a control character"):
        client(1, CLICKHOUSE_USER="a\nb").run("SELECT 1")
