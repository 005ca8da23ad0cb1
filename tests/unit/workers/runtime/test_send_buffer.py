"""Nothing acknowledged is sent again, nothing unacknowledged is forgotten, what was refused is told."""

from collections import deque

import pytest
from fakes.foreign_node import ForeignNode
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.model.message import Batch, Bye, Ending, Lost, Missed, Tick
from workers.runtime.send_buffer import MISSED_MAX, OVERHEAD_BYTES, PendingBatch, SendBuffer

BYTES_MAX = 4 * (OVERHEAD_BYTES + 100)
SEVERAL = st.integers(min_value=1, max_value=5)


def _offer(buffer: SendBuffer, size: int = 10, count: int = 2) -> bool:
    return buffer.offer("process", 1, 1_800_000_000, bytes(size), count)


def _send_all(buffer: SendBuffer) -> list[PendingBatch]:
    sent = []
    for pending in buffer.unsent():
        sent.append(pending)
        buffer.mark_sent()
    return sent


def test_batches_are_numbered_from_one_and_sent_in_order() -> None:
    """Each with its table, its stamp and its number of rows."""
    buffer = SendBuffer(bytes_max=BYTES_MAX)
    assert buffer.offer("process", 3, 17, b"rows", 5)
    assert buffer.offer("gap", 1, 18, b"", 0)
    assert _send_all(buffer) == [PendingBatch(Batch(1, "process", 3, 17, 5), b"rows"), PendingBatch(Batch(2, "gap", 1, 18, 0), b"")]
    assert _send_all(buffer) == []


def test_a_send_that_is_not_taken_is_offered_again() -> None:
    """Only what was marked as sent has gone."""
    buffer = SendBuffer(bytes_max=BYTES_MAX)
    _offer(buffer)
    assert [next(buffer.unsent()).seq, next(buffer.unsent()).seq] == [1, 1]
    buffer.mark_sent()
    assert next(buffer.unsent(), None) is None


