"""Where groups are: paths relative to the root of the mount. PURE.

`pod_x` (a control group; where nothing can be allocated, a monitoring group), `mon_groups/pod_x` (a monitoring group of the
default group) and `other/mon_groups/pod_x` (a monitoring group inside another control group). The default group is `""`.
"""

from enum import StrEnum

from workers.resctrl.name import KERNEL_NAMES

MON_GROUPS = "mon_groups"


class GroupPlace(StrEnum):
    """Where a group stands; the words are shown to operators."""

    ROOT = "root"
    """A directory of the root: a control group, or a monitoring group where the machine only monitors."""
    MON_GROUPS = "mon_groups"
    """In the root's `mon_groups`, where new groups are made."""
    CONTROL_GROUP = "control_group"
    """In the `mon_groups` of a control group."""


def place_of(path: str) -> GroupPlace:
    """Where the group of this path stands. *Raises:* ValueError when it is the path of no group."""
    match path.split("/"):
        case [name] if _is_name(name):
            return GroupPlace.ROOT
        case ["mon_groups", name] if _is_name(name):
            return GroupPlace.MON_GROUPS
        case [control, "mon_groups", name] if _is_name(control) and _is_name(name):
            return GroupPlace.CONTROL_GROUP
    raise ValueError(
        f"{path!r} is the path of no group: name, mon_groups/name or control/mon_groups/name, from the root of the mount"
    )


def name_of(path: str) -> str:
    """The last component: the group's own name."""
    return path.rpartition("/")[2]


def holder_of(path: str) -> str:
    """The control group that a group belongs to, `""` for the default group; a group of the root belongs to that one."""
    return path.partition("/")[0] if place_of(path) is GroupPlace.CONTROL_GROUP else ""


def is_monitoring(path: str) -> bool:
    """Whether this is a monitoring group on every machine: its `tasks` lists exactly the threads that it measures."""
    return bool(path) and place_of(path) is not GroupPlace.ROOT


def under(control_group: str, name: str) -> str:
    """The path of a monitoring group inside a control group (`""`: the default group)."""
    path = f"{control_group}/{MON_GROUPS}/{name}" if control_group else f"{MON_GROUPS}/{name}"
    place_of(path)
    return path


def inside(path: str, name: str) -> str:
    """The path of a file or directory in a group, the default group included."""
    return f"{path}/{name}" if path else name


def _is_name(name: str) -> bool:
    return bool(name) and name not in KERNEL_NAMES and name not in (".", "..") and not {"\n", "\0"} & set(name)
