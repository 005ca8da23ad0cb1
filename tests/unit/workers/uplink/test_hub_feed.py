"""What one hub is sent of the live state: whole once, then differences, and whole again where it may have missed one."""

from agent.fleet.beat import NO_DIGEST
from agent.fleet.live import NodeLabel, NodeUse, UnitLabel, UnitUse
from agent.fleet.message import PROTOCOL_VERSION, Denied, Greet, Hold, NodeHello, WantWhole, Welcome
from agent.fleet.update import LiveState, apply_update, decode_update, is_fitting, next_digest
from agent.model.timebase import MS, S
from workers.uplink.hub_feed import WHOLE_EVERY_NS, HubFeed

HELLO = NodeHello(PROTOCOL_VERSION, "live", "00112233445566aa", "ffeeddccbbaa9988", "node-1", "boot-1", "1.0")
WELCOME = Welcome("hub", "00000000000000ff", 1000, 0)


def state(*cpus: int) -> LiveState:
    """A unit for each number."""
    labels = {key: UnitLabel(key, f"/u{key}", "service", f"u{key}") for key in range(len(cpus))}
    uses = {key: UnitUse(key, cpu=cpu) for key, cpu in enumerate(cpus)}
    return LiveState(HELLO.run, 0, NO_DIGEST, 1, NodeLabel("node-1", "1.0", 8, 1, 1), NodeUse(cpu=1), labels, uses)


class FedHub:
    """A feed, and the state of a hub that gets what is sent."""

    def __init__(self) -> None:
        self.feed = HubFeed(HELLO)
        self.held = LiveState()
        self.now_ns = 0
        assert self.feed.offer(state(), 0) == self.feed.contact.hello
        self.feed.on_sent(0, is_sent=True)
        self.feed.on_answer(WELCOME, 0)

    def send(self, now: LiveState, *, arrives: bool = True) -> str:
        """`whole`, `difference` or `nothing`."""
        self.now_ns += 1 * S
        frame = self.feed.offer(now, self.now_ns)
        if frame is None:
            return "nothing"
        self.feed.on_sent(self.now_ns, is_sent=True)
        update = decode_update(frame)
        if arrives and is_fitting(update, self.held):
            apply_update(self.held, update, next_digest(self.held.digest, frame, is_whole=update.base == 0))
        return "difference" if update.base else "whole"

    def is_equal(self) -> bool:
        """Whether the beat would say what the hub holds."""
        return (self.held.version, self.held.digest) == (self.feed.version, self.feed.digest)


def test_the_whole_state_goes_once_and_then_what_changes() -> None:
    """And nothing where nothing changes."""
    hub = FedHub()
    assert [hub.send(state(1, 2)), hub.send(state(1, 3)), hub.send(state(1, 3)), hub.send(state(1))] == [
        "whole", "difference", "nothing", "difference",
    ]  # fmt: skip
    assert hub.is_equal()
    assert (hub.feed.updates, hub.feed.wholes, hub.feed.sent_bytes > 0, hub.feed.version) == (3, 1, True, 3)


def test_nothing_goes_before_the_node_is_known_and_welcome() -> None:
    """And while the hub says not now."""
    feed = HubFeed(HELLO)
    assert feed.offer(state(1), 0) == feed.contact.hello
    feed.on_sent(0, is_sent=True)
    assert feed.offer(state(1), 1) is None
    feed.on_answer(WELCOME, 1)
    assert feed.offer(LiveState(HELLO.run), 1) is None
    feed.on_answer(Hold(500), 1)
    assert feed.offer(state(1), 400 * MS) is None
    assert feed.offer(state(1), 600 * MS) is not None


def test_what_could_not_be_sent_goes_whole_on_the_next_connection() -> None:
    """A hub may have got it or not."""
    hub = FedHub()
    hub.send(state(1))
    assert hub.feed.offer(state(2), 5 * S) is not None
    hub.feed.on_sent(5 * S, is_sent=False)
    assert hub.feed.offer(state(2), 6 * S) == hub.feed.contact.hello
    hub.feed.on_sent(6 * S, is_sent=True)
    hub.feed.on_answer(WELCOME, 6 * S)
    hub.now_ns = 6 * S
    assert (hub.send(state(2)), hub.is_equal(), hub.held.uses[0].cpu) == ("whole", True, 2)


def test_a_hub_that_asks_gets_everything_and_not_too_often() -> None:
    """Twice a second at most."""
    hub = FedHub()
    hub.send(state(1))
    hub.send(state(2), arrives=False)
    assert not hub.is_equal()
    assert hub.send(state(3)) == "difference"
    assert not hub.is_equal()
    hub.feed.on_answer(WantWhole(), hub.now_ns)
    assert (hub.send(state(3)), hub.is_equal()) == ("whole", True)
    hub.feed.on_answer(WantWhole(), hub.now_ns)
    assert hub.feed.offer(state(3), hub.now_ns + WHOLE_EVERY_NS - 1) is None
    assert hub.feed.offer(state(3), hub.now_ns + WHOLE_EVERY_NS) is not None


def test_a_hub_that_was_restarted_gets_everything() -> None:
    """It greets, and is told who this is."""
    hub = FedHub()
    hub.send(state(1))
    hub.held = LiveState()
    hub.feed.on_answer(Greet(), hub.now_ns)
    assert hub.feed.offer(state(1), hub.now_ns) == hub.feed.contact.hello
    hub.feed.on_sent(hub.now_ns, is_sent=True)
    hub.feed.on_answer(WELCOME, hub.now_ns)
    hub.feed.on_answer(WELCOME, hub.now_ns)
    assert (hub.send(state(1)), hub.is_equal()) == ("whole", True)


def test_a_hub_that_refuses_gets_nothing() -> None:
    """Until it is asked again."""
    hub = FedHub()
    hub.send(state(1))
    hub.feed.on_answer(Denied("removed", "why"), hub.now_ns)
    assert hub.send(state(2)) == "nothing"
