"""Reads the spool into the board: the last minutes once, then what comes, in turns that keep nobody waiting. PURE."""

from agent.model.errors import EvergaugeError
from agent.model.timebase import S
from agent.store.place import Place
from workers.gateway.batch_source import BatchSource
from workers.gateway.node.board import SECONDS_MAX, NodeBoard

# Encoded rows of one turn: some 10 ms.
TURN_BYTES = 64 << 10
# Batches that are not taken are passed over by the head of their record.
SKIPPED_BYTES = 512 << 10
# Of the past only units and the host are shown; processes are those of the last tick.
PROCESSES_NS = 3 * S


class NodeFeed:
    """`turn` until it says that all is read; again from then on whenever there may be more.

    `problem`: why nothing can be read; "" where it can.
    """

    def __init__(self, source: BatchSource, board: NodeBoard, wall_ns: int) -> None:
        self.problem = ""
        # The past is read, and what follows is told as it comes.
        self.is_current = False
        self._source = source
        self._board = board
        self._begun_ns = wall_ns
        self._since_ns = wall_ns - SECONDS_MAX * S
        self._after: Place | None = None

    def turn(self) -> bool:
        """Read a portion. True: there is no more now."""
        try:
            if self._after is None:
                self._after = self._source.begin(self._since_ns)
            is_over = self._read(self._after)
        except EvergaugeError as failure:
            self.problem = str(failure)
            self._after = None
            self.is_current = True
            return True
        self.problem = ""
        if is_over and not self.is_current:
            self._board.forget_changes()
            self.is_current = True
        return is_over

    def close(self) -> None:
        """Hold nothing open."""
        self._source.close()

    def _read(self, after: Place) -> bool:
        batches = self._source.read(after, TURN_BYTES if self.is_current else SKIPPED_BYTES)
        taken_bytes = 0
        for batch in batches:
            if taken_bytes >= TURN_BYTES:
                return False
            self._after = batch.behind
            stamp_ns = batch.entry.stamp_wall_ns
            if stamp_ns < self._since_ns or (batch.table == "process" and stamp_ns < self._begun_ns - PROCESSES_NS):
                continue
            self._board.take(batch)
            taken_bytes += len(batch.rows)
        return not batches
