"""Connections that said hello: bounds, admission, floods."""

from random import Random

from agent.model.timebase import MS, S
from workers.hub.contacts import (
    CONTACTS_PER_PURPOSE_MAX,
    FRAMES_BURST,
    FRAMES_PER_SECOND,
    HOLD_LEAST_MS,
    HOLD_MOST_MS,
    Contacts,
    is_flooding,
)


def contacts(rate: int = 10) -> Contacts:
    """None yet."""
    return Contacts(rate, Random(1), 0)


def test_a_node_has_two_connections_for_each_purpose() -> None:
    """The oldest goes first; other nodes and purposes are not touched."""
    known = contacts()
    known.put(b"other", "n2", "beat", "r", 0)
    known.put(b"live", "n1", "live", "r", 0)
    for number in range(100):
        known.put(b"%d" % number, "n1", "beat", "r", 0)
    assert len(known) == CONTACTS_PER_PURPOSE_MAX + 2
    assert (known.get(b"0"), known.get(b"97")) == (None, None)
    contact = known.get(b"99")
    assert contact is not None
    assert (contact.install, contact.purpose, contact.run) == ("n1", "beat", "r")


def test_a_connection_that_says_hello_again_is_one() -> None:
    """For another purpose or run."""
    known = contacts()
    known.put(b"a", "n1", "beat", "r1", 0)
    known.put(b"a", "n1", "live", "r2", 0)
    assert len(known) == 1
    known.drop(b"a")
    known.drop(b"a")
    assert len(known) == 0


def test_all_connections_of_a_node_are_dropped() -> None:
    """They are given back, to be told."""
    known = contacts()
    for connection, purpose in ((b"a", "beat"), (b"b", "beat"), (b"c", "rows")):
        known.put(connection, "n1", purpose, "r", 0)
    known.put(b"d", "n2", "beat", "r", 0)
    known.drop(b"a")
    assert known.drop_node("n1") == [b"b", b"c"]
    assert (known.drop_node("n1"), len(known)) == ([], 1)


def test_so_many_are_greeted_a_second() -> None:
    """Others wait for a random time."""
    known = contacts(10)
    waits = [known.admission_wait_ms(0, is_beat=True) for _ in range(30)]
    assert waits[:10] == [None] * 10
    assert all(wait is not None and HOLD_LEAST_MS <= wait < HOLD_MOST_MS for wait in waits[10:])
    assert len(set(waits[10:])) > 10
    assert [known.admission_wait_ms(200 * MS, is_beat=True) for _ in range(3)][:2] == [None, None]


def test_beats_are_greeted_before_others() -> None:
    """While many come, those without a beat leave half of the rate to the others; alone they have nearly all of it."""
    known = contacts(10)
    assert sum(known.admission_wait_ms(0, is_beat=False) is None for _ in range(30)) == 5
    assert known.admission_wait_ms(0, is_beat=True) is None
    known = contacts(1)
    assert known.admission_wait_ms(0, is_beat=False) is None


def test_a_flood_is_what_a_node_has_no_need_for() -> None:
    """A burst is taken, and so much a second."""
    known = contacts()
    known.put(b"a", "n1", "live", "r", 0)
    contact = known.get(b"a")
    assert contact is not None
    taken = sum(not is_flooding(contact, 0) for _ in range(1000))
    assert taken == FRAMES_BURST
    taken = sum(not is_flooding(contact, 2 * S) for _ in range(1000))
    assert taken == 2 * FRAMES_PER_SECOND
