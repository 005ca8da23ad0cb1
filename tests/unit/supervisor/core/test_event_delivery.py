"""Every event is handed to the writer once, over any death."""

import json
from random import Random

import pytest
from fakes.story import Story

from agent.model.message import Batch, Condition, EventsStored, Identity, Note, StoreEvents, decode_to_writer
from agent.model.table import Row
from agent.model.tables import DIAG
from agent.model.timebase import MS, S
from agent.store.record import decode_rows
from supervisor.core.effect import Effect, Finished, Send, StopRequested
from supervisor.core.event_delivery import FRAME_EVENTS_MAX, RETRY_NS, WAITING_MAX, EventDelivery
from supervisor.core.event_history import DiagnosticEvent
from supervisor.core.event_row import event_row
from supervisor.core.stop_sequence import EVENTS_GRACE_NS
from workers.writer.core import Accept, WriterCore

PAIR = {"writer": "writer", "gateway": "gateway"}


class StoringWriter:
    """What the writer does with deliveries: it decides by its own core, and keeps rows and losses."""

    def __init__(self) -> None:
        self.core = WriterCore("r")
        self.rows: list[Row] = []
        self.lost = 0
        self.sender: int | None = None
        self.who = Identity("r", "supervisor", 1)

    def take(self, delivery: StoreEvents) -> EventsStored | None:
        """Store it; the answer."""
        if not delivery.batch:
            self.sender = delivery.sender
        elif delivery.sender != self.sender:
            return None
        else:
            batch = decode_to_writer(delivery.batch)
            assert isinstance(batch, Batch)
            verdict = self.core.on_batch(self.who, batch)
            if isinstance(verdict, Accept):
                self.rows += decode_rows(delivery.rows)
                self.lost += sum(gap.rows or 0 for gap in verdict.gaps)
                self.core.commit()
        return EventsStored(delivery.sender, self.core.have(self.who))

    def reborn(self) -> None:
        """Another generation finds what was stored."""
        self.core = WriterCore("r", self.core.marks())
        self.sender = None


class EventStory(Story):
    """A story that keeps what goes to the writer of the supervisor's own."""

    def __init__(self, now_ns: int = 0) -> None:
        self.sent: list[StoreEvents] = []
        super().__init__(PAIR, now_ns=now_ns)

    def tell(self, event: object) -> list[Effect]:
        """As in any story."""
        effects = super().tell(event)
        self.sent += [each.message for each in effects if isinstance(each, Send) and isinstance(each.message, StoreEvents)]
        return effects

    def take_sent(self) -> list[StoreEvents]:
        """What was sent since the last time."""
        sent, self.sent = self.sent, []
        return sent

    def settle(self, writer: StoringWriter) -> None:
        """Deliveries arrive and are answered until none comes any more."""
        while self.sent:
            if (answer := writer.take(self.sent.pop(0))) is not None:
                self.say("writer", answer)


def kinds(writer: StoringWriter) -> list[object]:
    """The kinds that are stored, in order."""
    return [row[DIAG.column_names.index("kind")] for row in writer.rows]


def up() -> tuple[EventStory, StoringWriter]:
    """An agent whose workers are up, and whose events so far are stored."""
    story, writer = EventStory(), StoringWriter()
    story.bring_up("writer")
    story.bring_up("gateway")
    story.settle(writer)
    return story, writer


def restart(story: EventStory, writer: StoringWriter) -> None:
    """The writer dies with what was on its way to it, and its next generation is up."""
    story.sent.clear()
    story.die("writer")
    while not story.child("writer").has_process:
        story.advance(1 * S)
    writer.reborn()
    story.bring_up("writer")


def sealed(story: EventStory, number: int = 0) -> None:
    """One event."""
    story.say("gateway", Note("sealed", "info", {"number": number}))


def seqs(writer: StoringWriter) -> list[int]:
    """The numbers of the stored rows."""
    return [int(str(row[2])) for row in writer.rows]


def test_events_before_the_writer_is_up_are_stored_once_it_is() -> None:
    """It is asked first what it has; an agent without events sends nothing."""
    story, writer = EventStory(), StoringWriter()
    story.bring_up("gateway")
    story.bring_up("writer")
    assert story.sent == [StoreEvents(0)]
    story.settle(writer)
    assert kinds(writer) == ["worker_up", "worker_up"]
    story.advance(60 * S)
    assert story.sent == []


