"""The connection to a sink: kept, bounded in time, and every failure a verdict with a sentence."""

import time
from pathlib import Path

import pytest
from fakes.scripted_server import Act, answering, deaf, dripping, http, serving, silent

from agent.endpoint import Endpoint
from agent.model.timebase import MS, S
from workers.export.http_answer import HttpAnswer
from workers.export.http_client import SEND_BYTES, HttpClient
from workers.export.http_option import HttpSetup
from workers.export.sink import Later, Paused, Refused, TooLarge

OK = http(200, b"fine")
SECRET = "hunter2-very-secret"


def client_of(port: int, **setup: object) -> HttpClient:
    """A client of a server on loopback."""
    fields: dict[str, object] = {"what": "an OTLP receiver", "timeout_ns": 5 * S, **setup}
    return HttpClient(Endpoint(False, "127.0.0.1", port), HttpSetup(**fields))  # type: ignore[arg-type]  # fields of a test


def answer_of(found: HttpAnswer | Later | Paused) -> HttpAnswer:
    """The answer that came."""
    assert isinstance(found, HttpAnswer), found
    return found


def otlp_retried(status: int) -> bool:
    """As OTLP has it."""
    return status in (429, 502, 503, 504)


def verdict_after(act: Act, **setup: object) -> object:
    """What comes of one request to a server that acts so."""
    with serving(act) as server:
        client = client_of(server.port, **setup)
        found = client.post("/v1/metrics", b"body", {})
        client.close()
        return found if not isinstance(found, HttpAnswer) else client.verdict(found, "/v1/metrics", otlp_retried)


def test_a_connection_is_kept() -> None:
    """Three requests, one connection; the request is as it should be."""
    with serving(answering(OK, OK, OK)) as server:
        client = client_of(server.port)
        for _ in range(3):
            assert answer_of(client.post("/v1/metrics?x=1", b"body", {"Content-Type": "a/b"})).body == b"fine"
        client.close()
    assert server.connections == 1
    head, body = server.requests[0]
    assert body == b"body"
    assert head.split(b"\r\n") == [
        b"POST /v1/metrics?x=1 HTTP/1.1",
        b"Host: 127.0.0.1:%d" % server.port,
        b"User-Agent: evergauge",
        b"Content-Type: a/b",
        b"Content-Length: 4",
    ]


