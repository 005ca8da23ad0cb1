"""Events for many clients at once."""

from collections.abc import Callable, Iterable
from random import Random

from agent.model.timebase import S
from workers.http.event import encode_event
from workers.http.event_stream import (
    KEEP_ALIVE_NS,
    RETRY_MS_MAX,
    RETRY_MS_MIN,
    STALL_NS,
    EventChannel,
    Outlet,
    StreamEvent,
)


class FakeOutlet:
    """One client's stream. `is_open` False: it takes nothing more; `block`: what is sent waits."""

    def __init__(self) -> None:
        self.on_drained: Callable[[int], None] | None = None
        self.on_closed: Callable[[int], None] | None = None
        self.blocked_since_ns: int | None = None
        self.sent: list[bytes] = []
        self.is_open = True
        self.is_closed = False

    def send(self, data: bytes, now_ns: int) -> bool:
        """Keep it."""
        if self.is_open:
            self.sent.append(data)
        return self.is_open

    def close(self) -> None:
        """Remember that."""
        self.is_closed = True

    def drain(self, now_ns: int) -> None:
        """The client has taken everything."""
        self.blocked_since_ns = None
        assert self.on_drained is not None
        self.on_drained(now_ns)

    def taken(self) -> bytes:
        """What was sent since the last call."""
        sent, self.sent = b"".join(self.sent), []
        return sent


def no_picture(topics: frozenset[str]) -> Iterable[StreamEvent]:
    """Nothing."""
    return ()


def picture(topics: frozenset[str]) -> Iterable[StreamEvent]:
    """Two events, of which topics choose."""
    return [each for each in (StreamEvent("a", b"A"), StreamEvent("b", b"B")) if not topics or each.event in topics]


def channel(snapshot: Callable[[frozenset[str]], Iterable[StreamEvent]] = no_picture, **bounds: int) -> EventChannel:
    """A channel of epoch `e`."""
    return EventChannel("e", snapshot, Random(7), **bounds)


def joined(found: EventChannel, last_event_id: str | None = None, topics: Iterable[str] = ()) -> FakeOutlet:
    """A new client."""
    outlet = FakeOutlet()
    assert_outlet: Outlet = outlet
    found.join(assert_outlet, last_event_id, frozenset(topics), 0)
    return outlet


def after_retry(sent: bytes) -> bytes:
    """What comes behind the line that says when to come back."""
    first, _, rest = sent.partition(b"\n\n")
    assert RETRY_MS_MIN <= int(first.removeprefix(b"retry: ")) <= RETRY_MS_MAX
    return rest


def test_a_newcomer_gets_the_whole_picture_and_then_every_event() -> None:
    """With the number of the newest event, so that nothing is between."""
    found = channel(picture)
    found.publish(StreamEvent("x", b"0"), 0)
    client = joined(found)
    assert after_retry(client.taken()) == encode_event(b"A", "a", "e-1") + encode_event(b"B", "b", "e-1")
    found.publish(StreamEvent("x", b"1"), 0)
    assert client.taken() == encode_event(b"1", "x", "e-2")


def test_all_get_the_same_bytes() -> None:
    """An event is encoded once."""
    found = channel()
    clients = [joined(found) for _ in range(3)]
    found.publish(StreamEvent("x", b"1"), 0)
    assert len(found) == 3
    assert len({id(client.sent[-1]) for client in clients}) == 1


def test_clients_come_back_at_different_times() -> None:
    """Each is told a time of its own."""
    found = channel()
    assert len({joined(found).taken() for _ in range(20)}) > 10


def test_topics_choose_events_and_the_picture() -> None:
    """Without topics all."""
    found = channel(picture)
    client = joined(found, topics=["b"])
    assert after_retry(client.taken()) == encode_event(b"B", "b", "e-0")
    found.publish(StreamEvent("a", b"1"), 0)
    found.publish(StreamEvent("b", b"2"), 0)
    assert client.taken() == encode_event(b"2", "b", "e-2")


def test_who_comes_back_gets_what_was_missed() -> None:
    """Of a key only the last, in the order of their numbers, and of its topics."""
    found = channel(picture)
    for number, (event, key) in enumerate([("x", ""), ("x", "k"), ("x", ""), ("y", ""), ("x", "k")], start=1):
        found.publish(StreamEvent(event, b"%d" % number, key), 0)
    client = joined(found, "e-1", ["x"])
    assert after_retry(client.taken()) == encode_event(b"3", "x", "e-3") + encode_event(b"5", "x", "e-5")
    assert found.counts.replayed == 2
    assert after_retry(joined(found, "e-5").taken()) == b""


