"""The scripted HTTP server of the tests: what clients see of each kind of answer, and that every byte of a request is kept."""

import gzip
import http.client
import socket
import ssl
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from harness.sinks.certificates import Authority
from harness.sinks.http_answer import Answer, Request, cut, html, redirect, reset, retry_after, retry_at, silence, slow, status
from harness.sinks.http_sink import HttpSink, SinkTls
from harness.sinks.program import ask, get
from harness.waiting import wait_until


def client(sink: HttpSink, context: ssl.SSLContext | None = None, *, host: str = "127.0.0.1") -> http.client.HTTPConnection:
    """A connection that is made at the first request and kept."""
    if context is None:
        return http.client.HTTPConnection(host, sink.port, timeout=20)
    return http.client.HTTPSConnection(host, sink.port, timeout=20, context=context)


def status_of(connection: http.client.HTTPConnection) -> int:
    """The status of the answer to one request."""
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    finally:
        connection.close()


def test_answers_come_in_turn_over_one_connection() -> None:
    """Then the same one for ever; a wait is said in seconds or as a date."""
    moment = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    answers = [retry_after(429, 7), retry_at(503, moment), html(), status(413), status(401, www_authenticate="Bearer")]
    with HttpSink([*answers, redirect("http://other.test/")], otherwise=status(204)) as sink:
        connection = client(sink)
        seen = []
        for _ in range(8):
            connection.request("POST", "/v1/metrics", b"x")
            answer = connection.getresponse()
            seen.append((answer.status, dict(answer.getheaders()), answer.read()))
        connection.close()
        assert [code for code, _, _ in seen] == [429, 503, 200, 413, 401, 307, 204, 204]
        assert (seen[0][1]["Retry-After"], parsedate_to_datetime(seen[1][1]["Retry-After"])) == ("7", moment)
        assert (seen[2][1]["Content-Type"], seen[2][2][:9]) == ("text/html; charset=utf-8", b"<!DOCTYPE")
        assert (seen[4][1]["Www-Authenticate"], seen[5][1]["Location"]) == ("Bearer", "http://other.test/")
        assert ({each.connection for each in sink.requests}, sink.connections) == ({0}, 1)


def test_requests_are_kept_as_they_came() -> None:
    """With a length or in chunks; the raw bytes, the body, and what was compressed."""
    packed = gzip.compress(b"rows")
    with HttpSink() as sink:
        connection = client(sink)
        connection.request("POST", "/a?b", packed, {"Content-Encoding": "gzip", "X-Batch": "7"})
        connection.getresponse().read()
        connection.request("PUT", "/c", iter([b"one", b"two"]))
        connection.getresponse().read()
        connection.close()
        first, second = sink.wait_requests(2)
        assert (first.method, first.target, first.header("x-batch")) == ("POST", "/a?b", "7")
        assert (first.body, first.content) == (packed, b"rows")
        assert first.raw.startswith(b"POST /a?b HTTP/1.1\r\n")
        assert first.raw.endswith(b"\r\n\r\n" + packed)
        assert (second.body, second.raw.partition(b"\r\n\r\n")[2]) == (b"onetwo", b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


def test_a_function_may_choose_each_answer() -> None:
    """By the request."""

    def choose(request: Request) -> Answer:
        return status(400 if request.body == b"bad" else 200)

    with HttpSink(choose) as sink:
        assert [ask(sink.port, "POST", "/", body)[0] for body in (b"good", b"bad", b"good")] == [200, 400, 200]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (cut(0), http.client.RemoteDisconnected),
        (cut(len(Answer(body=b"x" * 100).encode()) - 1), http.client.IncompleteRead),
        (reset(), ConnectionResetError),
        (reset(30), ConnectionResetError),
    ],
    ids=["nothing", "not all", "reset", "reset within"],
)
def test_an_answer_may_break_off(answer: Answer, error: type[Exception]) -> None:
    """Before its first byte or within it; the request was kept, and the next one is answered."""
    with HttpSink([answer]) as sink:
        with pytest.raises(error):
            get(sink.port, "/")
        assert (get(sink.port, "/")[0], len(sink.requests)) == (200, 2)


