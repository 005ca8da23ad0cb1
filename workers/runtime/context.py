"""What a worker's process gives to the maker of its work, behind `workers.framework.declaration.WorkerContext`."""

from collections.abc import Mapping, Sequence

import zmq
from msgspec.structs import replace

from agent.clock import SystemClock
from agent.config import BUFFER_BYTES
from agent.launch import Launch
from agent.model.heartbeat import Heartbeat
from agent.model.table import Table
from agent.model.worker_kind import Statistic
from agent.ports import Forwarder, KernelTree
from workers import registry
from workers.runtime.bus_client import BusClient
from workers.runtime.data_peer import SocketDataPeer
from workers.runtime.forwarder import SocketForwarder
from workers.runtime.kernel_tree import OpenKernelTree
from workers.runtime.outbox import SocketOutbox


class ProcessContext:
    """The ports of one worker's process. What the maker has asked for is remembered: the loop drives it, the process closes it."""

    def __init__(self, launch: Launch, context: "zmq.Context[zmq.Socket[bytes]]", clock: SystemClock, bus: BusClient) -> None:
        self.launch = launch
        self.clock = clock
        self.bus = bus
        self.heartbeat = Heartbeat()
        # By the name of the member whose rows go through it; the worker's own under "".
        self.made_outboxes: dict[str, SocketOutbox] = {}
        self.made_peer: SocketDataPeer | None = None
        self._context = context

    def tree(self, root: str) -> KernelTree:
        """See `WorkerContext`."""
        return OpenKernelTree(root)

    def outbox(self, ticks_max: int | None = None, *, member: str = "") -> SocketOutbox:
        """See `WorkerContext`."""
        assert member not in self.made_outboxes, "a worker has one outbox, and each of its members one"
        return self._make_outbox(member, ticks_max)

    def forwarder(self) -> Forwarder:
        """See `WorkerContext`."""
        return SocketForwarder(self.made_outboxes.get("") or self._make_outbox("", None))

    def _make_outbox(self, member: str, ticks_max: int | None) -> SocketOutbox:
        launch = self.launch
        # All outboxes of a process have its epoch, and tell how its starts before ended.
        identity = replace(launch.identity, worker=member) if member else launch.identity
        made = self.made_outboxes[member] = SocketOutbox(
            self._context,
            launch.data_path,
            identity,
            bytes_max=launch.config.of(BUFFER_BYTES),
            ticks_max=ticks_max,
            endings=launch.endings,
            note=lambda note: self.bus.note(replace(note, member=member)),
        )
        return made

    def data_peer(self) -> SocketDataPeer:
        """See `WorkerContext`."""
        assert self.made_peer is None, "a worker has one data socket"
        self.made_peer = SocketDataPeer(self._context, self.launch.data_path)
        return self.made_peer

    def zmq_context(self) -> "zmq.Context[zmq.Socket[bytes]]":
        """See `WorkerContext`."""
        return self._context

    def tables(self) -> Sequence[Table]:
        """See `WorkerContext`."""
        return registry.tables()

    def statistics(self) -> Mapping[str, Sequence[Statistic]]:
        """See `WorkerContext`."""
        return registry.statistics(self.launch.config)

    def close(self) -> None:
        """End all connections, and wait until what was said last has gone out."""
        for end in (self.bus, *self.made_outboxes.values(), self.made_peer):
            if end is not None:
                end.close()
        self._context.term()
