"""The rows of minutes that go to a hub, made of the batches that a sink passes by. PURE."""

from collections.abc import Collection

from agent.model.errors import FormatError
from agent.store.batch import StoredBatch
from agent.store.record import TableForm
from agent.store.row_decoder import RowDecoder
from workers.export.hub.minute_form import MINUTE_FORMS
from workers.export.hub.parcel import MadeRows
from workers.export.hub.rollup import MinuteRollup

# Their sender's name behind that of the sampler: its own batches have the same numbers.
SENDER_SUFFIX = "/minutes"


class Minutes:
    """`tables`: the tables of minutes that are wanted."""

    def __init__(self, tables: Collection[str]) -> None:
        self.sources = tuple(name for name, form in MINUTE_FORMS.items() if form.table.name in tables)
        self._rollup = MinuteRollup()
        self._decoders: dict[str, tuple[TableForm, RowDecoder]] = {}

    def take(self, batch: StoredBatch) -> MadeRows | None:
        """The minutes that a batch completes. *Absent:* None where it completes none. *Raises:* FormatError."""
        if batch.table not in self.sources:
            return None
        try:
            rows, _ = self._decoder(batch).decode(batch.rows)
        except FormatError:
            self._rollup.left_out_rows += batch.entry.rows
            raise
        made = self._rollup.take(batch.table, batch.form, rows)
        if not made:
            return None
        entry = batch.entry
        worker = f"{entry.worker}{SENDER_SUFFIX}"
        table = MINUTE_FORMS[batch.table].table
        return MadeRows(entry.run, worker, entry.epoch, entry.seq, table, entry.stamp_wall_ns, made)

    @property
    def left_out_rows(self) -> int:
        """Rows of their sources that are in no minute, since the beginning."""
        return self._rollup.left_out_rows

    def snapshot(self) -> bytes:
        """What later rows build on; b"": nothing is made."""
        return self._rollup.snapshot() if self.sources else b""

    def restore(self, content: bytes) -> None:
        """Begin from there. *Raises:* FormatError; then it begins from nothing."""
        self._rollup = MinuteRollup()
        if content and self.sources:
            self._rollup = MinuteRollup.restore(content)

    def _decoder(self, batch: StoredBatch) -> RowDecoder:
        known = self._decoders.get(batch.table)
        if known is None or known[0] is not batch.form:
            known = self._decoders[batch.table] = (batch.form, RowDecoder(batch.form))
        return known[1]
