"""The loop around one `workers.http.server.Server`, for tests of what it does over real sockets."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fakes.gateway_host import Client
from fakes.interests import ready_of
from fakes.turned_host import TurnedHost

from agent.model.timebase import S
from workers.http.host import host_policy
from workers.http.request import HttpRequest
from workers.http.server import Server


class HttpHost(TurnedHost):
    """A server whose time is the test's. `requests` are those that wait for an answer, with their tickets."""

    def __init__(self, **options: Any) -> None:
        self.now_ns = 1_000 * S
        self.requests: list[tuple[int, HttpRequest]] = []
        self.server = Server(self._on_request, host_policy("127.0.0.1", ""), **options)
        self.server.listen("127.0.0.1", 0)
        self._clients: list[Client] = []

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, _, port = (self.server.address or "").rpartition(":")
        return host, int(port)

    def connect(self, receive_buffer_bytes: int | None = None) -> Client:
        """A new client."""
        client = Client(self.address, receive_buffer_bytes)
        self._clients.append(client)
        return client

    def ask(self, path: str = "/", head: str = "", receive_buffer_bytes: int | None = None) -> tuple[Client, int]:
        """A client whose request has come, and its ticket."""
        client = self.connect(receive_buffer_bytes)
        client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
        before = len(self.requests)
        self.turn_until(lambda: len(self.requests) > before)
        return client, self.requests[-1][0]

    def turn(self, wait_seconds: float = 0.0) -> None:
        """One turn of a worker's loop."""
        readable, writable = ready_of(self.server.interests(), wait_seconds)
        for descriptor in readable:
            self.server.on_readable(descriptor, self.now_ns)
        for descriptor in writable:
            self.server.on_writable(descriptor, self.now_ns)
        deadline_ns = self.server.next_deadline_ns()
        if deadline_ns is not None and deadline_ns <= self.now_ns:
            self.server.on_timer(self.now_ns)

    def pass_time(self, span_ns: int) -> None:
        """Time goes by, and what is due is done."""
        self.now_ns += span_ns
        self.turn()

    def close(self) -> None:
        """End the server and every client."""
        self.server.close()
        for client in self._clients:
            client.socket.close()

    def _on_request(self, ticket: int, request: HttpRequest, now_ns: int) -> None:
        self.requests.append((ticket, request))


@contextmanager
def running_http(**options: Any) -> Iterator[HttpHost]:
    """A server for the length of a block."""
    host = HttpHost(**options)
    try:
        yield host
    finally:
        host.close()


def shut(client: Client) -> None:
    """The client ends its connection, as the end of a browser does."""
    client.socket.shutdown(socket.SHUT_RDWR)
    client.socket.close()
