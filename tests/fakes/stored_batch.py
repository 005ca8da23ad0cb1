"""Stored batches, as a reader of the spool gives them, made from values by column."""

from collections.abc import Mapping, Sequence

import msgspec

from agent.model.table import Row, Table, Value
from agent.store.batch import StoredBatch
from agent.store.place import Place
from agent.store.record import Entry, TableForm, form_of

SEGMENT = "00000000456789ab"
HOST, INSTALL, RUN = "node-1", "install-1", "run-1"
STAMP_NS = 1_700_000_000_000_000_000


def filled(table: Table, values: Mapping[str, Value]) -> Row:
    """A row with these values by column; null elsewhere."""
    assert set(values) <= set(table.column_names), set(values) - set(table.column_names)
    return tuple(values.get(name) for name in table.column_names)


def stored(
    table: Table, rows: Sequence[Mapping[str, Value]], *, seq: int = 1, worker: str = "sampler/x", stamp_ns: int = STAMP_NS
) -> StoredBatch:
    """A batch of a declared table with these rows."""
    encoded = msgspec.msgpack.encode([filled(table, row) for row in rows])
    return stored_bytes(table.name, form_of(table), encoded, len(rows), seq=seq, worker=worker, stamp_ns=stamp_ns)


def stored_bytes(
    table: str,
    form: TableForm,
    encoded: bytes,
    rows: int,
    *,
    seq: int = 1,
    worker: str = "sampler/x",
    stamp_ns: int = STAMP_NS,
) -> StoredBatch:
    """A batch with these bytes as its rows, whatever they are."""
    entry = Entry(RUN, worker, 1, seq, table, stamp_ns, rows)
    return StoredBatch(Place(SEGMENT, 100 * seq), Place(SEGMENT, 100 * seq + 100), entry, form, HOST, INSTALL, encoded)
