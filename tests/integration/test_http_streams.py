"""Streams, held requests and TLS over real sockets."""

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from fakes.gateway_host import Client
from fakes.http_host import HttpHost, running_http, shut
from harness.sinks.certificates import Authority, Identity

from agent.model.errors import ConfigError
from agent.model.timebase import S
from workers.http.event_stream import KEEP_ALIVE_NS, STALL_NS, EventChannel, StreamEvent
from workers.http.response import response, stream_head
from workers.http.server import CONNECTION_TIMEOUT_NS, CONNECTIONS_MAX, STREAM_BYTES_MAX
from workers.http.stream import Stream
from workers.http.tls import ServerTls


@pytest.fixture
def host() -> Iterator[HttpHost]:
    """A server with room for many long answers."""
    with running_http(long_max=2_000) as made:
        yield made


def opened(host: HttpHost, receive_buffer_bytes: int | None = None) -> tuple[Client, Stream]:
    """A client with its stream; its head has arrived."""
    client, ticket = host.ask("/v1/stream", receive_buffer_bytes=receive_buffer_bytes)
    stream = host.server.open_stream(ticket, stream_head(), host.now_ns)
    assert stream is not None
    host.turn_until(lambda: client.receive() or client.received.endswith(b"\r\n\r\n"))
    client.received = b""
    return client, stream


def blocked_of(stream: Stream) -> int | None:
    """Since when it waits, read again."""
    return stream.blocked_since_ns


def is_at_rest(host: HttpHost) -> bool:
    """Only the listening socket is left."""
    return len(host.server.interests()) == 1 and host.server.next_deadline_ns() is None


def test_a_stream_outlives_the_time_of_a_short_answer(host: HttpHost) -> None:
    """And costs the loop no wake-up while nothing is sent."""
    client, stream = opened(host)
    assert host.server.next_deadline_ns() is None
    host.pass_time(100 * CONNECTION_TIMEOUT_NS)
    assert stream.send(b"one", host.now_ns)
    assert stream.send(b"two", host.now_ns)
    host.turn_until(lambda: client.receive() or client.received == b"onetwo")
    assert (stream.queued_bytes, stream.blocked_since_ns, host.server.streams) == (0, None, 1)
    stream.close()
    host.turn_until(client.receive)
    assert (stream.is_open, stream.send(b"x", host.now_ns), is_at_rest(host)) == (False, False, True)
    stream.close()


def test_many_streams_are_one_descriptor_to_the_loop(host: HttpHost) -> None:
    """Beside the listening socket."""
    for _ in range(20):
        opened(host)
    assert (host.server.streams, len(host.server.interests())) == (20, 2)


def test_a_client_that_goes_is_noticed_without_a_word_to_it(host: HttpHost) -> None:
    """Whether it ends its connection or the kernel resets it; what it says is ignored."""
    gone: list[int] = []
    for how in ("end", "reset", "half"):
        client, stream = opened(host)
        stream.on_closed = gone.append
        client.send(b"more bytes")
        host.turn()
        assert host.server.streams == 1
        if how == "reset":
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.socket.close()
        elif how == "half":
            client.socket.shutdown(socket.SHUT_WR)
        else:
            shut(client)
        host.turn_until(lambda: host.server.streams == 0)
    assert gone == [host.now_ns] * 3
    assert is_at_rest(host)


def test_what_waits_for_a_client_is_bounded_in_bytes_and_goes_out_when_there_is_room(host: HttpHost) -> None:
    """A send that would be too much takes nothing; after the rest the owner is told."""
    client, stream = opened(host, receive_buffer_bytes=4096)
    drained: list[int] = []
    stream.on_drained = drained.append
    block = os.urandom(64 << 10)
    sent = 0
    while stream.send(block, host.now_ns):
        sent += 1
        assert sent < 200
    assert stream.blocked_since_ns == host.now_ns
    assert STREAM_BYTES_MAX - len(block) < stream.queued_bytes <= STREAM_BYTES_MAX
    # One more that fits goes behind the others.
    assert stream.send(b"end", host.now_ns) is (stream.queued_bytes <= STREAM_BYTES_MAX)
    expected = block * sent + b"end"
    host.turn_until(lambda: client.receive() or len(client.received) >= len(expected))
    assert client.received == expected
    assert drained == [host.now_ns]
    assert not stream.queued_bytes
    assert blocked_of(stream) is None


