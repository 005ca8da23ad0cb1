"""The first line of every screen of `agentctl top`: host, time, age of the data and the reason for its age. PURE."""

from msgspec import Struct

from agent.cli.render import seconds_of, text_of
from agent.model.timebase import S, iso_utc

# A tick comes every second; what is older than this is no longer live.
LIVE_SECONDS = 5.0


class HistoryMoment(Struct, frozen=True):
    """A moment of the past that is shown, and what the shown tick is to it.

    `is_near`: the tick is what was the newest then. Else `before_ns` and `after_ns` are the nearest ticks around the moment (None:
    there is none on that side), and `gaps` say what is known to be missing then, and which files were not read.
    """

    asked_ns: int
    is_near: bool
    before_ns: int | None = None
    after_ns: int | None = None
    gaps: tuple[str, ...] = ()


def heading(
    host: str,
    at_wall_ns: int,
    now_wall_ns: int,
    trouble: str,
    moment: HistoryMoment | None = None,
    *,
    live_seconds: float = LIVE_SECONDS,
) -> str:
    """The line; `trouble` says what is wrong with the agent; empty: nothing. `moment`: the one that is shown, None: now."""
    if moment is not None:
        return f"{text_of(host)}   {_stamp(at_wall_ns)}   {_of_moment(at_wall_ns, moment)}"
    age_seconds = max(0.0, (now_wall_ns - at_wall_ns) / 1e9)
    age = seconds_of(round(age_seconds, 1))
    why = trouble or ("no new samples" if age_seconds > live_seconds else "")
    told = f"{why}: data is {age} old" if why else f"data is {age} old"
    clock = now_wall_ns // 1_000_000_000 % 86_400
    at = f"{clock // 3600:02d}:{clock // 60 % 60:02d}:{clock % 60:02d} UTC"
    return f"{text_of(host)}   {at}   {told}"


def _stamp(wall_ns: int) -> str:
    """Date and time to the second."""
    return iso_utc(wall_ns // S * S)[:19].replace("T", " ") + " UTC"


def _of_moment(at_wall_ns: int, moment: HistoryMoment) -> str:
    """How the shown tick lies to the moment that was asked for."""
    if moment.is_near:
        return _away(at_wall_ns, moment.asked_ns)
    others = [stamp for stamp in (moment.before_ns, moment.after_ns) if stamp is not None and stamp != at_wall_ns]
    gaps = f" ({text_of(', '.join(moment.gaps))})" if moment.gaps else ""
    # The distance comes first: a narrow terminal cuts the rest.
    told = [_away(at_wall_ns, moment.asked_ns), f"no data at {_stamp(moment.asked_ns)}{gaps}"]
    told += [f"the other nearest {_away(stamp, moment.asked_ns)}" for stamp in others]
    return "; ".join(told)


def _away(at_wall_ns: int, asked_ns: int) -> str:
    seconds = (at_wall_ns - asked_ns) / S
    if abs(seconds) < 0.05:
        return "as asked"
    return f"{seconds_of(round(abs(seconds), 1))} {'before' if seconds < 0 else 'after'} the moment asked for"
