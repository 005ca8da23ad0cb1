"""What the brokers keep of a sink: read back, refused, and nothing lost or doubled by it whatever dies when."""

from random import Random

import pytest
from fakes.export_world import batch_at
from hypothesis import given
from hypothesis import strategies as st

from agent.store.batch import StoredBatch
from agent.store.cursor import Cursor
from agent.store.place import Place
from workers.export.kafka.sent_mark import (
    METADATA_BYTES_MAX,
    SPANS_MAX,
    SentMark,
    Span,
    decode_mark,
    encode_mark,
    is_complete,
    is_sent,
    mark_after,
)
from workers.export.progress import ExportLine, ExportProgress, new_cursor
from workers.export.sink import SinkPosition

FIRST, SECOND, THIRD = "0000000100000000", "0000000200000000", "0000000300000000"
PLACES = st.builds(Place, st.integers(0, 2**64 - 1).map("{:016x}".format), st.integers(0, 2**62))


def span(segment: str, first: int, last: int) -> Span:
    """From one batch of a segment to the end of another."""
    return batch_at(segment, first).place, batch_at(segment, last).behind


@given(st.integers(0, 2**63 - 1), st.lists(st.tuples(PLACES, PLACES), max_size=SPANS_MAX))
def test_a_mark_is_read_back(rows: int, spans: list[Span]) -> None:
    """Within what a broker takes."""
    mark = SentMark(rows, tuple(spans))
    assert decode_mark(encode_mark(mark)) == mark


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "not json",
        '{"v":2,"rows":1,"sent":[]}',
        '{"v":1,"rows":-1,"sent":[]}',
        '{"v":1,"rows":1,"sent":[[["",1],["0000000100000000",2]]]}',
        '{"v":1,"rows":1,"sent":[[["0000000100000000",-1],["0000000100000000",2]]]}',
        '{"v":1,"rows":1,"sent":[[["0000000100000000",1]]]}',
        '{"v":1,"rows":1,"sent":[[["0000000100000000","1"],["0000000100000000",2]]]}',
        '{"v":1,"rows":1,"sent":' + "[" * 5000,
        "\ud800",
        "x" * (METADATA_BYTES_MAX + 1),
        encode_mark(SentMark(1, (span(FIRST, 1, 2),) * SPANS_MAX)).replace(
            '"sent":[', '"sent":[[["0000000100000000",1],["0000000100000000",2]],'
        ),
    ],
)
def test_what_no_sink_has_written_is_nothing(text: str) -> None:
    """A person or another program may have committed an offset of this group."""
    assert decode_mark(text) is None


def test_the_last_delivery_is_in_the_mark() -> None:
    """What the cursor knows of is not."""
    before = SinkPosition(low=batch_at(FIRST, 3).place)
    old = SentMark(5, (span(FIRST, 0, 2),))
    mark = mark_after(old, before, [batch_at(FIRST, 3), batch_at(FIRST, 4)], 7)
    assert mark == SentMark(7, (span(FIRST, 3, 4),))
    assert [is_sent(mark, batch_at(FIRST, number)) for number in range(6)] == [False, False, False, True, True, False]
    assert not is_sent(None, batch_at(FIRST, 3))


def test_what_the_cursor_does_not_know_stays_in_the_mark() -> None:
    """Neighbours become one span; one that a span ahead of the cursor covers goes."""
    before = SinkPosition(low=batch_at(FIRST, 3).place, ahead=(span(SECOND, 5, 9),))
    unknown, known, far = span(FIRST, 4, 8), span(SECOND, 6, 7), span(THIRD, 1, 2)
    mark = mark_after(SentMark(5, (unknown, known, far)), before, [batch_at(FIRST, 3)], 7)
    assert mark.spans == (span(FIRST, 3, 8), far)
    smaller = mark_after(SentMark(5, (unknown,)), before, [batch_at(FIRST, 4), batch_at(FIRST, 5)], 7)
    assert smaller.spans == (unknown,)


def test_a_mark_has_a_maximum() -> None:
    """The oldest goes first."""
    spans = tuple(span(f"{number:08x}00000000", 1, 1) for number in range(1, SPANS_MAX + 1))
    mark = mark_after(SentMark(5, spans), SinkPosition(), [batch_at("0000ffff00000000", 1)], 7)
    assert mark.spans == (*spans[1:], span("0000ffff00000000", 1, 1))


