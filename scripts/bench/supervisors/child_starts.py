"""Hears of every child and worker that starts, and gives each to the supervisor that it belongs to.

A tiny child sends one datagram, with the time of its first instruction; the kernel adds its pid. A worker of evergauge is
told by the line `worker_up` of the agent's log, which is read from a pipe: it is ready then, not only running.
"""

import os
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

CREDENTIALS = struct.Struct("iII")
DATAGRAM_BYTES_MAX = 256


class SupervisorFailed(Exception):
    """A supervisor did not do what it was set up for; the text is shown in the place of its figures."""


@dataclass(frozen=True, slots=True)
class ChildStart:
    """One child or worker that runs (or is ready): its own name, its pid, when, in nanoseconds of the monotonic clock."""

    name: str
    pid: int
    at_ns: int


class Owner(Protocol):
    """Who hears of starts."""

    living: dict[int, ChildStart]


class ChildStarts:
    """Use `next` as the one place to wait: it takes in whatever comes meanwhile."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._owners: dict[str, Owner] = {}
        self._readers: dict[int, Callable[[], list[ChildStart]]] = {}
        self._pending: list[ChildStart] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        # Fifty at once must find room: a child that finds none waits, and would be late in its own report of the next.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(path)
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def give_to(self, label: str, owner: Owner) -> None:
        """Children named `label` or `label-…` belong to this supervisor from now on."""
        self._owners[label] = owner

    def forget(self, label: str) -> None:
        """It has ended; what its children still say is of no interest."""
        del self._owners[label]

    def read_also(self, descriptor: int, reader: Callable[[], list[ChildStart]]) -> None:
        """Call the reader whenever the descriptor has something."""
        self._readers[descriptor] = reader
        self._poll.register(descriptor, select.POLLIN)

    def read_no_more(self, descriptor: int) -> None:
        """The end of `read_also`."""
        self._poll.unregister(descriptor)
        del self._readers[descriptor]

    def next(self, until_ns: int) -> tuple[Owner, ChildStart] | None:
        """The next start of a child that belongs to somebody; None: none until then."""
        while True:
            while self._pending:
                start = self._pending.pop(0)
                owner = self._owners.get(start.name.rpartition("-")[0] or start.name)
                if owner is not None:
                    owner.living[start.pid] = start
                    return owner, start
            now_ns = time.monotonic_ns()
            if not self._wait(max(0, until_ns - now_ns)) and now_ns >= until_ns:
                return None

    def wait_until(self, condition: Callable[[], bool], what: str, *, seconds: float) -> None:
        """Take starts in until the condition holds. *Raises:* SupervisorFailed when it does not in time."""
        until_ns = time.monotonic_ns() + round(seconds * 1e9)
        while not condition():
            # Not longer than this without a look: a condition may hold for other reasons than a start.
            slice_ns = min(until_ns, time.monotonic_ns() + 50_000_000)
            if self.next(slice_ns) is None and time.monotonic_ns() >= until_ns:
                raise SupervisorFailed(f"not within {seconds:g} s: {what}")

    def rest(self, seconds: float) -> None:
        """Let time go by, taking in what comes."""
        until_ns = time.monotonic_ns() + round(seconds * 1e9)
        while self.next(until_ns) is not None:
            pass

    def _wait(self, wait_ns: int) -> bool:
        # Up to the next whole millisecond: down, the last part of one would be a busy loop.
        ready = self._poll.poll(-(-wait_ns // 1_000_000))
        for descriptor, _events in ready:
            self._pending += self._read_socket() if descriptor == self._socket.fileno() else self._readers[descriptor]()
        return bool(ready)

    def _read_socket(self) -> list[ChildStart]:
        found: list[ChildStart] = []
        while True:
            try:
                data, ancillary, _flags, _address = self._socket.recvmsg(DATAGRAM_BYTES_MAX, socket.CMSG_SPACE(CREDENTIALS.size))
            except BlockingIOError:
                return found
            name, _, at_ns = data.decode().rpartition(" ")
            pid, _uid, _gid = CREDENTIALS.unpack(ancillary[0][2])
            found.append(ChildStart(name, pid, int(at_ns)))


def read_lines(descriptor: int, rest: bytearray) -> list[bytes]:
    """The whole lines that a non-blocking descriptor has; what is left over stays in `rest`. At the end: []."""
    lines: list[bytes] = []
    while True:
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return lines
        if not data:
            return lines
        rest += data
        *whole, last = bytes(rest).split(b"\n")
        lines += whole
        rest[:] = last
