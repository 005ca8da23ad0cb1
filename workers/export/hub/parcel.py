"""One delivery of rows to a hub: the batches as they are stored, undecoded. PURE."""

from collections.abc import Mapping, Sequence, Set
from zlib import crc32

import msgspec
from msgspec import Struct

from agent.fleet.message import BATCHES_MAX, RowBatch, RowsHead, encode_rows_head
from agent.model.table import Row, Table
from agent.store.batch import StoredBatch
from agent.store.record import TableForm, form_of

_ENCODER = msgspec.msgpack.Encoder()


class RowsParcel(Struct, frozen=True):
    """`problem`: what could not be made of these batches; empty: nothing.

    *Shape:* `rows` has the rows of each batch, `forms` the columns of their tables by checksum.
    """

    batches: list[RowBatch]
    forms: Mapping[int, TableForm]
    rows: tuple[bytes, ...]
    problem: str = ""

    @property
    def size_bytes(self) -> int:
        """How many bytes of rows travel."""
        return sum(map(len, self.rows))

    @property
    def points(self) -> int:
        """How many rows."""
        return sum(batch.rows for batch in self.batches)

    @property
    def deliveries(self) -> list["RowsParcel"]:
        """What of it goes out at once, in its order: a hub takes no delivery of more than BATCHES_MAX batches, however small."""
        parts = [slice(start, start + BATCHES_MAX) for start in range(0, len(self.batches), BATCHES_MAX)]
        return [RowsParcel(self.batches[part], self.forms, self.rows[part]) for part in parts]

    def frames(self, number: int, known_forms: Set[int]) -> tuple[bytes, ...]:
        """What is sent, without the columns that the hub knows."""
        news = {word: form for word, form in self.forms.items() if word not in known_forms}
        return (encode_rows_head(RowsHead(number, self.batches, news)), *self.rows)


def form_word(form: TableForm) -> int:
    """The checksum of the columns of a table."""
    return crc32(_ENCODER.encode(form))


class MadeRows(Struct, frozen=True):
    """Rows that the sink made of stored ones. They have the number of the batch that completed them, under a sender of their
    own."""

    run: str
    worker: str
    epoch: int
    seq: int
    table: Table
    stamp_wall_ns: int
    rows: Sequence[Row]


class ParcelMaker:
    """Puts one delivery together. Its order is that in which batches are added."""

    def __init__(self) -> None:
        self.problem = ""
        # By the identity of a form, which is held with its word: another one has the identity of one that is gone.
        self._words: dict[int, tuple[TableForm, int]] = {}
        self._forms: dict[int, TableForm] = {}
        self._heads: list[RowBatch] = []
        self._rows: list[bytes] = []

    def add(self, batch: StoredBatch) -> None:
        """A batch as it is stored."""
        entry = batch.entry
        word = self._word(batch.form)
        self._heads.append(
            RowBatch(entry.run, entry.worker, entry.epoch, entry.seq, entry.table, entry.stamp_wall_ns, entry.rows, word)
        )
        self._rows.append(bytes(batch.rows))

    def add_made(self, made: MadeRows) -> None:
        """Rows that the sink made."""
        word = self._word(form_of(made.table))
        head = RowBatch(made.run, made.worker, made.epoch, made.seq, made.table.name, made.stamp_wall_ns, len(made.rows), word)
        self._heads.append(head)
        self._rows.append(_ENCODER.encode(made.rows))

    def parcel(self) -> RowsParcel | None:
        """*Absent:* None where nothing was added, and there is no problem."""
        if not self._heads and not self.problem:
            return None
        return RowsParcel(self._heads, self._forms, tuple(self._rows), self.problem)

    def _word(self, form: TableForm) -> int:
        # Batches of one segment share the object that describes their table.
        known = self._words.get(id(form))
        if known is None:
            known = self._words[id(form)] = (form, form_word(form))
            self._forms[known[1]] = form
        return known[1]
