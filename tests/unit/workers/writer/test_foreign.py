"""The account of other hosts: what is refused and why, and that the next writer finds all of it."""

import msgspec
import pytest
from fakes.foreign_node import FORM, HUB, ForeignNode
from msgspec.structs import replace

from agent.model.message import EPOCH_MAX, Batch, BatchOrigin, ForeignBatch
from agent.store.origin_form import COLUMNS_MAX
from agent.store.record import FORMAT_VERSION, PAYLOAD_BYTES_MAX, Entry, OtherForm, SegmentHead
from workers.writer.foreign import RUN_CHARACTERS_MAX, STAMP_END_NS, WORKER_CHARACTERS_MAX, ForeignBatches, ForeignCounts
from workers.writer.foreign_forms import TABLES_MAX
from workers.writer.foreign_marks import MARKS_MAX, start_of
from workers.writer.gap import Reason

STAMP_NS = 1_700_000_000_000_000_000
OWN = "f" * 16
NEWER = replace(FORM, version=4, names=(*FORM.names, "extra"), dtypes=(*FORM.dtypes, "utf8"))


def account() -> ForeignBatches:
    """That of a hub which declares table `sample`."""
    return ForeignBatches({"sample": FORM}, OWN)


def message(batch: ForeignBatch) -> tuple[Batch, BatchOrigin]:
    """As it reaches the writer."""
    return Batch(1, batch.table, 0, batch.stamp_wall_ns, batch.rows, origin=batch.origin), batch.origin


def head_of(foreign: bytes) -> SegmentHead:
    """The head of a segment."""
    return SegmentHead(FORMAT_VERSION, "0" * 16, "h", "run-1", "0", 1, {"sample": FORM}, (), foreign=foreign)


def entry_of(known: ForeignBatches, batch: ForeignBatch) -> Entry:
    """The record of a batch."""
    origin = known.entry_origin(*message(batch))
    return Entry(HUB.run, HUB.worker, HUB.epoch, 1, "", batch.stamp_wall_ns, batch.rows, origin=origin)


def test_a_batch_is_taken_once() -> None:
    """And what came back of this host itself never is."""
    known, batch = account(), ForeignNode(1).measure(STAMP_NS)
    assert known.refusal(*message(batch)) is None
    assert [known.take(batch.origin), known.take(batch.origin)] == [True, False]
    known.commit()
    assert not known.take(batch.origin)
    assert not known.take(replace(batch.origin, install=OWN, seq=9))


def test_what_was_not_appended_is_new_again() -> None:
    """After a rollback."""
    known, batch = account(), ForeignNode(1).measure(STAMP_NS)
    known.take(batch.origin)
    known.rollback()
    assert known.take(batch.origin)


@pytest.mark.parametrize(
    "changes",
    [
        {"host": ""},
        {"host": "a" * 300},
        {"host": "a\nb"},
        {"host": "\ud800"},
        {"run": ""},
        {"worker": "w" * 49},
        {"run": "r" * 33},
        {"install": "A" * 16},
        {"install": "../../../../etc/"},
        {"seq": 0},
        {"seq": 1 << 63},
        {"epoch": -1},
    ],
)
def test_a_batch_that_does_not_say_whose_it_is_is_refused(changes: dict[str, object]) -> None:
    """Names of any length and kind, numbers that nobody counts."""
    known = account()
    batch, origin = message(ForeignNode(1).measure(STAMP_NS))
    assert known.refusal(batch, replace(origin, **changes)) == Reason.FOREIGN_ORIGIN
    assert known.last_problem


def test_a_batch_of_no_time_of_this_era_is_refused() -> None:
    """It would have no file."""
    known = account()
    batch, origin = message(ForeignNode(1).measure(STAMP_NS))
    assert known.refusal(replace(batch, stamp_wall_ns=STAMP_END_NS), origin) == Reason.FOREIGN_ORIGIN


def test_what_the_columns_are_refused_for_is_told() -> None:
    """With the host and the table, in characters that a terminal can show."""
    known = account()
    batch, origin = message(ForeignNode(1).measure(STAMP_NS))
    assert known.refusal(replace(batch, table="a\x1b"), origin) == Reason.FOREIGN_TABLE
    assert known.last_problem == r"table a\x1b of node-101: no table can have this name"


def test_the_head_of_a_segment_has_marks_and_columns() -> None:
    """The next writer knows them; without other hosts a head is as short as before."""
    known, node = account(), ForeignNode(1)
    assert known.encode() == b""
    batch = node.send([], STAMP_NS, form=NEWER)
    assert known.refusal(*message(batch)) is None
    known.take(batch.origin)
    known.commit()
    after = account()
    after.take_head(head_of(known.encode()))
    assert after.stats() == {"hosts": 1, "marks": 1, "forgotten_marks": 0, "problem": ""}
    assert not after.take(batch.origin)
    assert after.forms.seen == {"sample": {"extra": "utf8"}}
    after.take_head(head_of(b""))
    after.take_head(head_of(b"\xc1 of a later version"))
    assert after.encode() == known.encode()


def test_records_behind_the_head_have_marks_and_columns_too() -> None:
    """Also where the head is lost; records of this host say nothing of others."""
    known, node = account(), ForeignNode(1)
    plain, newer = entry_of(known, node.measure(STAMP_NS)), entry_of(known, node.send([], STAMP_NS, form=NEWER))
    assert newer.origin is not None
    assert newer.origin.form == OtherForm(4, len(FORM.names), ("extra",), ("utf8",), (True,))
    after = account()
    after.take_entry(head_of(b""), Entry("run-1", "process", 1, 1, "sample", 5, 1))
    after.take_entry(head_of(b""), plain)
    assert (after.marks.have(node.batches[0].origin), after.forms.seen) == (1, {})
    after.take_entry(None, newer)
    assert (after.marks.have(node.batches[0].origin), after.forms.seen) == (2, {})
    after.take_entry(head_of(b""), newer)
    assert after.forms.seen == {"sample": {"extra": "utf8"}}


def test_counts_begin_at_nothing() -> None:
    """One turn of the writer."""
    counts = ForeignCounts()
    assert (counts.batches, counts.rows, counts.duplicates, counts.refused) == (0, 0, 0, {})


def test_the_head_of_a_segment_has_room_for_all_marks() -> None:
    """Also for those with the longest names and numbers, of which not one is shared."""
    largest = {"f" * 16: {f"{0:0{WORKER_CHARACTERS_MAX}}": {start_of("r" * RUN_CHARACTERS_MAX, EPOCH_MAX): EPOCH_MAX}}}
    each = len(msgspec.msgpack.encode(largest))
    columns = TABLES_MAX * 2 * COLUMNS_MAX * (63 + 16)
    assert MARKS_MAX * each + columns < PAYLOAD_BYTES_MAX - (1 << 20)
