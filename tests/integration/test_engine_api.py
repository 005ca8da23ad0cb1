"""Engines on the loopback: those that answer, and those that hang, drip, lie, or never stop."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from agent.model.absence import Absence
from agent.model.engine_load import EngineLoad, no_load
from agent.model.served_model import ServedModel
from workers.unit.model import engine_request
from workers.unit.model.engine_address import EngineAddress
from workers.unit.model.engine_api import ask_engine, ask_load
from workers.unit.model.finding import ModelFinding, ModelSource

BODY = json.dumps({"data": [{"id": "chat", "root": "org/a", "owned_by": "vllm"}]}).encode()
TOLD = ModelFinding(ModelSource.ENGINE_API, ServedModel("vllm", "org/a", "org/a", "chat"))
Serve = Callable[[socket.socket], None]


@contextmanager
def engine(serve: Serve, host: str = "127.0.0.1") -> Iterator[EngineAddress]:
    """A server that does this with its one client."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:

        def answer() -> None:
            with suppress(OSError):
                peer, _ = listener.accept()
                with peer:
                    peer.recv(4096)
                    serve(peer)

        thread = threading.Thread(target=answer)
        thread.start()
        yield EngineAddress("a", host, listener.getsockname()[1])
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join()


METRICS = b"vllm:num_requests_waiting 3\nvllm:num_requests_running 4\nvllm:kv_cache_usage_perc 0.5\n"
LOAD = EngineLoad("vllm", 3, 4, 0.5)


def nothing(reason: Absence) -> ModelFinding:
    return ModelFinding(ModelSource.ENGINE_API, None, reason)


def test_an_answer_with_a_length_or_up_to_its_end() -> None:
    """One that tells its length need not close; the head may come in pieces."""

    def with_length(peer: socket.socket) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(BODY)
        for part in (head[:20], head[20:], BODY[:9], BODY[9:]):
            peer.sendall(part)
            time.sleep(0.02)
        peer.recv(1)

    with engine(with_length) as address:
        assert ask_engine(address) == TOLD
    with engine(lambda peer: peer.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + BODY)) as address:
        assert ask_engine(address) == TOLD


def test_the_request_is_one_that_servers_understand() -> None:
    """With the path of the address; version 6 in brackets."""
    if not socket.has_ipv6:
        pytest.skip("needs IPv6")
    seen = []
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                seen.append(peer.recv(4096))

        thread = threading.Thread(target=answer)
        thread.start()
        port = listener.getsockname()[1]
        assert ask_engine(EngineAddress("a", "::1", port, "/api/ps")) == nothing(Absence.MALFORMED)
        thread.join()
    lines = seen[0].split(b"\r\n")
    assert lines[0] == b"GET /api/ps HTTP/1.0"
    assert b"Host: [::1]:%d" % port in lines


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", Absence.MALFORMED),
        (b"garbage", Absence.MALFORMED),
        (b"\xff" * 5000, Absence.MALFORMED),
        (b"HTTP/1.1\r\n\r\n", Absence.MALFORMED),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", Absence.MALFORMED),
        (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n" + b"[" * 100_000, Absence.MALFORMED),
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", Absence.NO_PERMISSION),
        (b"HTTP/1.1 503 Loading\r\n\r\n", Absence.UNREADABLE),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://10.0.0.1/\r\n\r\n", Absence.UNREADABLE),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 400_000, Absence.MALFORMED),
    ],
)
def test_what_is_no_list_has_its_reason(answer: bytes, reason: Absence) -> None:
    """A redirection is not followed: it is not where the operator wrote."""

    def send(peer: socket.socket) -> None:
        with suppress(OSError):
            peer.sendall(answer)

    with engine(send) as address:
        assert ask_engine(address) == nothing(reason)


def test_an_engine_with_nothing_loaded_says_nothing() -> None:
    """Without a reason: it did answer."""
    with engine(lambda peer: peer.sendall(b'HTTP/1.1 200 OK\r\n\r\n{"models": []}')) as address:
        assert ask_engine(address) == ModelFinding(ModelSource.ENGINE_API)


def test_nobody_listens() -> None:
    """As before the engine has loaded its model."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert ask_engine(EngineAddress("a", "127.0.0.1", port)) == nothing(Absence.NOT_ANSWERED)


def endless(peer: socket.socket) -> None:
    with suppress(OSError):
        while True:
            peer.sendall(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10_000)


def drip(peer: socket.socket) -> None:
    with suppress(OSError):
        while True:
            peer.sendall(b"H")
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("serve", "reason"),
    [(lambda peer: peer.recv(1), Absence.NOT_ANSWERED), (drip, Absence.NOT_ANSWERED), (endless, Absence.MALFORMED)],
)
def test_no_engine_takes_longer_than_the_deadline(serve: Serve, reason: Absence) -> None:
    """However it delays: silence, a byte at a time, bytes without end."""
    with engine(serve) as address:
        begun = time.monotonic()
        assert ask_engine(address) == nothing(reason)
        assert time.monotonic() - begun < engine_request.DEADLINE_SECONDS + 2


def sending(answer: bytes) -> Serve:
    """Nothing else."""

    def send(peer: socket.socket) -> None:
        with suppress(OSError):
            peer.sendall(answer)

    return send


def test_metrics_in_chunks_with_a_length_and_up_to_the_end() -> None:
    """Uvicorn writes chunks also to those who ask by HTTP/1.0."""
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(METRICS), METRICS)
    for rest in (
        b"transfer-encoding: chunked\r\n\r\n" + chunks,
        b"Content-Length: %d\r\n\r\n" % len(METRICS) + METRICS,
        b"Content-Type: text/plain\r\n\r\n" + METRICS,
    ):
        with engine(sending(b"HTTP/1.1 200 OK\r\n" + rest)) as address:
            assert ask_load(address) == LOAD


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", Absence.MALFORMED),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", Absence.UNREADABLE),
        (b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 99\r\n\r\n{}", Absence.UNREADABLE),
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", Absence.NO_PERMISSION),
        (b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /metrics/\r\n\r\n", Absence.UNREADABLE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + METRICS, Absence.MALFORMED),
        (b"HTTP/1.1 200 OK\r\n\r\n" + METRICS * 20_000, Absence.MALFORMED),
        (b"HTTP/1.1 200 OK\r\n\r\n", Absence.NOT_TOLD),
    ],
)
def test_metrics_that_are_none(answer: bytes, reason: Absence) -> None:
    """An answer that is cut may lack an engine, so its sums are not believed."""
    with engine(sending(answer)) as address:
        assert ask_load(address) == no_load(reason)


def hang(peer: socket.socket) -> None:
    peer.recv(1)


def test_metrics_of_nobody_and_of_one_that_hangs() -> None:
    """Within the deadline."""
    with engine(hang) as address:
        begun = time.monotonic()
        assert ask_load(address) == no_load(Absence.NOT_ANSWERED)
        assert time.monotonic() - begun < engine_request.DEADLINE_SECONDS + 2
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert ask_load(EngineAddress("a", "127.0.0.1", port)) == no_load(Absence.NOT_ANSWERED)
