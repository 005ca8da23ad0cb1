"""Somebody who asks an agent's gateway again and again, each time over a new connection, and notes how long it took."""

import socket
import time
from collections.abc import Sequence
from pathlib import Path

from harness.waiting import DEADLINE_SECONDS

RECEIVE_BYTES = 1 << 16


def ask_http(address: str, path: str) -> tuple[int, bytes]:
    """Status and body of one request; the connection is the whole response's."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), DEADLINE_SECONDS) as stream:
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        received = bytearray()
        while data := stream.recv(RECEIVE_BYTES):
            received += data
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body


class HttpProbe:
    """Asks for one path. `processes` are those that the answer needs, the asker's own is added.

    `own_seconds` leave out the time in which these were ready to run and the machine had no processor for them: what else
    runs there is no property of the agent.
    """

    def __init__(self, address: str, path: str, processes: Sequence[int]) -> None:
        self.seconds: list[float] = []
        self.own_seconds: list[float] = []
        self.statuses: set[int] = set()
        self._address = address
        self._path = path
        # Every thread: messages between processes pass through one of ZeroMQ's.
        tasks = (Path(f"/proc/{pid}/task") for pid in (*processes, "self"))
        self._schedules = [schedule for task in tasks for schedule in task.glob("*/schedstat")]

    def ask(self) -> bytes:
        """One request, timed from the connection to the last byte; gives the body."""
        starved = self._starved_seconds()
        begun = time.perf_counter()
        status, body = ask_http(self._address, self._path)
        took = time.perf_counter() - begun
        self.statuses.add(status)
        self.seconds.append(took)
        self.own_seconds.append(max(0.0, took - (self._starved_seconds() - starved)))
        return body

    def _starved_seconds(self) -> float:
        """How long the threads of these processes have waited for a processor in all their life. *Source:* proc_pid_schedstat."""
        return sum(int(path.read_text().split()[1]) for path in self._schedules) / 1e9
