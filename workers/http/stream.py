"""Answers without an end: one object per client that is sent bytes now and then, and all of them behind one descriptor.

A thousand idle clients cost the worker's loop one epoll descriptor. A client that does not read is known by `blocked_since_ns`;
what waits for it is bounded in bytes, here and in the kernel. May import socket and select.
"""

import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from operator import itemgetter
from typing import TYPE_CHECKING

from workers.http.connection import RECEIVE_BYTES, ByteStream

if TYPE_CHECKING:
    import select

# What waits for one client in the kernel. Its default may grow to some MiB, which a client that never reads would hold.
SEND_BUFFER_BYTES = 64 << 10
# A client whose machine is gone acknowledges nothing and never says so.
UNACKNOWLEDGED_MS_MAX = 60_000
# What waits for all clients together: fifty whole pictures of 2,000 nodes. Clients that read take theirs within milliseconds.
TOGETHER_BYTES_MAX = 64 << 20
# Events of the kernel that one turn of the loop carries out.
READY_PER_TURN = 64


class Stream:
    """One client. `on_drained(now_ns)` is called when everything has been sent after some had to wait, `on_closed(now_ns)` when
    the client has gone, however that came; both may be set later, and neither is called by a method of the caller's own turn but
    `send`, which may find that the client has gone.

    `blocked_since_ns`: since when bytes wait and none was taken; None: nothing waits.
    """

    __slots__ = ("_bytes_max", "_owner", "_stream", "_unsent", "blocked_since_ns", "on_closed", "on_drained", "queued_bytes")

    def __init__(self, stream: ByteStream, owner: "StreamSet", bytes_max: int) -> None:
        self.queued_bytes = 0
        self.blocked_since_ns: int | None = None
        self.on_drained: Callable[[int], None] | None = None
        self.on_closed: Callable[[int], None] | None = None
        self._stream: ByteStream | None = stream
        self._owner = owner
        self._bytes_max = bytes_max
        # None while nothing waits: an idle client costs no queue.
        self._unsent: deque[memoryview] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the client is still there, as far as it is known."""
        return self._stream is not None

    def send(self, data: bytes, now_ns: int) -> bool:
        """Send now what fits, and the rest when there is room. False: it would be more than may wait for one client, or the
        client has gone; or it goes now, as the one of all that has taken nothing the longest when more waits than may."""
        if self._stream is None or self.queued_bytes + len(data) > self._bytes_max:
            return False
        if self._unsent is None:
            sent = self._send_now(memoryview(data))
            if sent is None:
                self.end(now_ns)
                return False
            if sent == len(data):
                return True
            self._unsent = deque((memoryview(data)[sent:],))
            self.blocked_since_ns = now_ns
            self._owner.wait_for_room(self._stream.fileno(), is_wanted=True)
        else:
            sent = 0
            self._unsent.append(memoryview(data))
        self.queued_bytes += len(data) - sent
        self._owner.on_queued(len(data) - sent, now_ns)
        return self.is_open

    def close(self) -> None:
        """End it from this side; `on_closed` is not called."""
        self.on_closed = None
        self.end(0)

    def end(self, now_ns: int) -> None:
        """The client has gone. For StreamSet, and once for each stream."""
        if self._stream is None:
            return
        self._owner.forget(self._stream.fileno())
        self._stream.close()
        self._owner.waiting_bytes -= self.queued_bytes
        self._stream, self._unsent, self.queued_bytes, self.blocked_since_ns = None, None, 0, None
        closed, self.on_closed, self.on_drained = self.on_closed, None, None
        if closed is not None:
            closed(now_ns)

    def on_room(self, now_ns: int) -> None:
        """The kernel takes more. For StreamSet."""
        while self._unsent and self._stream is not None:
            sent = self._send_now(self._unsent[0])
            if sent is None:
                self.end(now_ns)
                return
            if sent:
                self.blocked_since_ns = now_ns
            self.queued_bytes -= sent
            self._owner.waiting_bytes -= sent
            if sent < len(self._unsent[0]):
                self._unsent[0] = self._unsent[0][sent:]
                return
            self._unsent.popleft()
        if self._stream is not None and self._unsent is not None:
            self._unsent, self.blocked_since_ns = None, None
            self._owner.wait_for_room(self._stream.fileno(), is_wanted=False)
            if self.on_drained is not None:
                self.on_drained(now_ns)

    def on_bytes(self, now_ns: int) -> None:
        """The client has said something, which is ignored, or has gone. For StreamSet."""
        if self._stream is None:
            return
        try:
            data = self._stream.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.end(now_ns)

    def _send_now(self, data: memoryview) -> int | None:
        """How many bytes the kernel took; None: the client has gone."""
        assert self._stream is not None
        try:
            return self._stream.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return None


class StreamSet:
    """All streams of a server, waited for together. `waiting_bytes` wait for all clients, `crowded_out` counts the clients that
    were sent away because that would have been too much."""

    def __init__(self, together_bytes_max: int = TOGETHER_BYTES_MAX) -> None:
        self.waiting_bytes = self.crowded_out = 0
        self._together_bytes_max = together_bytes_max
        self._epoll: select.epoll | None = None
        self._streams: dict[int, Stream] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[Stream]:
        return iter(tuple(self._streams.values()))

    @property
    def descriptor(self) -> int | None:
        """What to wait for, readable when a stream has something; None: there is none."""
        return None if self._epoll is None or not self._streams else self._epoll.fileno()

    def open(self, stream: ByteStream, bytes_max: int) -> Stream:
        """Take over a connection whose request has been read. *Raises:* OSError (no free descriptor)."""
        # Imported by the first stream: a worker that serves none never pays for it.
        import select

        if self._epoll is None:
            self._epoll = select.epoll()
        descriptor = stream.fileno()
        self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLRDHUP)
        _set_up(descriptor)
        opened = Stream(stream, self, bytes_max)
        self._streams[descriptor] = opened
        return opened

    def on_ready(self, now_ns: int) -> None:
        """Carry out what the kernel has to say, some of it: the rest follows at the next turn."""
        import select

        if self._epoll is None:
            return
        for descriptor, events in self._epoll.poll(0, READY_PER_TURN):
            stream = self._streams.get(descriptor)
            if stream is None:
                continue
            if events & (select.EPOLLHUP | select.EPOLLERR):
                stream.end(now_ns)
                continue
            if events & select.EPOLLOUT:
                stream.on_room(now_ns)
            if events & (select.EPOLLIN | select.EPOLLRDHUP):
                stream.on_bytes(now_ns)

    def wait_for_room(self, descriptor: int, *, is_wanted: bool) -> None:
        """Whether room to send is waited for."""
        import select

        assert self._epoll is not None
        self._epoll.modify(descriptor, select.EPOLLIN | select.EPOLLRDHUP | (select.EPOLLOUT if is_wanted else 0))

    def on_queued(self, size_bytes: int, now_ns: int) -> None:
        """So much more waits for a client: if it is too much for all together, those go that have taken nothing the longest."""
        self.waiting_bytes += size_bytes
        while self.waiting_bytes > self._together_bytes_max:
            waits = [(each.blocked_since_ns, each) for each in self._streams.values() if each.blocked_since_ns is not None]
            self.crowded_out += 1
            min(waits, key=itemgetter(0))[1].end(now_ns)

    def forget(self, descriptor: int) -> None:
        """A stream ends; its socket is still open."""
        if self._streams.pop(descriptor, None) is not None and self._epoll is not None:
            with suppress(OSError):
                self._epoll.unregister(descriptor)

    def close(self) -> None:
        """End all."""
        for stream in tuple(self._streams.values()):
            stream.close()
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None


def _set_up(descriptor: int) -> None:
    with suppress(OSError):
        duplicate = socket.socket(fileno=descriptor)
        try:
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            # An event is shown at once: it does not wait for the acknowledgement of the one before.
            duplicate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            duplicate.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS_MAX)
        finally:
            duplicate.detach()
