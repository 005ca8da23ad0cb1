"""The hub's sockets over loopback: who gets in, and what is too large."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
import zmq
from fakes.fleet import free_ports
from harness import proc
from harness.waiting import wait_until
from zmq.utils import z85

from agent.fleet.invitation import JOIN_BYTES_MAX
from agent.fleet.joined import JoinedHub
from agent.fleet.message import ROWS_BYTES_MAX
from workers.fleet.hub_socket import HubSocket
from workers.hub.endpoint import HubEndpoint, HubKeys
from workers.hub.membership import key_text

Keys = tuple[bytes, bytes]


def new_keys() -> Keys:
    """A public and a secret key."""
    public, secret = zmq.curve_keypair()
    return z85.decode(public), z85.decode(secret)


class EndpointStory:
    """An endpoint, turned by the test, and the clients that knock at it."""

    def __init__(self, stack: ExitStack, most: int) -> None:
        self.hub = new_keys()
        self.member = new_keys()
        self._stack = stack
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stack.callback(self._context.term)
        data, join = free_ports(2)
        self.data, self.join = f"tcp://127.0.0.1:{data}", f"tcp://127.0.0.1:{join}"
        keys = HubKeys(*self.hub)
        self.endpoint = HubEndpoint(
            self._context, keys, self.data, self.join, lambda key: key == key_text(self.member[0]), most=most
        )
        stack.callback(self.endpoint.close)
        self.got: list[bytes] = []
        self.knocked: list[bytes] = []

    def client(self, keys: Keys, *, hub_key: bytes = b"", endpoint: str = "") -> HubSocket:
        """A node with these keys."""
        made = HubSocket(self._context, JoinedHub("hub", endpoint or self.data, hub_key or self.hub[0], *keys))
        self._stack.callback(made.close)
        return made

    def turn(self) -> None:
        """As the hub's loop does it."""
        self.endpoint.open_gate()
        for arrival in self.endpoint.arrivals(100):
            assert arrival.key == key_text(self.member[0])
            self.got.append(arrival.first)
            self.endpoint.answer(arrival.connection, b"answer")
        self.knocked += [frame for _, _, frame in self.endpoint.join_requests(100)]

    def turn_until(self, condition: Callable[[], object], what: str) -> None:
        """Turn until it holds."""

        def turned() -> object:
            self.turn()
            return condition()

        wait_until(turned, what)

    def is_silent(self, client: HubSocket, frame: bytes, seconds: float = 1.0) -> bool:
        """Whether nothing of a client arrives for so long."""
        before, end = len(self.got) + len(self.knocked), time.monotonic() + seconds
        while time.monotonic() < end:
            client.send(frame)
            self.turn()
            client.wait(0.01)
        return len(self.got) + len(self.knocked) == before


@contextmanager
def endpoint(most: int = 100) -> Iterator[EndpointStory]:
    """An endpoint that closes with the block."""
    with ExitStack() as stack:
        yield EndpointStory(stack, most)


def test_a_member_gets_in_and_a_stranger_does_not() -> None:
    """Neither one with a key of its own, nor one that takes another for the hub. Nothing of theirs is seen."""
    with endpoint() as story:
        client = story.client(story.member)
        story.turn_until(lambda: client.send(b"hello"), "the member is connected")
        story.turn_until(lambda: story.got == [b"hello"], "its frame is there")
        story.turn_until(lambda: client.receive() == b"answer", "it has its answer")
        assert story.is_silent(story.client(new_keys()), b"nonsense")
        assert story.endpoint.strangers > 0
        assert story.is_silent(story.client(story.member, hub_key=new_keys()[0]), b"nonsense")


def test_a_frame_that_is_too_large_ends_its_connection_alone() -> None:
    """More than rows may have; the hub takes no memory for it and goes on."""
    with endpoint() as story:
        client, other = story.client(story.member), story.client(story.member)
        story.turn_until(lambda: client.send(b"hello"), "the member is connected")
        story.turn_until(lambda: other.send(b"hello"), "another one is connected")
        story.turn_until(lambda: len(story.got) == 2, "both are heard")
        client.send(bytes(ROWS_BYTES_MAX + 1))
        story.turn_until(lambda: story.endpoint.connections == 1, "its connection has ended")
        assert len(story.got) == 2
        story.turn_until(lambda: other.send(b"again"), "the other one is there")
        story.turn_until(lambda: story.got[-1] == b"again", "the other one is heard")


class Relay:
    """One connection to a hub through the test, which puts bytes of its own behind what the client says."""

    def __init__(self, stack: ExitStack, endpoint: str) -> None:
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        self._listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._listener.setblocking(False)
        self._hub = stack.enter_context(socket.create_connection((host, int(port))))
        self._hub.setblocking(False)
        self._client: socket.socket | None = None
        self._stack = stack
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        # Whether the hub has ended it.
        self.is_over = False

    def turn(self) -> None:
        """Hand on what has come."""
        with suppress(BlockingIOError):
            if self._client is None:
                self._client = self._stack.enter_context(self._listener.accept()[0])
                self._client.setblocking(False)
            for source, target in ((self._client, self._hub), (self._hub, self._client)):
                with suppress(BlockingIOError):
                    data = source.recv(1 << 16)
                    self.is_over |= source is self._hub and not data
                    target.sendall(data)

    def say(self, data: bytes) -> None:
        """Bytes that no client would send."""
        self._hub.sendall(data)


