"""Shares of one device: they add up to its busy time, idle is zero, and what nobody knows is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.gpu.share import believed, busy_shares, last_seen_us


def test_shares_divide_the_busy_time_of_the_device() -> None:
    """Two processes that take turns are each counted for more than they had."""
    shares = busy_shares([(1, 90, 5), (2, 30, 5)], 0.8)
    assert shares == pytest.approx({1: 0.6, 2: 0.2})


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 100), st.integers(1, 99)), max_size=20), st.floats(0, 1) | st.none())
def test_shares_never_exceed_the_device(samples: list[tuple[int, float, int]], busy_time: float | None) -> None:
    """Whatever the samples say; and where there is any, nothing of the device's time is left over."""
    shares = busy_shares(samples, busy_time)
    if shares:
        assert all(0 <= share <= 1 for share in shares.values())
        assert sum(shares.values()) <= 1 + 1e-9
        assert busy_time is None or sum(shares.values()) == pytest.approx(busy_time)


def test_an_idle_device_gives_zero_at_once() -> None:
    """Also while the driver still has samples of the past."""
    assert busy_shares([(1, 100, 5)], 0.0) == {1: 0.0}
    assert busy_shares([], 0.0) == {}


def test_a_busy_device_without_samples_is_unknown_not_idle() -> None:
    """Nobody says who used it."""
    assert busy_shares([], 0.5) is None
    assert busy_shares([(1, 0, 5)], 0.5) is None


def test_without_the_busy_time_the_samples_count_for_themselves() -> None:
    """Up to the whole device."""
    assert busy_shares([(1, 30, 5)], None) == pytest.approx({1: 0.3})
    assert busy_shares([(1, 90, 5), (2, 90, 5)], None) == pytest.approx({1: 0.5, 2: 0.5})
    assert busy_shares([], None) == {}


def test_the_higher_of_two_samples_of_a_process_counts() -> None:
    """It is one process."""
    assert busy_shares([(1, 10, 5), (1, 40, 6)], 0.4) == pytest.approx({1: 0.4})


@pytest.mark.parametrize("sample", [(1, 101, 5), (1, -1, 5), (7, 50, 5), (1, 50, 0), (1, 50, 1001)])
def test_samples_that_cannot_be_true_are_refused(sample: tuple[int, float, int]) -> None:
    """Above 100 percent, of a process that is not on the device, without a moment, or from the future."""
    assert believed([sample, (1, 50, 5)], {1}, 1000) == [(1, 50, 5)]


def test_the_next_question_begins_at_the_latest_moment_of_all() -> None:
    """Moments of single processes come in no order; without any the former one stays."""
    assert last_seen_us([(1, 1, 5), (2, 1, 9), (3, 1, 7)], 4) == 9
    assert last_seen_us([], 4) == 4
