"""When a node beats to a hub, and what the beat says."""

from agent.fleet.beat import BeatProgress, decode_beat
from agent.fleet.message import PROTOCOL_VERSION, Denied, Greet, NodeHello, Welcome
from agent.model.timebase import MS, S
from workers.beat.hub_beat import INTERVAL_NS, HubBeat

HELLO = NodeHello(PROTOCOL_VERSION, "beat", "00112233445566aa", "ffeeddccbbaa9988", "node-1", "boot-1", "1.0")
WALL_NS = 1_700_000_000 * S
NOTHING = BeatProgress()


def welcome(phase_ms: int = 250, beat_ms: int = 1000) -> Welcome:
    """A hub that takes beats."""
    return Welcome("hub", "00000000000000ff", beat_ms, phase_ms)


def beating() -> HubBeat:
    """One that is welcome and beats at full seconds."""
    beat = HubBeat(HELLO, 0)
    assert beat.due(0, WALL_NS, NOTHING) == beat.contact.hello
    beat.on_answer(welcome(0), 0)
    return beat


def test_it_beats_in_the_phase_that_the_hub_gave() -> None:
    """A quarter of a second after the answer, then each second."""
    beat = HubBeat(HELLO, 0)
    assert beat.due(0, WALL_NS, NOTHING) == beat.contact.hello
    assert beat.due(1 * S, WALL_NS, NOTHING) is None
    beat.on_answer(welcome(), 1500 * MS)
    assert beat.next_at_ns == 1750 * MS
    for number in range(3):
        frame = beat.due(beat.next_at_ns, WALL_NS, NOTHING)
        assert frame is not None
        assert decode_beat(frame).sequence == number + 1
        beat.on_sent(is_sent=True)
    assert (beat.next_at_ns, beat.sent) == (4750 * MS, 3)


def test_a_beat_says_what_the_uplink_wrote() -> None:
    """Version and digest of the state, and how old the newest row is."""
    beat = beating()
    frame = beat.due(0, WALL_NS, BeatProgress(7, b"digest08", WALL_NS - 300 * MS))
    assert frame is not None
    found = decode_beat(frame)
    assert (found.install, found.run, found.state_version, found.digest) == (HELLO.install, HELLO.run, 7, b"digest08")
    assert (found.progress_ms, found.wall_us, found.leaves) == (300, WALL_NS // 1000, False)
    assert decode_beat(beat.beat(WALL_NS, BeatProgress(7, b"digest08", WALL_NS + S))).progress_ms == 0
    found = decode_beat(beat.beat(WALL_NS, NOTHING, leaves=True))
    assert (found.progress_ms, found.leaves) == (None, True)


def test_beats_that_were_not_sent_in_time_are_not_sent_later() -> None:
    """The machine slept for an hour."""
    beat = beating()
    assert beat.due(3600 * S + 400 * MS, WALL_NS, NOTHING) is not None
    assert beat.next_at_ns == 3601 * S


def test_without_a_connection_it_begins_again() -> None:
    """With a hello on the next one."""
    beat = beating()
    assert beat.due(0, WALL_NS, NOTHING) is not None
    beat.on_sent(is_sent=False)
    assert (beat.sent, beat.unsent) == (0, 1)
    assert beat.due(INTERVAL_NS, WALL_NS, NOTHING) == beat.contact.hello


def test_a_hub_that_greets_is_answered_with_the_next_turn() -> None:
    """One that refuses is not."""
    beat = beating()
    beat.on_answer(Greet(), 300 * MS)
    assert (beat.next_at_ns, beat.due(300 * MS, WALL_NS, NOTHING)) == (300 * MS, beat.contact.hello)
    beat.on_answer(welcome(phase_ms=900, beat_ms=500), 400 * MS)
    assert beat.next_at_ns == 900 * MS
    beat.on_answer(Denied("removed", "why"), 500 * MS)
    assert (beat.next_at_ns, beat.due(900 * MS, WALL_NS, NOTHING)) == (900 * MS, None)