def test_a_client_that_goes_while_bytes_wait_is_forgotten(host: HttpHost) -> None:
    """They are given up with it."""
    client, stream = opened(host, receive_buffer_bytes=4096)
    while stream.queued_bytes < STREAM_BYTES_MAX // 2:
        assert stream.send(b"x" * (64 << 10), host.now_ns)
    shut(client)
    host.turn_until(lambda: not stream.is_open)
    assert stream.queued_bytes == 0


def test_clients_that_take_nothing_are_crowded_out_together() -> None:
    """Each is within its own bound. Who has taken nothing the longest goes; one that takes what it gets stays."""
    with running_http(long_max=100, together_bytes_max=4 * STREAM_BYTES_MAX) as host:
        stalled = [opened(host, receive_buffer_bytes=4096)[1] for _ in range(8)]
        reader, stream = opened(host)
        gone: list[int] = []
        for number, each in enumerate(stalled):
            each.on_closed = lambda _now_ns, number=number: gone.append(number)
            host.pass_time(S)
            while each.queued_bytes < STREAM_BYTES_MAX - (64 << 10):
                assert each.send(b"x" * (64 << 10), host.now_ns)
        assert gone == list(range(len(gone)))
        assert host.server.crowded_out == len(gone) >= 3
        assert sum(each.queued_bytes for each in stalled) <= 4 * STREAM_BYTES_MAX
        for _ in range(10):
            reader.received = b""
            assert stream.send(b"y" * (100 << 10), host.now_ns)
            host.turn_until(lambda: reader.receive() or len(reader.received) == 100 << 10)
        assert stream.is_open


def test_all_room_is_there_again_when_clients_went(host: HttpHost) -> None:
    """However they went: by themselves, taken all, or sent away."""
    streams = [opened(host, receive_buffer_bytes=4096) for _ in range(3)]
    for _, stream in streams:
        assert stream.send(b"x" * (200 << 10), host.now_ns)
    assert host.server._streams.waiting_bytes == sum(stream.queued_bytes for _, stream in streams) > 0
    shut(streams[0][0])
    streams[1][1].close()
    host.turn_until(lambda: streams[2][0].receive() or len(streams[2][0].received) == 200 << 10)
    host.turn_until(lambda: host.server.streams == 1)
    assert host.server._streams.waiting_bytes == 0


def test_a_stalled_client_moves_others_by_less_than_a_millisecond(host: HttpHost) -> None:
    """The spread of an event to fifty clients takes no longer beside one that reads nothing, and that one is disconnected."""
    channel = EventChannel("e", lambda topics: (), Random(1))
    stalled = host.ask("/v1/stream", receive_buffer_bytes=4096)
    quick = [host.ask("/v1/stream") for _ in range(50)]
    for _, ticket in (stalled, *quick):
        stream = host.server.open_stream(ticket, stream_head(), host.now_ns)
        assert stream is not None
        channel.join(stream, None, frozenset(), host.now_ns)

    def receive(client: Client) -> None:
        host.turn_until(lambda: client.receive() or client.received.endswith(b"\n\n"))
        client.received = b""

    def spread(data: bytes) -> float:
        begun = time.thread_time()
        channel.publish(StreamEvent("tick", data), host.now_ns)
        took = time.thread_time() - begun
        for client, _ in quick:
            receive(client)
        return took

    before = min(spread(b"x" * 2_000) for _ in range(20))
    blocked = [stream for stream in host.server._streams if stream.blocked_since_ns is not None]
    while not blocked:
        spread(b"x" * 20_000)
        blocked = [stream for stream in host.server._streams if stream.blocked_since_ns is not None]
    after = min(spread(b"x" * 2_000) for _ in range(20))
    assert after - before < 0.001
    host.now_ns += STALL_NS + KEEP_ALIVE_NS
    channel.on_timer(host.now_ns)
    assert (len(channel), channel.counts.disconnected) == (50, 1)


