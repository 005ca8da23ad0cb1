"""Calls of gRPC over HTTP/2, from bytes to bytes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.cri_peer import CriPeer, PeerState, prefixed
from h2.settings import SettingCodes
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import ProtocolError
from workers.control_plane.container_runtime.event import RuntimePod
from workers.control_plane.cri.grpc_frame import ANSWER_BYTES_MAX, GrpcStatus
from workers.control_plane.cri.message import (
    CONTAINERD_EVENTS,
    LIST_CONTAINERS,
    LIST_SANDBOXES,
    VERSION,
    VERSION_ALPHA,
    containerd_events_request,
    parse_sandboxes,
    running_containers_request,
    sandboxes_request,
    version_request,
)
from workers.control_plane.cri.session import GoneAway, GrpcEnded, GrpcEvent, GrpcMessage, GrpcSession

FIXTURES = Path(__file__).parents[4] / "fixtures/cri"
VERSIONS = ("containerd-1.7.24", "containerd-2.1.9")


class Exchange:
    """A session and a runtime's end of it."""

    def __init__(self, state: PeerState | None = None) -> None:
        self.session = GrpcSession()
        self.peer = CriPeer(state or PeerState())

    def begin(self, method: str = VERSION, *, bytes_max: int = ANSWER_BYTES_MAX) -> int:
        """A call."""
        return self.session.begin(method, b"", deadline_ns=None, bytes_max=bytes_max)

    def run(self) -> list[GrpcEvent]:
        """What comes until both ends have nothing to send."""
        found: list[GrpcEvent] = []
        for _ in range(1_000):
            sent = self.session.take_output()
            if sent:
                self.peer.receive(sent)
            answered = self.peer.take_output()
            if answered:
                found += self.session.receive(answered)
            elif not sent:
                break
        return found


def recorded_session() -> GrpcSession:
    """A session with the calls that were recorded."""
    session = GrpcSession()
    for method, request in (
        (VERSION, version_request()),
        (CONTAINERD_EVENTS, containerd_events_request()),
        (LIST_SANDBOXES, sandboxes_request(only_ready=True)),
        (LIST_CONTAINERS, running_containers_request()),
        (VERSION_ALPHA, version_request()),
    ):
        session.begin(method, request, deadline_ns=None, bytes_max=ANSWER_BYTES_MAX)
    return session


@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_connection_is_understood(version: str) -> None:
    """Each call has its answer and its status, and the stream has two events and goes on."""
    folder = FIXTURES / version
    events = recorded_session().receive((folder / "received.bin").read_bytes())
    payloads = {(event.call, event.payload) for event in events if isinstance(event, GrpcMessage)}
    assert {
        (call, (folder / f"{name}.bin").read_bytes()) for call, name in ((1, "version"), (5, "sandboxes"), (7, "containers"))
    } <= payloads
    assert len([event for event in events if isinstance(event, GrpcMessage) and event.call == 3]) == 2
    ended = {event.call: event.status for event in events if isinstance(event, GrpcEnded)}
    assert {1, 5, 7, 9} == set(ended)
    assert ended[9].code == (0 if version == VERSIONS[0] else 12)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_connection_may_be_cut_into_two(version: str) -> None:
    """The same events come in the same order, whatever arrives together; the next test cuts at every byte."""
    data = (FIXTURES / version / "received.bin").read_bytes()
    whole = recorded_session().receive(data)
    for cut in range(1, len(data), 7):
        session = recorded_session()
        assert whole == session.receive(data[:cut]) + session.receive(data[cut:])


def test_a_real_connection_may_come_byte_by_byte() -> None:
    """Nothing depends on the length of a read."""
    data = (FIXTURES / VERSIONS[1] / "received.bin").read_bytes()
    session = recorded_session()
    assert recorded_session().receive(data) == [event for byte in data for event in session.receive(bytes([byte]))]


def test_every_altered_byte_is_read_or_refused() -> None:
    """Bits that turned over end the connection with a protocol error, or change what is read, and nothing else."""
    data = bytearray((FIXTURES / VERSIONS[1] / "received.bin").read_bytes())
    for place, byte in enumerate(bytes(data)):
        data[place] = byte ^ (0x01, 0x80, 0xFF)[place % 3]
        read_or_refuse(bytes(data))
        data[place] = byte


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """What listens may be anything."""
    read_or_refuse(data)


@given(st.binary(max_size=300), st.integers(0, 2_400))
def test_any_bytes_after_a_good_beginning_are_read_or_refused(data: bytes, cut: int) -> None:
    """Also in the middle of a connection."""
    read_or_refuse((FIXTURES / VERSIONS[0] / "received.bin").read_bytes()[:cut] + data)


def read_or_refuse(data: bytes) -> None:
    """What is read is of no interest here."""
    try:
        recorded_session().receive(data)
    except ProtocolError:
        return


def test_an_answer_larger_than_any_window_comes_whole() -> None:
    """The runtime is given room as fast as it is read."""
    pods = [RuntimePod(f"{number:064x}", f"uid-{number}", labels={"app": "x" * 300}) for number in range(20_000)]
    exchange = Exchange(PeerState(pods=pods))
    call = exchange.begin(LIST_SANDBOXES)
    message, end = exchange.run()
    assert isinstance(message, GrpcMessage)
    assert len(message.payload) > 8 << 20
    assert len(parse_sandboxes(message.payload).pods) == 20_000
    assert end == GrpcEnded(call, GrpcStatus(0))


