"""What operations on groups give back. PURE."""

from enum import StrEnum

from msgspec import Struct

from workers.resctrl.place import GroupPlace
from workers.resctrl.problem import ProblemKind


class MoveRefused(Struct, frozen=True):
    """One thread that the kernel does not move, with the kernel's reason."""

    thread_id: int
    reason: str


class Assigned(Struct, frozen=True):
    """What became of the threads that were to be moved. Every one of them is in exactly one of the four.

    `missing` had ended. `foreign` live in another control group, from where this group cannot take them. `refused` belong to
    a user whose threads this one may not move, or cannot be moved for the reason given.
    """

    assigned: int
    missing: int = 0
    foreign: frozenset[int] = frozenset()
    refused: tuple[MoveRefused, ...] = ()


class Reconciled(Struct, frozen=True):
    """How far a group holds its threads.

    `outside` threads were outside in the last look; `is_clean`: none was, and new threads start inside.
    `assigned` counts all passes. `paths` are all directories of the group, the main one first: more than one when threads live
    in other control groups. `problem` is why some could not be placed (`capacity`, `busy`, ...), None where nothing failed.
    """

    assigned: int
    passes: int
    outside: int
    is_clean: bool
    paths: tuple[str, ...]
    refused: tuple[MoveRefused, ...] = ()
    problem: ProblemKind | None = None


class FoundGroup(Struct, frozen=True, order=True):
    """One group that stands in the tree. `is_ours`: its name begins with our prefix."""

    path: str
    place: GroupPlace
    is_ours: bool


class CleanupReport(Struct, frozen=True):
    """What a cleanup did. Races are groups of ours that another program removed first."""

    removed: int = 0
    removal_failures: int = 0
    removal_races: int = 0
    non_prefix_groups: int = 0


class Mounted(StrEnum):
    """How it came that resctrl is mounted."""

    ALREADY = "already"
    NOW = "now"
