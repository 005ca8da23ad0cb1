"""What the writer has of other hosts: marks, columns, and which of their batches are refused. PURE.

A hub hands the batches of its nodes on to the writer (`agent.ports.Forwarder`). Each travels as a numbered batch of the hub's, and
says whose it is in `Batch.origin`.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from agent.model.foreign import readable
from agent.model.message import EPOCH_MAX, Batch, BatchOrigin
from agent.model.timebase import DAY
from agent.store.origin_form import form_in
from agent.store.record import Entry, EntryOrigin, SegmentHead, TableForm
from workers.writer.foreign_forms import ForeignForms
from workers.writer.foreign_marks import ForeignMarks, Installs, start_of
from workers.writer.gap import Reason

# A host's name as Linux has it has 64, a name in the DNS 253.
HOST_CHARACTERS_MAX = 253
# A run has 16; a worker has 41 at most, an exporter. Marks have both: with MARKS_MAX of them a head has room in its frame.
RUN_CHARACTERS_MAX = 32
WORKER_CHARACTERS_MAX = 48
# As `agent.store.install` makes them.
_INSTALL = re.compile(r"[0-9a-f]{16}")
# Year 9999: dates beyond it have no four digits.
STAMP_END_NS = 2_932_897 * DAY


class ForeignHead(Struct, frozen=True, array_like=True):
    """What `SegmentHead.foreign` holds: the marks of all hosts, and columns beyond those of this version, with their types."""

    marks: Installs = {}
    columns: dict[str, dict[str, str]] = {}


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(ForeignHead)


class ForeignBatches:
    """The account of other hosts. `declared` are this version's tables, `install` is its own installation."""

    def __init__(self, declared: Mapping[str, TableForm], install: str = "") -> None:
        self.install = install
        self.marks = ForeignMarks()
        self.forms = ForeignForms(declared)
        self.last_problem = ""

    # ---- batches ----

    def refusal(self, batch: Batch, origin: BatchOrigin) -> str | None:
        """The Reason why a batch is not stored; None: it may be."""
        if not _is_sane(origin) or not 0 <= batch.stamp_wall_ns < STAMP_END_NS:
            self.last_problem = "a batch of another host does not say whose it is"
            return Reason.FOREIGN_ORIGIN
        verdict = self.forms.judge(batch.table, origin.form)
        if verdict.refusal:
            self.last_problem = f"table {readable(batch.table, WORKER_CHARACTERS_MAX)} of {origin.host}: {verdict.problem}"
            return verdict.refusal
        return None

    def take(self, origin: BatchOrigin) -> bool:
        """Whether a batch that is not refused is new. This installation's own, which came back over another hub, never is."""
        return origin.install != self.install and self.marks.take(origin)

    def entry_origin(self, batch: Batch, origin: BatchOrigin) -> EntryOrigin:
        """What the record of a batch says of it."""
        other = self.forms.judge(batch.table, origin.form).other
        return EntryOrigin(batch.table, origin.host, origin.install, origin.run, origin.worker, origin.epoch, origin.seq, other)

    def commit(self) -> None:
        """The append succeeded."""
        self.marks.commit()

    def rollback(self) -> None:
        """The append failed."""
        self.marks.rollback()

    # ---- what the next writer finds ----

    def encode(self) -> bytes:
        """For the head of a segment; empty where no other host is known."""
        head = ForeignHead(self.marks.installs, self.forms.seen)
        return _ENCODER.encode(head) if head.marks or head.columns else b""

    def take_head(self, head: SegmentHead) -> None:
        """What the head of a segment tells. Segments are taken in the order in which they were opened."""
        try:
            told = _DECODER.decode(head.foreign) if head.foreign else ForeignHead()
        except (msgspec.DecodeError, UnicodeDecodeError):
            # A later version's, after a downgrade: the records of its segments still count.
            return
        self.marks.merge(told.marks)
        for table, types in told.columns.items():
            self.forms.learn(table, types)

    def take_entry(self, head: SegmentHead | None, entry: Entry) -> None:
        """A record of a segment."""
        origin = entry.origin
        if origin is None:
            return
        self.marks.learn(origin.install, origin.worker, start_of(origin.run, origin.epoch), origin.seq)
        form = None if head is None else form_in(head, entry)
        if form is not None and origin.form is not None and len(form.names) == len(form.dtypes):
            self.forms.learn(origin.table, dict(zip(form.names, form.dtypes, strict=True)))

    def stats(self) -> dict[str, Any]:
        """For `status`."""
        marks = self.marks
        return {
            "hosts": len(marks.installs),
            "marks": marks.count,
            "forgotten_marks": marks.forgotten,
            "problem": self.last_problem,
        }


class ForeignCounts:
    """How many batches of other hosts came in one turn, and what became of them."""

    def __init__(self) -> None:
        self.batches = self.rows = self.duplicates = 0
        self.refused: Counter[str] = Counter()


def _is_sane(origin: BatchOrigin) -> bool:
    names = ((origin.host, HOST_CHARACTERS_MAX), (origin.run, RUN_CHARACTERS_MAX), (origin.worker, WORKER_CHARACTERS_MAX))
    return (
        all(0 < len(name) <= most and name.isprintable() for name, most in names)
        and _INSTALL.fullmatch(origin.install) is not None
        and 0 <= origin.epoch <= EPOCH_MAX
        and 0 < origin.seq <= EPOCH_MAX
    )
