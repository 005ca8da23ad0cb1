"""The worker's end of the data socket, behind `agent.ports.Outbox`."""

from collections.abc import Callable, Sequence

import zmq

from agent.failpoint import failpoint
from agent.model.errors import ProtocolError
from agent.model.message import DataAck, DataHello, Ending, Identity, Note, Tick, decode_from_writer, encode
from agent.model.row_check import BadRow, RowCheck, check_of
from agent.model.table import Row, Table
from workers.runtime.send_buffer import SendBuffer

# A turn of the loop takes no more than this many answers, so that a flood cannot hold it.
ANSWERS_PER_TURN_MAX = 256
# Far below the frame limit (`agent.model.message.FRAME_BYTES_MAX`): some 2,000 rows with long command lines.
PART_BYTES_MAX = 1 << 20
# A mistake in a sampler is one problem of one column, in each of its rows.
PROBLEMS_NOTED_MAX = 64


class SocketOutbox:
    """Sends batches to the writer and keeps them until they are acknowledged; never blocks."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        path: str,
        identity: Identity,
        *,
        bytes_max: int,
        ticks_max: int | None = None,
        endings: tuple[Ending, ...] = (),
        note: Callable[[Note], None] = lambda _note: None,
    ) -> None:
        self._checks: dict[str, RowCheck] = {}
        self._noted: set[tuple[str, BadRow]] = set()
        self._note = note
        self.bad_rows = 0
        self.buffer = SendBuffer(bytes_max=bytes_max, ticks_max=ticks_max, endings=endings)
        # A batch larger than the buffer would be refused for ever, one larger than a frame would never arrive.
        self._part_bytes_max = min(PART_BYTES_MAX, max(1, bytes_max // 4))
        self.malformed = 0
        # Somebody waits for what is stored: the writer's answers wake the loop.
        self.is_awaited = False
        self.writer_epoch: int | None = None
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.IDENTITY, identity.encode())
        # Nothing queues for a writer that is not there: its successor says what it has, and the buffer starts from that.
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 10)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 50)
        # An empty message goes out with every new connection: by it the writer learns that we are here.
        self.socket.setsockopt(zmq.PROBE_ROUTER, 1)
        self.socket.connect(f"ipc://{path}")

    def offer(self, table: Table, rows: Sequence[Row], stamp_wall_ns: int, tick: Tick | None = None) -> bool:
        """Send rows, see `agent.ports.Outbox`; more than `PART_BYTES_MAX` go out as several batches with one stamp.

        A row that does not fit its table is left out alone; the batch says how many were.
        """
        failpoint("outbox.before_offer")
        rows, bad_rows = self._fitting(table, rows)
        encoded = encode(list(rows))
        parts = -(-len(encoded) // self._part_bytes_max)
        if parts <= 1:
            accepted = self.buffer.offer(table.name, table.version, stamp_wall_ns, encoded, len(rows), tick, bad_rows=bad_rows)
            failpoint("outbox.buffered")
        else:
            size = -(-len(rows) // parts)
            accepted = True
            for at in range(0, len(rows), size):
                part = rows[at : at + size]
                accepted &= self.buffer.offer(
                    table.name, table.version, stamp_wall_ns, encode(list(part)), len(part), tick, bad_rows=bad_rows
                )
                bad_rows = 0
        self.pump()
        return accepted

    def _fitting(self, table: Table, rows: Sequence[Row]) -> tuple[Sequence[Row], int]:
        """The rows that fit their table, and how many do not: these are counted, and the first of a kind is noted."""
        check = self._checks.get(table.name)
        if check is None:
            check = self._checks[table.name] = check_of(table)
        good, bad = check.sift(rows)
        self.bad_rows += len(bad)
        for each in bad:
            if (table.name, each) not in self._noted and len(self._noted) < PROBLEMS_NOTED_MAX:
                self._noted.add((table.name, each))
                fields: dict[str, str | int | float | bool | None] = {
                    "table": table.name, "column": each.column, "problem": each.problem
                }  # fmt: skip
                self._note(Note(kind="bad_row", severity="error", fields=fields))
        return good, len(bad)

    def end(self) -> None:
        """No more batches."""
        self.buffer.end()
        self.pump()

    def pump(self) -> None:
        """Take the writer's answers and send what waits."""
        for _ in range(ANSWERS_PER_TURN_MAX):
            try:
                frame = self.socket.recv(zmq.DONTWAIT)
            except zmq.Again:
                break
            self._on_answer(frame)
        if self.writer_epoch is None:
            return
        for pending in self.buffer.unsent():
            try:
                self.socket.send_multipart((encode(pending.head), pending.rows), zmq.DONTWAIT, copy=True)
            except zmq.Again:
                break
            self.buffer.mark_sent()

    def stats(self) -> dict[str, int | None]:
        """The outbox in numbers, for `status` and /metrics."""
        buffer = self.buffer
        return {
            "offered_rows": buffer.offered_rows,
            "unacknowledged": len(buffer),
            "unacknowledged_bytes": buffer.size_bytes,
            "acknowledged_seq": buffer.acknowledged_seq,
            "refused_batches": buffer.refused_batches,
            "refused_rows": buffer.refused_rows,
            "bad_rows": self.bad_rows,
            "resent_batches": buffer.resent_batches,
            "malformed": self.malformed,
            "writer_epoch": self.writer_epoch,
        }

    def close(self) -> None:
        """End the connection."""
        self.socket.close(0)

    def _on_answer(self, frame: bytes) -> None:
        try:
            answer = decode_from_writer(frame)
        except ProtocolError:
            self.malformed += 1
            return
        match answer:
            case DataHello():
                self.writer_epoch = answer.writer_epoch
                self.buffer.on_new_writer(answer.have_seq)
            case DataAck():
                self.buffer.on_acknowledged(answer.seq)
