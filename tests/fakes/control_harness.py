"""A tiny loop around a real control socket, and clients of it, all in one thread that never sleeps without a reason."""

import json
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakes.clock import FakeClock

from agent.model.control.document import Document
from supervisor.core.effect import Commanded
from supervisor.shell.control_socket import ControlSocket

DEADLINE_SECONDS = 30.0


class Echo(Document):
    """A result that says which operation it is of."""

    op: str


class Text(Document):
    """A result of any length."""

    text: str


class Client:
    """One end of a connection; it never waits."""

    def __init__(self, path: str) -> None:
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.connect(path)
        self.stream.setblocking(False)
        self.received = bytearray()
        self.is_cut_off = False

    def ask(self, *operations: str) -> None:
        """One request a line, all in one write."""
        self.stream.sendall(b"".join(json.dumps({"v": 1, "op": each}).encode() + b"\n" for each in operations))

    def take(self, bytes_max: int = 1 << 24) -> None:
        """Read what is there, up to a bound."""
        while bytes_max > 0 and not self.is_cut_off:
            try:
                data = self.stream.recv(min(bytes_max, 1 << 20))
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            self.is_cut_off = not data
            self.received += data
            bytes_max -= len(data)

    @property
    def lines(self) -> int:
        """How many whole lines there are so far."""
        self.take()
        return self.received.count(b"\n")

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The whole lines so far."""
        self.take()
        return [json.loads(line) for line in bytes(self.received).split(b"\n")[:-1]]


class Harness:
    """A tiny loop around a control socket; operations are answered with their own name, unless a test says otherwise."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "control.sock")
        self.clock = FakeClock()
        self.turns = 0
        self.calls = 0
        self.asked: list[Commanded] = []
        self.waiting: list[Commanded] = []
        self.is_holding = False
        self.result: Document | None = None
        self._clients: list[Client] = []
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._masks: dict[int, int] = {}
        self.control = ControlSocket(self.path, register=self._register, on_command=self._on_command, now_ns=self.clock.now_ns)

    def client(self) -> Client:
        """A new connection; the listener takes it at its next turn."""
        client = Client(self.path)
        self._clients.append(client)
        return client

    def clients(self, count: int) -> list[Client]:
        """Many, taken in as they come: the backlog is shorter."""
        made = []
        for _ in range(count):
            made.append(self.client())
            self.turn()
        return made

    def turn(self, timeout_seconds: float = 0.0) -> None:
        """One turn, as the supervisor's loop makes it."""
        self.turns += 1
        for descriptor, mask in self._epoll.poll(0 if self.control.has_more() else timeout_seconds, 4096):
            if descriptor in self._handlers:
                self.calls += 1
                self._handlers[descriptor](mask)
        self.control.go_on()
        if not self.is_holding:
            self.answer_all()

    def answer_all(self) -> None:
        """Answer what waits."""
        waiting, self.waiting = self.waiting, []
        for commanded in waiting:
            self.control.answer(commanded.client, self.result or Echo(op=commanded.operation), None)

    def until(self, condition: Callable[[], Any]) -> int:
        """Turn until the condition holds; gives the number of turns."""
        end, before = time.monotonic() + DEADLINE_SECONDS, self.turns
        while not condition():
            assert time.monotonic() < end, "it did not come true in time"
            self.turn(0.01)
        return self.turns - before

    def idle(self, turns: int = 20) -> None:
        """Everything that can happen happens."""
        for _ in range(turns):
            self.turn()

    def close(self) -> None:
        """End all of it."""
        for client in self._clients:
            client.stream.close()
        self.control.close()
        self._epoll.close()
        assert self._handlers == {}

    def _on_command(self, commanded: Commanded) -> None:
        self.asked.append(commanded)
        self.waiting.append(commanded)

    def _register(self, descriptor: int, mask: int, handler: Callable[[int], None] | None) -> None:
        if not mask:
            if self._handlers.pop(descriptor, None) is not None:
                self._epoll.unregister(descriptor)
                del self._masks[descriptor]
            return
        assert handler is not None
        (self._epoll.modify if descriptor in self._masks else self._epoll.register)(descriptor, mask)
        self._handlers[descriptor], self._masks[descriptor] = handler, mask
