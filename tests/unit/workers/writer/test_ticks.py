"""Every tick between the first and the last stored one is stored or counted in one row of `gap`, once."""

import random

import pytest
from fakes.clock import FakeClock
from fakes.segment import head_of

from agent.model.gap_cause import GapCause
from agent.model.message import Batch, Bye, Ending, Identity, Missed, Tick, encode
from agent.model.tick_grid import TickGrid
from agent.model.timebase import MS, S
from agent.store.record import Entry, Mark, encode_entry, encode_head
from workers.runtime.send_buffer import PendingBatch, SendBuffer
from workers.writer.core import Accept, WriterCore
from workers.writer.gap import Gap, Reason
from workers.writer.recover import Recovery
from workers.writer.ticks import Account, missing

WHO = Identity("run-1", "sampler/process", 1)
NEXT = Identity("run-1", "sampler/process", 2)
THIRD = Identity("run-1", "sampler/process", 3)
KNOWN = Mark("run-1", "sampler/process", 1, 4, 40, False, 100, 7)


def batch(seq: int, tick: int, *missed: Missed, endings: tuple[Ending, ...] = ()) -> Batch:
    """A batch stamped ten times its number."""
    return Batch(seq, "sample", 1, 10 * seq, 4, (), tick, missed, endings)


def accepted(verdict: object) -> Accept:
    """The verdict, which must be to accept."""
    assert isinstance(verdict, Accept)
    return verdict


def brief(gaps: tuple[Gap, ...]) -> list[tuple[int, str, int | None, int | None]]:
    """What the gaps say of ticks: of which start, why, how many, the last."""
    return [(gap.who.epoch, gap.reason, gap.ticks, gap.last_tick) for gap in gaps]


def test_what_a_worker_explains_is_told_by_its_words_and_the_rest_is_counted() -> None:
    """Ranges in any order, overlapping, known before or reaching beyond the tick: each tick once."""
    tick = Tick(10, (Missed(8, 99, "b"), Missed(1, 4, "a"), Missed(4, 5, "a")))
    assert missing(2, tick) == Account((Missed(3, 4, "a"), Missed(5, 5, "a"), Missed(8, 10, "b")), 2, 7)
    assert missing(2, Tick(10)) == Account((), 7, 9)
    assert missing(9, Tick(10)) == missing(10, Tick(10)) == missing(11, Tick(10)) == Account((), 0, None)


def test_before_the_first_known_tick_only_the_explained_are_missing() -> None:
    """Nobody knows where the grid of a run began; a range that ends before it begins is none."""
    assert missing(None, Tick(10)) == Account((), 0, None)
    assert missing(None, Tick(10, (Missed(3, 4, "a"), Missed(9, 8, "b")))) == Account((Missed(3, 4, "a"),), 0, None)


def test_ticks_that_were_missed_in_one_life_are_rows_without_batch_numbers() -> None:
    """One for each reason, from the last stored batch to the first after the hole; the count goes on."""
    core = WriterCore("run-1", [KNOWN])
    verdict = accepted(core.on_batch(WHO, batch(5, 109, Missed(101, 104, "frozen"), Missed(105, 108, "starved"))))
    assert verdict.gaps == (
        Gap(WHO, None, None, None, None, 40, 50, "frozen", 4, 104),
        Gap(WHO, None, None, None, None, 40, 50, "starved", 4, 108),
    )
    core.commit()
    assert core.ticks_missed() == {"sampler/process": 15}
    # The tick's next table names the same ranges.
    assert accepted(core.on_batch(WHO, batch(6, 109, Missed(101, 104, "frozen")))).gaps == ()


def test_ticks_that_died_with_a_worker_are_counted_in_the_row_of_its_death() -> None:
    """By the word of how it ended; of two that died one after another the first has them all."""
    core = WriterCore("run-1", [KNOWN])
    endings = (Ending(1, "worker_hung"), Ending(2, "worker_died"))
    verdict = accepted(core.on_batch(THIRD, batch(1, 105, Missed(103, 103, "overrun"), endings=endings)))
    assert brief(verdict.gaps) == [(1, "worker_hung", 3, 104), (2, "worker_died", 0, None), (3, "overrun", 1, 103)]
    core.commit()
    assert core.ticks_missed() == {"sampler/process": 11}


def test_what_a_start_missed_that_nothing_was_ever_heard_of_is_unknown() -> None:
    """Its death has a row; its successor's own misses are counted."""
    core = WriterCore("run-1")
    verdict = accepted(core.on_batch(NEXT, batch(1, 103, Missed(102, 102, "overrun"))))
    assert brief(verdict.gaps) == [(1, "worker_died", None, None), (2, "overrun", 1, 102)]
    core.commit()
    assert core.ticks_missed() == {WHO.worker: 1}


