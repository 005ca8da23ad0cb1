"""What all rows of one tick share: when it was, and how reasons are written. PURE."""

from collections.abc import Iterable

from msgspec import Struct

from agent.model.absence import Absence


class HostInterval(Struct, frozen=True):
    """A tick: when it was read, and the time since the last one; None: it is the first."""

    wall_ns: int
    elapsed_ns: int | None


def joined(reasons: Iterable[Absence]) -> str | None:
    """The text of a column `absent`: every reason once, in order. *Absent:* None without any."""
    return ",".join(dict.fromkeys(reason.value for reason in reasons)) or None
