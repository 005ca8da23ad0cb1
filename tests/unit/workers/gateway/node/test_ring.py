"""The last seconds of one thing, in a fixed room."""

from workers.gateway.node.ring import SecondRing


def test_what_was_put_is_there_and_nothing_else() -> None:
    """Seconds between are unknown, and no value is a zero that nobody put."""
    ring = SecondRing(2, 10)
    assert (ring.get(5, 0), ring.newest, ring.first) == (None, None, None)
    assert ring.put(100, (1.0, None))
    assert ring.put(103, (2.0, 8.0))
    assert ring.column(0, 99, 105) == [None, 1.0, None, None, 2.0, None]
    assert ring.column(1, 99, 105) == [None, None, None, None, 8.0, None]
    assert (ring.first, ring.newest) == (100, 103)


def test_values_of_a_second_may_come_one_after_the_other() -> None:
    """None leaves what is there; seconds may come out of order."""
    ring = SecondRing(2, 10)
    ring.put(100, (1.0, None))
    ring.put(100, (None, 2.0))
    assert ring.put(98, (7.0, None))
    assert [ring.get(100, 0), ring.get(100, 1), ring.get(98, 0)] == [1.0, 2.0, 7.0]
    assert ring.first == 98


def test_the_oldest_go_when_the_room_is_full() -> None:
    """Also all at once, after a long pause; what is before the room is refused."""
    ring = SecondRing(1, 4)
    for second in range(100, 106):
        ring.put(second, (float(second),))
    assert ring.column(0, 100, 107) == [None, None, 102.0, 103.0, 104.0, 105.0, None]
    assert not ring.put(101, (1.0,))
    assert ring.put(5000, (5.0,))
    assert ring.column(0, 4996, 5001) == [None, None, None, None, 5.0]
    assert ring.first == 100