def test_a_delivery_may_go_over_several_segments() -> None:
    """Those between are in it, those of the same generation from another life of the disk are not."""
    mark = SentMark(1, ((Place(FIRST, 100), Place(THIRD, 100)),))
    sent = [
        (FIRST, 0),
        (FIRST, 1),
        (SECOND, 0),
        (SECOND, 7),
        (THIRD, 0),
        (THIRD, 1),
        ("00000003ffffffff", 0),
        ("00000001ffffffff", 5),
    ]
    assert [is_sent(mark, batch_at(segment, number)) for segment, number in sent] == [
        False, True, True, True, True, False, False, False,
    ]  # fmt: skip


def test_everything_before_a_live_delivery_is_there_without_a_backlog() -> None:
    """And before one of the backlog; not before one that goes ahead of it."""
    whole, ahead = SinkPosition(Place(FIRST, 100)), SinkPosition(Place(FIRST, 100), ((Place(SECOND, 0), Place(SECOND, 300)),))
    assert is_complete(whole, [batch_at(FIRST, 1)])
    assert is_complete(ahead, [batch_at(FIRST, 1)])
    assert not is_complete(ahead, [batch_at(SECOND, 3)])


class BrokerStory:
    """A spool, an exporter whose cursor is kept after each answer or not, and brokers that commit a delivery with its mark."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.batches: list[StoredBatch] = []
        self.kept: Cursor = new_cursor("s", "kafka", "id", "install")
        self.progress = ExportProgress(self.kept, {"unit"})
        self.mark: SentMark | None = None
        self.arrived: list[Place] = []
        self.segment = 1

    def append(self) -> None:
        """More rows, sometimes in another segment."""
        self.segment += self.rng.random() < 0.2
        name = f"{self.segment:08x}00000000"
        number = sum(each.place.segment == name for each in self.batches)
        self.batches.append(batch_at(name, number, rows=self.rng.randint(1, 9)))

    def scan(self) -> None:
        """Count some of them."""
        left = [each for each in self.batches if not each.place.is_before(self.progress.scanned)]
        self.progress.scan(left[: self.rng.randint(1, 9)])

    def open_live(self) -> None:
        """The newest first from now on."""
        self.progress.open_live()

    def send(self) -> None:
        """One delivery; the process may die when it is committed and not yet noted."""
        line = self.rng.choice((ExportLine.LIVE, ExportLine.BACKLOG)) if self.progress.has_backlog else ExportLine.LIVE
        after, until = self.progress.next_place(line)
        found = [each for each in self.batches if not each.place.is_before(after) and each.place.is_before(until)]
        taken = found[: self.rng.randint(1, 6)]
        if not taken:
            if line is ExportLine.BACKLOG:
                self.progress.close_backlog()
            return
        before = self.progress.position()
        rows = before.delivered_rows + sum(each.entry.rows for each in taken)
        self.arrived += [each.place for each in taken if not is_sent(self.mark, each)]
        self.mark = decode_mark(encode_mark(mark_after(self.mark, before, taken, rows)))
        if self.rng.random() < 0.3:
            self.kill()
            return
        self.progress.deliver(line, taken)
        self.kept = self.progress.cursor()

    def kill(self) -> None:
        """What was not kept is forgotten."""
        self.progress = ExportProgress(self.kept, {"unit"})

    def drain(self) -> None:
        """Until nothing is left."""
        for _ in range(10_000):
            self.scan()
            self.send()
            if self.progress.scanned == self.batches[-1].behind and not self.progress.pending_rows:
                return
        raise AssertionError("it never ends")


@pytest.mark.parametrize("seed", range(60))
def test_each_row_arrives_once_whatever_dies_when(seed: int) -> None:
    """Deliveries of other sizes after each start, live ones beside a backlog, and deaths between two commits."""
    story = BrokerStory(seed)
    steps = (story.append, story.scan, story.send, story.open_live, story.kill)
    for _ in range(300):
        story.rng.choices(steps, (40, 20, 40, 4, 4))[0]()
    story.append()
    story.drain()
    assert sorted(story.arrived) == [each.place for each in story.batches]
    assert story.mark is not None
    assert len(story.mark.spans) < SPANS_MAX
