"""Events for many clients at once: encoded once, the same bytes to all. PURE; `workers.http.stream.Stream` sends them.

A client that reads slowly delays nobody. While bytes wait for it, events of one key take each other's place; what is more than it
may keep waiting is dropped, and it is told so by an event `dropped` with a whole picture behind it. A client that takes nothing for
STALL_NS is disconnected, and comes back with the id of its last event: what it missed is replayed, or, where that is gone, an event
`reset` says that a whole picture follows.
"""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import Protocol

import msgspec

from agent.model.timebase import S
from workers.http.event import KEEP_ALIVE, encode_event, encode_retry, event_id, parse_event_id

# Proxies cut connections that are silent for 30 to 60 s.
KEEP_ALIVE_NS = 15 * S
# A browser that sleeps takes nothing; it comes back by itself. Looked at with each keep-alive, so it is 30 to 45 s.
STALL_NS = 30 * S
# The events of some minutes of a quiet node.
RING_BYTES_MAX = 256 << 10
# What waits here for one client, beside what its stream holds.
WAITING_BYTES_MAX = 64 << 10
# A thousand clients of a server that was restarted come back spread over these.
RETRY_MS_MIN, RETRY_MS_MAX = 1_000, 4_000


class Outlet(Protocol):
    """What a channel needs of one client's stream; see `workers.http.stream.Stream`."""

    on_drained: Callable[[int], None] | None
    on_closed: Callable[[int], None] | None

    @property
    def blocked_since_ns(self) -> int | None: ...

    def send(self, data: bytes, now_ns: int) -> bool: ...

    def close(self) -> None: ...


class StreamEvent(msgspec.Struct, frozen=True):
    """One event: its name, its data (JSON), and its key: a later one with the same key says all that an earlier one said."""

    event: str
    data: bytes
    key: str = ""


class Dropped(msgspec.Struct, frozen=True, rename={"n": "n", "first": "from", "last": "to"}):
    """The data of an event `dropped`: how many events, and the numbers of the first and last of them."""

    n: int
    first: int
    last: int


class ChannelCounts(msgspec.Struct):
    """What has happened since the channel was made."""

    published: int = 0
    replayed: int = 0
    coalesced: int = 0
    dropped: int = 0
    disconnected: int = 0


class Subscriber:
    """One client, and what waits for it: by key, or by number where there is no key. None: nothing waits."""

    __slots__ = ("dropped", "outlet", "topics", "waiting", "waiting_bytes")

    def __init__(self, outlet: Outlet, topics: frozenset[str]) -> None:
        self.outlet = outlet
        self.topics = topics
        self.waiting: dict[str | int, tuple[int, bytes]] | None = None
        self.waiting_bytes = 0
        self.dropped: Dropped | None = None

    def wants(self, event: str) -> bool:
        """Whether the client asked for events of this name; without topics it gets all."""
        return not self.topics or event in self.topics


