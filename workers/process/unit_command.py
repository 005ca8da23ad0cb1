"""What processes are summed by where they have no row of their own: the unit they run in and the name of their program. PURE."""

from typing import NamedTuple


class UnitCommand(NamedTuple):
    """A unit and a command in it. *Absent:* `pod_uid` is None outside of every pod and unit, `command` for further commands."""

    pod_uid: str | None
    command: str | None
