"""Numbers in as few columns as they can be read in, for the columns of `agentctl top`. PURE."""

from agent.cli.render import ABSENT
from agent.model.timebase import S, iso_utc

_BINARY = ("", "K", "M", "G", "T", "P")
_DECIMAL = ("", "k", "M", "G")
MINUTE, HOUR, DAY = 60, 3_600, 86_400
# A number of a smaller unit is preferred up to here: `90m` says more than `1h30`.
_KEPT = 100


def short_bytes(value: float | None) -> str:
    """A size in binary units, five columns at most: `0`, `512`, `1.5M`, `213M`, `1023K`."""
    return _short(value, 1024, _BINARY)


def short_count(value: float | None) -> str:
    """A number in decimal units, five columns at most: `0.3`, `12`, `9999`, `12.3k`, `1.2M`."""
    if value is not None and 10 <= value < 9_999.5:
        return str(round(value))
    return _short(value, 1000, _DECIMAL)


def _short(value: float | None, base: int, units: tuple[str, ...]) -> str:
    if value is None:
        return ABSENT
    unit = 0
    # Rounded up, 1023.7 would be 1024 of a unit.
    while value >= base - 0.5 and unit < len(units) - 1:
        value /= base
        unit += 1
    # A digit behind the point where five columns have room for it.
    has_digit = value < (99.95 if unit and base == 1000 else 9.95) and (unit > 0 or value != int(value))
    text = f"{value:.1f}" if has_digit else f"{value:.0f}"
    return "0" if text == "0.0" else text + units[unit]


def percent(share: float | None) -> str:
    """A share in percent: `117.1`."""
    return ABSENT if share is None else f"{share * 100:.1f}"


def short_age(age_ns: int | None) -> str:
    """A time in two units at most, five columns: `42s`, `99m`, `47h`, `3d04h`, `128d`."""
    if age_ns is None:
        return ABSENT
    seconds = max(0, age_ns // S)
    if seconds < _KEPT:
        return f"{seconds}s"
    if seconds < _KEPT * MINUTE:
        return f"{seconds // MINUTE}m"
    if seconds < 2 * DAY:
        return f"{seconds // HOUR}h"
    days = seconds // DAY
    return f"{days}d{seconds % DAY // HOUR:02d}h" if days < 10 else f"{days}d"


def start_time(started_wall_ns: int | None, at_wall_ns: int) -> str:
    """When something began, in UTC: the time of that day, or the date where it was another day."""
    if started_wall_ns is None or started_wall_ns < 0:
        return ABSENT
    stamp = iso_utc(started_wall_ns // S * S)
    return stamp[11:19] if stamp[:10] == iso_utc(at_wall_ns // S * S)[:10] else stamp[:10]


def grouped(number: int) -> str:
    """A whole number with a comma between thousands: `12,034`."""
    return f"{number:,}"
