"""The hub's two sockets: where nodes report, and where invited ones join. ZeroMQ with CURVE; it never waits.

Whose key it is, is asked before anything of a connection is decoded (ZAP, RFC 27 of ZeroMQ): at the endpoint for data only
members get in, and each frame says whose key its connection has. Anybody may knock at the endpoint for joining, with one small
frame.

The ROUTERs take what comes from all connections in turn, so a flood on one delays no other. Connections are counted, and above a
bound nobody gets in until some have ended: libzmq aborts its process where it accepts without a free descriptor.
"""

import resource
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import zmq
from zmq.utils.monitor import parse_monitor_message

from agent.fleet.invitation import JOIN_BYTES_MAX
from agent.fleet.message import ROWS_BYTES_MAX
from agent.model.errors import UnavailableError
from workers.hub.gated_listener import GatedListener
from workers.hub.membership import key_text

if TYPE_CHECKING:
    ZmqContext = zmq.Context[zmq.Socket[bytes]]
    ZmqSocket = zmq.Socket[bytes]

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
DATA_DOMAIN, JOIN_DOMAIN = b"data", b"join"
# When all nodes come back at once their handshakes wait for a processor: those that are given up begin again, and hold up others.
HANDSHAKE_MS = 15_000
# A node that has gone without a word is noticed by its connection too, through the kernel: seconds until it is asked, between
# questions, and how many stay without an answer. Heartbeats of ZeroMQ would take half of a processor with 8,000 connections
# (docs/decisions/0093-the-kernel-keeps-connections-alive.md). Verdicts come from beats alone.
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 30, 10, 3
# Waiting in the kernel for the handshake, when all come back at once.
BACKLOG = 512
# Frames of one connection that wait here; TCP holds back the rest.
RECEIVE_FRAMES = 64
SEND_FRAMES = 64
# Left for files, sockets of the agent, clients of the page, and those who wait in the kernel when the gate is closed.
DESCRIPTORS_KEPT = 1024 + BACKLOG
CONNECTIONS_MIN = 64
JOIN_CONNECTIONS_MAX = 256
# What CURVE adds to a frame, which counts for MAXMSGSIZE (RFC 26 of ZeroMQ: name, nonce, authenticator, flags).
CURVE_BYTES = 33
AGAIN_PART = 0.9
_MONITORED = zmq.Event.ACCEPTED | zmq.Event.DISCONNECTED | zmq.Event.ACCEPT_FAILED


class Arrival:
    """What one node sent at once: the first frame and those behind it. A million of them an hour: nothing is made that is not asked
    for."""

    __slots__ = ("_route", "connection", "first", "rest")

    def __init__(self, route: "zmq.Frame", first: bytes, rest: tuple[bytes, ...]) -> None:
        self._route = route
        self.connection = route.bytes
        self.first = first
        self.rest = rest

    @property
    def key(self) -> str:
        """The public key of the connection, as text."""
        return str(self._route.get("User-Id"))


class HubKeys:
    """The hub's own key pair, 32 bytes each."""

    __slots__ = ("public", "secret")

    def __init__(self, public: bytes, secret: bytes) -> None:
        self.public = public
        self.secret = secret


