"""Windows of a host as bits of a number."""

from random import Random

import pytest

from agent.model.errors import MisuseError
from agent.router.cell import WINDOW_NS, WINDOWS_MAX, Grid, grid_of, indexes_of, mask_of, runs_of

GRID = Grid(100, 5)


def test_a_time_has_the_windows_that_share_a_moment_with_it() -> None:
    """Whole minutes of UTC, those that are cut included."""
    assert grid_of(WINDOW_NS, 3 * WINDOW_NS) == Grid(1, 2)
    assert grid_of(WINDOW_NS + 1, 3 * WINDOW_NS + 1) == Grid(1, 3)
    assert grid_of(3 * WINDOW_NS, WINDOW_NS) == Grid(3, 0)
    assert (GRID.since_ns, GRID.until_ns, GRID.every) == (100 * WINDOW_NS, 105 * WINDOW_NS, 0b11111)
    with pytest.raises(MisuseError, match="ask for a shorter time"):
        grid_of(0, (WINDOWS_MAX + 1) * WINDOW_NS)


def test_a_moment_is_in_one_window_or_in_none() -> None:
    """The end of one is the beginning of the next."""
    assert [GRID.index_of(at) for at in (GRID.since_ns - 1, GRID.since_ns, GRID.start_ns(1) - 1, GRID.until_ns)] == [
        None,
        0,
        0,
        None,
    ]


@pytest.mark.parametrize(
    ("first", "behind", "mask"),
    [(0, 100, 0), (100, 100, 0), (99, 101, 1), (101, 103, 0b110), (101.5, 102.5, 0b110), (104, 900, 0b10000), (0, 900, 0b11111)],
)
def test_a_stretch_touches_windows(first: float, behind: float, mask: int) -> None:
    """All of which it has a moment."""
    assert GRID.touched(round(first * WINDOW_NS), round(behind * WINDOW_NS)) == mask


@pytest.mark.parametrize(("until", "mask"), [(99, 0), (100.9, 0), (101, 1), (103.5, 0b111), (300, 0b11111)])
def test_windows_are_over_at_their_end(until: float, mask: int) -> None:
    """Not before."""
    assert GRID.over(round(until * WINDOW_NS)) == mask


def test_masks_are_sets_of_windows() -> None:
    """Made of numbers, and taken apart again, as numbers and as runs."""
    drawn = Random(4)
    for _ in range(200):
        numbers = {drawn.randrange(300) for _ in range(drawn.randrange(40))}
        mask = mask_of(numbers)
        assert mask == sum(1 << number for number in numbers)
        assert list(indexes_of(mask)) == sorted(numbers)
        assert [number for first, behind in runs_of(mask) for number in range(first, behind)] == sorted(numbers)
    assert list(runs_of(0b1101110)) == [(1, 4), (5, 7)]
