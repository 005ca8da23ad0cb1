"""One connection over a pair of sockets, with a session that does what the test says and a clock that it moves."""

import socket
from collections.abc import Iterator

import pytest
from fakes.clock import FakeClock

from agent.model.errors import ProtocolError
from workers.control_plane.nri.connection import OUTPUT_BYTES_MAX, UNFINISHED_NS, RuntimeConnection
from workers.control_plane.nri.session import PluginSession, Registered, SessionEvent, StartCall
from workers.control_plane.nri.stage import LIMITS_NS, Stage

PATH = "/run/nri.sock"


class EchoSession(PluginSession):
    """Each byte is one event; `!` is nonsense, and what is to be sent is what the test queues."""

    def __init__(self) -> None:
        super().__init__()
        self.queued: list[bytes] = []
        self.answered: list[StartCall] = []
        self.is_in_message = False

    @property
    def is_unfinished(self) -> bool:
        return self.is_in_message

    def begin(self) -> None:
        self.queued.append(b"register")

    def receive(self, data: bytes | bytearray | memoryview) -> list[SessionEvent]:
        if b"!" in bytes(data):
            raise ProtocolError("nri", "not a frame")
        return [Registered()] * len(data)

    def answer(self, call: StartCall) -> None:
        self.answered.append(call)

    def take_output(self) -> bytes:
        output, self.queued = b"".join(self.queued), []
        return output


class Pair:
    """Both ends."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        own, self.peer = socket.socketpair()
        self.session = EchoSession()
        self.connection = RuntimeConnection(own, self.session, PATH, self.clock.now_ns)


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A connection with its other end."""
    pair = Pair()
    yield pair
    pair.connection.close()
    pair.peer.close()


def test_the_registration_is_sent_first(pair: Pair) -> None:
    """Nothing waits for anything the runtime says."""
    assert pair.connection.stage is Stage.REGISTERING
    pair.connection.flush()

    assert pair.peer.recv(100) == b"register"
    assert not pair.connection.wants_write


def test_what_came_is_read_without_waiting(pair: Pair) -> None:
    """Also when nothing came."""
    assert pair.connection.receive() == []
    pair.peer.send(b"abc")

    assert pair.connection.receive() == [Registered()] * 3
    assert pair.connection.end == ""


def test_what_came_before_the_end_counts(pair: Pair) -> None:
    """A runtime that reports and ends has reported."""
    pair.peer.send(b"ab")
    pair.peer.close()

    assert pair.connection.receive() == [Registered()] * 2
    assert pair.connection.receive() == []
    assert "closed the connection while registering" in pair.connection.end


def test_nonsense_ends_it(pair: Pair) -> None:
    """With what is wrong."""
    pair.peer.send(b"!")

    assert pair.connection.receive() == []
    assert "not a frame" in pair.connection.end


def test_an_end_is_found_when_sending(pair: Pair) -> None:
    """Nothing is raised."""
    pair.peer.close()
    pair.session.queued.append(b"x" * 100)
    pair.connection.flush()

    assert "closed the connection" in pair.connection.end


def test_what_is_not_read_waits_and_is_bounded(pair: Pair) -> None:
    """The socket's own buffer fills first; then ours, up to its limit."""
    pair.session.queued.append(b"x" * (OUTPUT_BYTES_MAX // 2))
    while not pair.connection.wants_write:
        pair.connection.flush()
        pair.session.queued.append(b"x" * (OUTPUT_BYTES_MAX // 2))
    assert pair.connection.end == ""
    pair.session.queued.append(b"x" * OUTPUT_BYTES_MAX)
    pair.connection.flush()

    assert "does not read" in pair.connection.end


def test_what_waits_goes_when_it_is_read(pair: Pair) -> None:
    """In order, and nothing twice."""
    content = bytes(number % 251 for number in range(400_000))
    pair.session.queued = [content]
    pair.connection.flush()
    received = bytearray()
    while len(received) < len(content):
        received += pair.peer.recv(1 << 16)
        pair.connection.flush()

    assert bytes(received) == content
    assert not pair.connection.wants_write


@pytest.mark.parametrize("stage", Stage)
def test_each_stage_ends_at_its_limit(pair: Pair, stage: Stage) -> None:
    """A connected runtime may be silent for ever."""
    pair.connection.advance(stage)
    limit_ns = LIMITS_NS[stage]
    pair.clock.advance((limit_ns or 10**15) - 1)
    pair.connection.check()
    assert pair.connection.end == ""
    pair.clock.advance(1)
    pair.connection.check()

    assert bool(pair.connection.end) == (limit_ns is not None)


def test_a_message_that_does_not_go_on_ends_it(pair: Pair) -> None:
    """Each byte gives it time again; between two messages there is all the time of the world."""
    pair.connection.advance(Stage.CONNECTED)
    pair.session.is_in_message = True
    for _byte in range(3):
        pair.peer.send(b"a")
        pair.connection.receive()
        pair.clock.advance(UNFINISHED_NS - 1)
        pair.connection.receive()
        pair.connection.check()
        assert pair.connection.end == ""
    pair.peer.send(b"a")
    pair.session.is_in_message = False
    pair.connection.receive()
    assert (pair.connection.deadline_ns, pair.connection.end) == (None, "")
    pair.session.is_in_message = True
    pair.peer.send(b"a")
    pair.connection.receive()
    assert pair.connection.deadline_ns == pair.clock.now_ns() + UNFINISHED_NS
    pair.clock.advance(UNFINISHED_NS)
    pair.connection.check()

    assert "in the middle of a message for 30 s" in pair.connection.end


def test_the_first_reason_stays(pair: Pair) -> None:
    """What follows from it says less."""
    pair.peer.send(b"!")
    pair.connection.receive()
    first = pair.connection.end
    pair.peer.close()
    pair.connection.receive()
    pair.clock.advance(10**15)
    pair.connection.check()

    assert pair.connection.end == first


def test_an_answer_is_the_sessions(pair: Pair) -> None:
    """It is sent with what else waits."""
    pair.connection.answer(StartCall(3))

    assert pair.session.answered == [StartCall(3)]
    assert pair.connection.session is pair.session
    assert pair.connection.descriptor >= 0
