"""What the core orders; the work carries it out. PURE."""

from typing import Any

from msgspec import Struct

from agent.model.message import Note
from workers.keeper.protocol import ToKeeper, WorkloadRecord


class KeeperOrder(Struct, frozen=True):
    """Say this to the keeper. Whether it has arrived is known by its answer alone."""

    order: ToKeeper


class OperationDone(Struct, frozen=True):
    """Answer the operation of this number."""

    number: int
    body: dict[str, Any]


class ListingDue(Struct, frozen=True):
    """Answer the operation of this number with all workloads as they are now."""

    number: int


class StartSeen(Struct, frozen=True):
    """A workload has just been started."""

    record: WorkloadRecord


class EndingSeen(Struct, frozen=True):
    """This start of a workload has ended, and nobody has written that down yet."""

    record: WorkloadRecord


class Say(Struct, frozen=True):
    """One diagnostic event."""

    note: Note


class Remember(Struct, frozen=True):
    """What must outlive this process has changed (`remembered`)."""


WorkloadEffect = KeeperOrder | OperationDone | ListingDue | StartSeen | EndingSeen | Say | Remember
