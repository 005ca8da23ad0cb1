"""Stored batches as messages: those of one worker and table together, divided where they are too long. PURE."""

from collections.abc import Collection, Sequence
from zlib import crc32

from msgspec import Struct

from agent.model.column_type import DType
from agent.model.errors import FormatError
from agent.model.table import Row
from agent.store.batch import StoredBatch
from agent.store.record import TableForm
from agent.store.row_decoder import RowDecoder
from agent.topic.columns import CELLS_MAX, cells_of, columns_of, encode_columns
from agent.topic.head import MessageHead, encode_headers

UNREADABLE, UNFIT, TOO_LARGE = "unreadable", "unfit_rows", "too_large"


class OutgoingMessage(Struct, frozen=True):
    """One message: the host is its key."""

    table: str
    host: str
    headers: list[tuple[str, str | bytes | None]]
    value: bytes
    rows: int


class MadeMessages(Struct, frozen=True):
    """Messages with so many rows in all, and the rows that no message can have: their number by reason, and a sentence for the
    first."""

    messages: tuple[OutgoingMessage, ...]
    refused: dict[str, int]
    sentence: str

    @property
    def rows(self) -> int:
        """Of all messages."""
        return sum(message.rows for message in self.messages)

    @property
    def size_bytes(self) -> int:
        """Of all values, before compression."""
        return sum(len(message.value) for message in self.messages)


class MessageMaker:
    """Makes the messages of some tables. `message_bytes`: the longest value. The same batches give the same messages."""

    def __init__(self, tables: Collection[str], message_bytes: int) -> None:
        self._tables = frozenset(tables)
        self._message_bytes = message_bytes
        self._decoders: dict[str, tuple[TableForm, RowDecoder]] = {}
        # Of the batches that are made into messages now.
        self._messages: list[OutgoingMessage] = []
        self._refused: dict[str, int] = {}
        self._sentence = ""

    def make(self, batches: Sequence[StoredBatch], *, is_complete: bool) -> MadeMessages:
        """`is_complete`: see `MessageHead`."""
        self._messages, self._refused, self._sentence = [], {}, ""
        groups: dict[tuple[object, ...], list[tuple[StoredBatch, Sequence[Row]]]] = {}
        for batch in batches:
            if batch.table in self._tables and (rows := self._rows(batch)):
                entry = batch.entry
                key = (batch.table, entry.run, entry.worker, entry.epoch, batch.host, batch.install, batch.form)
                groups.setdefault(key, []).append((batch, rows))
        # Of several workers that fill one table the later message may have the older rows: only behind all of them nothing is left.
        last = {(group[0][0].table, group[0][0].host): key for key, group in groups.items()}
        for each, group in groups.items():
            first = group[0][0]
            self._add(group, is_complete=is_complete and last[first.table, first.host] == each)
        return MadeMessages(tuple(self._messages), self._refused, self._sentence)

    def _rows(self, batch: StoredBatch) -> Sequence[Row]:
        """Those that fit their columns."""
        try:
            rows, bad = self._decoder(batch).decode(batch.rows)
        except FormatError as failure:
            self._refuse(UNREADABLE, batch.entry.rows, failure.sentence)
            return ()
        if bad:
            self._refuse(UNFIT, len(bad), f"table {batch.table}, column {bad[0].column or '-'}: {bad[0].problem}")
        return rows

    def _decoder(self, batch: StoredBatch) -> RowDecoder:
        known = self._decoders.get(batch.table)
        if known is None or known[0] != batch.form:
            known = self._decoders[batch.table] = (batch.form, RowDecoder(batch.form))
        return known[1]

    def _add(self, group: list[tuple[StoredBatch, Sequence[Row]]], *, is_complete: bool) -> None:
        """Messages of a group: all of it in one, else by halves of its batches, else by halves of a batch's rows."""
        waiting = [group]
        while waiting:
            taken = waiting.pop()
            value = self._value(taken[0][0], [row for _, rows in taken for row in rows])
            if value is not None:
                self._append(taken, value, is_complete=is_complete)
            elif len(taken) > 1:
                middle = len(taken) // 2
                waiting += [taken[middle:], taken[:middle]]
            else:
                self._divide(*taken[0], is_complete=is_complete)

    def _divide(self, batch: StoredBatch, rows: Sequence[Row], *, is_complete: bool) -> None:
        parts: list[tuple[Sequence[Row], bytes]] = []
        waiting = [rows]
        while waiting:
            taken = waiting.pop()
            value = self._value(batch, taken)
            if value is not None:
                parts.append((taken, value))
            elif len(taken) > 1:
                middle = len(taken) // 2
                waiting += [taken[middle:], taken[:middle]]
            else:
                sentence = f"a row of table {batch.table} is longer than message_bytes, {self._message_bytes}; raise it"
                self._refuse(TOO_LARGE, 1, sentence)
        for number, (taken, value) in enumerate(parts, start=1):
            self._append([(batch, taken)], value, is_complete=is_complete, part=number, parts=len(parts))

    def _value(self, batch: StoredBatch, rows: Sequence[Row]) -> bytes | None:
        """*Absent:* None where it is too long."""
        form = batch.form
        if len(rows) * len(form.names) > CELLS_MAX:
            return None
        columns = columns_of(batch.table, form.version, form.names, tuple(map(DType, form.dtypes)), rows)
        if cells_of(columns) > CELLS_MAX:
            return None
        value = encode_columns(columns)
        return value if len(value) <= self._message_bytes else None

    def _append(
        self,
        group: list[tuple[StoredBatch, Sequence[Row]]],
        value: bytes,
        *,
        is_complete: bool,
        part: int = 1,
        parts: int = 1,
    ) -> None:
        first, last = group[0][0], group[-1][0]
        rows = sum(len(each) for _, each in group)
        head = MessageHead(
            table=first.table,
            version=first.form.version,
            host=first.host,
            install=first.install,
            run=first.entry.run,
            worker=first.entry.worker,
            epoch=first.entry.epoch,
            first_seq=first.entry.seq,
            last_seq=last.entry.seq,
            rows=rows,
            crc=crc32(value),
            first_stamp_ns=first.entry.stamp_wall_ns,
            last_stamp_ns=last.entry.stamp_wall_ns,
            is_complete=is_complete,
            part=part,
            parts=parts,
        )
        self._messages.append(OutgoingMessage(first.table, first.host, [*encode_headers(head)], value, rows))

    def _refuse(self, reason: str, rows: int, sentence: str) -> None:
        self._refused[reason] = self._refused.get(reason, 0) + rows
        self._sentence = self._sentence or sentence
