"""Durations and dates as text."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.timebase import (
    DAY,
    HOUR,
    MINUTE,
    MS,
    US,
    S,
    civil_date,
    compact_utc,
    format_duration,
    iso_utc,
    parse_compact_utc,
    parse_duration_ns,
)

# Years 1970 to 2400 hold every kind of leap year.
wall_times = st.integers(min_value=0, max_value=157_000 * DAY)


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("250ms", 250 * MS),
        ("1s", S),
        ("1.5s", 1500 * MS),
        ("2m", 2 * MINUTE),
        ("1h", HOUR),
        ("1d", DAY),
        ("7us", 7 * US),
        ("0s", 0),
        ("1ns", 1),
        (" 3s ", 3 * S),
        ("0.0000000001s", 0),
    ],
)
def test_a_duration_is_a_number_with_one_unit(text: str, duration_ns: int) -> None:
    """Whole and decimal numbers are exact down to the nanosecond."""
    assert parse_duration_ns(text) == duration_ns


@pytest.mark.parametrize("text", ["", "1", "s", "-1s", "1 s", "1s2s", "1.s", ".5s", "1e3s", "1S", "1min", "infs", "1s\x00"])
def test_anything_else_is_no_duration(text: str) -> None:
    """The refusal shows the text and what would do."""
    with pytest.raises(ValueError, match="is not a duration such as"):
        parse_duration_ns(text)


@given(st.integers(min_value=0, max_value=10**30))
def test_every_duration_is_read_as_it_was_written(duration_ns: int) -> None:
    """Writing is exact."""
    assert parse_duration_ns(format_duration(duration_ns)) == duration_ns


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [(0, "0s"), (90 * S, "90s"), (15 * MINUTE, "15m"), (DAY, "1d"), (1500 * MS, "1500ms"), (1, "1ns"), (S + 1, "1000000001ns")],
)
def test_a_duration_is_written_with_its_largest_whole_unit(duration_ns: int, text: str) -> None:
    """The largest unit that leaves a whole number."""
    assert format_duration(duration_ns) == text


@given(wall_times)
def test_dates_and_times_are_those_of_the_calendar(wall_ns: int) -> None:
    """The standard library's calendar agrees on every instant."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=wall_ns // 1000)
    assert civil_date(wall_ns) == moment.strftime("%Y-%m-%d")
    assert compact_utc(wall_ns) == moment.strftime("%Y%m%dT%H%M%SZ")
    assert iso_utc(wall_ns) == moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


@pytest.mark.parametrize("date", ["1970-01-01", "1999-12-31", "2000-02-29", "2000-03-01", "2100-02-28", "2100-03-01", "2024-02-29"])
def test_leap_days_and_the_ends_of_years_are_right(date: str) -> None:
    """The first and the last nanosecond of a day belong to it."""
    midnight_ns = int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()) * S
    assert [civil_date(midnight_ns), civil_date(midnight_ns + DAY - 1)] == [date, date]


@given(wall_times)
def test_a_time_of_a_file_name_is_read_as_it_was_written(wall_ns: int) -> None:
    """To the second."""
    assert parse_compact_utc(compact_utc(wall_ns)) == wall_ns // S * S


@pytest.mark.parametrize(
    "text",
    ["", "20240230T000000Z", "20241301T000000Z", "20240101T240000Z", "20240101T006000Z", "20240101T00000Z", "20240101T0000000Z",
     "20240101 000000Z", "20240101T000000z", "٢0240101T000000Z", "19691231T235959Z", "00000101T000000Z", "2024+101T000000Z"],
)  # fmt: skip
def test_other_texts_are_no_times_of_a_file_name(text: str) -> None:
    """A day that no calendar has, a time before 1970, digits of another script."""
    assert parse_compact_utc(text) is None
