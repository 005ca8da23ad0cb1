"""From messages to what is appended for them and what is answered once it is. PURE.

An `AppendBatch` is one turn of the loop: its frames are appended in one write, and only after that its answers are sent.
"""

from collections.abc import Mapping, Sequence
from typing import assert_never

from agent.model.message import FRAME_BYTES_MAX, Batch, BatchOrigin, Identity, decode_to_writer, encode
from agent.model.table import Table
from agent.model.tables import GAP
from agent.store.record import Entry, encode_entry
from workers.writer.core import Accept, Decision, Duplicate, Resend, WriterCore
from workers.writer.foreign import ForeignCounts
from workers.writer.gap import Gap, Reason

# An empty msgpack array: a Bye has no rows.
_NO_ROWS = b"\x90"


class AppendBatch:
    """Frames to append, and what may be said once they are: acknowledgements and, to `greeted`, what is stored."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.rows_by_table: dict[str, int] = {}
        self.acks: dict[Identity, int] = {}
        self.greeted: dict[Identity, None] = {}
        self.gaps: list[Gap] = []
        self.batches = 0
        self.duplicates = 0
        self.bytes = 0
        self.foreign = ForeignCounts()


class Intake:
    """Turns messages into frames; `tables` are those that a batch may name, `identity` is the writer's own."""

    def __init__(self, identity: Identity, tables: Mapping[str, Table]) -> None:
        self._identity = identity
        self._tables = tables

    def take(self, core: WriterCore, who: Identity, message: bytes, rows: bytes, wall_ns: int, append: AppendBatch) -> None:
        """Decide one message. *Raises:* ProtocolError, and then nothing has come of it."""
        decoded = decode_to_writer(message)
        if isinstance(decoded, Batch):
            refusal = self._refusal(core, decoded, rows)
            verdict = core.on_batch(who, decoded, refusal=refusal)
            if decoded.origin is not None and isinstance(verdict, Accept):
                self._gather_foreign(core, verdict, decoded, decoded.origin, rows, wall_ns, append)
                append.foreign.refused.update([refusal] if refusal else ())
            else:
                self._gather(verdict, decoded, rows, wall_ns, append)
        else:
            self._gather(core.on_bye(who, decoded), None, _NO_ROWS, wall_ns, append)

    def add_gaps(self, gaps: Sequence[Gap], wall_ns: int, append: AppendBatch) -> None:
        """Rows of table `gap`, in one record, so that a killed writer leaves all of them or none."""
        if gaps:
            own = self._identity
            entry = Entry(own.run, own.worker, own.epoch, 0, GAP.name, wall_ns, len(gaps))
            _add_frame(entry, encode([gap.row(wall_ns) for gap in gaps]), append)
            append.gaps += gaps

    def _refusal(self, core: WriterCore, batch: Batch, rows: bytes) -> str | None:
        table = self._tables.get(batch.table)
        if batch.origin is not None:
            if (refusal := core.foreign.refusal(batch, batch.origin)) is not None:
                return refusal
        elif table is None or table.version != batch.table_version:
            return Reason.UNKNOWN_TABLE
        # Rows are not decoded here, that is the sealer's work; their announced number is one look at the first bytes.
        return None if len(rows) <= FRAME_BYTES_MAX and array_length(rows) == batch.rows else Reason.MALFORMED_ROWS

    def _gather(self, verdict: Decision, batch: Batch | None, rows: bytes, wall_ns: int, append: AppendBatch) -> None:
        match verdict:
            case Accept():
                self.add_gaps(verdict.gaps, wall_ns, append)
                if verdict.stored:
                    _add_frame(_entry_of(verdict, batch, wall_ns), rows, append)
                    append.batches += batch is not None
                append.acks[verdict.who] = verdict.mark.seq
            case Duplicate():
                append.duplicates += 1
                append.acks[verdict.who] = max(append.acks.get(verdict.who, 0), verdict.ack_seq)
            case Resend():
                if verdict.ask:
                    append.greeted[verdict.who] = None
            case _:
                assert_never(verdict)

    def _gather_foreign(
        self, core: WriterCore, verdict: Accept, batch: Batch, origin: BatchOrigin, rows: bytes, wall_ns: int, append: AppendBatch
    ) -> None:
        """Rows of another host, with their mark in one record. What was stored before leaves a record that its number came."""
        self.add_gaps(verdict.gaps, wall_ns, append)
        who, seq = verdict.who, verdict.mark.seq
        if verdict.is_known:
            _add_frame(Entry(who.run, who.worker, who.epoch, seq, "", wall_ns, 0), _NO_ROWS, append)
            append.duplicates += 1
            append.foreign.duplicates += 1
        elif verdict.stored:
            stamp, about = batch.stamp_wall_ns, core.foreign.entry_origin(batch, origin)
            _add_frame(Entry(who.run, who.worker, who.epoch, seq, "", stamp, batch.rows, origin=about), rows, append)
            append.foreign.batches += 1
            append.foreign.rows += batch.rows
        append.acks[who] = seq


def array_length(data: bytes) -> int | None:
    """How many items a msgpack array announces; None when the bytes begin with none. *Source:* the msgpack specification."""
    if not data:
        return None
    first = data[0]
    if 0x90 <= first <= 0x9F:
        return first & 0x0F
    if first == 0xDC and len(data) >= 3:
        return int.from_bytes(data[1:3], "big")
    if first == 0xDD and len(data) >= 5:
        return int.from_bytes(data[1:5], "big")
    return None


def _entry_of(accept: Accept, batch: Batch | None, wall_ns: int) -> Entry:
    who = accept.who
    if batch is None:
        table, stamp_wall_ns, rows = "", wall_ns, 0
    else:
        table, stamp_wall_ns, rows = batch.table, batch.stamp_wall_ns, batch.rows
    mark = accept.mark
    return Entry(
        who.run, who.worker, who.epoch, mark.seq, table, stamp_wall_ns, rows,
        ended=batch is None, tick=mark.tick, ticks_missed=mark.ticks_missed,
    )  # fmt: skip


def _add_frame(entry: Entry, rows: bytes, append: AppendBatch) -> None:
    frame = encode_entry(entry, rows)
    append.frames.append(frame)
    append.bytes += len(frame)
    if entry.rows and entry.origin is None:
        append.rows_by_table[entry.table] = append.rows_by_table.get(entry.table, 0) + entry.rows
