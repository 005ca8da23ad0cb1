"""What is wanted of resctrl, what is to be done for it, and how that ended. PURE data."""

from enum import StrEnum

from msgspec import Struct

from workers.resctrl.problem import ProblemKind

Part = tuple[str, str]
"""A unit's uid, and a container's id within it; empty: the unit itself, SANDBOX: what a pod has beside its containers."""

# The part of a runtime's pod that is none of its containers. It is measured with the pod, and counts as no container.
SANDBOX = "sandbox"


class PartState(StrEnum):
    """How a container stands: a whole pass found no thread of it outside its group, or some, or no thread at all."""

    RECONCILED = "reconciled"
    PARTIAL = "partial"
    PENDING = "pending"


class DesiredGroup(Struct, frozen=True):
    """A group as the rules want it. Its parts are whose threads belong into it."""

    group: str
    priority: int
    parts: tuple[Part, ...]


class Create(Struct, frozen=True):
    """Make the group's directory."""

    group: str


class Delete(Struct, frozen=True):
    """Remove a directory that was a group's."""

    group: str
    path: str


class Check(Struct, frozen=True):
    """Look once whether every thread of the group's parts is in it, and move those that are not."""

    group: str
    paths: tuple[str, ...]
    parts: tuple[Part, ...]


Step = Create | Delete | Check


class CheckResult(Struct, frozen=True):
    """What a check found: by part how many threads were outside when it began, None where there was no thread at all.

    `moved` of them were moved; the others had ended by then, or (`refused`) could not be moved at all, with the kernel's words in
    `detail` and the kind of it in `problem`.
    """

    paths: tuple[str, ...]
    outside: dict[Part, int | None]
    moved: int = 0
    refused: int = 0
    detail: str = ""
    problem: ProblemKind = ProblemKind.NO_PERMISSION
