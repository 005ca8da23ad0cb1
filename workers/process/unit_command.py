"""What processes are summed by where they have no row of their own: the unit they run in and the name of their program. PURE."""

from typing import NamedTuple


class UnitCommand(NamedTuple):
    """A unit and a command in it. *Absent:* `pod_uid` is None outside of every pod and unit, `command` for further commands."""

    pod_uid: str | None
    command: str | None


def command_of(comm: str, *, is_kernel_thread: bool) -> str:
    """The name by which processes are summed: `comm`, and for kernel threads the family, without CPU, device and number.

    A host has hundreds of `kworker/3:1-events` and `ksoftirqd/7`, whose names say where they run, not what they are.
    """
    if not is_kernel_thread:
        return comm
    family, slash, _ = comm.partition("/")
    return (family if slash else comm.rstrip("0123456789").rstrip("_-")) or comm
