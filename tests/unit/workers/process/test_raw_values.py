"""Values that no sketch can be built of: each with how often it came, within a room."""

from workers.process.raw_values import RawRoom, RawValues


def test_raw_values_are_bounded_and_counted() -> None:
    """One room for all distributions of a window."""
    room = RawRoom(2)
    first, second = RawValues(room), RawValues(room, sum_before=100)
    first.add_all([1, 1, 2])
    second.add(3, 4)
    first.add(2, 5)
    assert (first.times, second.times, room.dropped) == ({1: 2, 2: 6}, {}, 4)
    assert (first.sum, second.sum) == (14, 112)
