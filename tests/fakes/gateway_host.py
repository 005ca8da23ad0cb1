"""A gateway with real sockets in one thread: the test turns its loop and owns its time."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fakes.bus import RecordingBus
from fakes.clock import FakeClock
from fakes.interests import ready_of
from fakes.status import status_document
from fakes.turned_host import PATIENCE_SECONDS, TurnedHost
from msgspec import Struct

from agent.config import Config
from agent.model.rule_state import RuleState
from workers import registry
from workers.gateway.work import GatewayWork


class Received(Struct):
    """What a client got: status 0 when the connection ended without a response."""

    status: int
    fields: dict[str, str]
    body: bytes


class Client:
    """One connection of a test, never waiting."""

    def __init__(self, address: tuple[str, int], receive_buffer_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        # The kernel holds as many newcomers as the listener's queue: a test turns the loop between its clients.
        self.socket.settimeout(PATIENCE_SECONDS)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self.socket.setblocking(False)
        self.received = b""
        self.is_over = False

    def send(self, data: bytes) -> None:
        """Say something; it fits the socket's buffer."""
        self.socket.sendall(data)

    def receive(self, bytes_max: int = 1 << 20) -> bool:
        """Take what is there; True when the other end has ended the connection."""
        try:
            data = self.socket.recv(bytes_max)
        except BlockingIOError:
            return self.is_over
        except ConnectionResetError:
            data = b""
        self.received += data
        self.is_over = self.is_over or not data
        return self.is_over

    def response(self) -> Received:
        """What was received so far."""
        head, _, body = self.received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        status = int(first.split(" ")[1]) if first else 0
        return Received(status, {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}, body)


class GatewayHost(TurnedHost):
    """The loop around one GatewayWork. `status` is what the supervisor answers; None: it is silent."""

    def __init__(
        self,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        proc_root: str = "/proc",
        allowed_hosts: str = "",
        state_dir: str = "/nonexistent",
        **more: int | str | bool,
    ) -> None:
        self.clock = FakeClock()
        self.bus = RecordingBus()
        self.status: dict[str, Any] | None = status_document()
        settings: dict[str, int | str | bool] = {"gateway.address": address, "gateway.port": port, "kernel.proc_root": proc_root}
        settings["gateway.allowed_hosts"] = allowed_hosts
        settings |= more
        self.work = GatewayWork(
            self.clock, self.bus, Config(settings), registry.statistics(), state_dir, about=("node-7", "0.1.0"), epoch="e1"
        )
        self.rules = RuleState()
        self._answered = 0
        self._clients: list[Client] = []
        self.work.on_start(self.clock.now_ns())

    @property
    def stats(self) -> dict[str, Any]:
        """What the gateway says of itself."""
        return self.work.on_ask("stats", self.clock.now_ns()) or {}

    def connect(self, receive_buffer_bytes: int | None = None) -> Client:
        """A new client."""
        host, _, port = self.stats["address"].rpartition(":")
        client = Client((host, int(port)), receive_buffer_bytes)
        self._clients.append(client)
        return client

    def turn(self, wait_seconds: float = 0.0) -> None:
        """One turn of a worker's loop."""
        readable, writable = ready_of(self.work.interests(), wait_seconds)
        for descriptor in readable:
            self.work.on_readable(descriptor, self.clock.now_ns())
        for descriptor in writable:
            self.work.on_writable(descriptor, self.clock.now_ns())
        while self._answered < len(self.bus.requests):
            self._answered += 1
            if self.status is not None:
                self.work.on_answer(self._answered, self.status)
        self.work.on_rules(self.rules)
        deadline_ns = self.work.next_deadline_ns()
        if deadline_ns is not None and deadline_ns <= self.clock.now_ns():
            self.work.on_timer(self.clock.now_ns())

    def pass_time(self, span_ns: int) -> None:
        """Time goes by, and what is due is done."""
        self.clock.advance(span_ns)
        self.turn()

    def finish(self, client: Client) -> Received:
        """Turn until the gateway has ended the connection; then the client ends it too."""
        self.turn_until(client.receive)
        client.socket.close()
        self.turn()
        return client.response()

    def ask(self, path: str, method: str = "GET", accept: str = "*/*", host: str = "localhost") -> Received:
        """One whole exchange."""
        client = self.connect()
        client.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\n\r\n".encode())
        return self.finish(client)

    def close(self) -> None:
        """End the gateway and every client."""
        self.work.on_stop(self.clock.now_ns(), for_good=True)
        for client in self._clients:
            client.socket.close()


@contextmanager
def running_gateway(**settings: Any) -> Iterator[GatewayHost]:
    """A gateway for the length of a block."""
    host = GatewayHost(**settings)
    try:
        yield host
    finally:
        host.close()
