"""A hub's end of the data socket, behind `agent.ports.Forwarder`: the batches of other hosts, numbered like its own."""

from agent.model.message import ForeignBatch
from agent.ports import FORWARD_BYTES_MAX
from workers.runtime.outbox import SocketOutbox


class SocketForwarder:
    """Puts batches into the worker's outbox, which sends them and keeps them until they are acknowledged."""

    def __init__(self, outbox: SocketOutbox) -> None:
        self._outbox = outbox
        outbox.is_awaited = True

    def offer(self, batch: ForeignBatch) -> int | None:
        """See `agent.ports.Forwarder`."""
        assert len(batch.encoded) <= FORWARD_BYTES_MAX, f"{len(batch.encoded)} bytes in one batch"
        number = self._outbox.buffer.hand_on(batch)
        if number is not None:
            self._outbox.pump()
        return number

    def stored(self) -> int:
        """See `agent.ports.Forwarder`."""
        return self._outbox.buffer.acknowledged_seq
