"""Moments as people write them on a command line, as unix time. PURE.

`1h`, `20m` and `2d` mean this time ago, `-20m` too; `03:12` is the last such moment; a date is its first moment. Dates and times
of day without an offset are local time, of the zone that is handed in.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from agent.model.errors import MisuseError
from agent.model.timebase import S

_SECONDS_BY_UNIT = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
# One number: `1h30m` would be a second way to write 90m.
_AGO = re.compile(r"-?([0-9]{1,9})([a-zA-Z]{1,9})")
_DATE = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
_TIME = r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
_OFFSET = r"(Z|z|[+-][0-9]{2}:?[0-9]{2})?"
_CIVIL = re.compile(rf"(?:{_DATE})?(?:(?:[Tt ])?{_TIME})?{_OFFSET}")
# What fits 64 bits of nanoseconds, with a year to spare for arithmetic on it.
_FIRST_YEAR, _LAST_YEAR = 1970, 2261
# A zone that jumped over a whole day (Samoa, 2011) has no such time on it; behind a week none is looked for.
_DAYS_BACK_MAX = 7

ACCEPTED = "1h, 20m, 2d, 03:12, 2024-01-31 or 2024-01-31T03:12, with Z or an offset such as +01:00 where it is not local time"


def parse_moment(text: str, *, option: str, now_wall_ns: int, zone: tzinfo) -> int:
    """The moment that a text names, in unix nanoseconds.

    *Range:* 1970 to 2261. A local time that the clocks showed twice is the first of the two; `03:12` alone is the latest that
    is not in the future.
    *Raises:* MisuseError that names the option and what is wrong: the form, a date or time that does not exist, a local time
    that the clocks skipped.
    """
    assert now_wall_ns >= 0
    if text == "now":
        return now_wall_ns
    if (ago := _AGO.fullmatch(text)) is not None:
        return _ago(text, int(ago[1]), ago[2], option, now_wall_ns)
    found = _CIVIL.fullmatch(text)
    if found is None or not (found[1] or found[4]) or (found[8] and not found[4]):
        raise MisuseError(option, f"{text!a} is no moment", f"write {ACCEPTED}")
    if found[1] and found[4] and text[10] not in "Tt ":
        raise MisuseError(option, f"{text!a} is no moment", "write a T between date and time")
    clock, fraction_ns = _time_of_day(text, found, option)
    its_zone = _zone_of(text, found[8], option) or zone
    if not found[1]:
        return _last_time_of_day(text, clock, fraction_ns, its_zone, option, now_wall_ns)
    civil = datetime.combine(_date_of(text, found, option), clock)
    # Where the clocks skip midnight, a day begins with its first moment.
    moment = _wall_ns(civil, its_zone) if found[4] is None else _existing(civil, its_zone)
    if moment is None:
        raise MisuseError(option, f"{text} does not exist in local time: the clocks skipped it", "write it with Z or an offset")
    if moment < 0:
        raise MisuseError(option, f"{text!a} is before {_FIRST_YEAR}", "write a later time")
    return moment + fraction_ns


def _ago(text: str, count: int, unit: str, option: str, now_wall_ns: int) -> int:
    seconds = _SECONDS_BY_UNIT.get(unit)
    if seconds is None:
        raise MisuseError(option, f"{text!a} has no known unit", f"write one of {', '.join(_SECONDS_BY_UNIT)} behind the number")
    moment = now_wall_ns - count * seconds * S
    if moment < 0:
        raise MisuseError(option, f"{text!a} is before {_FIRST_YEAR}", "write a shorter time")
    return moment


def _time_of_day(text: str, found: "re.Match[str]", option: str) -> tuple[time, int]:
    """The time of day to the second, and the nanoseconds beyond it; midnight where none is written."""
    try:
        clock = time(int(found[4] or 0), int(found[5] or 0), int(found[6] or 0))
    except ValueError as cause:
        raise MisuseError(option, f"{text!a} has no such time of day", "write 00:00 to 23:59:59") from cause
    return clock, int((found[7] or "").ljust(9, "0"))


def _date_of(text: str, found: "re.Match[str]", option: str) -> date:
    try:
        day = date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError as cause:
        raise MisuseError(option, f"{text!a} has no such date", "write YEAR-MONTH-DAY, such as 2024-01-31") from cause
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise MisuseError(option, f"{text!a} is not between {_FIRST_YEAR} and {_LAST_YEAR}", "write another year")
    return day


def _zone_of(text: str, offset: str | None, option: str) -> tzinfo | None:
    """The zone that is written; None: local time."""
    if offset is None:
        return None
    if offset in "Zz":
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    if hours > 23 or minutes > 59:
        raise MisuseError(option, f"{text!a} has no such offset", "write an offset such as +01:00")
    from datetime import timezone

    span = timedelta(hours=hours, minutes=minutes)
    return timezone(-span if offset[0] == "-" else span)


def _last_time_of_day(text: str, clock: time, fraction_ns: int, zone: tzinfo, option: str, now_wall_ns: int) -> int:
    today = (datetime.fromtimestamp(0, UTC) + timedelta(seconds=now_wall_ns // S)).astimezone(zone).date()
    for days_back in range(_DAYS_BACK_MAX + 1):
        civil = datetime.combine(today - timedelta(days=days_back), clock)
        # The second time that the clocks showed it is the later one.
        for fold in (1, 0):
            moment = _existing(civil.replace(fold=fold), zone)
            if moment is not None and moment + fraction_ns <= now_wall_ns:
                return moment + fraction_ns
    raise MisuseError(option, f"{text!a} was not in the last {_DAYS_BACK_MAX} days", "write the date too")


def _existing(civil: datetime, zone: tzinfo) -> int | None:
    """The moment of a local time; None where the clocks skipped it."""
    moment = _wall_ns(civil, zone)
    # Only a time that exists comes back from UTC as it was (PEP 495).
    back = (datetime.fromtimestamp(0, UTC) + timedelta(seconds=moment // S)).astimezone(zone)
    return moment if back.replace(tzinfo=None, fold=0) == civil.replace(fold=0) else None


def _wall_ns(civil: datetime, zone: tzinfo) -> int:
    since_epoch = civil.replace(tzinfo=zone) - datetime.fromtimestamp(0, UTC)
    return (since_epoch.days * 86_400 + since_epoch.seconds) * S