def test_who_cannot_be_told_what_was_missed_starts_over() -> None:
    """Another life of the server, a number that it has not given, text that is none of its ids, events that are gone."""
    found = channel(picture, ring_bytes_max=60)
    for number in range(5):
        found.publish(StreamEvent("x", b"%d" % number), 0)
    for known in ("f-4", "e-9", "nonsense", "e-1"):
        assert after_retry(joined(found, known).taken()).startswith(encode_event(b"{}", "reset") + encode_event(b"A", "a", "e-5"))
    assert b"reset" not in joined(found, "e-4").taken()
    assert b"reset" in joined(channel(ring_bytes_max=0), "e-1").taken()
    assert b"reset" not in joined(channel(ring_bytes_max=0), "e-0").taken()


def test_what_waits_for_a_slow_client_is_the_last_of_each_key() -> None:
    """And it goes out in order once the client has taken what was before."""
    found = channel()
    slow, quick = joined(found), joined(found)
    slow.taken()
    quick.taken()
    slow.blocked_since_ns = 0
    for number, key in enumerate(["", "k", "k", "", "k"], start=1):
        found.publish(StreamEvent("x", b"%d" % number, key), 0)
    assert slow.taken() == b""
    assert quick.taken().count(b"data:") == 5
    slow.drain(1)
    assert slow.taken() == b"".join(encode_event(b"%d" % number, "x", f"e-{number}") for number in (1, 4, 5))
    assert found.counts.coalesced == 2
    slow.drain(2)
    assert slow.taken() == b""


def test_what_is_too_much_is_dropped_and_told() -> None:
    """How many and which, and the whole picture behind it; then everything goes on."""
    found = channel(picture, waiting_bytes_max=100)
    client = joined(found)
    client.taken()
    client.blocked_since_ns = 0
    for _ in range(7):
        found.publish(StreamEvent("x", b"y" * 20), 0)
    client.drain(1)
    told = encode_event(b'{"n":7,"from":1,"to":7}', "dropped")
    assert client.taken() == told + encode_event(b"A", "a", "e-7") + encode_event(b"B", "b", "e-7")
    assert found.counts.dropped == 7
    found.publish(StreamEvent("x", b"z"), 1)
    assert client.taken() == encode_event(b"z", "x", "e-8")


def test_silent_connections_are_kept_alive() -> None:
    """Every 15 seconds, as long as somebody listens."""
    found = channel()
    assert found.next_deadline_ns() is None
    found.on_timer(0)
    client = joined(found)
    client.taken()
    assert found.next_deadline_ns() == KEEP_ALIVE_NS
    found.on_timer(KEEP_ALIVE_NS - 1)
    assert client.taken() == b""
    found.on_timer(KEEP_ALIVE_NS)
    assert client.taken() == b":\n\n"
    assert client.on_closed is not None
    client.on_closed(0)
    found.on_timer(2 * KEEP_ALIVE_NS)
    assert (len(found), found.next_deadline_ns()) == (0, None)


def test_who_takes_nothing_is_disconnected() -> None:
    """After 30 to 45 seconds; it comes back when it is awake."""
    found = channel()
    client = joined(found)
    client.blocked_since_ns = 1 * S
    found.on_timer(2 * KEEP_ALIVE_NS)
    assert len(found) == 1
    found.on_timer(3 * KEEP_ALIVE_NS)
    assert STALL_NS <= 3 * KEEP_ALIVE_NS - 1 * S
    assert client.is_closed
    assert (len(found), found.counts.disconnected) == (0, 1)


def test_a_client_that_is_gone_is_forgotten() -> None:
    """Whenever that is seen."""
    found = channel(picture)
    gone = FakeOutlet()
    gone.is_open = False
    found.join(gone, None, frozenset(), 0)
    assert (len(found), gone.is_closed) == (0, True)
    at_event, at_silence, at_drain = joined(found), joined(found), joined(found)
    at_event.is_open = False
    found.publish(StreamEvent("x", b""), 0)
    at_silence.is_open = False
    found.on_timer(KEEP_ALIVE_NS)
    at_drain.blocked_since_ns = 0
    found.publish(StreamEvent("x", b""), 0)
    at_drain.is_open = False
    at_drain.drain(0)
    assert [client.is_closed for client in (at_event, at_silence, at_drain)] == [True] * 3
    assert len(found) == 0


def test_a_stream_that_finds_its_client_gone_says_so_itself() -> None:
    """It calls back while it sends; nobody is disconnected twice."""

    class GoneOutlet(FakeOutlet):
        def send(self, data: bytes, now_ns: int) -> bool:
            assert self.on_closed is not None
            self.on_closed(now_ns)
            return False

    found = channel()
    found.join(GoneOutlet(), None, frozenset(), 0)
    assert (len(found), found.counts.disconnected) == (0, 0)


def test_everybody_is_sent_away_at_the_end() -> None:
    """The server stops."""
    found = channel()
    clients = [joined(found), joined(found)]
    found.close()
    assert all(client.is_closed for client in clients)
    assert len(found) == 0