def test_a_row_has_everything_but_what_a_worker_wrote_to_stderr() -> None:
    """Its sentence is a column, the rest of its fields is JSON, times are of the wall clock."""
    fields = {"problem": "no room", "rows": 3, "name": "x" * 900, "stderr_tail": "token=secret", "is_it": True}
    row = event_row(DiagnosticEvent(5, "sync_failed", "error", "", fields, count=2), run="r", seq=7, wall_offset_ns=100)
    found = dict(zip(DIAG.column_names, row, strict=True))
    assert json.loads(str(found.pop("fields"))) == {"rows": 3, "name": "x" * 500, "is_it": True}
    assert found == {
        "timestamp": 105,
        "run": "r",
        "seq": 7,
        "kind": "sync_failed",
        "subject": None,
        "phase": None,
        "module": "supervisor",
        "severity": "error",
        "detail": "no room",
        "since": None,
        "count": 2,
    }


def test_a_condition_has_its_phase_and_since() -> None:
    """The end points to its beginning."""
    story, writer = up()
    story.say("gateway", Condition("breaker_open:io", active=True, detail="dear"))
    story.settle(writer)
    story.now_ns += 3 * S
    story.say("gateway", Condition("breaker_open:io", active=False, detail="read again"))
    story.settle(writer)
    begun, ended = [dict(zip(DIAG.column_names, row, strict=True)) for row in writer.rows if row[3] == "breaker_open"]
    assert (begun["phase"], begun["subject"], begun["module"], begun["fields"]) == ("begin", "io", "gateway", None)
    assert (ended["phase"], ended["since"], ended["detail"]) == ("end", begun["timestamp"], "read again")


@pytest.mark.parametrize("is_stored", [True, False], ids=["stored", "lost"])
def test_what_was_on_its_way_to_a_writer_that_died_is_stored_once(is_stored: bool) -> None:
    """Its successor says whether it was appended."""
    story, writer = up()
    sealed(story)
    (frame,) = story.take_sent()
    if is_stored:
        writer.take(frame)
    story.die("writer")
    writer.reborn()
    story.bring_up("writer")
    story.settle(writer)
    assert kinds(writer).count("sealed") == 1
    assert kinds(writer)[-3:] == ["worker_died", "worker_restart", "worker_up"]
    assert seqs(writer) == sorted(set(seqs(writer)))


def test_an_answer_that_does_not_come_is_asked_for_again() -> None:
    """A full disk stores nothing and answers nothing; the same frame goes out again, and a duplicate is stored once."""
    story, writer = up()
    sealed(story)
    (frame,) = story.take_sent()
    story.advance(RETRY_NS - 1 * MS)
    assert story.sent == []
    story.advance(1 * MS)
    assert story.sent == [frame]
    writer.take(frame)
    story.settle(writer)
    assert kinds(writer).count("sealed") == 1
    story.advance(60 * S)
    assert story.sent == []


def test_a_late_answer_to_the_question_takes_nothing_back() -> None:
    """The frame behind it is on its way, and has that number."""
    story, writer = EventStory(), StoringWriter()
    story.bring_up("writer")
    (question,) = story.take_sent()
    answer = writer.take(question)
    assert answer is not None
    story.say("writer", answer)
    frames = story.take_sent()
    sealed(story)
    story.say("writer", answer)
    assert story.sent == []
    story.sent = frames
    story.settle(writer)
    assert kinds(writer) == ["worker_up"]
    story.bring_up("gateway")
    sealed(story, 1)
    story.settle(writer)
    assert kinds(writer) == ["worker_up", "worker_up", "sealed"]


def test_a_storm_is_bounded_and_what_is_dropped_is_told() -> None:
    """While no writer takes anything; table gap has how many."""
    story, writer = EventStory(), StoringWriter()
    story.bring_up("gateway")
    for number in range(WAITING_MAX + 100):
        sealed(story, number)
    story.bring_up("writer")
    story.settle(writer)
    assert (len(writer.rows), writer.lost) == (WAITING_MAX, 102)
    assert seqs(writer) == sorted(set(seqs(writer)))