class EventChannel:
    """The events of one server. `epoch` names this life of it; `snapshot` gives the whole picture as events, for these topics.

    `publish` may be called without a client: the event is kept for those that come back.
    """

    def __init__(
        self,
        epoch: str,
        snapshot: Callable[[frozenset[str]], Iterable[StreamEvent]],
        rng: Random,
        *,
        ring_bytes_max: int = RING_BYTES_MAX,
        waiting_bytes_max: int = WAITING_BYTES_MAX,
    ) -> None:
        self.counts = ChannelCounts()
        self._epoch = epoch
        self._snapshot = snapshot
        self._rng = rng
        self._ring_bytes_max = ring_bytes_max
        self._waiting_bytes_max = waiting_bytes_max
        self._number = 0
        self._ring: deque[tuple[int, StreamEvent, bytes]] = deque()
        self._ring_bytes = 0
        # Ordered, and each removed in one step.
        self._subscribers: dict[Subscriber, None] = {}
        self._keep_alive_at_ns: int | None = None

    def __len__(self) -> int:
        return len(self._subscribers)

    def publish(self, event: StreamEvent, now_ns: int) -> None:
        """Give an event to all that want it."""
        self._number += 1
        encoded = encode_event(event.data, event.event, event_id(self._epoch, self._number))
        self.counts.published += 1
        self._keep(event, encoded)
        for subscriber in tuple(self._subscribers):
            if not subscriber.wants(event.event):
                continue
            if subscriber.outlet.blocked_since_ns is not None:
                self._wait(subscriber, event, encoded)
            elif not subscriber.outlet.send(encoded, now_ns):
                self._disconnect(subscriber)

    def join(self, outlet: Outlet, last_event_id: str | None, topics: frozenset[str], now_ns: int) -> None:
        """A client has come: it gets what it missed, or the whole picture, and from now on every event."""
        subscriber = Subscriber(outlet, topics)
        outlet.on_drained = partial(self._on_drained, subscriber)
        outlet.on_closed = partial(self._on_closed, subscriber)
        self._subscribers[subscriber] = None
        if self._keep_alive_at_ns is None:
            self._keep_alive_at_ns = now_ns + KEEP_ALIVE_NS
        begin = encode_retry(self._rng.randint(RETRY_MS_MIN, RETRY_MS_MAX))
        missed = self._missed(last_event_id, subscriber)
        if missed is not None:
            self.counts.replayed += len(missed)
            body = b"".join(missed)
        else:
            reset = encode_event(b"{}", "reset") if last_event_id else b""
            body = reset + self._picture(topics)
        if not outlet.send(begin + body, now_ns):
            self._disconnect(subscriber)

    def next_deadline_ns(self) -> int | None:
        """When `on_timer` has something to do; None: nobody listens."""
        return self._keep_alive_at_ns

    def on_timer(self, now_ns: int) -> None:
        """Keep silent connections alive, and give up those that take nothing."""
        if self._keep_alive_at_ns is None or now_ns < self._keep_alive_at_ns:
            return
        for subscriber in tuple(self._subscribers):
            blocked_ns = subscriber.outlet.blocked_since_ns
            if blocked_ns is None:
                if not subscriber.outlet.send(KEEP_ALIVE, now_ns):
                    self._disconnect(subscriber)
            elif now_ns - blocked_ns >= STALL_NS:
                self._disconnect(subscriber)
        self._keep_alive_at_ns = now_ns + KEEP_ALIVE_NS if self._subscribers else None

    def close(self) -> None:
        """Send everybody away."""
        for subscriber in tuple(self._subscribers):
            self._leave(subscriber)
            subscriber.outlet.close()

    def _keep(self, event: StreamEvent, encoded: bytes) -> None:
        self._ring.append((self._number, event, encoded))
        self._ring_bytes += len(encoded)
        while self._ring_bytes > self._ring_bytes_max:
            self._ring_bytes -= len(self._ring.popleft()[2])

    def _missed(self, last_event_id: str | None, subscriber: Subscriber) -> list[bytes] | None:
        """The events since one, the last of each key; None: they are not all here, or the client has had none."""
        known = parse_event_id(last_event_id)
        if known is None or known[0] != self._epoch or known[1] > self._number:
            return None
        oldest = self._ring[0][0] if self._ring else self._number + 1
        if known[1] + 1 < oldest:
            return None
        last: dict[str | int, tuple[int, bytes]] = {}
        for number, event, encoded in self._ring:
            if number > known[1] and subscriber.wants(event.event):
                last[event.key or number] = number, encoded
        return [encoded for _, encoded in sorted(last.values())]

    def _picture(self, topics: frozenset[str]) -> bytes:
        """All events of it have the number of the newest event: what follows it is what has not been seen."""
        now = event_id(self._epoch, self._number)
        return b"".join(encode_event(event.data, event.event, now) for event in self._snapshot(topics))

    def _wait(self, subscriber: Subscriber, event: StreamEvent, encoded: bytes) -> None:
        if subscriber.dropped is not None:
            self._drop(subscriber, 1, self._number)
            return
        waiting = subscriber.waiting
        if waiting is None:
            waiting = subscriber.waiting = {}
        key = event.key or self._number
        if (earlier := waiting.pop(key, None)) is not None:
            subscriber.waiting_bytes -= len(earlier[1])
            self.counts.coalesced += 1
        waiting[key] = self._number, encoded
        subscriber.waiting_bytes += len(encoded)
        if subscriber.waiting_bytes > self._waiting_bytes_max:
            first = min(number for number, _ in waiting.values())
            self._drop(subscriber, len(waiting), first)
            subscriber.waiting, subscriber.waiting_bytes = None, 0

    def _drop(self, subscriber: Subscriber, count: int, first: int) -> None:
        self.counts.dropped += count
        earlier = subscriber.dropped
        subscriber.dropped = (
            Dropped(count, first, self._number) if earlier is None else Dropped(earlier.n + count, earlier.first, self._number)
        )

    def _on_drained(self, subscriber: Subscriber, now_ns: int) -> None:
        """The client has taken all that was sent: what waited here goes next."""
        if subscriber.dropped is not None:
            told = encode_event(msgspec.json.encode(subscriber.dropped), "dropped")
            subscriber.dropped = None
            body = told + self._picture(subscriber.topics)
        elif subscriber.waiting:
            body = b"".join(encoded for _, encoded in sorted(subscriber.waiting.values()))
        else:
            return
        subscriber.waiting, subscriber.waiting_bytes = None, 0
        if not subscriber.outlet.send(body, now_ns):
            self._disconnect(subscriber)

    def _on_closed(self, subscriber: Subscriber, now_ns: int) -> None:
        self._leave(subscriber)

    def _disconnect(self, subscriber: Subscriber) -> None:
        if subscriber in self._subscribers:
            self.counts.disconnected += 1
            self._leave(subscriber)
            subscriber.outlet.close()

    def _leave(self, subscriber: Subscriber) -> None:
        self._subscribers.pop(subscriber, None)