def test_a_large_body_arrives_in_whole() -> None:
    """In several pieces."""
    body = bytes(range(256)) * (3 * SEND_BYTES // 256)
    with serving(answering(OK)) as server:
        client = client_of(server.port)
        answer_of(client.post("/", body, {}))
        client.close()
    assert server.requests[0][1] == body


def test_a_connection_that_was_closed_meanwhile_is_made_again() -> None:
    """A server that was restarted costs no failure."""
    with serving(answering(OK), answering(OK)) as server:
        client = client_of(server.port)
        answer_of(client.post("/", b"1", {}))
        answer_of(client.post("/", b"2", {}))
        client.close()
    assert [body for _, body in server.requests] == [b"1", b"2"]


def test_a_dripping_server_does_not_hold_us() -> None:
    """The time of a request is one, however many bytes come in it."""
    began = time.monotonic()
    verdict = verdict_after(dripping(OK, 0.05), timeout_ns=300 * MS)
    assert verdict == Later(f"{verdict.sentence.partition(' ')[0]} did not answer within 0.3 s")  # type: ignore[attr-defined]  # a Later
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("act", [silent, deaf])
def test_a_server_that_never_answers_does_not_hold_us(act: Act) -> None:
    """Half-open and hung servers look like this."""
    verdict = verdict_after(act, timeout_ns=200 * MS)
    assert isinstance(verdict, Later)
    assert "did not answer within 0.2 s" in verdict.sentence


def test_a_server_that_does_not_read_does_not_hold_us() -> None:
    """More than the buffers of the kernel take."""
    with serving(deaf) as server:
        client = client_of(server.port, timeout_ns=300 * MS)
        assert isinstance(client.post("/", bytes(32 << 20), {}), Later)
        client.close()


def test_nothing_listens() -> None:
    """Refused connections pass."""
    with serving(silent) as server:
        port = server.port
    verdict = client_of(port).post("/", b"", {})
    assert verdict == Later(f"nothing takes connections at 127.0.0.1:{port}; start the sink there, or look at the port")


def test_a_name_that_cannot_be_resolved() -> None:
    """DNS may come back."""
    setup = HttpSetup("an OTLP receiver")
    verdict = HttpClient(Endpoint(False, "no-such-host.invalid", 1), setup).post("/", b"", {})
    assert isinstance(verdict, Later)
    assert "no-such-host.invalid cannot be resolved" in verdict.sentence
    wrong = HttpClient(Endpoint(False, "a..b", 1), setup).post("/", b"", {})
    assert wrong == Paused("endpoint: a..b is no name of a host; look at its dots")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed the connection before it answered"),
        (OK[:-2], "closed the connection in the middle of its answer"),
        (b"\0\0\x12\x04\0\0\0\0\0\0\n", "did not answer in HTTP/1.1"),
    ],
)
def test_what_is_no_answer_is_tried_later(answer: bytes, words: str) -> None:
    """A server that dies in the middle, or speaks another protocol."""
    verdict = verdict_after(answering(answer))
    assert isinstance(verdict, Later)
    assert words in verdict.sentence


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (http(301, b"", "Location: https://u:p@new/x?sig=1"), Paused, "sends us to another place (301, https://new/x); write that"),
        (http(307), Paused, "sends us to another place (307)"),
        (
            http(200, b"<html>Log in</html>", "Content-Type: text/html"),
            Paused,
            "looks like a web page or proxy, not an OTLP receiver",
        ),
        (http(404, b"<!DOCTYPE html>"), Paused, "looks like a web page"),
        (http(404), Paused, "there is no OTLP receiver here"),
        (http(503, b"<html></html>", "Content-Type: text/html"), Later, "is busy or not ready (503)"),
        (http(401), Paused, "does not take our credentials (401)"),
        (http(403, b"no role"), Paused, "does not let us write (403: no role)"),
        (http(407), Paused, "a proxy before"),
        (http(413), TooLarge, "takes no request of this size"),
        (http(400, b"Client sent an HTTP request to an HTTPS server."), Paused, "takes TLS only"),
        (http(400, b"bad\x1b[31m label"), Refused, "refused it for good (400: bad\\x1b[31m label)"),
        (http(500, b"\xff\xfe", "Content-Type: application/x-protobuf"), Refused, "refused it for good (500, no reason given)"),
        (http(408), Refused, "(408"),
        (http(400, b"\x12\x1bhttp: request body too large"), TooLarge, "takes no request of this size (400"),
    ],
)
def test_what_answers_mean(answer: bytes, kind: type, words: str) -> None:
    """Each status, with a sentence that names the place."""
    verdict = verdict_after(answering(answer))
    assert isinstance(verdict, kind)
    assert words in verdict.sentence  # type: ignore[attr-defined]  # each verdict has one
    assert "127.0.0.1:" in verdict.sentence  # type: ignore[attr-defined]  # each verdict has one


def test_retry_after_is_kept() -> None:
    """In the verdict, for the worker."""
    verdict = verdict_after(answering(http(429, b"slow down", "Retry-After: 3")))
    assert isinstance(verdict, Later)
    assert verdict.after_ns == 3 * S
    assert "(429: slow down)" in verdict.sentence
    assert "wait" not in verdict.sentence
    verdict = verdict_after(answering(http(429, b"slow down", "Retry-After: 600")))
    assert isinstance(verdict, Later)
    assert verdict.sentence.endswith("is busy or not ready (429: slow down); it asks us to wait 600 s")


def test_a_refusal_before_the_whole_body_was_sent_is_heard() -> None:
    """A server may say 413 and close, while we still send."""

    def act(connection: object, server: object) -> None:
        connection.recv(1000)  # type: ignore[attr-defined]  # a socket
        connection.sendall(http(413, b"", "Connection: close"))  # type: ignore[attr-defined]  # a socket
        # The rest is read, for otherwise the kernel resets and throws the answer away.
        while connection.recv(1 << 20):  # type: ignore[attr-defined]  # a socket
            pass

    with serving(act) as server:
        client = client_of(server.port)
        assert answer_of(client.post("/", bytes(1 << 20), {})).status == 413


