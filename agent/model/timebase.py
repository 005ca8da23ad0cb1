"""Time is an integer of nanoseconds. PURE: nothing here reads a clock.

`now_ns` in a signature is the monotonic clock unless the name says `wall`.
"""

import re

US = 1_000
MS = 1_000_000
S = 1_000_000_000
MINUTE = 60 * S
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_NS_BY_SUFFIX = {"ns": 1, "us": US, "ms": MS, "s": S, "m": MINUTE, "h": HOUR, "d": DAY}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)")


def parse_duration_ns(text: str) -> int:
    """The nanoseconds that `250ms`, `1s`, `1.5s`, `2m`, `1h` mean.

    *Raises:* ValueError when the text is not one number with one unit.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a duration such as 250ms, 1s or 15m")
    whole, _, fraction = found[1].partition(".")
    scale = _NS_BY_SUFFIX[found[2]]
    return int(whole) * scale + (int(fraction) * scale // 10 ** len(fraction) if fraction else 0)


def format_duration(duration_ns: int) -> str:
    """The shortest exact writing with one unit: 90_000_000_000 is `90s`, 900 s is `15m`."""
    for suffix in ("d", "h", "m", "s", "ms", "us"):
        if duration_ns and duration_ns % _NS_BY_SUFFIX[suffix] == 0:
            return f"{duration_ns // _NS_BY_SUFFIX[suffix]}{suffix}"
    return f"{duration_ns}ns" if duration_ns else "0s"


def civil_date(wall_ns: int) -> str:
    """The UTC date `YYYY-MM-DD` of a unix time in nanoseconds, without the standard library's clock modules.

    *Range:* from 1970-01-01 on. *Source:* the days-from-civil algorithm (proleptic Gregorian calendar).
    """
    days = wall_ns // DAY + 719_468
    era, day_of_era = divmod(days, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    return f"{year:04d}-{month:02d}-{day:02d}"


def compact_utc(wall_ns: int) -> str:
    """A unix time as `YYYYMMDDTHHMMSSZ`, for file names."""
    second = wall_ns // S % 86_400
    return f"{civil_date(wall_ns).replace('-', '')}T{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}Z"


def parse_compact_utc(text: str) -> int | None:
    """The unix time that `compact_utc` wrote, in nanoseconds; None: the text is no such time.

    *Range:* from 1970-01-01 to the year 9999. *Source:* the days-from-civil algorithm, backwards.
    """
    digits = text[:8] + text[9:15]
    if len(text) != 16 or text[8] != "T" or text[15] != "Z" or not (digits.isascii() and digits.isdecimal()):
        return None
    year, month, day = int(text[:4]), int(text[4:6]), int(text[6:8])
    second = int(text[9:11]) * 3600 + int(text[11:13]) * 60 + int(text[13:15])
    shifted_year, shifted_month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    day_of_year = (153 * shifted_month + 2) // 5 + day - 1
    days = shifted_year * 365 + shifted_year // 4 - shifted_year // 100 + shifted_year // 400 + day_of_year - 719_468
    wall_ns = (days * 86_400 + second) * S
    # A 31st of February, a minute 61: written back, it is another time.
    return wall_ns if wall_ns >= 0 and compact_utc(wall_ns) == text else None


def iso_utc(wall_ns: int) -> str:
    """A unix time as `YYYY-MM-DDTHH:MM:SS.mmmZ`, for people and logs."""
    second = wall_ns // S % 86_400
    clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{wall_ns // MS % 1000:03d}"
    return f"{civil_date(wall_ns)}T{clock}Z"
