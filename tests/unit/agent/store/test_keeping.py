"""What the writer remembers of segments that it removed before a sink had them."""

import pytest

from agent.store.keeping import PRUNED_MAX, Keeping, PrunedSegment


def pruned(number: int, rows: dict[str, int] | None, begin: int | None = 1) -> PrunedSegment:
    """One removed segment."""
    return PrunedSegment(f"s{number}", rows, 10, begin, number, "sink_quota")


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ({"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 5}),
        (None, {"b": 3}, None),
        ({"a": 1}, None, None),
    ],
)
def test_beyond_the_bound_the_two_oldest_become_one(
    first: dict[str, int] | None, second: dict[str, int] | None, together: dict[str, int] | None
) -> None:
    """Their rows and bytes are summed; what is not known of one is not known of both."""
    keeping = Keeping({"lake": 3}).with_pruned(pruned(0, first, begin=5)).with_pruned(pruned(1, second))
    for number in range(2, PRUNED_MAX):
        keeping = keeping.with_pruned(pruned(number, {}))
    assert len(keeping.pruned) == PRUNED_MAX
    more = keeping.with_pruned(pruned(PRUNED_MAX, {}))
    assert (len(more.pruned), more.since) == (PRUNED_MAX, {"lake": 3})
    assert more.pruned[0] == PrunedSegment("s1", together, 20, 5, 1, "sink_quota")
    assert more.pruned[-1].segment == f"s{PRUNED_MAX}"


def test_a_beginning_that_is_not_known_is_that_of_the_next() -> None:
    """Better a later one than none."""
    keeping = Keeping(pruned=(pruned(0, {}, begin=None), *(pruned(number, {}, begin=7) for number in range(1, PRUNED_MAX))))
    assert keeping.with_pruned(pruned(PRUNED_MAX, {})).pruned[0].first_wall_ns == 7