def test_a_batch_of_another_host_has_the_next_number_or_no_room() -> None:
    """It says whose it is; where it has no room nothing is counted, since its sender has it still. One is always taken."""
    batch = ForeignNode(1).measure(1_800_000_000)
    size = len(batch.encoded) + OVERHEAD_BYTES + len(batch.origin.form)
    buffer = SendBuffer(bytes_max=4 * size)
    assert [buffer.hand_on(batch) for _ in range(4)] == [1, 2, 3, None]
    assert _offer(buffer), "the last quarter is for rows of its own"
    assert buffer.size_bytes == 3 * size + 10 + OVERHEAD_BYTES
    assert (buffer.refused_batches, buffer.offered_rows) == (0, 2)
    assert (buffer.unstored_batches, buffer.unstored_rows) == (1, 2), "what is lost if this process ends now"
    sent = [pending.head for pending in _send_all(buffer)]
    assert sent[1] == Batch(2, "sample", 0, 1_800_000_000, 3, origin=batch.origin)
    buffer.on_acknowledged(4)
    assert (buffer.size_bytes, buffer.hand_on(batch)) == (0, 5)
    small = SendBuffer(bytes_max=size // 2)
    assert [small.hand_on(batch), small.hand_on(batch)] == [1, None]


def test_a_new_writer_is_sent_everything_behind_what_it_has() -> None:
    """Also what an earlier one was sent already; that is counted."""
    buffer = SendBuffer(bytes_max=BYTES_MAX)
    for _ in range(4):
        _offer(buffer)
    _send_all(buffer)
    buffer.on_new_writer(2)
    assert [pending.seq for pending in _send_all(buffer)] == [3, 4]
    assert buffer.resent_batches == 2
    assert buffer.acknowledged_seq == 2


def test_a_full_buffer_refuses_the_newest_and_tells_it_with_the_next_that_fits() -> None:
    """Three refusals in a row are one range; it travels once."""
    buffer = SendBuffer(bytes_max=2 * OVERHEAD_BYTES)
    assert [_offer(buffer, size=0) for _ in range(5)] == [True, True, False, False, False]
    assert (buffer.offered_rows, buffer.refused_batches, buffer.refused_rows) == (10, 3, 6)
    _send_all(buffer)
    buffer.on_acknowledged(2)
    assert _offer(buffer, size=0)
    assert _offer(buffer, size=0)
    assert [pending.head.lost for pending in _send_all(buffer)] == [(Lost(3, 5, 6, "buffer_full"),), ()]


def test_a_batch_of_exactly_the_bound_fits() -> None:
    """One byte more does not, however empty the buffer is."""
    buffer = SendBuffer(bytes_max=OVERHEAD_BYTES + 10)
    assert not _offer(buffer, size=11)
    assert _offer(buffer, size=10)


def _tick(buffer: SendBuffer, stamp: int) -> list[bool]:
    """Two tables of one tick, of which one comes in two parts."""
    return [buffer.offer(table, 1, stamp, b"", 1) for table in ("occupancy", "occupancy_domain", "occupancy_domain")]


def test_a_buffer_bound_by_ticks_counts_the_batches_of_a_tick_as_one() -> None:
    """Whatever their tables and parts; the third tick is refused whole and told."""
    buffer = SendBuffer(bytes_max=BYTES_MAX * 9, ticks_max=2)
    assert [_tick(buffer, stamp) for stamp in (10, 20, 30)] == [[True] * 3, [True] * 3, [False] * 3]
    assert (buffer.refused_batches, buffer.refused_rows) == (3, 3)
    buffer.on_acknowledged(6)
    assert _tick(buffer, 40) == [True] * 3
    assert [pending.head.lost for pending in _send_all(buffer)] == [(Lost(7, 9, 3, "buffer_full"),), (), ()]


def test_a_tick_waits_until_its_last_batch_is_acknowledged() -> None:
    """Two of three make no room."""
    buffer = SendBuffer(bytes_max=BYTES_MAX * 9, ticks_max=1)
    _tick(buffer, 10)
    buffer.on_acknowledged(2)
    assert not buffer.offer("occupancy", 1, 20, b"", 1)
    buffer.on_acknowledged(3)
    assert buffer.offer("occupancy", 1, 30, b"", 1)


def test_room_that_comes_in_the_middle_of_a_refused_tick_is_for_the_next() -> None:
    """Half a tick would be no tick; the next one is whole."""
    buffer = SendBuffer(bytes_max=BYTES_MAX * 9, ticks_max=1)
    _tick(buffer, 10)
    assert not buffer.offer("occupancy", 1, 20, b"", 1)
    buffer.on_acknowledged(3)
    assert not buffer.offer("occupancy_domain", 1, 20, b"", 1)
    assert _tick(buffer, 30) == [True] * 3


def test_a_buffer_without_a_bound_of_ticks_has_none() -> None:
    """Only bytes count."""
    buffer = SendBuffer(bytes_max=BYTES_MAX * 100)
    assert all(all(_tick(buffer, stamp)) for stamp in range(60))


def test_the_end_is_told_even_when_the_buffer_is_full_and_only_once() -> None:
    """The last refusals travel with it; the buffer is empty when it is acknowledged."""
    buffer = SendBuffer(bytes_max=OVERHEAD_BYTES)
    _offer(buffer, size=0)
    assert not _offer(buffer)
    buffer.end()
    buffer.end()
    *_, last = _send_all(buffer)
    assert last.head.lost == (Lost(2, 2, 2, "buffer_full"),)
    assert not buffer.is_empty
    buffer.on_acknowledged(last.seq)
    assert buffer.is_empty


def test_an_end_without_any_batch_is_told_too() -> None:
    """A worker that measured nothing stops cleanly like any other."""
    buffer = SendBuffer(bytes_max=BYTES_MAX)
    buffer.end()
    (only,) = _send_all(buffer)
    buffer.on_acknowledged(only.seq)
    assert buffer.is_empty


def test_an_unacknowledged_end_is_sent_to_the_next_writer() -> None:
    """It is not lost with the writer that was told it first."""
    buffer = SendBuffer(bytes_max=BYTES_MAX)
    _offer(buffer)
    buffer.end()
    before = _send_all(buffer)
    buffer.on_new_writer(0)
    assert _send_all(buffer) == before


def test_nothing_can_be_offered_after_the_end() -> None:
    """That would be a bug of the caller."""
    buffer = SendBuffer(bytes_max=BYTES_MAX)
    buffer.end()
    with pytest.raises(AssertionError, match="nothing is offered after the end"):
        _offer(buffer)


class WriterStory(RuleBasedStateMachine):
    """A buffer, a pipe that keeps order and dies with the writer, and a writer whose store survives it."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = SendBuffer(bytes_max=BYTES_MAX)
        self.pipe: deque[PendingBatch] = deque()
        self.answers: list[int] = []
        self.is_connected = False
        # What the writer has stored or accounted for, and what it was told is lost.
        self.stored: dict[int, PendingBatch] = {}
        self.told: list[Lost] = []
        self.have = 0
        # What the buffer accepted and what it was told is safe.
        self.accepted: dict[int, PendingBatch | None] = {}
        self.sizes: dict[int, int] = {}
        self.refused: dict[int, int] = {}
        self.offered = 0
        self.is_ended = False

    @precondition(lambda self: not self.is_ended)
    @rule(size=st.integers(min_value=0, max_value=600), count=st.integers(min_value=0, max_value=9))
    def offer(self, size: int, count: int) -> None:
        """The worker measures."""
        self.offered += 1
        fits = self.buffer.size_bytes + size + OVERHEAD_BYTES <= BYTES_MAX
        assert _offer(self.buffer, size, count) is fits
        if fits:
            self.sizes[self.offered] = size + OVERHEAD_BYTES
        else:
            self.refused[self.offered] = count

    @rule()
    def end(self) -> None:
        """The worker is told to stop, perhaps twice."""
        self.buffer.end()
        self.is_ended = True

    @precondition(lambda self: self.is_connected)
    @rule(messages_max=SEVERAL)
    def send(self, messages_max: int) -> None:
        """The socket takes some of what waits."""
        for pending in self.buffer.unsent():
            if not messages_max:
                break
            messages_max -= 1
            assert pending.seq > self.buffer.acknowledged_seq
            former = self.accepted.setdefault(pending.seq, pending)
            assert former == pending, "what is sent again is what was sent before"
            self.sizes.setdefault(pending.seq, pending.size_bytes)
            self.pipe.append(pending)
            self.buffer.mark_sent()

    @precondition(lambda self: self.pipe)
    @rule(messages_max=SEVERAL)
    def store(self, messages_max: int) -> None:
        """The writer takes some of the pipe in, and answers each with what it has by then."""
        for _ in range(min(messages_max, len(self.pipe))):
            pending = self.pipe.popleft()
            if pending.seq > self.have:
                lost_last = max((lost.last_seq for lost in pending.head.lost), default=self.have)
                assert pending.seq == lost_last + 1, "a writer that has all before it misses nothing that is not told"
                self.stored[pending.seq] = pending
                self.told += pending.head.lost
                self.have = pending.seq
            self.answers.append(self.have)

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        """One of the answers on the way arrives, whichever."""
        place = data.draw(st.integers(min_value=0, max_value=len(self.answers) - 1))
        self.buffer.on_acknowledged(self.answers.pop(place))

    @rule()
    def die(self) -> None:
        """The writer dies: the pipe and some answers die with it."""
        self.is_connected = False
        self.pipe.clear()
        self.answers = self.answers[::2]

    @rule()
    def connect(self) -> None:
        """A writer says what the store has; the same one may say it twice."""
        self.pipe.clear()
        self.is_connected = True
        self.buffer.on_new_writer(self.have)

    @invariant()
    def the_account_balances(self) -> None:
        """What is kept is exactly what was accepted and is not acknowledged."""
        acknowledged = self.buffer.acknowledged_seq
        kept = {seq: size for seq, size in self.sizes.items() if seq > acknowledged}
        bye_bytes = self.buffer.size_bytes - sum(kept.values())
        assert bye_bytes in ((0, OVERHEAD_BYTES) if self.is_ended else (0,))
        assert len(self.buffer) == len(kept) + (bye_bytes > 0)
        assert self.buffer.is_empty == (len(self.buffer) == 0)
        assert (self.buffer.refused_batches, self.buffer.refused_rows) == (len(self.refused), sum(self.refused.values()))

    def teardown(self) -> None:
        """In the end a writer lives long enough: everything offered is stored or told as lost, each number once."""
        self.end()
        self.connect()
        while not self.buffer.is_empty:
            before = len(self.buffer)
            self.send(5)
            self.store(5)
            self.buffer.on_acknowledged(self.have)
            assert len(self.buffer) < before
        lost = [seq for item in self.told for seq in range(item.first_seq, item.last_seq + 1)]
        assert sorted(lost) == sorted(self.refused)
        assert sum(item.rows for item in self.told) == sum(self.refused.values())
        batches = [seq for seq, pending in self.stored.items() if isinstance(pending.head, Batch)]
        assert sorted(batches + lost) == list(range(1, self.offered + 1))


TestWriterStory = WriterStory.TestCase
TestWriterStory.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_missed_ticks_and_endings_travel_with_the_next_kept_batch() -> None:
    """Whatever is refused meanwhile; once kept, they are not told again."""
    buffer = SendBuffer(bytes_max=2 * OVERHEAD_BYTES, endings=(Ending(1, "worker_hung"),))
    missed = (Missed(3, 4, "starved"),)
    assert not buffer.offer("process", 1, 10, bytes(1000), 1, Tick(5, missed))
    assert buffer.offer("process", 1, 20, b"", 1, Tick(6, missed))
    assert buffer.offer("process", 1, 20, b"", 1, Tick(6))
    first, second = [head_of(buffer), head_of(buffer)]
    assert (first.tick, first.missed, first.endings) == (6, missed, (Ending(1, "worker_hung"),))
    assert (second.tick, second.missed, second.endings) == (6, (), ())


def test_a_goodbye_brings_the_endings_when_no_batch_did() -> None:
    """A start that measured nothing still says how the one before it ended."""
    buffer = SendBuffer(bytes_max=1000, endings=(Ending(1, "worker_died"),))
    buffer.end()
    assert next(buffer.unsent()).head == Bye(1, (), (Ending(1, "worker_died"),))


def test_a_full_buffer_keeps_a_bounded_number_of_reasons() -> None:
    """The ticks of further ones are counted with the refused batches."""
    buffer = SendBuffer(bytes_max=300)
    for number in range(MISSED_MAX + 10):
        assert not buffer.offer("process", 1, number, bytes(300), 1, Tick(number, (Missed(number, number, "starved"),)))
    assert buffer.offer("process", 1, 9, b"", 1, Tick(1000))
    assert len(head_of(buffer).missed) == MISSED_MAX


def head_of(buffer: SendBuffer) -> Batch:
    """The head of the next pending to send, which must be a batch."""
    head = next(buffer.unsent()).head
    buffer.mark_sent()
    assert isinstance(head, Batch)
    return head


def test_what_the_writer_has_not_acknowledged_is_counted() -> None:
    """Batches and their rows, sent or not."""
    buffer = SendBuffer(bytes_max=BYTES_MAX)
    for rows in (5, 3):
        assert buffer.offer("process", 3, 17, b"rows", rows)
    _send_all(buffer)
    assert (buffer.unstored_batches, buffer.unstored_rows) == (2, 8)
    buffer.on_acknowledged(1)
    assert (buffer.unstored_batches, buffer.unstored_rows) == (1, 3)
