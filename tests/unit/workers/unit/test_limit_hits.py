"""What a cgroup of the account of kills remembers of its limit, and of what it was before."""

from workers.unit.oom_node import REPEAT_NS, WAIT_FOR_KILL_NS, LimitHits, OomNode
from workers.unit.oom_reading import MemoryEvents, OomReading


def reading(kills: int, ooms: int) -> OomReading:
    """What the files of a cgroup say."""
    return OomReading(MemoryEvents(ooms, kills, 0), MemoryEvents(ooms, kills, 0))


def test_hits_wait_for_a_kill_for_a_while() -> None:
    """No hit is none; later ones are added as long as the earlier ones wait; a kill takes its part."""
    hits = LimitHits()
    hits.add(0, 5)
    assert not hits.is_waiting(5)
    hits.add(2, 5)
    hits.add(1, 5 + WAIT_FOR_KILL_NS)
    assert (hits.waiting, hits.is_waiting(5 + WAIT_FOR_KILL_NS)) == (3, True)
    hits.take(1, 9)
    assert (hits.waiting, hits.is_waiting(9 + REPEAT_NS), hits.is_waiting(10 + REPEAT_NS)) == (2, True, False)
    hits.add(1, 100 * WAIT_FOR_KILL_NS)
    assert hits.waiting == 1


def test_counts_that_fell_are_those_of_another_cgroup() -> None:
    """It counts from zero, and what was there before stands in for what its parent cannot explain."""
    parent = OomNode("/a", None)
    child = OomNode("/a/b", parent)
    for node in (parent, child):
        node.begin(reading(5, 7))
        node.own.add(2, 0)
        node.see(reading(6, 8))
        before = node.own
        node.see(reading(1, 1))
        assert (node.last.kills, node.kills_done, node.own.waiting, before.waiting) == (1, 0, 0, 2)
    assert [(each.path, each.own.waiting) for each in parent.vanished] == [("/a/b", 2)]