def test_streams_have_places_of_their_own() -> None:
    """When they are taken, the request still waits for another answer; short answers are given as before."""
    with running_http(long_max=3) as host:
        streams = [opened(host)[1] for _ in range(2)]
        held_client, held = host.ask()
        assert host.server.hold(held, host.now_ns + 60 * S)
        refused, ticket = host.ask()
        assert host.server.open_stream(ticket, stream_head(), host.now_ns) is None
        assert not host.server.hold(ticket, host.now_ns + 60 * S)
        host.server.answer(ticket, response(503, b"full\n"), host.now_ns)
        host.turn_until(refused.receive)
        assert refused.response().status == 503
        # One that is held has its place already.
        assert host.server.hold(held, host.now_ns + 90 * S)
        turned = host.server.open_stream(held, stream_head(), host.now_ns)
        assert turned is not None
        host.turn_until(lambda: held_client.receive() or b"event-stream" in held_client.received)
        streams[0].close()
        assert opened(host)[1].is_open


def test_held_requests_leave_the_places_of_short_ones(host: HttpHost) -> None:
    """More of them than there are short places."""
    waiting = []
    for _ in range(CONNECTIONS_MAX + 5):
        client, ticket = host.ask()
        assert host.server.hold(ticket, host.now_ns + 30 * S)
        waiting.append((client, ticket))
    host.pass_time(30 * S - 1)
    late, kept = waiting[0], waiting[1]
    assert host.server.is_waiting(kept[1])
    host.server.answer(kept[1], response(200, b"news\n"), host.now_ns)
    host.turn_until(kept[0].receive)
    assert kept[0].response().body == b"news\n"
    assert not host.server.is_waiting(kept[1])
    host.pass_time(1)
    host.turn_until(late[0].receive)
    assert late[0].received == b""
    assert not host.server.hold(late[1], host.now_ns)
    for client, _ in waiting[2:]:
        client.socket.close()
    kept[0].socket.close()
    host.turn_until(lambda: is_at_rest(host))


def test_a_body_comes_with_its_request(host: HttpHost) -> None:
    """In as many pieces as it likes; the peer's address is known."""
    client = host.connect()
    client.send(b"POST /v1/x?a=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab")
    for _ in range(5):
        host.turn()
    assert host.requests == []
    client.send(b"cd")
    host.turn_until(lambda: bool(host.requests))
    request = host.requests[0][1]
    assert (request.method, request.content, request.query, request.peer) == ("POST", b"abcd", {"a": ["1"]}, "127.0.0.1")


# ---- TLS -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def answering(host: HttpHost) -> Iterator[None]:
    """The server's loop turns in a thread, and answers with a large body."""
    over = threading.Event()

    def turn() -> None:
        answered = 0
        while not over.is_set():
            host.turn(0.005)
            while answered < len(host.requests):
                ticket, request = host.requests[answered]
                answered += 1
                host.server.answer(ticket, response(200, b"x" * 300_000 + request.peer.encode()), host.now_ns)

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def ask_over_tls(address: tuple[str, int], context: ssl.SSLContext) -> bytes:
    """One whole exchange with the server as `localhost`."""
    with socket.create_connection(address, 20) as plain, context.wrap_socket(plain, server_hostname="localhost") as stream:
        stream.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = bytearray()
        while data := stream.recv(1 << 16):
            received += data
    return bytes(received)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who signs here."""
    return Authority(tmp_path / "authority")


def tls_of(identity: Identity) -> ServerTls:
    """A server's side, its files read."""
    tls = ServerTls(str(identity.certificate), str(identity.key))
    tls.load()
    return tls