def test_how_a_worker_ended_that_nobody_told_of_is_that_it_died() -> None:
    """The supervisor that knew is dead; and that of another run is another epoch 1."""
    assert brief(accepted(WriterCore("run-1", [KNOWN]).on_batch(NEXT, batch(1, 103))).gaps) == [(1, "worker_died", 2, 102)]
    other = WriterCore("run-2", [KNOWN])
    verdict = accepted(other.on_batch(Identity("run-2", WHO.worker, 2), batch(1, 103, endings=(Ending(1, "worker_hung"),))))
    assert brief(verdict.gaps) == [(1, "worker_died", None, None), (1, "worker_hung", None, None)]


def test_a_restart_in_good_order_is_a_row_only_where_it_cost_ticks() -> None:
    """It said its Bye: nothing died with it, but nobody measured."""
    ended = Mark("run-1", WHO.worker, 1, 5, 50, True, 100, 0)
    assert accepted(WriterCore("run-1", [ended]).on_batch(NEXT, batch(1, 101))).gaps == ()
    (gap,) = accepted(WriterCore("run-1", [ended]).on_batch(NEXT, batch(1, 103))).gaps
    assert gap == Gap(WHO, None, None, None, None, 50, 10, Reason.WORKER_STOPPED, 2, 102)


def test_a_start_that_ended_before_its_first_tick_hides_none() -> None:
    """Its Bye leaves the grid where it was."""
    core = WriterCore("run-1", [KNOWN])
    bye = accepted(core.on_bye(NEXT, Bye(1, (), (Ending(1, "worker_hung"),))))
    assert [(gap.reason, gap.ticks) for gap in bye.gaps] == [("worker_hung", None)]
    assert brief(accepted(core.on_batch(THIRD, batch(1, 104))).gaps) == [(2, "worker_stopped", 3, 103)]


def test_ticks_whose_batches_were_refused_are_counted_with_these() -> None:
    """The full buffer keeps the reasons that came with them, for the next batch that it takes."""
    buffer = SendBuffer(bytes_max=600)
    assert not buffer.offer("sample", 1, 60, bytes(500), 1, Tick(103, (Missed(102, 102, "starved"),)))
    assert buffer.offer("sample", 1, 70, b"", 1, Tick(104))
    pending = next(buffer.unsent())
    assert isinstance(pending.head, Batch)
    core = WriterCore("run-1", [Mark("run-1", WHO.worker, 1, 0, 50, False, 101)])
    assert brief(accepted(core.on_batch(WHO, pending.head)).gaps) == [(1, "buffer_full", 1, 103), (1, "starved", 1, 102)]


def test_a_tick_that_nothing_explains_is_unknown() -> None:
    """No batch is missing and no word of it: a sender of another making."""
    assert brief(accepted(WriterCore("run-1", [KNOWN]).on_batch(WHO, batch(5, 103))).gaps) == [(1, "unknown", 2, 102)]


def test_an_unreadable_tick_is_missing_although_its_batch_is_there() -> None:
    """The batch has no rows and brings the reason."""
    verdict = accepted(WriterCore("run-1", [KNOWN]).on_batch(WHO, batch(5, 103, Missed(101, 103, "unreadable"))))
    assert brief(verdict.gaps) == [(1, "unreadable", 3, 103)]


def test_a_refused_batch_does_not_take_the_ticks_before_it() -> None:
    """Its own row says that it is missing; the others have theirs."""
    verdict = accepted(WriterCore("run-1", [KNOWN]).on_batch(WHO, batch(5, 103), refusal=Reason.UNKNOWN_TABLE))
    assert brief(verdict.gaps) == [(1, "unknown", 2, 102), (1, "unknown_table", None, None)]


