"""A container runtime's CRI socket in a thread: `CriPeer` behind a real Unix socket, and peers that do not speak HTTP/2 at all."""

import os
import queue
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from fakes.cri_peer import CriPeer, PeerState
from h2.exceptions import H2Error

# Nobody waits for the thread longer.
JOIN_SECONDS = 5.0


class CriRuntime:
    """Listens on `path` until it is closed.

    `greeting`: these bytes are sent instead of speaking HTTP/2. `is_mute`: nothing is ever sent or read. `chunk_bytes`: no more
    at once is sent.
    """

    def __init__(
        self,
        path: str,
        state: PeerState | None = None,
        *,
        greeting: bytes | None = None,
        is_mute: bool = False,
        chunk_bytes: int = 1 << 20,
    ) -> None:
        self.state = state or PeerState()
        self.connections = 0
        self._greeting = greeting
        self._is_mute = is_mute
        self._chunk_bytes = chunk_bytes
        self._peers: dict[int, tuple[socket.socket, CriPeer]] = {}
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake = os.eventfd(0)
        self._is_closing = False
        self._muted: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._run, name="fake-cri")
        self._thread.start()

    def __enter__(self) -> "CriRuntime":
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End, as a runtime that is stopped: its connections break, the socket's name stays."""
        self._order(self._end)
        self._thread.join(JOIN_SECONDS)
        assert not self._thread.is_alive()
        self._listener.close()
        os.close(self._wake)

    def emit(self, count: int = 1) -> None:
        """Events on every stream."""
        for _ in range(count):
            self._order(lambda: self._each(lambda peer: peer.emit()))

    def end_streams(self, code: int) -> None:
        """End all streams of events with a status."""
        self._order(lambda: self._each(lambda peer: peer.end_streams(code)))

    def reset_streams(self) -> None:
        """Break all streams of events off."""
        self._order(lambda: self._each(lambda peer: peer.reset_streams()))

    def go_away(self) -> None:
        """Announce the end of every connection."""
        self._order(lambda: self._each(lambda peer: peer.connection.close_connection()))

    def drop(self) -> None:
        """Break every connection off."""
        self._order(self._drop_all)

    @property
    def streams(self) -> int:
        """The open streams of events."""
        return sum(len(peer.streams) for _, peer in list(self._peers.values()))

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.put(order)
        os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        while not self._is_closing:
            readable, _, _ = select.select([self._wake, self._listener.fileno(), *self._peers], [], [])
            for descriptor in readable:
                if descriptor == self._listener.fileno():
                    self._accept()
                elif descriptor == self._wake:
                    os.eventfd_read(self._wake)
                    while not self._orders.empty():
                        self._orders.get()()
                elif descriptor in self._peers:
                    self._read(descriptor)
        self._drop_all()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        self.connections += 1
        self._peers[connection.fileno()] = (connection, CriPeer(self.state))
        if self._greeting is not None:
            with suppress(BrokenPipeError):
                connection.sendall(self._greeting)

    def _read(self, descriptor: int) -> None:
        if self._is_mute:
            # Not read, and not looked at again.
            self._muted.append(self._peers.pop(descriptor)[0])
            return
        connection, peer = self._peers[descriptor]
        try:
            data = connection.recv(1 << 16)
            if not data:
                raise ConnectionResetError
            if self._greeting is None:
                peer.receive(data)
                self._flush(connection, peer)
        except (BrokenPipeError, ConnectionResetError, H2Error):
            # The client left, or we said that we do.
            self._peers.pop(descriptor)
            connection.close()

    def _each(self, act: Callable[[CriPeer], object]) -> None:
        for connection, peer in self._peers.values():
            act(peer)
            with suppress(BrokenPipeError):
                self._flush(connection, peer)

    def _flush(self, connection: socket.socket, peer: CriPeer) -> None:
        output = peer.take_output()
        for begin in range(0, len(output), self._chunk_bytes):
            connection.sendall(output[begin : begin + self._chunk_bytes])

    def _drop_all(self) -> None:
        for connection in [*self._muted, *(connection for connection, _ in self._peers.values())]:
            connection.close()
        self._peers = {}

    def _end(self) -> None:
        self._is_closing = True
