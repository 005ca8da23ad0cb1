"""Moments as people write them: spans ago, times of day, dates, offsets, and the hours that clocks skip or show twice."""

import io
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.local_zone import LocalZone
from agent.cli.moment import parse_moment
from agent.cli.program import run
from agent.model.errors import MisuseError

S = 10**9
BERLIN = ZoneInfo("Europe/Berlin")
# Noon UTC; in Berlin two in the afternoon of the day on which the clocks went forward at two.
SPRING = int(datetime(2024, 3, 31, 12, tzinfo=UTC).timestamp()) * S
# The clocks went back at three of this morning.
AUTUMN = int(datetime(2024, 10, 27, 12, tzinfo=UTC).timestamp()) * S


def moment(text: str, now: int = SPRING, zone: tzinfo = UTC) -> int:
    return parse_moment(text, option="--since", now_wall_ns=now, zone=zone)


def utc(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * S  # type: ignore[arg-type,misc]  # year to second, all whole


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1_200), ("-20m", 1_200), ("1h", 3_600), ("2d", 172_800), ("1w", 604_800), ("now", 0)]
)
def test_a_number_with_a_unit_is_so_long_ago(text: str, seconds: int) -> None:
    """With and without the sign that says the same."""
    assert moment(text) == SPRING - seconds * S


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-31", (2024, 1, 31)),
        ("2024-01-31T03:12", (2024, 1, 31, 3, 12)),
        ("2024-01-31 03:12:05", (2024, 1, 31, 3, 12, 5)),
        ("2024-01-31T03:12Z", (2024, 1, 31, 3, 12)),
        ("2024-01-31T03:12+05:30", (2024, 1, 30, 21, 42)),
        ("2024-01-31T03:12-0100", (2024, 1, 31, 4, 12)),
        ("03:12", (2024, 3, 31, 3, 12)),
        ("12:00", (2024, 3, 31, 12)),
        ("12:01", (2024, 3, 30, 12, 1)),
        ("12:30+01:00", (2024, 3, 31, 11, 30)),
    ],
)
def test_dates_and_times_of_day_are_understood(text: str, expected: tuple[int, ...]) -> None:
    """A date is its first moment, a time of day the last such moment, an offset stands for itself."""
    assert moment(text) == utc(*expected)


def test_a_fraction_of_a_second_is_exact() -> None:
    """Nine digits are nanoseconds."""
    assert moment("2024-01-31T03:12:05.000000001Z") == utc(2024, 1, 31, 3, 12, 5) + 1


def test_local_time_is_that_of_the_zone() -> None:
    """Winter and summer have their own offsets."""
    assert moment("2024-01-31T03:12", zone=BERLIN) == utc(2024, 1, 31, 2, 12)
    assert moment("2024-07-01T03:12", zone=BERLIN) == utc(2024, 7, 1, 1, 12)
    assert moment("2024-07-01", zone=BERLIN) == utc(2024, 6, 30, 22)


def test_a_skipped_hour_is_refused_by_date_and_passed_over_by_time() -> None:
    """02:30 was not there on the day that lost it; alone it is that of the day before."""
    with pytest.raises(MisuseError, match="the clocks skipped it; write it with Z or an offset"):
        moment("2024-03-31T02:30", zone=BERLIN)
    assert moment("02:30", zone=BERLIN) == utc(2024, 3, 30, 1, 30)
    assert moment("03:00", zone=BERLIN) == utc(2024, 3, 31, 1)


def test_an_hour_that_was_there_twice_is_the_first_by_date_and_the_last_by_time() -> None:
    """Where now is between the two, the second is still to come."""
    assert moment("2024-10-27T02:30", AUTUMN, BERLIN) == utc(2024, 10, 27, 0, 30)
    assert moment("02:30", AUTUMN, BERLIN) == utc(2024, 10, 27, 1, 30)
    assert moment("02:30", utc(2024, 10, 27, 1, 15), BERLIN) == utc(2024, 10, 27, 0, 30)


