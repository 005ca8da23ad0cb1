"""Whether two series rise together."""

from array import array
from math import nan
from random import Random

from agent.cli.neighbour_shift import coincidence_of


def burst(at: int, seconds: int, *, seed: int, of: int = 300) -> "array[float]":
    rng = Random(seed)
    return array("d", [rng.gauss(1.0 if at <= second < at + seconds else 0.0, 0.05) for second in range(of)])


def test_bursts_at_one_time_go_together() -> None:
    """Hardly any shift fits as well."""
    found = coincidence_of(burst(150, 30, seed=1), burst(150, 30, seed=2), 0, 300)
    assert found is not None
    assert found.correlation > 0.9
    assert found.chance < 0.03


def test_one_of_many_bursts_is_chance() -> None:
    """A neighbour that bursts all the time fits at other times too."""
    many = burst(0, 0, seed=3)
    for at in range(0, 300, 30):
        for second in range(at, at + 12):
            many[second] += 1.0
    found = coincidence_of(burst(150, 12, seed=1), many, 0, 300)
    assert found is not None
    assert found.chance > 0.05


def test_without_data_or_change_nothing_is_told() -> None:
    """Too few common seconds give None; a series that never changes goes with nothing."""
    assert coincidence_of(burst(1, 2, seed=1), array("d", [nan] * 300), 0, 300) is None
    found = coincidence_of(burst(1, 2, seed=1), array("d", [1.0] * 300), 0, 300)
    assert found is not None
    assert (found.correlation, found.chance) == (0.0, 1.0)
