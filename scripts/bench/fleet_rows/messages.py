"""Batches of a fleet as messages of Kafka, as the sink writes them: each batch a message, encoded once for all nodes alike.

Of a node's message only headers and times differ from those of others that play the same minute in the same variant. So columns
without times are encoded once, and a message costs some microseconds for each column of times.
"""

from collections.abc import Iterable, Iterator
from zlib import crc32

import msgspec
from msgspec import Struct

from agent.store.row_decoder import dtypes_of
from agent.topic.columns import TopicColumn, TopicRows, columns_of, encode_columns
from agent.topic.head import Header, MessageHead, encode_headers
from agent.topic.topic import partition_of, topic_of
from fleet_rows.fleet import DueBatch, FleetClock, is_time, is_window_time
from fleet_rows.identity import MARK, marked, number_text
from fleet_rows.recording import RecordedBatch
from fleet_rows.variant import Variant, varied

# What the sink lets a message have, before compression.
MESSAGE_BYTES_MAX = 900_000
_MARK = MARK.encode()


class FleetMessage(Struct, frozen=True):
    """One message, ready to be produced."""

    topic: str
    partition: int
    key: bytes
    headers: list[Header]
    value: bytes
    rows: int


class MessageTemplate:
    """The message of one batch in one variant, but for its times."""

    def __init__(self, batch: RecordedBatch, variant: Variant) -> None:
        form = batch.form
        rows = marked(varied(batch.table, form.names, batch.rows, variant))
        found = columns_of(batch.table, form.version, form.names, dtypes_of(form), rows)
        self.topic = topic_of(batch.table)
        self._empty = TopicRows(found.table, found.version, found.rows, ())
        self._head = encode_columns(self._empty)
        # Bytes, or a column of times and whether the phase belongs to it.
        self._parts: list[bytes | tuple[TopicColumn, bool]] = []
        for column in found.columns:
            # A column without any value has nothing that could be moved.
            if is_time(column.name) and column.base:
                self._parts.append((column, not is_window_time(column.name)))
            else:
                self._parts.append(self._column(column))

    def value(self, shift_ns: int, phase_ns: int, number: bytes) -> bytes:
        """The value of a message whose times are moved so far; `number` is that of the node in its identities."""
        parts = [
            part
            if isinstance(part, bytes)
            else self._column(msgspec.structs.replace(part[0], base=part[0].base + shift_ns + (phase_ns if part[1] else 0)))
            for part in self._parts
        ]
        return (self._head + b"".join(parts)).replace(_MARK, number)

    def _column(self, column: TopicColumn) -> bytes:
        return encode_columns(msgspec.structs.replace(self._empty, columns=(column,)))[len(self._head) :]


class MessageMaker:
    """Makes the messages of a fleet. Templates are kept: so many variants of so many recorded batches there are."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._templates: dict[tuple[int, Variant], MessageTemplate] = {}
        self._partition_of: dict[str, int] = {}

    def messages(self, due: Iterable[DueBatch]) -> Iterator[FleetMessage]:
        """In the order of the batches."""
        for each in due:
            node, batch = each.node, each.batch
            value = self._template(each.batch, node.variant).value(each.shift_ns, node.phase_ns, number_text(node.number).encode())
            assert len(value) <= MESSAGE_BYTES_MAX, f"{batch.table}: {len(value)} bytes"
            head = MessageHead(
                table=batch.table,
                version=batch.form.version,
                host=node.name,
                install=node.install,
                run=node.run,
                worker=batch.worker,
                epoch=1,
                first_seq=each.seq,
                last_seq=each.seq,
                rows=len(batch.rows),
                crc=crc32(value),
                first_stamp_ns=each.stamp_ns,
                last_stamp_ns=each.stamp_ns,
                is_complete=True,
            )
            yield FleetMessage(
                topic_of(batch.table), self._partition(node.name), node.name.encode(), encode_headers(head), value, head.rows
            )

    def prepare(self, clock: FleetClock) -> None:
        """Make all templates that messages of a fleet need: they cost as much for ten nodes as for ten thousand."""
        for variant in {node.variant for node in clock.nodes}:
            for minute in (*clock.recorded, *filter(None, [clock.names])):
                for batch in minute.batches:
                    self._template(batch, variant)

    def _template(self, batch: RecordedBatch, variant: Variant) -> MessageTemplate:
        # The clock keeps all batches, so that none has the id of another.
        key = (id(batch), variant)
        if key not in self._templates:
            self._templates[key] = MessageTemplate(batch, variant)
        return self._templates[key]

    def _partition(self, host: str) -> int:
        if host not in self._partition_of:
            self._partition_of[host] = partition_of(host, self._partitions)
        return self._partition_of[host]
