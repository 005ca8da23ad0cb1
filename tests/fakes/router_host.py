"""A router with real sockets and real questions in one thread: the test turns its loop and owns its time."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakes.bus import RecordingBus
from fakes.clock import FakeClock
from fakes.gateway_host import Client, Received
from fakes.interests import ready_of
from fakes.turned_host import TurnedHost

from agent.model.timebase import S
from workers.http.edge import Edge
from workers.http.host import host_policy
from workers.router.asking import AskTerms
from workers.router.router_http import RouterPlace
from workers.router.work import RouterWork


class RouterHost(TurnedHost):
    """`terms` change how questions are asked."""

    def __init__(self, state: Path, *, edge: Edge | None = None, port: int = 0, look_ns: int = 3600 * S, **terms: Any) -> None:
        self.clock = FakeClock()
        self.bus = RecordingBus()
        place = RouterPlace("127.0.0.1", port, host_policy("127.0.0.1", ""), edge or Edge())
        base: dict[str, Any] = {
            "at_once": 2, "waiting_max": 2, "timeout_ns": 20 * S, "memory_bytes": 1 << 30, "words": (f"--state-dir={state}",),
        }  # fmt: skip
        self.work = RouterWork(place, AskTerms(**{**base, **terms}), look_ns, self.clock, self.bus)
        self._clients: list[Client] = []
        self.turn()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, _, port = str(self.work.stats()["http"]["address"]).rpartition(":")
        return host, int(port)

    def turn(self, wait_seconds: float = 0.0) -> None:
        """One turn of a worker's loop."""
        now_ns = self.clock.now_ns()
        readable, writable = ready_of(self.work.interests(), wait_seconds)
        for descriptor in readable:
            self.work.on_readable(descriptor, now_ns)
        for descriptor in writable:
            self.work.on_writable(descriptor, now_ns)
        deadline_ns = self.work.next_deadline_ns()
        if deadline_ns is not None and deadline_ns <= now_ns:
            self.work.on_timer(now_ns)

    def pass_time(self, span_ns: int) -> None:
        """Time goes by, and what is due is done."""
        self.clock.advance(span_ns)
        self.turn()

    def send(self, path: str, method: str = "GET", head: str = "") -> Client:
        """A client that asks, whose question has come."""
        client = Client(self.address)
        self._clients.append(client)
        before = self.work.stats()["http"]["requests"]
        client.send(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
        self.turn_until(lambda: self.work.stats()["http"]["requests"] > before)
        return client

    def answer_to(self, client: Client) -> Received:
        """What it gets in the end."""
        self.turn_until(client.receive)
        return client.response()

    def ask(self, path: str, method: str = "GET", head: str = "") -> Received:
        """A question and its answer."""
        return self.answer_to(self.send(path, method, head))

    def close(self) -> None:
        """End the router and every client."""
        self.work.on_stop(self.clock.now_ns(), for_good=True)
        for client in self._clients:
            client.socket.close()


def sentence_of(answer: Received) -> str:
    """Why a question was refused."""
    return str(json.loads(answer.body)["error"]["sentence"])


@contextmanager
def running_router(state: Path, **options: Any) -> Iterator[RouterHost]:
    """A router for the length of a block."""
    host = RouterHost(state, **options)
    try:
        yield host
    finally:
        host.close()
