"""Whole segments of the spool for tests that seal or recover them."""

from fakes.sender import SAMPLE, sample_rows

from agent.model.message import Identity, encode
from agent.model.tables import GAP
from agent.model.timebase import S
from agent.store.record import FORMAT_VERSION, Entry, Mark, SegmentHead, encode_entry, encode_head, form_of

WALL_NS = 1_700_000_000 * S
WHO = Identity("run-1", "process", 1)


def head_of(segment: str = "00000000456789ab", marks: tuple[Mark, ...] = ()) -> SegmentHead:
    """A head with the tables of the tests."""
    forms = {table.name: form_of(table) for table in (GAP, SAMPLE)}
    return SegmentHead(FORMAT_VERSION, segment, "node-1", "run-1", "0.1", WALL_NS, forms, marks)


def batch_frame(seq: int, rows: int = 40, stamp_wall_ns: int | None = None) -> bytes:
    """The frame of one batch of table `sample`, one second after the one before it."""
    stamp = WALL_NS + seq * S if stamp_wall_ns is None else stamp_wall_ns
    entry = Entry(WHO.run, WHO.worker, WHO.epoch, seq, SAMPLE.name, stamp, rows)
    return encode_entry(entry, encode(sample_rows(WHO, seq, stamp, rows)))


def segment_of(batches: int, rows: int = 40, segment: str = "00000000456789ab") -> bytes:
    """A whole segment."""
    return encode_head(head_of(segment)) + b"".join(batch_frame(seq, rows) for seq in range(1, batches + 1))
