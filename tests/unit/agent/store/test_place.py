"""Places in the spool, in the order in which they were written."""

from agent.store.place import BEGINNING, Place
from agent.store.segment import generation_of

OLD, NEW = "00000000456789ab", "00000001456789ab"


def test_places_are_in_the_order_of_generations_then_of_segments_then_of_bytes() -> None:
    """The beginning is before everything."""
    places = [BEGINNING, Place(OLD, 0), Place(OLD, 9), Place(NEW, 0)]
    assert [place.generation for place in places] == [0, generation_of(OLD), generation_of(OLD), generation_of(NEW)]
    for number, place in enumerate(places):
        assert [place.is_before(other) for other in places] == [at > number for at in range(len(places))]