class _World:
    """Lives of one sampler, one after another, and the writer that stores them, which dies too."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock = FakeClock(100 * S)
        self.core = WriterCore("run-1", [Mark("run-1", WHO.worker, 1, 0, 0, False, 100)])
        self.segment = encode_head(head_of(marks=self.core.marks()))
        self.stored = {100}
        self.counted = 0
        self.endings: list[Ending] = []

    def live(self, epoch: int) -> None:
        """One start: some ticks, most of them stored, then a Bye or none, and a pause before the next."""
        who = Identity("run-1", WHO.worker, epoch)
        # Room for one batch, so that some are refused while the writer takes none.
        buffer = SendBuffer(bytes_max=300, endings=tuple(self.endings[-8:]))
        grid = TickGrid(1 * S, self.clock.reading())
        for _ in range(self.rng.randrange(6)):
            self.clock.advance(max(0, grid.next_at_ns - self.clock.now_ns()) + self.rng.choice([0, 0, 400 * MS, 2700 * MS]))
            if self.rng.random() < 0.1:
                self.clock.suspend(5 * S)
            self.tick(grid, buffer)
            if self.rng.random() < 0.8:
                self.deliver(who, buffer)
        reason = self.rng.choice(["worker_died", "worker_hung", "worker_stopped"])
        if reason == "worker_stopped":
            self.say_bye(who, grid, buffer)
        self.endings.append(Ending(epoch, reason))
        self.clock.advance(self.rng.choice([10 * MS, 700 * MS, 4 * S]))

    def tick(self, grid: TickGrid, buffer: SendBuffer) -> None:
        """One tick, sometimes unreadable, sometimes long."""
        number = grid.take(self.clock.reading())
        if self.rng.random() < 0.1:
            grid.miss(number, number, GapCause.UNREADABLE)
        else:
            buffer.offer("sample", 1, self.clock.wall_ns(), b"\x91\x90", 1, grid.tell_with(number))
        self.clock.advance(self.rng.choice([0, 0, 0, 2300 * MS]))
        grid.done(self.clock.reading())

    def say_bye(self, who: Identity, grid: TickGrid, buffer: SendBuffer) -> None:
        """Stop cleanly: everything is stored."""
        if (told := grid.tell(self.clock.reading())) is not None:
            buffer.offer("sample", 1, self.clock.wall_ns(), b"\x90", 0, told)
        buffer.end()
        self.deliver(who, buffer)

    def deliver(self, who: Identity, buffer: SendBuffer) -> None:
        """The writer takes what waits. It may be killed behind the gaps or behind the batch; its successor goes on."""
        for pending in self._waiting(buffer):
            for _ in range(2):
                head = pending.head
                verdict = self.core.on_batch(who, head) if isinstance(head, Batch) else self.core.on_bye(who, head)
                if not isinstance(verdict, Accept) or self.append(verdict, head):
                    break
        buffer.on_acknowledged(1 << 40)

    def _waiting(self, buffer: SendBuffer) -> list[PendingBatch]:
        waiting = []
        for pending in buffer.unsent():
            waiting.append(pending)
            buffer.mark_sent()
        return waiting

    def append(self, verdict: Accept, head: Batch | Bye) -> bool:
        """Store; False: killed before the batch was whole."""
        if verdict.gaps:
            entry = Entry("run-1", "writer", 1, 0, "gap", 9, len(verdict.gaps))
            self.segment += encode_entry(entry, encode([gap.row(9) for gap in verdict.gaps]))
            self.counted += sum(gap.ticks or 0 for gap in verdict.gaps)
        is_whole = self.rng.random() > 0.1
        if is_whole:
            mark, is_bye = verdict.mark, isinstance(head, Bye)
            entry = Entry(
                "run-1", WHO.worker, mark.epoch, mark.seq, "" if is_bye else "sample", 9, 0 if isinstance(head, Bye) else head.rows,
                ended=is_bye, tick=mark.tick, ticks_missed=mark.ticks_missed,
            )  # fmt: skip
            self.segment += encode_entry(entry, b"\x91\x90")
            if isinstance(head, Batch) and head.rows and head.tick is not None:
                self.stored.add(head.tick)
        self.core.commit()
        if not is_whole or self.rng.random() < 0.2:
            recovery = Recovery("run-1")
            recovery.take(self.segment)
            self.core = WriterCore("run-1", recovery.marks())
        return is_whole


@pytest.mark.parametrize("seed", range(40))
def test_in_every_story_each_tick_is_stored_or_counted_once(seed: int) -> None:
    """Deaths of sampler and writer, refusals, pauses of every kind: expected minus stored is what the rows say, and the count."""
    world = _World(seed)
    for epoch in range(1, 12):
        world.live(epoch)
    # The last life ends with a stored tick: up to it everything is known.
    who, grid, buffer = Identity("run-1", WHO.worker, 12), TickGrid(1 * S, world.clock.reading()), SendBuffer(bytes_max=1000)
    number = grid.take(world.clock.reading())
    buffer.offer("sample", 1, world.clock.wall_ns(), b"\x91\x90", 1, grid.tell_with(number))
    world.deliver(who, buffer)
    expected = number - 100 + 1
    assert expected - len(world.stored) == world.counted > 0
    assert world.core.ticks_missed() == {WHO.worker: world.counted}
