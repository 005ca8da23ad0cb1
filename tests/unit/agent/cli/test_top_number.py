"""Numbers in five columns, and ages in the largest units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.top_number import grouped, percent, short_age, short_bytes, short_count, start_time

S = 10**9


@pytest.mark.parametrize(
    ("value", "told"),
    [(None, "-"), (0, "0"), (0.04, "0"), (512, "512"), (1023, "1023"), (1023.7, "1.0K"), (1536, "1.5K"), (10 << 10, "10K"),
     (213 << 20, "213M"), ((1 << 30) - 1, "1.0G"), (5 << 40, "5.0T")],
)  # fmt: skip
def test_sizes_have_binary_units(value: float | None, told: str) -> None:
    """Rounded to the next unit where the smaller would need another digit."""
    assert short_bytes(value) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(None, "-"), (0, "0"), (0.3, "0.3"), (9.96, "10"), (1234, "1234"), (9999, "9999"), (12_345, "12.3k"), (123_456, "123k"),
     (999_999, "1.0M")],
)  # fmt: skip
def test_numbers_have_decimal_units(value: float | None, told: str) -> None:
    """Up to four digits whole."""
    assert short_count(value) == told


@given(st.floats(0, 1e15))
def test_five_columns_are_enough(value: float) -> None:
    """For any size and any number below a thousand billions; ages of centuries need one more."""
    assert len(short_bytes(value)) <= 5
    assert len(short_count(min(value, 9e11))) <= 5
    assert len(short_age(int(value) * 100)) <= 6


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0s"), (99, "99s"), (100, "1m"), (5_999, "99m"), (6_000, "1h"), (172_799, "47h"), (172_800, "2d00h"),
     (9 * 86_400 + 7_200, "9d02h"), (40 * 86_400, "40d")],
)  # fmt: skip
def test_ages_have_the_unit_that_says_most(seconds: int, told: str) -> None:
    """Never more than two units."""
    assert short_age(seconds * S) == told


def test_starts_are_times_of_that_day_or_dates() -> None:
    """In UTC, as the first line is; a clock that was set back makes no negative age."""
    at = 1_706_670_727 * S
    assert start_time(at - 60 * S, at) == "03:11:07"
    assert start_time(at - 86_400 * S, at) == "2024-01-30"
    assert start_time(None, at) == start_time(-5, at) == short_age(None) == "-"
    assert short_age(-5 * S) == "0s"


def test_shares_and_large_numbers() -> None:
    """A share is a percentage of one core."""
    assert [percent(1.171), percent(None), grouped(12_034)] == ["117.1", "-", "12,034"]
