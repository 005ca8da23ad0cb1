"""The options that name moments, read by the clock and the zone of this machine."""

import time

from agent.cli.call import Call
from agent.cli.local_zone import LocalZone
from agent.cli.moment import parse_moment
from agent.cli.time_bounds import BEHIND_LAST_NS, FIRST_NS, TimeBounds
from agent.model.errors import MisuseError


def moment_of(call: Call, option: str, now_wall_ns: int) -> int | None:
    """The moment that an option names, None where it was not given. *Raises:* MisuseError."""
    text = call.text(option)
    if text is None:
        return None
    try:
        return parse_moment(text, option=option, now_wall_ns=now_wall_ns, zone=LocalZone())
    except (ValueError, OverflowError) as cause:
        # The C library takes a zone that is a day or more away from UTC.
        raise MisuseError("TZ", "no moment can be told in this time zone", "set another, or write the moment with Z") from cause


def span_of(call: Call) -> TimeBounds:
    """The range from --since on and before --until. *Raises:* MisuseError, also where the second is not behind the first."""
    # One look at the clock: `--since 1h --until 1h` is an empty range, not one of some microseconds.
    now_wall_ns = time.time_ns()
    since, until = moment_of(call, "--since", now_wall_ns), moment_of(call, "--until", now_wall_ns)
    if since is not None and until is not None and since >= until:
        raise MisuseError("--until", "it is not later than --since", "write an earlier --since or a later --until")
    return TimeBounds(FIRST_NS if since is None else since, BEHIND_LAST_NS if until is None else until)