def test_answers_come_over_tls(authority: Authority) -> None:
    """Whole ones, larger than what the kernel buffers; the end is said in words of TLS."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    with running_http(tls=tls_of(authority.server("localhost"))) as host, answering(host):
        received = ask_over_tls(host.address, context)
        assert received.endswith(b"x127.0.0.1")
        assert len(received.partition(b"\r\n\r\n")[2]) == 300_009
        assert ask_over_tls(host.address, context) == received


def test_a_certificate_that_was_exchanged_is_used_from_the_next_connection_on(authority: Authority) -> None:
    """While half of the pair is new, the one of before goes on."""
    identity, later = authority.server("localhost"), authority.server("localhost")
    context = ssl.create_default_context(cafile=str(authority.certificate))

    def serial(address: tuple[str, int]) -> object:
        with socket.create_connection(address, 20) as plain, context.wrap_socket(plain, server_hostname="localhost") as stream:
            return (stream.getpeercert() or {})["serialNumber"]

    with running_http(tls=tls_of(identity)) as host, answering(host):
        before = serial(host.address)
        later.certificate.replace(identity.certificate)
        assert serial(host.address) == before
        later.key.replace(identity.key)
        assert serial(host.address) != before


def test_a_stream_comes_over_tls(authority: Authority) -> None:
    """Event by event, and its end is noticed on either side."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    with running_http(tls=tls_of(authority.server("localhost")), long_max=5) as host:
        plain = host.connect()
        plain.socket.setblocking(False)
        client = context.wrap_socket(plain.socket, server_hostname="localhost", do_handshake_on_connect=False)

        def tried(step: Callable[[], object]) -> bool:
            try:
                step()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            return True

        host.turn_until(lambda: tried(client.do_handshake))
        client.send(b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        host.turn_until(lambda: bool(host.requests))
        stream = host.server.open_stream(host.requests[0][0], stream_head(), host.now_ns)
        assert stream is not None
        stream.send(b"data: 1\n\n", host.now_ns)
        received = bytearray()
        host.turn_until(lambda: tried(lambda: received.extend(client.recv(4096))) and received.endswith(b"data: 1\n\n"))
        client.close()
        host.turn_until(lambda: host.server.streams == 0)


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\0" * 600])
def test_who_speaks_no_tls_is_cut(authority: Authority, said: bytes) -> None:
    """At once, and counted."""
    with running_http(tls=tls_of(authority.server("localhost"))) as host:
        client = host.connect()
        client.send(said)
        host.turn_until(client.receive)
        assert (host.server.refused, host.requests, is_at_rest(host)) == (1, [], True)


def test_a_handshake_has_the_time_of_its_connection(authority: Authority) -> None:
    """A client that begins one and says no more holds no place for longer."""
    with running_http(tls=tls_of(authority.server("localhost"))) as host:
        client = host.connect()
        client.send(b"\x16\x03\x01\x02\x00\x01")
        host.turn_until(lambda: len(host.server.interests()) == 2)
        host.pass_time(CONNECTION_TIMEOUT_NS)
        assert is_at_rest(host)


def test_files_that_are_no_pair_are_named(authority: Authority, tmp_path: Path) -> None:
    """The sentence says which, and what to do; without any, connections are refused."""
    one, other = authority.server("localhost"), authority.server("localhost")
    for certificate, key in ((one.certificate, other.key), (tmp_path / "none.pem", one.key), (one.key, one.key)):
        with pytest.raises(ConfigError, match=f"tls_cert_file: {certificate} or its key cannot be used .*belong together"):
            tls_of(Identity(certificate, key))
    with running_http(tls=ServerTls(str(tmp_path / "none.pem"), "")) as host:
        client = host.connect()
        host.turn_until(client.receive)
        assert host.server.refused == 1