def test_a_token_is_read_again_after_401(tmp_path: Path) -> None:
    """A rotated token is taken at once; one that is still the same is not tried again."""
    token = tmp_path / "token"
    token.write_text("old\n")

    def rotating(connection: object, server: object) -> None:
        answering(http(200), http(401))(connection, server)  # type: ignore[arg-type]  # a socket and its server

    with serving(rotating, answering(OK, http(401))) as server:
        client = client_of(server.port, token_file=str(token))
        answer_of(client.post("/", b"1", {}))
        token.write_text("new\n")
        assert answer_of(client.post("/", b"2", {})).status == 200
        assert answer_of(client.post("/", b"3", {})).status == 401
        client.close()
    assert [head.rpartition(b"Bearer ")[2] for head, _ in server.requests] == [b"old", b"old", b"new", b"new"]


def test_credentials_from_everywhere(tmp_path: Path) -> None:
    """A variable, a user with a password, and a file of headers."""
    (tmp_path / "headers").write_text("# tenants\nX-Scope-OrgID: shop\n\n")
    (tmp_path / "password").write_text("pa ss\n")
    with serving(answering(OK)) as server:
        for setup in (
            {"token_variable": "T", "variables": {"T": "abc"}, "headers_file": str(tmp_path / "headers")},
            {"username": "u", "password_file": str(tmp_path / "password"), "secret_headers": {"X": "y"}},
        ):
            client = client_of(server.port, **setup)
            answer_of(client.post("/", b"", {}))
            client.close()
    first, second = (head for head, _ in server.requests)
    assert first.endswith(b"X-Scope-OrgID: shop\r\nAuthorization: Bearer abc")
    assert second.endswith(b"X: y\r\nAuthorization: Basic dTpwYSBzcw==")


@pytest.mark.parametrize(
    ("setup", "content", "words"),
    [
        ({"token_file": "{}"}, None, "cannot be read (No such file or directory)"),
        ({"token_file": "{}"}, "a\nb", "token_file: it is empty, or has several lines"),
        ({"token_file": "{}"}, " \n", "token_file: it is empty"),
        ({"token_file": "{}"}, "x" * 70_000, "is longer than"),
        ({"token_file": "/tmp"}, None, "is no file"),
        ({"token_file": "/\0"}, None, "zero byte"),
        ({"token_variable": "T"}, None, "the agent has no variable T"),
        ({"headers_file": "{}"}, f"no colon {SECRET}", "headers_file, line 1: it is no header"),
        ({"headers_file": "{}"}, f"X: {SECRET}\x01", "headers_file, line 1: it is no header"),
        ({"headers_file": "{}"}, "Host: other", "Host is set by the agent itself"),
        ({"headers_file": "{}"}, "".join(f"X{n}: 1\n" for n in range(100)), "more than 64 headers"),
    ],
)
def test_credentials_that_cannot_be_used_pause(setup: dict[str, str], content: str | None, words: str, tmp_path: Path) -> None:
    """With the name of the setting and never a part of the secret."""
    file = tmp_path / "file"
    if content is not None:
        file.write_text(content)
    fields = {key: value.format(file) if "{}" in value else value for key, value in setup.items()}
    verdict = client_of(1, **fields).post("/", b"", {})
    assert isinstance(verdict, Paused)
    assert words in verdict.sentence
    assert SECRET not in verdict.sentence


def test_a_named_pipe_holds_nobody(tmp_path: Path) -> None:
    """It is no file."""
    import os

    os.mkfifo(tmp_path / "pipe")
    verdict = client_of(1, token_file=str(tmp_path / "pipe")).post("/", b"", {})
    assert isinstance(verdict, Paused)
    assert "is no file" in verdict.sentence


def test_a_server_that_repeats_our_secret_is_not_quoted(tmp_path: Path) -> None:
    """Sentences go to logs and pages."""
    token = tmp_path / "token"
    token.write_text(SECRET)
    verdict = verdict_after(answering(http(400, f"bad token Bearer {SECRET}".encode())), token_file=str(token))
    assert isinstance(verdict, Refused)
    assert "bad token …" in verdict.sentence
    assert SECRET not in verdict.sentence


def test_a_password_is_not_quoted_either(tmp_path: Path) -> None:
    """A server decodes what it gets."""
    (tmp_path / "password").write_text("correct horse\n")
    with serving(answering(http(401, b"u, correct horse: unknown"), http(401, b"again"))) as server:
        client = client_of(server.port, username="u", password_file=str(tmp_path / "password"))
        verdict = client.verdict(answer_of(client.post("/", b"", {})), "/", lambda _status: False)
        client.close()
    assert isinstance(verdict, Paused)
    assert "u, …: unknown" in verdict.sentence
