"""When a unit suffered."""

from array import array
from math import nan
from random import Random

import pytest

from agent.cli.neighbour_episode import EPISODES_MAX, RULES, Symptom, episodes_of, loss_of, threshold_of
from agent.cli.neighbour_series import Level

RULE = RULES[Symptom.CPU]


def series_of(*stretches: tuple[int, float]) -> "array[float]":
    rng = Random(1)
    return array("d", [max(0.0, rng.gauss(part, part / 20)) for seconds, part in stretches for _ in range(seconds)])


def test_a_lasting_rise_is_an_episode() -> None:
    """From its first second to its last, with what was usual before."""
    (found,) = episodes_of(series_of((100, 0.01), (30, 0.4), (60, 0.01)), RULE)
    assert (found.begin, found.end, found.seconds) == (100, 130, 30)
    assert found.usual is not None
    assert 0.005 < found.usual.median < 0.015
    assert 11 < found.lost_seconds < 13


def test_a_second_of_pressure_is_none() -> None:
    """Neither is a level that does not change, nor one that is too small to notice."""
    assert episodes_of(series_of((100, 0.01), (2, 0.9), (60, 0.01)), RULE) == []
    assert episodes_of(series_of((100, 0.0), (60, 0.03)), RULE) == []


def test_without_a_past_it_is_not_known_what_is_usual() -> None:
    """The episode is there, and says so."""
    (found,) = episodes_of(series_of((10, 0.01), (30, 0.4), (60, 0.01)), RULE)
    assert found.usual is None
    assert found.lost_seconds > 11


def test_a_level_that_never_changes_is_no_episode() -> None:
    """Also where it was there from the first second on; one that comes to stay is one, for five minutes."""
    assert episodes_of(series_of((400, 0.3)), RULE) == []
    (found,) = episodes_of(series_of((100, 0.1), (900, 0.4)), RULE)
    assert (found.begin, found.end) == (100, 400)


def test_a_short_calm_does_not_end_it() -> None:
    """Two bursts with five seconds between them are one, with a minute two; the second is told against calm seconds alone."""
    assert len(episodes_of(series_of((100, 0.01), (10, 0.4), (5, 0.01), (10, 0.4), (60, 0.01)), RULE)) == 1
    first, second = episodes_of(series_of((100, 0.01), (60, 0.4), (60, 0.01), (60, 0.4), (30, 0.01)), RULE)
    assert (first.begin, second.begin) == (100, 220)
    assert second.usual is not None
    assert second.usual.median < 0.02


def test_odd_seconds_do_not_prolong_it() -> None:
    """One of each five seconds is high in calm times too: the episode ends with what lasts, and its mean is that of it."""
    series = series_of((100, 0.02), (15, 0.6), (60, 0.02))
    for place in (*range(4, 95, 5), *range(117, 175, 5)):
        series[place] = 0.25
    (found,) = episodes_of(series, RULE)
    assert (found.begin, found.end) == (100, 115)
    assert 0.55 < found.during < 0.65


def test_a_symptom_with_holes_is_one_episode() -> None:
    """Every other second high is no calm but for the last two, and neither are six calm seconds before a stretch that lasts."""
    series = series_of((100, 0.02), (10, 0.6), (20, 0.02), (60, 0.02))
    series[110:130] = array("d", [0.02, 0.6] * 10)
    (found,) = episodes_of(series, RULE)
    assert (found.begin, found.end) == (100, 126)
    (found,) = episodes_of(series_of((100, 0.02), (10, 0.6), (6, 0.02), (10, 0.6), (60, 0.02)), RULE)
    assert (found.begin, found.end) == (100, 126)


def test_the_seconds_that_make_it_begin_are_all_of_it() -> None:
    """Three high seconds and two more within eight are an episode of eight, and none of three."""
    series = series_of((100, 0.02), (3, 0.6), (3, 0.02), (2, 0.6), (60, 0.02))
    (found,) = episodes_of(series, RULE)
    assert (found.begin, found.end) == (100, 108)


def test_gaps_are_no_calm_and_no_pressure() -> None:
    """What nobody measured neither begins an episode nor makes a usual."""
    series = series_of((100, 0.01), (30, 0.4), (30, 0.01))
    for place in (*range(40, 60), 110):
        series[place] = nan
    (found,) = episodes_of(series, RULE)
    assert (found.begin, found.end) == (100, 130)


def test_there_is_an_end_to_episodes() -> None:
    """A series that swings for ever gives the first ones."""
    swings = [(20, 0.0), (10, 0.9)] * (EPISODES_MAX + 20)
    assert len(episodes_of(series_of(*swings), RULE)) <= EPISODES_MAX


def test_lost_cache_is_told_against_the_minutes_before() -> None:
    """Half of it gone is a loss of a half; a gain is none; who holds next to nothing has none to lose."""
    mib = float(1 << 20)
    lost = loss_of(array("d", [8 * mib] * 100 + [4 * mib] * 30 + [9 * mib] * 20 + [nan] * 5))
    assert lost[10] != lost[10]
    assert (lost[60], lost[110], lost[140]) == (0.0, 0.5, 0.0)
    assert lost[154] != lost[154]
    assert all(value != value for value in loss_of(array("d", [1024.0] * 200)))


def test_a_level_counts_from_a_clear_rise_above_what_is_usual_on() -> None:
    """Four deviations, half of the usual, or the least rise, whichever is most; where nothing is known from the floor on."""
    assert threshold_of(RULE, None) == RULE.floor
    assert threshold_of(RULE, Level(0.4, 0.0, 60)) == pytest.approx(0.6)
    assert threshold_of(RULE, Level(0.1, 0.05, 60)) == pytest.approx(0.3)
    assert threshold_of(RULE, Level(0.0, 0.0, 60)) == max(RULE.floor, RULE.rise)