def test_a_server_may_never_answer() -> None:
    """The client's own time-out ends it; and so does the server's end."""
    with HttpSink([silence(), silence()]) as sink:
        connection = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=0.2)
        connection.request("GET", "/")
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.close()
        waiting = client(sink)
        waiting.request("GET", "/")
        sink.wait_requests(2)
        sink.stop()
        with pytest.raises(http.client.RemoteDisconnected):
            waiting.getresponse()
        waiting.close()
        sink.start()


def test_an_answer_may_come_byte_by_byte() -> None:
    """It is whole in the end."""
    with HttpSink([slow(0.002, status(200, b"body"))]) as sink:
        begin = time.monotonic()
        assert get(sink.port, "/") == (200, b"body")
        assert time.monotonic() - begin >= 0.002 * len(status(200, b"body").encode())


def test_a_stalled_server_takes_connections_and_reads_nothing() -> None:
    """What a client sends fills its own buffers; afterwards all is read."""
    with HttpSink() as sink:
        sink.is_stalled = True
        with socket.create_connection(("127.0.0.1", sink.port)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            wait_until(lambda: sink.connections == 1, "the connection is taken")
            assert sink.requests == []
            sink.is_stalled = False
            assert connection.recv(12) == b"HTTP/1.1 200"


def test_a_request_of_which_a_part_came_is_counted() -> None:
    """It is not one of the requests."""
    with HttpSink() as sink:
        with socket.create_connection(("127.0.0.1", sink.port)) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nfour")
        wait_until(lambda: sink.cut_requests == 1, "the end was seen")
        assert sink.requests == []


def test_a_server_that_was_stopped_refuses_and_starts_on_the_same_port() -> None:
    """What it was sent before is still known."""
    with HttpSink() as sink:
        get(sink.port, "/1")
        sink.stop()
        with pytest.raises(ConnectionRefusedError):
            get(sink.port, "/2")
        sink.start()
        get(sink.port, "/3")
        assert [each.target for each in sink.requests] == ["/1", "/3"]


# ---- TLS ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expired", "error"),
    [
        (["localhost"], False, None),
        (["other.test"], False, "Hostname mismatch"),
        (["localhost"], True, "certificate has expired"),
    ],
    ids=["right", "other name", "expired"],
)
def test_a_client_sees_a_wrong_certificate(tmp_path: Path, names: list[str], expired: bool, error: str | None) -> None:
    """The server counts the connections that came to nothing."""
    authority = Authority(tmp_path)
    with HttpSink(tls=SinkTls(authority.server(*names, expired=expired))) as sink:
        connection = client(sink, ssl.create_default_context(cafile=authority.certificate), host="localhost")
        if error is None:
            assert (status_of(connection), sink.url[:8]) == (200, "https://")
        else:
            with pytest.raises(ssl.SSLCertVerificationError, match=error):
                status_of(connection)
            wait_until(lambda: len(sink.failed_handshakes) == 1, "the failure is counted")


def test_a_server_knows_a_client_by_its_certificate(tmp_path: Path) -> None:
    """One of another authority is refused, and so is a client without any."""
    authority, stranger = Authority(tmp_path / "own"), Authority(tmp_path / "other")
    tls = SinkTls(authority.server("127.0.0.1"), client_authority=authority.certificate)
    with HttpSink(tls=tls) as sink:
        for identity, known in ((authority.client("node-7"), True), (stranger.client("node-8"), False), (None, False)):
            context = ssl.create_default_context(cafile=authority.certificate)
            if identity is not None:
                context.load_cert_chain(identity.certificate, identity.key)
            if known:
                assert status_of(client(sink, context)) == 200
            else:
                # The client learns it with the answer: in TLS 1.3 it has sent its request by then.
                with pytest.raises(OSError):
                    status_of(client(sink, context))
        wait_until(lambda: len(sink.failed_handshakes) == 2, "the failures are counted")
        assert [each.client for each in sink.requests] == ["node-7"]
