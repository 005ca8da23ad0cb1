"""A spool of real files, written by a test batch by batch."""

from pathlib import Path

from fakes.stored_batch import HOST, RUN

from agent.model.tables import SYSTEM_TABLES
from agent.model.timebase import S
from agent.store.batch import StoredBatch
from agent.store.record import FORMAT_VERSION, Entry, SegmentHead, encode_entry, encode_head, form_of
from agent.store.segment import segment_id, segment_name
from workers import registry


class SpoolFiles:
    """The open segment of a state folder; `rotate` begins the next one."""

    def __init__(self, state: Path, wall_ns: int) -> None:
        self.folder = state / "spool"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.generation = 0
        self._seq = 0
        self.path = self.folder
        self.rotate(wall_ns)

    def rotate(self, wall_ns: int) -> Path:
        """Begin a segment; gives the path of the one before, which is the test's to remove."""
        before = self.path
        self.generation += 1
        tables = {table.name: table for table in (*registry.tables(), *SYSTEM_TABLES)}
        forms = {name: form_of(table) for name, table in tables.items()}
        head = SegmentHead(FORMAT_VERSION, segment_id(self.generation, "00000000"), HOST, RUN, "0.1", wall_ns, forms, ())
        self.path = self.folder / segment_name(head)
        self.path.write_bytes(encode_head(head))
        return before

    def append(self, batch: StoredBatch, stamp_ns: int) -> None:
        """One batch, stamped with this time."""
        self._seq += 1
        entry = Entry(RUN, "sampler/x", 1, self._seq, batch.table, stamp_ns // S * S, batch.entry.rows)
        with self.path.open("ab") as file:
            file.write(encode_entry(entry, batch.rows))
