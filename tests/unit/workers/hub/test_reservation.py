"""Workers that are held for a time."""

from workers.hub.reservation import RESERVATIONS_MAX, Reservation, Reservations

PLACE, OTHER = ("n1", 1), ("n2", 1)


def test_a_worker_is_held_by_several() -> None:
    """Until each ends, by its name or by its time."""
    held = Reservations()
    held.add(Reservation("a", PLACE, 100, 50))
    held.add(Reservation("b", PLACE, 20, 10))
    held.add(Reservation("c", OTHER, 5, 30))
    assert set(held.places()) == {PLACE, OTHER}
    assert (held.of(PLACE), held.of(OTHER), held.of(("n3", 1)), len(held)) == ((2, 120), (1, 5), (0, 0), 3)
    held.forget_old(9)
    assert len(held) == 3
    held.forget_old(10)
    assert (held.of(PLACE), len(held)) == ((1, 100), 2)
    held.forget_old(29)
    assert len(held) == 2
    assert (held.end("a"), held.end("a")) == (True, False)
    assert held.of(PLACE) == (0, 0)
    held.forget_old(30)
    assert len(held) == 0
    held.add(Reservation("d", PLACE, 1, 100))
    held.forget_old(99)
    assert len(held) == 1
    held.forget_old(100)
    assert len(held) == 0


def test_above_the_bound_the_first_one_ends() -> None:
    """Memory has an end."""
    held = Reservations()
    for number in range(RESERVATIONS_MAX + 1):
        held.add(Reservation(str(number), PLACE, 1, 50))
    assert (len(held), held.end("0"), held.end("1")) == (RESERVATIONS_MAX, False, True)