# A frame of ZMTP 3: flags, eight bytes of length, and nothing behind them yet (RFC 23 of ZeroMQ).
LONG, LONG_COMMAND = b"\x02", b"\x06"
TWO_GIB = (2 << 30).to_bytes(8, "big")
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32)


FLOOD = 4000


def private_bytes() -> int:
    """What this process, in which the endpoint runs, holds for itself alone."""
    return proc.memory(os.getpid()).private_bytes


@pytest.mark.parametrize("flags", [LONG, LONG_COMMAND])
def test_a_frame_that_says_it_has_two_gib_takes_no_memory(flags: bytes) -> None:
    """Of a stranger instead of a handshake, and of a member behind one: the connection ends, and the others go on."""
    with endpoint() as story, ExitStack() as stack:
        relay = Relay(stack, story.data)
        member, other = story.client(story.member, endpoint=relay.endpoint), story.client(story.member)

        def turned(condition: Callable[[], object]) -> object:
            relay.turn()
            return condition()

        story.turn_until(lambda: turned(lambda: member.send(b"hello")), "the member is connected")
        story.turn_until(lambda: turned(lambda: story.got == [b"hello"]), "it is heard")
        before = private_bytes()
        relay.say(flags + TWO_GIB)
        host, _, port = story.data.removeprefix("tcp://").rpartition(":")
        stranger = stack.enter_context(socket.create_connection((host, int(port))))
        stranger.sendall(GREETING + flags + TWO_GIB)
        stranger.setblocking(False)

        def is_over() -> bool:
            with suppress(BlockingIOError, ConnectionResetError):
                while stranger.recv(1 << 16):
                    pass
                return True
            return False

        story.turn_until(lambda: turned(is_over), "the stranger's connection has ended")
        story.turn_until(lambda: turned(lambda: relay.is_over), "the member's connection has ended")
        story.turn_until(lambda: other.send(b"again"), "another one is connected")
        story.turn_until(lambda: b"again" in story.got, "it is heard")
        assert private_bytes() - before < 64 << 20


def test_a_flood_on_one_connection_delays_no_other() -> None:
    """Thousands of frames of one; what another one says meanwhile is taken before a tenth of them."""
    with endpoint() as story:
        loud, other = story.client(story.member), story.client(story.member)
        story.turn_until(lambda: loud.send(b"loud"), "one is connected")
        story.turn_until(lambda: other.send(b"other"), "another one is connected")
        story.turn_until(lambda: len(story.got) == 2, "both are heard")
        story.got.clear()
        sent = 0

        def flood() -> int:
            """As much of it as is taken now, and the hub's turns with it; how many frames were heard so far."""
            nonlocal sent
            for _ in range(50):
                while sent < FLOOD and loud.send(b"flood"):
                    sent += 1
                story.turn()
            return len(story.got)

        story.turn_until(lambda: flood() > FLOOD // 2, "half of the flood is heard")
        taken = len(story.got)
        story.turn_until(lambda: other.send(b"beat") or flood() < 0, "the other one can speak")
        story.turn_until(lambda: flood() and b"beat" in story.got, "it is heard")
        assert story.got.index(b"beat") - taken < FLOOD // 10
        story.turn_until(lambda: flood() == FLOOD + 1, "the flood is over, and nothing is lost")


@pytest.mark.parametrize(("size", "arrives"), [(JOIN_BYTES_MAX, True), (JOIN_BYTES_MAX + 1, False)])
def test_anybody_may_knock_with_one_small_frame(size: int, *, arrives: bool) -> None:
    """512 bytes; one more is not taken."""
    with endpoint() as story:
        client = story.client(new_keys(), endpoint=story.join)
        story.turn_until(lambda: client.send(bytes(size)), "it is connected")
        if arrives:
            story.turn_until(lambda: story.knocked == [bytes(size)], "its frame is there")
        else:
            assert story.is_silent(client, bytes(size))


def test_above_the_bound_nobody_gets_in_and_those_inside_stay() -> None:
    """The fourth waits outside without costing a descriptor, and gets in when one of the three has gone."""
    with endpoint(most=3) as story:
        inside = [story.client(story.member) for _ in range(3)]
        story.turn_until(lambda: story.endpoint.connections == 3, "three are in")
        assert story.endpoint.is_full
        for each in inside:
            story.turn_until(lambda each=each: each.send(b"here"), "it can still speak")  # type: ignore[misc]
        story.turn_until(lambda: story.got.count(b"here") >= 3, "all three are heard")
        late = story.client(story.member)
        quiet = time.monotonic() + 0.5
        while time.monotonic() < quiet:
            story.turn()
            assert not late.send(b"late")
        assert story.endpoint.connections == 3
        inside[0].close()
        story.turn_until(lambda: late.send(b"late"), "it gets in")
        story.turn_until(lambda: b"late" in story.got, "it is heard")
