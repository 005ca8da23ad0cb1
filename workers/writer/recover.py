"""What the segments of a previous writer say: whose batches are stored, and what is damaged. PURE."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from agent.model.errors import FormatError
from agent.model.table import Row
from agent.model.tables import GAP
from agent.store.record import (
    Damage,
    Entry,
    Mark,
    Record,
    SegmentHead,
    decode_rows,
    is_cut_short,
    parse_head,
    parse_records,
)
from agent.store.segment import in_order
from workers.writer.foreign import ForeignBatches
from workers.writer.gap import Reason

# Each stands for a folder that somebody took away while it was written, and may bring back; a head has room for this many.
SUPERSEDED_MAX = 16


class SegmentFinding(Struct, frozen=True):
    """What one segment holds: its head (None: damaged), how many batches with rows, how many damaged stretches, a torn tail.

    A torn tail is what a killed writer leaves and no damage: nothing in it was acknowledged. `whole_bytes`: where the
    last whole record ends.
    """

    head: SegmentHead | None
    batches: int
    damaged: int
    torn: bool
    whole_bytes: int = 0

    @property
    def needs_sealing(self) -> bool:
        """Whether there is anything in it that is not in the marks alone."""
        return self.batches > 0 or self.damaged > 0


def without_tail(finding: SegmentFinding, size_bytes: int) -> SegmentFinding:
    """The finding once everything behind the last whole record is cut off.

    For a segment that was not known to be on the disk in whole: after a power failure its end is missing, zeros or what
    stood on the disk before. Nobody was promised that such bytes outlive a power failure, so they are no damage.
    """
    if finding.whole_bytes == size_bytes:
        return finding
    return replace(finding, damaged=finding.damaged - (not finding.torn), torn=True)


def durable_generation(findings: Iterable[SegmentFinding]) -> int:
    """Every segment up to this generation was forced to the disk in whole: what later segments say of those before them."""
    return max((finding.head.durable for finding in findings if finding.head is not None), default=0)


def superseded(findings: Iterable[SegmentFinding]) -> tuple[str, ...]:
    """The segments whose rows later ones hold, as the heads say, the newest last."""
    names = {name for finding in findings if finding.head is not None for name in finding.head.superseded}
    return tuple(in_order(names)[-SUPERSEDED_MAX:])


def newest(sizes: Mapping[str, int], bytes_max: int) -> list[str]:
    """Of the segments, given in the order in which they were opened, those that are worth reading for their marks."""
    names = list(sizes)
    left = bytes_max
    for index in range(len(names) - 1, -1, -1):
        left -= sizes[names[index]]
        # The newest is read whatever its size: without its marks, rows would be stored twice.
        if left < 0 and index < len(names) - 1:
            return names[index + 1 :]
    return names


def open_segment(data: bytes) -> tuple[SegmentHead | None, Iterator[Record | Damage]]:
    """The head of a segment and its records; without a readable head (None) every record that can still be found."""
    try:
        head, offset = parse_head(data)
    except FormatError:
        head, offset = None, 0
    return head, parse_records(data, offset)


class Recovery:
    """Gathers the marks of segments; `run` is the present run, whose marks win over those of any other. `foreign` gets those of
    other hosts."""

    def __init__(self, run: str, foreign: ForeignBatches | None = None) -> None:
        self._run = run
        self._foreign = foreign or ForeignBatches({})
        self._marks: dict[str, Mark] = {}

    def marks(self) -> tuple[Mark, ...]:
        """What the writer starts with, in the order of the names."""
        return tuple(self._marks[name] for name in sorted(self._marks))

    def take_head(self, head: SegmentHead) -> None:
        """The marks that a segment began with."""
        for mark in head.marks:
            self._merge(mark)
        self._foreign.take_head(head)

    def take(self, data: bytes) -> SegmentFinding:
        """A whole segment. Segments are taken in the order in which they were opened."""
        head, items = open_segment(data)
        if head is not None:
            self.take_head(head)
        batches = damaged = 0
        torn = False
        whole_bytes = len(data)
        for item in items:
            if not isinstance(item, Record) and item.torn:
                whole_bytes = item.offset
            if isinstance(item, Record):
                self._take_record(head, item)
                batches += item.entry.rows > 0
            elif is_cut_short(data, item):
                torn = True
            else:
                damaged += 1
        return SegmentFinding(head=head, batches=batches, damaged=damaged, torn=torn, whole_bytes=whole_bytes)

    def _take_record(self, head: SegmentHead | None, record: Record) -> None:
        entry = record.entry
        self._foreign.take_entry(head, entry)
        if entry.seq > 0 or entry.ended:
            self._merge(_mark_of(entry))
        elif entry.table == GAP.name:
            names = GAP.column_names if head is None or GAP.name not in head.tables else head.tables[GAP.name].names
            for mark in _marks_of_gaps(entry, _rows_or_none(record), names):
                previous = self._marks.get(mark.worker)
                counted = previous.ticks_missed if previous is not None and previous.run == mark.run else 0
                self._merge(replace(mark, ticks_missed=counted + mark.ticks_missed))

    def _merge(self, mark: Mark) -> None:
        previous = self._marks.get(mark.worker)
        self._marks[mark.worker] = mark if previous is None else _later(previous, mark, self._run)


def _mark_of(entry: Entry) -> Mark:
    # Other hosts' rows and a Bye name no table; stamps of others say nothing of their sender.
    stamp = entry.stamp_wall_ns if entry.table else None
    hands_on = not entry.table and not entry.ended
    return Mark(entry.run, entry.worker, entry.epoch, entry.seq, stamp, entry.ended, entry.tick, entry.ticks_missed, hands_on)


def _rows_or_none(record: Record) -> Sequence[Row]:
    try:
        return decode_rows(record.rows)
    except FormatError:
        # Rows of another making than this version's move no mark; the sealer counts them as damage.
        return ()


def _marks_of_gaps(entry: Entry, rows: Iterable[Row], names: Sequence[str]) -> Iterator[Mark]:
    """What the rows of table `gap` account for: they are written before the batch they belong to, and a writer may be
    killed in between. A sender that sends that batch again is told that the numbers before it are accounted for."""
    for row in rows:
        value = dict(zip(names, row, strict=False))
        run, worker, epoch = value.get("run"), value.get("worker"), value.get("epoch")
        first, last = value.get("first_seq"), value.get("last_seq")
        ticks, tick = value.get("ticks"), value.get("last_tick")
        if not (isinstance(run, str) and isinstance(worker, str) and isinstance(epoch, int)):
            continue
        if worker == entry.worker:
            continue  # A loss of the writer's own (a corrupt record) belongs to no sender.
        if value.get("reason") == Reason.BAD_ROW:
            continue  # The others of its batch follow; who believed that the batch is stored would lose them.
        seq, ended = 0, False
        if isinstance(first, int):
            seq, ended = (last, False) if isinstance(last, int) else (first - 1, True)
        elif not isinstance(tick, int):
            continue
        tick = tick if isinstance(tick, int) else None
        yield Mark(run, worker, epoch, seq, None, ended, tick, ticks if isinstance(ticks, int) else 0)


def _later(previous: Mark, mark: Mark, run: str) -> Mark:
    if previous.run == mark.run and previous.epoch == mark.epoch:
        stamps = [stamp for stamp in (previous.stamp_wall_ns, mark.stamp_wall_ns) if stamp is not None]
        ended, hands_on = previous.ended or mark.ended, previous.hands_on or mark.hands_on
        seq, stamp = max(previous.seq, mark.seq), max(stamps, default=None)
        mark = replace(mark, seq=seq, stamp_wall_ns=stamp, ended=ended, hands_on=hands_on)
    if previous.run == mark.run:
        # The grid goes on from one start to the next, and so does the count.
        ticks = [tick for tick in (previous.tick, mark.tick) if tick is not None]
        missed = max(previous.ticks_missed, mark.ticks_missed)
        return replace(max(mark, previous, key=lambda item: item.epoch), tick=max(ticks, default=None), ticks_missed=missed)
    # The clock may have been set back between two runs, so the order of the files does not decide against the present run.
    return previous if previous.run == run else mark
