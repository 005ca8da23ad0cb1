"""What the brokers keep of a sink, in the same transaction as its rows: how many they have, and which batches came last. PURE.

It is the metadata of the committed offset, as short JSON; the offset itself is the number of transactions. A process that was
killed after a transaction, and before its own cursor was on the disk, finds there what it must not send again. What the cursor
knows of is left out: should a host go back to an older state of its disk, no more than a delivery could be taken for one of today.
"""

import re
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from agent.store.batch import StoredBatch
from agent.store.place import Place
from agent.store.segment import ID
from workers.export.sink import SinkPosition

# Brokers take 4,096 bytes; a span has some 70.
METADATA_BYTES_MAX = 3 << 10
# Each process that is killed leaves one that its cursor does not know, on one of nine lines at most.
SPANS_MAX = 16
VERSION = 1
_SEGMENT = re.compile(ID)

Span = tuple[Place, Place]


class SentMark(Struct, frozen=True):
    """`rows`: how many rows the sink has delivered, by its own account, once these are there.

    `spans`: from the first of some batches to the end of the last, in order. They are there, and the cursor may not know it.
    """

    rows: int
    spans: tuple[Span, ...]


class KeptMark(Struct, frozen=True):
    """The JSON: places are [segment, offset]."""

    v: int
    rows: int
    sent: tuple[tuple[tuple[str, int], tuple[str, int]], ...]


_DECODER = msgspec.json.Decoder(KeptMark)


def encode_mark(mark: SentMark) -> str:
    """The metadata of an offset."""
    sent = tuple(((begin.segment, begin.offset), (end.segment, end.offset)) for begin, end in mark.spans)
    text = msgspec.json.encode(KeptMark(VERSION, mark.rows, sent)).decode()
    assert len(text) <= METADATA_BYTES_MAX
    return text


def decode_mark(text: str) -> SentMark | None:
    """The mark that metadata has. *Absent:* None for what no sink of ours has written."""
    if len(text) > METADATA_BYTES_MAX:
        return None
    try:
        kept = _DECODER.decode(text.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if kept.v != VERSION or kept.rows < 0 or len(kept.sent) > SPANS_MAX:
        return None
    if not all(offset >= 0 and _SEGMENT.fullmatch(segment) for span in kept.sent for segment, offset in span):
        return None
    return SentMark(kept.rows, tuple((Place(*begin), Place(*end)) for begin, end in kept.sent))


def mark_after(found: SentMark | None, before: SinkPosition, batches: Sequence[StoredBatch], rows: int) -> SentMark:
    """The mark once these batches, which follow each other, are there too, with so many rows in all.

    `before`: what the cursor knows by now; what the brokers have besides stays in the mark.
    """
    known = [] if found is None else [span for span in found.spans if not _is_settled(before, span)]
    spans: list[Span] = []
    for begin, end in sorted([*known, (batches[0].place, batches[-1].behind)], key=_order):
        if spans and not spans[-1][1].is_before(begin):
            last_begin, last_end = spans[-1]
            spans[-1] = (last_begin, end if last_end.is_before(end) else last_end)
        else:
            spans.append((begin, end))
    return SentMark(rows, tuple(spans[-SPANS_MAX:]))


def is_sent(mark: SentMark | None, batch: StoredBatch) -> bool:
    """Whether a batch is there already."""
    return mark is not None and any(_is_in(batch.place, begin, end) for begin, end in mark.spans)


def is_complete(before: SinkPosition, batches: Sequence[StoredBatch]) -> bool:
    """Whether everything before these batches is settled: no backlog lies before them."""
    return not before.ahead or batches[0].place.is_before(before.ahead[0][0])


def _is_in(place: Place, begin: Place, end: Place) -> bool:
    if place.is_before(begin) or not place.is_before(end):
        return False
    # A segment of the same generation and another name is of another life of this disk.
    return place.segment in (begin.segment, end.segment) or begin.generation < place.generation < end.generation


def _is_settled(position: SinkPosition, span: Span) -> bool:
    begin, end = span
    if not position.low.is_before(end):
        return True
    return any(not begin.is_before(ahead_begin) and not ahead_end.is_before(end) for ahead_begin, ahead_end in position.ahead)


def _order(span: Span) -> tuple[int, str, int]:
    begin, _ = span
    return (begin.generation, begin.segment, begin.offset)