def test_a_day_without_a_midnight_begins_with_its_first_moment() -> None:
    """In Beirut the clocks went from midnight to one."""
    assert moment("2024-03-31", zone=ZoneInfo("Asia/Beirut")) == utc(2024, 3, 30, 22)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no moment; write 1h, 20m"),
        ("yesterday", "is no moment"),
        ("Z", "is no moment"),
        ("2024-01-31Z", "is no moment"),
        ("2024-01-3103:12", "write a T between date and time"),
        ("2024-1-31", "is no moment"),
        ("2023-02-29", "has no such date"),
        ("24:00", "has no such time of day"),
        ("2024-01-31T10:60", "has no such time of day"),
        ("03:12+24:00", "has no such offset"),
        ("1y", "has no known unit; write one of s, m, h, d, w"),
        ("999999w", "is before 1970"),
        ("1969-12-31", "is not between 1970 and 2261"),
        ("2262-01-01", "is not between 1970 and 2261"),
        ("1970-01-01T00:00+01:00", "is before 1970"),
        ("\x1b[2J", "is no moment"),
        ("٣h", "is no moment"),
    ],
)
def test_what_is_no_moment_is_told_with_the_reason(text: str, told: str) -> None:
    """Misuse that names the option, what is wrong, and what to write; never a control character."""
    with pytest.raises(MisuseError) as failure:
        moment(text)
    assert told in str(failure.value)
    assert str(failure.value).startswith("--since: ")
    assert str(failure.value).isprintable()


def test_a_time_of_day_that_a_whole_week_lacks_is_refused() -> None:
    """Whatever a zone does, the search ends."""

    class Jumping(tzinfo):
        """Never shows the time that it is asked for."""

        def utcoffset(self, _at: datetime | None) -> timedelta:
            return timedelta(0)

        def dst(self, _at: datetime | None) -> timedelta:
            return timedelta(0)

        def tzname(self, _at: datetime | None) -> str:
            return "jumping"

        def fromutc(self, at: datetime) -> datetime:
            return at.replace(minute=0)

    with pytest.raises(MisuseError, match="was not in the last 7 days; write the date too"):
        moment("05:30", zone=Jumping())


@given(st.text(max_size=30))
def test_any_text_is_a_moment_or_a_misuse(text: str) -> None:
    """No other failure, whatever is written."""
    try:
        found = moment(text, zone=BERLIN)
    except MisuseError:
        return
    assert 0 <= found < 1 << 63


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2260, 1, 1)),
    st.integers(-23 * 60, 23 * 60),
    st.sampled_from(["T", " "]),
)
def test_an_instant_with_its_offset_comes_back(at: datetime, offset_minutes: int, separator: str) -> None:
    """What `isoformat` writes is read to the microsecond."""
    written = at.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    found = moment(written.isoformat(separator))
    assert (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=found // 1_000)) == written


@given(st.integers(utc(2000, 1, 1) // S, utc(2037, 1, 1) // S), st.sampled_from([BERLIN, UTC, ZoneInfo("Australia/Lord_Howe")]))
def test_every_local_minute_of_the_last_day_is_found_again(now: int, zone: ZoneInfo) -> None:
    """A time of day as a clock on the wall shows it is at most a day old, plus a skipped hour."""
    shown = datetime.fromtimestamp(now, zone).strftime("%H:%M:%S")
    assert moment(shown, now * S, zone) == now * S


def test_the_local_zone_is_that_of_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """TZ is respected in every form that tzset(3) takes."""
    import time

    try:
        for name, hour in (("EST5EDT,M3.2.0,M11.1.0", 7), ("UTC0", 3), ("XXX-3", 0)):
            monkeypatch.setenv("TZ", name)
            time.tzset()
            assert moment("2024-06-15T03:00", zone=LocalZone()) == utc(2024, 6, 15, hour)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_zone_that_is_days_away_is_misuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """The C library takes it from TZ; Python has no such zones."""
    import time

    monkeypatch.setenv("TZ", "XXX-99:99")
    time.tzset()
    try:
        warnings = io.StringIO()
        assert run(["query", "FROM gap", "--since", "03:12"], {}, io.StringIO(), warnings) == 64
        assert "TZ: no moment can be told in this time zone; set another" in warnings.getvalue()
    finally:
        monkeypatch.undo()
        time.tzset()
