"""What a sampler is made with that shares its process: the process's own ports, under the sampler's name."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agent.launch import Launch
from agent.model.heartbeat import Heartbeat
from agent.model.message import Condition, Note
from agent.model.rule_state import Change
from agent.model.table import Table
from agent.model.worker_kind import Statistic
from agent.ports import Bus, Clock, DataPeer, Forwarder, KernelTree, Outbox
from workers.framework.declaration import WorkerContext

if TYPE_CHECKING:
    import zmq


class MemberBus:
    """`agent.ports.Bus`: what is lasting and what has happened is said in the name of one member."""

    def __init__(self, bus: Bus, member: str) -> None:
        self._bus = bus
        self._member = member

    def publish(self, changes: Sequence[Change], *, complete: bool) -> None:
        """See `agent.ports.Bus`."""
        self._bus.publish(changes, complete=complete)

    def condition(self, condition: Condition) -> None:
        """See `agent.ports.Bus`."""
        self._bus.condition(replace(condition, member=self._member))

    def note(self, note: Note) -> None:
        """See `agent.ports.Bus`."""
        self._bus.note(replace(note, member=self._member))

    def delivered(self, sender: int, have_seq: int) -> None:
        """See `agent.ports.Bus`."""
        self._bus.delivered(sender, have_seq)

    def request(self, what: str) -> int:
        """See `agent.ports.Bus`."""
        return self._bus.request(what)


class MemberContext:
    """`workers.framework.declaration.WorkerContext` of one member; `around` is that of the process."""

    def __init__(self, around: WorkerContext, member: str) -> None:
        self._around = around
        self._member = member
        self._bus = MemberBus(around.bus, member)

    @property
    def launch(self) -> Launch:
        """See `WorkerContext`."""
        return self._around.launch

    @property
    def clock(self) -> Clock:
        """See `WorkerContext`."""
        return self._around.clock

    @property
    def bus(self) -> Bus:
        """See `WorkerContext`."""
        return self._bus

    @property
    def heartbeat(self) -> Heartbeat:
        """See `WorkerContext`."""
        return self._around.heartbeat

    def tree(self, root: str) -> KernelTree:
        """See `WorkerContext`."""
        return self._around.tree(root)

    def outbox(self, ticks_max: int | None = None, *, member: str = "") -> Outbox:
        """See `WorkerContext`."""
        return self._around.outbox(ticks_max, member=member or self._member)

    def forwarder(self) -> Forwarder:
        """See `WorkerContext`."""
        return self._around.forwarder()

    def data_peer(self) -> DataPeer:
        """See `WorkerContext`."""
        return self._around.data_peer()

    def zmq_context(self) -> "zmq.Context[zmq.Socket[bytes]]":
        """See `WorkerContext`."""
        return self._around.zmq_context()

    def tables(self) -> Sequence[Table]:
        """See `WorkerContext`."""
        return self._around.tables()

    def statistics(self) -> Mapping[str, Sequence[Statistic]]:
        """See `WorkerContext`."""
        return self._around.statistics()
