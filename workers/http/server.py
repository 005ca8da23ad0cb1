"""A small HTTP server without threads: it is called by the worker's one loop and never waits.

It owns the listening socket and its connections. Short answers have CONNECTIONS_MAX places, each with one deadline for its whole
life; a client that is slow or silent is cut, and costs the others neither time nor a place. Streams and answers that may come much
later have `long_max` places of their own. May import socket and errno; decides nothing about paths.
"""

import socket
from collections.abc import Callable
from errno import EAGAIN
from typing import Protocol

from msgspec.structs import replace

from agent.model.timebase import MS, S
from agent.ports import Interest
from workers.http.connection import ByteStream, Connection, Handshake, Phase
from workers.http.host import HostPolicy
from workers.http.request import HttpRequest, Refusal, parse_request
from workers.http.response import refusal_response
from workers.http.stream import TOGETHER_BYTES_MAX, Stream, StreamSet

CONNECTIONS_MAX = 64
# The whole life of a connection. A scrape takes milliseconds; a scraper waits ten seconds by default.
CONNECTION_TIMEOUT_NS = 5 * S
# One loop turn accepts at most this many connections; the rest wait in the kernel's queue, so that a flood delays no heartbeat.
ACCEPTS_PER_TURN = 16
# Without a free descriptor `accept` fails at once and the listener stays readable: pause rather than spin.
ACCEPT_PAUSE_NS = 100 * MS
# What may wait for one client of a stream, beside what the kernel holds for it.
STREAM_BYTES_MAX = 256 << 10


class TlsAccept(Protocol):
    """What `workers.http.tls.ServerTls` is to a server."""

    def accept(self, peer: socket.socket) -> tuple[ByteStream, Handshake]:
        """The connection with its handshake still to come. *Raises:* OSError."""
        ...