def test_a_supervisor_that_takes_over_goes_on_behind_the_one_before() -> None:
    """Nothing of it is taken for a duplicate, and what the dead one had on its way is not stored in the place of its own."""
    story, writer = up()
    sealed(story)
    (late,) = story.take_sent()
    successor = EventStory(now_ns=7 * S)
    successor.bring_up("writer")
    successor.settle(writer)
    before = list(writer.rows)
    assert writer.take(late) is None
    assert writer.rows == before
    assert kinds(writer) == ["worker_up", "worker_up", "worker_up"]
    assert seqs(writer) == sorted(set(seqs(writer)))


def test_rows_of_two_supervisors_have_different_numbers_however_many_writers_died() -> None:
    """What died with a writer was numbered and is not stored; its numbers reach into no frame that a successor makes."""
    story, writer = up()
    for number in range(FRAME_EVENTS_MAX):
        sealed(story, number)
    for _ in range(3):
        assert story.take_sent(), "a frame is on its way, and dies with its writer"
        restart(story, writer)
        (question,) = story.take_sent()
        answer = writer.take(question)
        assert answer is not None
        story.say("writer", answer)
    story.settle(writer)
    successor = EventStory(now_ns=7 * S)
    successor.bring_up("writer")
    successor.bring_up("gateway")
    for number in range(FRAME_EVENTS_MAX):
        sealed(successor, number)
    successor.settle(writer)
    assert kinds(writer).count("sealed") == 2 * FRAME_EVENTS_MAX
    assert seqs(writer) == sorted(set(seqs(writer)))


def test_an_answer_that_is_not_for_this_supervisor_or_of_no_writer_changes_nothing() -> None:
    """What is on its way stays there."""
    story, writer = up()
    sealed(story)
    story.say("gateway", EventsStored(0, 1_000))
    story.say("writer", EventsStored(5, 1_000))
    story.settle(writer)
    assert kinds(writer)[-1] == "sealed"


def test_the_last_events_of_all_others_are_stored_before_the_writer_stops() -> None:
    """It is stopped as soon as they are."""
    story, writer = up()
    story.tell(StopRequested("SIGTERM"))
    story.settle(writer)
    story.die("gateway", 0)
    assert str(story.state("writer")) == "up"
    story.settle(writer)
    assert kinds(writer)[-2:] == ["stopping", "worker_stopped"]
    assert str(story.state("writer")) == "stopping"
    assert story.die("writer", 0) == [Finished()]


def test_a_writer_that_does_not_answer_does_not_delay_the_end() -> None:
    """A full disk must not keep the agent."""
    story, _writer = up()
    story.tell(StopRequested("SIGTERM"))
    story.die("gateway", 0)
    story.advance(EVENTS_GRACE_NS - 1 * MS)
    assert str(story.state("writer")) == "up"
    story.advance(1 * MS)
    assert str(story.state("writer")) == "stopping"


def _random_step(rng: Random, story: EventStory, writer: StoringWriter) -> None:
    match rng.randrange(5):
        case 0 | 1 if story.sent:
            answer = writer.take(story.sent.pop(0))
            if answer is not None and rng.random() < 0.7:
                story.say("writer", answer)
        case 2:
            story.advance(rng.randrange(7) * S)
        case 3 if rng.random() < 0.3:
            restart(story, writer)
        case _:
            pass


def test_random_lives_store_every_event_once() -> None:
    """Writers that die before or after they store, and answers that are lost."""
    for seed in range(25):
        rng = Random(seed)
        story, writer = up()
        told = 0
        for _ in range(120):
            if rng.random() < 0.5:
                sealed(story, told)
                told += 1
            _random_step(rng, story, writer)
        while story.machine._delivery.unstored:
            story.settle(writer)
            story.advance(RETRY_NS)
        numbers = [json.loads(str(row[9]))["number"] for row in writer.rows if row[3] == "sealed"]
        assert numbers == list(range(told)), seed
        assert seqs(writer) == sorted(set(seqs(writer))), seed
        assert writer.lost == 0


def test_what_happened_before_there_was_anybody_to_store_it_is_delivered_too() -> None:
    """The events of the start itself."""
    story = Story(PAIR)
    noted = len(story.supervisor_state.history.events)
    story.supervisor_state.history.note(DiagnosticEvent(5, "early", "info", "", {}))
    late = EventDelivery(story.supervisor_state)
    assert late.unstored == noted + 1
