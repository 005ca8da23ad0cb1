"""Ranges of time: what both have, and the range around two."""

from hypothesis import given
from hypothesis import strategies as st

from agent.cli.time_bounds import EVERYTHING, NOTHING, TimeBounds

INSTANTS = st.integers(-20, 20)
RANGES = st.builds(TimeBounds, INSTANTS, INSTANTS)


def has(bounds: TimeBounds, at: int) -> bool:
    return bounds.since_ns <= at < bounds.until_ns


@given(RANGES, RANGES, INSTANTS)
def test_both_and_hull_are_what_they_say(one: TimeBounds, other: TimeBounds, at: int) -> None:
    """A moment of both is in each; a moment of either is in the hull."""
    assert has(one.both(other), at) == (has(one, at) and has(other, at))
    assert not (has(one, at) or has(other, at)) or has(one.hull(other), at)


@given(RANGES, INSTANTS, st.integers(0, 5))
def test_overlap_is_a_moment_in_common(bounds: TimeBounds, first: int, length: int) -> None:
    """Both ends are half open."""
    assert bounds.overlaps(first, first + length) == any(has(bounds, at) for at in range(first, first + length)) or length == 0


def test_everything_and_nothing_are_the_ends() -> None:
    """Nothing is the neutral range of a hull, everything that of both."""
    some = TimeBounds(3, 5)
    assert (NOTHING.hull(some), some.hull(NOTHING)) == (some, some)
    assert (EVERYTHING.both(some), some.hull(EVERYTHING)) == (some, EVERYTHING)
    assert NOTHING.is_empty
    assert not EVERYTHING.is_empty