class Server:
    """Sockets in, `on_request(ticket, request, now_ns)` out; the answer comes back by `answer` under its ticket, at once or later.

    An answer that takes longer than CONNECTION_TIMEOUT_NS asks for more time with `hold`; one without an end is a stream:
    `open_stream`. *Range:* `long_max` clients have such answers at a time; 0: none. `together_bytes_max` may wait for all streams.
    `tls` counts for connections from then on.
    """

    def __init__(
        self,
        on_request: Callable[[int, HttpRequest, int], None],
        hosts: HostPolicy,
        *,
        long_max: int = 0,
        together_bytes_max: int = TOGETHER_BYTES_MAX,
        tls: TlsAccept | None = None,
    ) -> None:
        self.requests = 0
        self.refused = 0
        self._on_request = on_request
        self._hosts = hosts
        self._long_max = long_max
        self.tls = tls
        self._streams = StreamSet(together_bytes_max)
        self._held = 0
        self._ticketed: dict[int, Connection] = {}
        self._listener: socket.socket | None = None
        self._paused_until_ns = 0
        self._tickets = 0
        # By descriptor, the oldest first.
        self._connections: dict[int, Connection] = {}

    def listen(self, address: str, port: int) -> None:
        """Begin to serve. *Raises:* OSError (gaierror when the address is no numeric IP address)."""
        assert self._listener is None
        flags = socket.AI_NUMERICHOST | socket.AI_PASSIVE
        # As bytes: of a text Python makes an internationalized name, and imports 0.3 MiB for that.
        family, kind, protocol, _, where = socket.getaddrinfo(address.encode(), port, type=socket.SOCK_STREAM, flags=flags)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            # Connections of an agent that has just ended do not hold the port; a socket that listens does, at this address and
            # at all of them, whatever it has set itself. Never SO_REUSEPORT: with it two programs would share the requests.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setblocking(False)
            listener.bind(where)
            listener.listen(CONNECTIONS_MAX)
        except OSError:
            listener.close()
            raise
        self._listener = listener

    @property
    def address(self) -> str | None:
        """Where it listens, `127.0.0.1:9464` or `[::1]:9464`; None when it does not."""
        if self._listener is None:
            return None
        host, port = self._listener.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def interests(self) -> tuple[Interest, ...]:
        """What to wait for: the listening socket and every client that has something to send or to take."""
        waiting = [connection.interest for connection in self._connections.values() if connection.phase is not Phase.ASKING]
        if self._listener is not None and not self._paused_until_ns:
            waiting.append(Interest(self._listener.fileno()))
        if (streams := self._streams.descriptor) is not None:
            waiting.append(Interest(streams))
        return tuple(waiting)

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    @property
    def crowded_out(self) -> int:
        """How many streams were ended because more waited for all of them than may."""
        return self._streams.crowded_out

    def next_deadline_ns(self) -> int | None:
        """When `on_timer` has something to do; None: never, as long as nobody connects."""
        deadlines = [connection.deadline_ns for connection in self._connections.values()]
        if self._paused_until_ns:
            deadlines.append(self._paused_until_ns)
        return min(deadlines, default=None)

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """A client comes, sends or goes. A descriptor that has been closed in the same turn is ignored."""
        connection = self._connections.get(descriptor)
        if connection is not None:
            self._on_bytes(connection, now_ns)
        elif self._listener is not None and descriptor == self._listener.fileno():
            self._accept(now_ns)
        elif descriptor == self._streams.descriptor:
            self._streams.on_ready(now_ns)

    def on_writable(self, descriptor: int, now_ns: int) -> None:
        """A client has taken some of its answer: there is room for more."""
        connection = self._connections.get(descriptor)
        if connection is None:
            return
        if connection.phase is Phase.SHAKING_HANDS:
            self._shake_hands(connection)
        elif connection.phase is Phase.WRITING:
            self._write(connection, now_ns)

    def on_timer(self, now_ns: int) -> None:
        """Cut the clients that are too late, and accept again after a pause."""
        if self._paused_until_ns <= now_ns:
            self._paused_until_ns = 0
        for connection in list(self._connections.values()):
            if connection.deadline_ns <= now_ns:
                self._cut(connection)

    def answer(self, ticket: int, response: bytes, now_ns: int) -> None:
        """Send the answer to a request; nothing when its client has gone."""
        connection = self._ticketed.pop(ticket, None)
        if connection is not None:
            if connection.is_long:
                # The time for its answer is over; that for writing it begins.
                connection.deadline_ns = now_ns + CONNECTION_TIMEOUT_NS
            connection.begin_writing(response)
            self._write(connection, now_ns)

    def is_waiting(self, ticket: int) -> bool:
        """Whether a request still waits for its answer."""
        return ticket in self._ticketed

    def hold(self, ticket: int, until_ns: int) -> bool:
        """The answer to a request comes until then: its connection gives its place to others. False: there is no place for more
        such requests, or the client has gone."""
        connection = self._ticketed.get(ticket)
        if connection is None or (not connection.is_long and not self._has_long_place()):
            return False
        self._held += not connection.is_long
        connection.is_long = True
        connection.deadline_ns = until_ns
        return True

    def open_stream(self, ticket: int, head: bytes, now_ns: int, bytes_max: int = STREAM_BYTES_MAX) -> Stream | None:
        """Answer a request with `head` (`response.stream_head`) and whatever `Stream.send` sends after it.

        *Absent:* None: no place is free, and the request still waits for another answer (503 is one); or its client has gone.
        """
        connection = self._ticketed.get(ticket)
        if connection is None or (not connection.is_long and not self._has_long_place()):
            return None
        try:
            stream = self._streams.open(connection.handed_over(), bytes_max)
        except OSError:
            # No descriptor is left for the first one, or the kernel has no memory for more.
            return None
        del self._ticketed[ticket]
        del self._connections[connection.descriptor]
        self._held -= connection.is_long
        return stream if stream.send(head, now_ns) else None

    def close(self) -> None:
        """Close everything."""
        self._streams.close()
        for connection in list(self._connections.values()):
            self._forget(connection)
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _accept(self, now_ns: int) -> None:
        assert self._listener is not None
        for _ in range(ACCEPTS_PER_TURN):
            try:
                peer, where = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                # It hung up while it waited in the kernel's queue.
                continue
            except OSError:
                # EMFILE, ENFILE, ENOBUFS, ENOMEM: waiting clients are served when resources are free again.
                self.refused += 1
                self._paused_until_ns = now_ns + ACCEPT_PAUSE_NS
                return
            self._admit(peer, str(where[0]), now_ns)

    def _has_long_place(self) -> bool:
        return len(self._streams) + self._held < self._long_max

    def _admit(self, peer: socket.socket, address: str, now_ns: int) -> None:
        peer.setblocking(False)
        if len(self._connections) - self._held >= CONNECTIONS_MAX and not self._make_room():
            self.refused += 1
            peer.close()
            return
        stream: ByteStream = peer
        handshake = None
        if self.tls is not None:
            try:
                stream, handshake = self.tls.accept(peer)
            except OSError:
                self.refused += 1
                peer.close()
                return
        self._tickets += 1
        until_ns = now_ns + CONNECTION_TIMEOUT_NS
        self._connections[stream.fileno()] = Connection(stream, self._tickets, until_ns, address, handshake)

    def _make_room(self) -> bool:
        # The oldest silent one goes: clients that only hold a place cannot keep others out.
        for connection in self._connections.values():
            if connection.is_listening:
                self._cut(connection)
                return True
        return False

    def _shake_hands(self, connection: Connection) -> bool:
        """Whether it is done."""
        if not connection.shake_hands():
            self._cut(connection)
            return False
        return connection.phase is not Phase.SHAKING_HANDS

    def _on_bytes(self, connection: Connection, now_ns: int) -> None:
        # The request may have come with the last bytes of the handshake, and then nothing more would wake this.
        if connection.phase is Phase.SHAKING_HANDS and not self._shake_hands(connection):
            return
        if not connection.receive():
            self._forget(connection)
            return
        if connection.phase is not Phase.READING:
            return
        match parse_request(connection.received):
            case None:
                return
            case Refusal() as refusal:
                self._refuse(connection, refusal_response(refusal), now_ns)
            case HttpRequest() as request if (foreign := self._hosts.refusal(request)) is not None:
                self._refuse(connection, refusal_response(foreign, with_body=request.method != "HEAD"), now_ns)
            case HttpRequest() as request:
                self.requests += 1
                connection.begin_asking()
                self._ticketed[connection.ticket] = connection
                self._on_request(connection.ticket, replace(request, peer=connection.peer), now_ns)

    def _refuse(self, connection: Connection, response: bytes, now_ns: int) -> None:
        self.refused += 1
        connection.begin_writing(response)
        self._write(connection, now_ns)

    def _write(self, connection: Connection, now_ns: int) -> None:
        if connection.write(now_ns) not in (0, EAGAIN):
            # The client has gone before its answer.
            self._forget(connection)

    def _cut(self, connection: Connection) -> None:
        if connection.phase is not Phase.DRAINING:
            self.refused += 1
        self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        del self._connections[connection.descriptor]
        self._ticketed.pop(connection.ticket, None)
        self._held -= connection.is_long
        connection.close()