def connections_max(nodes_max: int) -> int:
    """How many connections the descriptors of this process allow; the soft limit is raised to the hard one first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    room = soft - DESCRIPTORS_KEPT if soft != resource.RLIM_INFINITY else 1 << 20
    # Beat, live state and rows.
    return max(CONNECTIONS_MIN, min(room, 4 * nodes_max + CONNECTIONS_MIN))


class _BoundRouter:
    """One ROUTER that counts its connections and lets nobody in above a bound."""

    def __init__(self, context: "ZmqContext", endpoint: str, domain: bytes, keys: HubKeys, *, bytes_max: int, most: int) -> None:
        self.connections = 0
        self.refused_accepts = 0
        self._most = most
        try:
            self._listener = GatedListener(endpoint, BACKLOG)
        except OSError as cause:
            raise UnavailableError(endpoint, f"it cannot be listened at: {cause.strerror}", "see hub.listen") from cause
        self.socket = context.socket(zmq.ROUTER)
        try:
            for option, value in (
                (zmq.LINGER, 0),
                (zmq.IPV6, 1),
                (zmq.CURVE_SERVER, 1),
                (zmq.MAXMSGSIZE, bytes_max),
                (zmq.RCVHWM, RECEIVE_FRAMES),
                (zmq.SNDHWM, SEND_FRAMES),
                (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
                (zmq.TCP_KEEPALIVE, 1),
                (zmq.TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE),
                (zmq.TCP_KEEPALIVE_INTVL, KEEPALIVE_INTERVAL),
                (zmq.TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT),
            ):
                self.socket.setsockopt(option, value)
            self.socket.setsockopt(zmq.ZAP_DOMAIN, domain)
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
            self.monitor = self.socket.get_monitor_socket(_MONITORED)
            self.socket.setsockopt(zmq.USE_FD, self._listener.lend())
            self.socket.bind(endpoint)
        except zmq.ZMQError as cause:
            self.close()
            raise UnavailableError(endpoint, f"it cannot be listened at: {cause.strerror}", "see hub.listen") from cause

    @property
    def is_listening(self) -> bool:
        """Whether those who connect get in."""
        return self._listener.is_open

    @property
    def descriptors(self) -> tuple[int, int]:
        """Of the socket and its monitor."""
        return int(self.socket.getsockopt(zmq.FD)), int(self.monitor.getsockopt(zmq.FD))

    def count(self) -> None:
        """Take what the monitor has to say."""
        while True:
            try:
                event = parse_monitor_message(self.monitor.recv_multipart(zmq.NOBLOCK))["event"]
            except zmq.Again:
                break
            if event == zmq.Event.ACCEPTED:
                self.connections += 1
            elif event == zmq.Event.DISCONNECTED:
                self.connections -= 1
            elif event == zmq.Event.ACCEPT_FAILED:
                self.refused_accepts += 1
        # Where the kernel refuses the filter there is no bound but the kernel's own.
        with suppress(OSError):
            if self.is_listening and self.connections >= self._most:
                self._listener.close_gate()
            elif not self.is_listening and self.connections < AGAIN_PART * self._most:
                self._listener.open_gate()

    def send(self, connection: bytes, frame: bytes) -> None:
        """Answer; nothing where the connection has gone or takes no more."""
        with suppress(zmq.Again, zmq.ZMQError):
            self.socket.send_multipart((connection, frame), zmq.NOBLOCK)

    def close(self) -> None:
        """End everything."""
        with suppress(zmq.ZMQError):
            self.socket.disable_monitor()
        # Its other end is a socket of its own, and one more is made with each attempt to listen.
        if (monitor := getattr(self, "monitor", None)) is not None:
            monitor.close(linger=0)
        self.socket.close(linger=0)
        self._listener.close()


class HubEndpoint:
    """Both sockets, and the gate before them. *Raises:* UnavailableError where an address cannot be listened at."""

    def __init__(
        self,
        context: "ZmqContext",
        keys: HubKeys,
        data: str,
        join: str,
        is_member: Callable[[str], bool],
        *,
        most: int,
    ) -> None:
        """`is_member`: whether a public key is that of a node that may report."""
        self.strangers = 0
        self._is_member = is_member
        self._gate = context.socket(zmq.ROUTER)
        self._gate.setsockopt(zmq.LINGER, 0)
        try:
            self._gate.bind(ZAP_ENDPOINT)
            self._data = _BoundRouter(context, data, DATA_DOMAIN, keys, bytes_max=ROWS_BYTES_MAX, most=most)
        except BaseException:
            self._gate.close()
            raise
        try:
            self._join = _BoundRouter(
                context, join, JOIN_DOMAIN, keys, bytes_max=JOIN_BYTES_MAX + CURVE_BYTES, most=JOIN_CONNECTIONS_MAX
            )
        except BaseException:
            self._data.close()
            self._gate.close()
            raise

    @property
    def gate_descriptors(self) -> tuple[int, ...]:
        """Of those who connect, join or go: seldom. Each reports a change once, so all is taken after one of them was readable, and
        after each send."""
        return (int(self._gate.getsockopt(zmq.FD)), self._data.descriptors[1], *self._join.descriptors)

    @property
    def data_descriptor(self) -> int:
        """Of what nodes say."""
        return self._data.descriptors[0]

    @property
    def connections(self) -> int:
        """Of nodes that report."""
        return self._data.connections

    @property
    def is_full(self) -> bool:
        """Whether no further connections are accepted."""
        return not self._data.is_listening

    def open_gate(self) -> None:
        """Answer the questions whose key it is, and count connections. To be called before frames are taken."""
        while True:
            try:
                request = self._gate.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            if len(request) >= 8:
                self._answer_gate(request)
        self._data.count()
        self._join.count()

    def arrivals(self, most: int) -> Iterator[Arrival]:
        """What nodes have sent, at most so many."""
        socket = self._data.socket
        receive = socket.recv
        for _ in range(most):
            try:
                route = receive(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            # The parts of a message arrive together.
            first = receive(zmq.NOBLOCK)
            rest = []
            while socket.getsockopt(zmq.RCVMORE):
                rest.append(receive(zmq.NOBLOCK))
            yield Arrival(route, first, tuple(rest))

    def join_requests(self, most: int) -> Iterator[tuple[bytes, str, bytes]]:
        """Who knocks: the connection, its public key as text, what it says."""
        for _ in range(most):
            try:
                parts = self._join.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            if len(parts) == 2:
                yield parts[0].bytes, str(parts[0].get("User-Id")), parts[1].bytes

    def answer(self, connection: bytes, frame: bytes) -> None:
        """To a node that reports."""
        self._data.send(connection, frame)

    def answer_join(self, connection: bytes, frame: bytes) -> None:
        """To one that knocks."""
        self._join.send(connection, frame)

    def close(self) -> None:
        """End everything."""
        self._join.close()
        self._data.close()
        self._gate.close()

    def _answer_gate(self, request: list[bytes]) -> None:
        route, empty, version, number, domain = request[:5]
        key = key_text(request[8]) if len(request) > 8 and len(request[8]) == 32 else ""
        is_known = bool(key) if domain == JOIN_DOMAIN else self._is_member(key)
        if not is_known:
            self.strangers += 1
        code, user = (b"200", key.encode()) if is_known else (b"400", b"")
        with suppress(zmq.Again):
            self._gate.send_multipart((route, empty, version, number, code, b"", user, b""), zmq.NOBLOCK)