def test_an_oversize_answer_ends_the_connection_at_its_announcement() -> None:
    """Nothing is kept of it."""
    exchange = Exchange(PeerState(answers={VERSION: b"\0\xff\xff\xff\xff"}))
    exchange.begin()
    with pytest.raises(ProtocolError, match="4294967295 bytes is announced"):
        exchange.run()


def test_a_refused_call_has_its_status_and_words() -> None:
    """Escapes in them are resolved."""
    exchange = Exchange(PeerState(refused={VERSION: (7, "no%20way")}))
    assert exchange.run() == []
    call = exchange.begin()
    assert exchange.run() == [GrpcEnded(call, GrpcStatus(7, "no way"))]


def test_a_stream_brings_messages_until_it_ends() -> None:
    """Each when it is sent; the status comes last."""
    exchange = Exchange()
    call = exchange.begin(CONTAINERD_EVENTS)
    assert exchange.run() == []
    exchange.peer.emit(b"one")
    exchange.peer.emit(b"two")
    assert exchange.run() == [GrpcMessage(call, b"one"), GrpcMessage(call, b"two")]
    exchange.peer.end_streams(14, "bye")
    assert exchange.run() == [GrpcEnded(call, GrpcStatus(14, "bye"))]


def test_a_stream_that_is_broken_off_ends() -> None:
    """Without a status of its own it is unavailable, with the number of HTTP/2."""
    exchange = Exchange()
    call = exchange.begin(CONTAINERD_EVENTS)
    exchange.run()
    exchange.peer.reset_streams()
    assert exchange.run() == [GrpcEnded(call, GrpcStatus(14, "the runtime broke the call off (HTTP/2 error 2)"))]


def test_a_runtime_that_goes_away_is_reported() -> None:
    """So that no further call is tried on this connection; a new one is refused."""
    exchange = Exchange()
    exchange.begin(CONTAINERD_EVENTS)
    exchange.run()
    exchange.peer.connection.close_connection()
    assert exchange.run() == [GoneAway(0)]
    with pytest.raises(ProtocolError, match="a call cannot be made"):
        exchange.begin()


def test_an_answered_call_may_be_broken_off() -> None:
    """Some servers do that when they have said all; the connection goes on."""
    exchange = Exchange()
    call = exchange.begin()
    assert len(exchange.run()) == 2
    assert exchange.session.receive(b"\0\0\4\3\0" + call.to_bytes(4, "big") + b"\0\0\0\0") == []
    exchange.begin()
    assert len(exchange.run()) == 2


def test_what_a_runtime_says_of_a_call_that_could_not_be_made_is_no_news() -> None:
    """It grants no byte, so that only the head of the call is sent; nobody waits for the end of it."""
    exchange = Exchange()
    assert exchange.run() == []
    exchange.peer.connection.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    assert exchange.run() == []
    with pytest.raises(ProtocolError, match="flow control window is 0"):
        exchange.begin()
    assert exchange.run() == []
    exchange.peer.connection.reset_stream(1)
    assert exchange.run() == []
    exchange.peer.connection.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1_000})
    assert exchange.run() == []
    call = exchange.begin()
    assert [event.call for event in exchange.run() if not isinstance(event, GoneAway)] == [call, call]


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ([(":status", "404"), ("content-type", "text/plain")], "HTTP status 404, content text/plain"),
        ([(":status", "200"), ("content-type", "text/html")], "HTTP status 200, content text/html"),
    ],
)
def test_another_http_2_service_is_recognized(headers: list[tuple[str, str]], problem: str) -> None:
    """It is named by what it answers."""
    exchange = Exchange(PeerState(headers=headers))
    exchange.begin()
    with pytest.raises(ProtocolError, match=problem):
        exchange.run()


@pytest.mark.parametrize("answer", [b"\0\0\0\0\x05ab", b"\0\0\0"])
def test_an_answer_that_ends_too_early_is_refused(answer: bytes) -> None:
    """A part of a message with a good status is no message."""
    exchange = Exchange(PeerState(answers={VERSION: answer}))
    exchange.begin()
    with pytest.raises(ProtocolError, match="in the middle of its answer"):
        exchange.run()


def test_a_call_without_a_status_is_refused() -> None:
    """A body that just ends says nothing of how the call went."""
    exchange = Exchange(PeerState(silent={VERSION}))
    call = exchange.begin()
    exchange.run()
    exchange.peer.connection.send_headers(call, exchange.peer.state.headers)
    exchange.peer.connection.send_data(call, prefixed(b"x"), end_stream=True)
    with pytest.raises(ProtocolError, match="in the middle of its answer"):
        exchange.run()


def _many_headers(peer: CriPeer) -> None:
    peer.connection.send_headers(1, [*peer.state.headers, *((f"x-{number}", "y" * 1_000) for number in range(200))])


def _push(peer: CriPeer) -> None:
    peer.connection.remote_settings[SettingCodes.ENABLE_PUSH] = 1
    peer.connection.remote_settings.acknowledge()
    peer.connection.push_stream(1, 2, [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "x")])


@pytest.mark.parametrize("attack", [_many_headers, _push])
def test_what_nobody_asked_for_ends_the_connection(attack: Callable[[CriPeer], None]) -> None:
    """Headers without measure, and answers to questions that were not put."""
    exchange = Exchange(PeerState(silent={VERSION}))
    exchange.begin()
    exchange.run()
    attack(exchange.peer)
    with pytest.raises(ProtocolError, match="breaks the rules of HTTP/2"):
        exchange.run()
