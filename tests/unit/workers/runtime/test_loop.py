"""The one loop of a worker, turn by turn: what it hears, what it calls, when it ends."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from fakes.clock import FakeClock

from agent.model.heartbeat_page import BODY_BYTES, BODY_OFFSET, MEMORY, MEMORY_OFFSET, PAGE_BYTES, VERSION, Beat, parse_page
from agent.model.message import Ack, Answer, Ask, Delta, Nack, Note, Resync, Snapshot, Stop, StoreEvents, TakenOver, ToWorker
from agent.model.rule import Assignment, GroupRule, Unit, UnitKind, canonical, pod_key, rule_key
from agent.model.rule_state import RuleState
from agent.model.timebase import HOUR, MS, S
from agent.ports import Interest, Operation
from workers.runtime.heartbeat_page import HeartbeatPage
from workers.runtime.loop import MEMORY_PERIOD_NS, WorkerLoop

Turn = ToWorker | Callable[[], object] | tuple[ToWorker, ...]
START_NS = 1 * S
RULE = (rule_key("a"), canonical(GroupRule("a")))
OTHER = (rule_key("b"), canonical(GroupRule("b")))
GRACE_NS = 1 * S
# The digest of no entries is all zeros, so this must be something else.
WRONG = b"\1" * 32


class ScriptedBus:
    """A bus that is always readable: each turn it hands out one step of the script; after the last the process is killed."""

    def __init__(self, script: Sequence[Turn], hang_up: Callable[[], None]) -> None:
        self._script = list(script)
        self._hang_up = hang_up
        self.malformed = 3
        self.said: list[object] = []
        self.socket = os.eventfd(1, os.EFD_CLOEXEC)

    def receive(self) -> Iterator[ToWorker]:
        """The next step: a message, several that came meanwhile, or something that happens in the world."""
        if not self._script:
            self._hang_up()
            return
        step = self._script.pop(0)
        if callable(step):
            step()
        elif isinstance(step, tuple):
            yield from step
        else:
            yield step

    def send(self, message: object) -> None:
        """Keep it."""
        self.said.append(message)

    def note(self, note: Note) -> None:
        """Keep it."""
        self.said.append(note)

    def ready(self) -> None:
        """Keep that."""
        self.said.append("ready")

    def say_again(self, pid: int) -> None:
        """Keep that."""
        self.said.append(("again", pid))

    def reply(self, ask: int, body: dict[str, Any], problem: str = "") -> None:
        """Keep the answer."""
        self.said.append((ask, body))


class RecordingWork:
    """A work that writes down how it is called."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.deadline_ns: int | None = None
        self.wanted: tuple[Interest, ...] = ()
        self.late: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, dict[str, Any] | None] = {"stats": {"ticks": 1}, "rotate": None}
        self.late_answers: list[tuple[int, dict[str, Any]]] = []
        self.is_finished = True

    def on_start(self, now_ns: int) -> None:
        self.calls.append(("start", now_ns))

    def on_rules(self, rules: RuleState) -> None:
        self.calls.append(("rules", [key for key, _content in rules.items()]))

    def next_deadline_ns(self) -> int | None:
        return self.deadline_ns

    def on_timer(self, now_ns: int) -> None:
        self.calls.append(("timer", now_ns))
        self.deadline_ns = None

    def interests(self) -> tuple[Interest, ...]:
        return self.wanted

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        self.calls.append(("readable", descriptor))

    def on_writable(self, descriptor: int, now_ns: int) -> None:
        self.calls.append(("writable", descriptor))

    def on_data(self, now_ns: int) -> bool:
        self.calls.append(("data", now_ns))
        return False

    def on_stored(self, now_ns: int) -> None:
        self.calls.append(("stored", now_ns))

    def on_ask(self, what: str, now_ns: int) -> dict[str, Any] | None:
        return self.answers[what]

    def take_replies(self) -> Sequence[tuple[str, dict[str, Any]]]:
        taken, self.late = self.late, []
        return taken

    def on_operation(self, operation: Operation, now_ns: int) -> dict[str, Any] | None:
        self.calls.append(("operation", *operation))
        return operation.arguments.get("at_once")

    def take_answers(self) -> Sequence[tuple[int, dict[str, Any]]]:
        taken, self.late_answers = self.late_answers, []
        return taken

    def on_answer(self, request: int, body: dict[str, Any]) -> None:
        self.calls.append(("answer", request, body))

    def on_level(self, steps: Sequence[str], *, is_off: bool) -> None:
        self.calls.append(("level", list(steps), is_off))

    def on_delivery(self, delivery: StoreEvents, now_ns: int) -> None:
        """See the class."""
        self.calls.append(("delivery", delivery))

    def on_taken_over(self, now_ns: int) -> None:
        """See the class."""
        self.calls.append(("taken_over",))

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        self.calls.append(("stop", for_good))

    def is_done(self) -> bool:
        return self.is_finished

    def called(self, name: str) -> list[tuple[Any, ...]]:
        """The calls of one name."""
        return [call for call in self.calls if call[0] == name]


class RecordingBuffer:
    """The part of a buffer that the loop looks at."""

    is_empty = True
    acknowledged_seq = 0
    unstored_rows = 7
    size_bytes = 0

    @property
    def unstored_batches(self) -> int:
        """Two, unless it is empty."""
        return 0 if self.is_empty else 2


class RecordingOutboxSocket:
    """An outbox that counts."""

    def __init__(self) -> None:
        self.buffer = RecordingBuffer()
        self.socket = os.eventfd(0, os.EFD_CLOEXEC)
        self.writer_epoch: int | None = 1
        self.is_awaited = False
        self.pumped = 0
        self.is_ended = False
        self.on_pump: Callable[[], object] = lambda: None

    def pump(self) -> None:
        self.pumped += 1
        self.on_pump()

    def end(self) -> None:
        self.is_ended = True

    def stats(self) -> dict[str, int]:
        return {"unacknowledged": 0}


class _KilledError(Exception):
    """What the kernel does to a worker."""


class RecordingPeer:
    """The data socket of a writer, as the loop looks at it."""

    def __init__(self, socket: int) -> None:
        self.socket = socket

    def stats(self) -> dict[str, int]:
        """One count."""
        return {"data_malformed": 2}


class Story:
    """A loop over fakes; `play` runs it to its end."""

    def __init__(self, *, with_outbox: bool = False) -> None:
        self.clock = FakeClock(START_NS)
        self.work = RecordingWork()
        self.outbox = RecordingOutboxSocket() if with_outbox else None
        self.outboxes = {} if self.outbox is None else {"": self.outbox}
        self.page = os.memfd_create("heartbeat-test", os.MFD_CLOEXEC)
        os.ftruncate(self.page, PAGE_BYTES)
        self._is_killed = False
        self.peer: RecordingPeer | None = None
        self.bus: ScriptedBus | None = None
        self.loop: WorkerLoop | None = None
        self.memory_measured = 0

    def _measure_memory(self) -> int:
        self.memory_measured += 1
        return self.memory_measured << 20

    def told_memory(self) -> int:
        """What the supervisor would see of the worker's memory."""
        return int(MEMORY.unpack(os.pread(self.page, MEMORY.size, MEMORY_OFFSET))[0])

    def play(self, *script: Turn) -> list[object]:
        """Run the script; gives what was said on the bus."""
        self.bus = ScriptedBus(script, self._hang_up)
        loop = WorkerLoop(
            clock=self.clock,
            page=HeartbeatPage(self.page),
            bus=self.bus,  # type: ignore[arg-type]
            work=self.work,
            outboxes=self.outboxes,  # type: ignore[arg-type]
            peer=self.peer,  # type: ignore[arg-type]
            heartbeat_interval_ns=HOUR,
            memory=self._measure_memory,
        )
        self.loop = loop
        with suppress(_KilledError):
            loop.run()
        return self.bus.said

    def was_cut_short(self) -> bool:
        """Whether the loop ended by itself, before the script was over."""
        return not self._is_killed

    def advance(self, duration_ns: int) -> Callable[[], object]:
        """A step of a script in which only time passes."""
        return lambda: self.clock.advance(duration_ns)

    def beat(self) -> Beat | None:
        """What the supervisor would see on the page."""
        page = os.pread(self.page, PAGE_BYTES, 0)
        return parse_page(page[: VERSION.size], page[BODY_OFFSET : BODY_OFFSET + BODY_BYTES], page[: VERSION.size])

    def close(self) -> None:
        """Give every descriptor back."""
        outbox = [each.socket for each in self.outboxes.values()]
        bus = [] if self.bus is None else [self.bus.socket]
        for descriptor in [self.page, *outbox, *bus]:
            os.close(descriptor)

    def silence_bus(self) -> None:
        """A step after which the bus wakes nobody."""
        assert self.bus is not None
        os.eventfd_read(self.bus.socket)

    def wake_bus(self) -> None:
        """The bus is readable again."""
        assert self.bus is not None
        os.eventfd_write(self.bus.socket, 1)

    def _hang_up(self) -> None:
        self._is_killed = True
        raise _KilledError


@pytest.fixture
def story() -> Iterator[Story]:
    """A worker that fills no table."""
    story = Story()
    yield story
    story.close()


@pytest.fixture
def sender() -> Iterator[Story]:
    """A worker that fills tables."""
    story = Story(with_outbox=True)
    yield story
    story.close()


def _snapshot(sequence: int = 1, *entries: tuple[str, bytes]) -> Snapshot:
    return Snapshot(sequence, 5, RuleState(entries).digest, list(entries))


def test_the_work_starts_with_its_rules_loaded_and_then_is_ready(story: Story) -> None:
    """Acknowledged, told, started, ready: in this order."""
    assert story.play(_snapshot(1, RULE)) == [Ack(1, 5, RuleState([RULE]).digest), "ready"]
    assert story.work.calls == [("rules", [RULE[0]]), ("start", START_NS)]


def test_without_a_whole_snapshot_the_work_does_not_start(story: Story) -> None:
    """A refused snapshot and a delta out of nowhere start nothing."""
    answers = story.play(Snapshot(1, 5, WRONG, [RULE]), Delta(2, 6, WRONG, []))
    assert [type(answer) for answer in answers] == [Nack, Resync]
    assert story.work.calls == []


def test_a_change_is_told_and_starts_nothing_again(story: Story) -> None:
    """A worker is ready once."""
    said = story.play(_snapshot(1, RULE), Delta(2, 6, RuleState().digest, [(RULE[0], None)]))
    assert said.count("ready") == 1
    assert story.work.calls == [("rules", [RULE[0]]), ("start", START_NS), ("rules", [])]


def test_changes_that_came_together_are_told_once(story: Story) -> None:
    """Each is acknowledged, but a thousand rules that are added one by one are not bound a thousand times."""
    both, none = RuleState([RULE, OTHER]).digest, RuleState().digest
    changes = (Delta(2, 6, both, [OTHER]), Delta(3, 7, none, [(RULE[0], None), (OTHER[0], None)]), Delta(4, 8, WRONG, [RULE]))
    said = story.play(_snapshot(1, RULE), changes)
    assert [type(answer) for answer in said if answer != "ready"] == [Ack, Ack, Ack, Nack]
    assert story.work.called("rules") == [("rules", [RULE[0]]), ("rules", [])]


def test_what_comes_behind_a_change_meets_a_work_that_knows_it(story: Story) -> None:
    """Order is kept: an answer reaches a work that has started with the rules before it, and knows no later ones."""
    story.play((_snapshot(1, RULE), Answer(1, {}), Delta(2, 6, RuleState().digest, [(RULE[0], None)])))
    assert [name for name, *_ in story.work.calls] == ["rules", "start", "answer", "rules"]


def test_a_refused_change_is_not_told(story: Story) -> None:
    """The work goes on with the rules it has."""
    story.play(_snapshot(1, RULE), Delta(2, 6, WRONG, [(RULE[0], None)]), Delta(9, 6, WRONG, []))
    assert len(story.work.called("rules")) == 1


def test_the_page_shows_every_turn_and_the_rules_that_are_held(story: Story) -> None:
    """Three turns of the script and the one in which it is killed."""
    story.play(_snapshot(1, RULE), story.advance(7 * MS), story.advance(3 * MS))
    assert story.beat() == Beat(4, START_NS + 10 * MS, 5, RuleState([RULE]).digest)


def test_a_worker_measures_its_own_memory_at_once_and_then_now_and_then(story: Story) -> None:
    """The supervisor asks no other process: it would wait with one whose memory lock is held."""
    story.play(_snapshot(), story.advance(MEMORY_PERIOD_NS - 1), story.advance(1), story.advance(1))
    assert (story.memory_measured, story.told_memory()) == (2, 2 << 20)


def test_the_timer_is_called_when_it_is_due_and_not_before(story: Story) -> None:
    """A millisecond too early is too early."""
    story.work.deadline_ns = START_NS + 10 * MS
    story.play(_snapshot(), story.advance(9 * MS), story.advance(1 * MS), story.advance(5 * MS))
    assert story.work.called("timer") == [("timer", START_NS + 10 * MS)]


def test_the_timer_is_not_called_before_the_start(story: Story) -> None:
    """Nothing is measured under rules that are not there."""
    story.work.deadline_ns = START_NS
    story.play(story.advance(S), story.advance(S))
    assert story.work.calls == []


def test_rows_of_the_supervisor_are_handed_to_the_work_once_it_has_started() -> None:
    """Before that they are dropped: they are sent again."""
    story = Story()
    story.play(StoreEvents(1), _snapshot(), StoreEvents(2), Stop(GRACE_NS))
    assert [call for call in story.work.calls if call[0] == "delivery"] == [("delivery", StoreEvents(2))]


def test_another_supervisor_hears_who_it_is_and_that_it_goes_on(story: Story) -> None:
    """Hello again, and ready again with the new snapshot; the work is not started a second time."""
    said = story.play(_snapshot(), TakenOver(), _snapshot(sequence=900))
    assert [each for each in said if not isinstance(each, Ack)] == ["ready", ("again", os.getpid()), "ready"]
    assert [call[0] for call in story.work.calls if call[0] != "timer"] == ["rules", "start", "taken_over", "rules"]


@pytest.mark.parametrize("for_good", [True, False])
def test_a_stop_ends_the_work_and_then_the_loop(sender: Story, for_good: bool) -> None:
    """The work hears whether a successor follows; the outbox is told that no batch does."""
    sender.play(_snapshot(), Stop(GRACE_NS, for_good=for_good))
    assert sender.work.called("stop") == [("stop", for_good)]
    assert sender.outbox is not None
    assert sender.outbox.is_ended
    assert sender.was_cut_short()


def test_it_stays_until_the_work_is_done(story: Story) -> None:
    """The last step of the script lets it go."""
    story.work.is_finished = False
    story.play(_snapshot(), Stop(GRACE_NS), story.advance(MS), lambda: setattr(story.work, "is_finished", True))
    assert story.was_cut_short()
    assert story.beat() == Beat(5, START_NS + MS, 5, RuleState().digest)


def test_it_stays_until_everything_is_acknowledged(sender: Story) -> None:
    """The work may be done long before the writer has answered."""
    assert sender.outbox is not None
    buffer = sender.outbox.buffer
    buffer.is_empty = False
    sender.play(_snapshot(), Stop(GRACE_NS), sender.advance(MS), lambda: setattr(buffer, "is_empty", True))
    assert sender.was_cut_short()
    assert sender.clock.now_ns() == START_NS + MS


def test_it_does_not_stay_beyond_the_grace(sender: Story) -> None:
    """A writer that never answers keeps nobody: SIGKILL would follow."""
    assert sender.outbox is not None
    sender.outbox.buffer.is_empty = False
    said = sender.play(_snapshot(), Stop(GRACE_NS), sender.advance(GRACE_NS - 1), sender.advance(1), sender.advance(S))
    assert sender.was_cut_short()
    assert said[-1] == Note("rows_not_stored", "error", {"batches": 2, "rows": 7})
    assert sender.clock.now_ns() == START_NS + GRACE_NS


def test_a_stop_before_the_start_is_no_stop_of_the_work(story: Story) -> None:
    """What has not begun is not ended; a snapshot that comes late begins nothing."""
    story.work.is_finished = False
    story.play(Stop(GRACE_NS), _snapshot())
    assert story.work.calls == []
    assert story.was_cut_short()


def test_rules_that_arrive_during_the_stop_start_nothing(sender: Story) -> None:
    """They are acknowledged, but the end stays the end."""
    assert sender.outbox is not None
    sender.outbox.buffer.is_empty = False
    said = sender.play(Stop(GRACE_NS), _snapshot(), sender.advance(GRACE_NS))
    assert [type(word) for word in said] == [Ack, Note]
    assert sender.work.called("start") == []


def test_what_rules_are_held_is_answered_by_the_loop_itself(story: Story) -> None:
    """With rules and assignments, before and after the start; the work is not asked."""
    pod = Assignment(Unit("u1", UnitKind.POD, "/kubepods/podu1"), "g", "a", 7)
    entries = (RULE, (pod_key("u1"), canonical(pod)))
    story.work.answers = {}
    *_, answer = story.play(Ask(1, "rules"), _snapshot(1, *entries), Ask(2, "rules"))
    assert isinstance(answer, tuple)
    ask, document = answer
    assert story.bus is not None
    empty = {"revision": 0, "digest": RuleState().digest.hex(), "rules": [], "pods": []}
    assert story.bus.said[0] == (1, empty)
    assert (ask, document["revision"], document["digest"]) == (2, 5, RuleState(entries).digest.hex())
    assert [rule["name"] for rule in document["rules"]] == ["a"]
    assert document["pods"] == [{"uid": "u1", "namespace": None, "name": None, "group": "g", "rule": "a"}]


def test_a_heartbeat_is_a_beat_in_the_middle_of_a_turn(story: Story) -> None:
    """Anyone who watches sees that the loop goes on, at which time, and with the same rules."""
    beats: list[Beat | None] = []

    def measure(now_ns: int) -> None:
        assert story.loop is not None
        story.work.deadline_ns = None
        for _ in range(2):
            story.clock.advance(MS)
            story.loop.heartbeat()
            beats.append(story.beat())

    story.work.on_timer = measure  # type: ignore[method-assign]
    story.work.deadline_ns = START_NS
    story.play(_snapshot(1, RULE))
    digest = RuleState([RULE]).digest
    assert beats == [Beat(2, START_NS + MS, 5, digest), Beat(3, START_NS + 2 * MS, 5, digest)]


def test_stats_are_the_works_and_the_sockets(sender: Story) -> None:
    """What the outbox holds and what the bus could not read stand beside what the work says."""
    *_, answer = sender.play(_snapshot(), Ask(8, "stats"))
    assert answer == (8, {"ticks": 1, "outbox": {"unacknowledged": 0}, "bus_malformed": 3})


def test_the_outbox_of_a_member_stands_in_the_members_part(sender: Story) -> None:
    """Who reads its statistics finds them as if it had a process of its own; its losses at the end have its name too."""
    assert sender.outbox is not None
    sender.outboxes = {"sampler/a": sender.outbox}
    sender.work.answers["stats"] = {"members": {"sampler/a": {"ticks": 1}, "sampler/b": {"ticks": 2}}}
    sender.outbox.buffer.is_empty = False
    said = sender.play(_snapshot(), Ask(8, "stats"), Stop(GRACE_NS), sender.advance(GRACE_NS))
    members = {"sampler/a": {"ticks": 1, "outbox": {"unacknowledged": 0}}, "sampler/b": {"ticks": 2}}
    assert (8, {"members": members, "bus_malformed": 3}) in said
    assert said[-1] == Note("rows_not_stored", "error", {"batches": 2, "rows": 7}, member="sampler/a")


def test_stats_without_an_outbox_have_none(story: Story) -> None:
    """Absent, not empty."""
    *_, answer = story.play(_snapshot(), Ask(8, "stats"))
    assert answer == (8, {"ticks": 1, "bus_malformed": 3})


def test_a_late_answer_goes_once_to_everybody_who_asked(story: Story) -> None:
    """Two ask while the work is busy; the third asks again and gets the next one alone."""

    def done(files: int) -> Callable[[], object]:
        return lambda: story.work.late.append(("rotate", {"files": files}))

    said = story.play(_snapshot(), Ask(1, "rotate"), Ask(2, "rotate"), done(1), story.advance(MS), Ask(3, "rotate"), done(2))
    assert said[2:] == [(1, {"files": 1}), (2, {"files": 1}), (3, {"files": 2})]


def test_an_answer_of_the_supervisor_reaches_the_work(story: Story) -> None:
    """With the number of its request."""
    story.play(_snapshot(), Answer(4, {"ready": True}))
    assert story.work.called("answer") == [("answer", 4, {"ready": True})]


def test_a_descriptor_of_the_work_is_heard_as_long_as_the_work_wants(story: Story) -> None:
    """From the turn after it is named until it is no longer named."""
    readable = os.eventfd(1, os.EFD_CLOEXEC)
    silent = os.eventfd(0, os.EFD_CLOEXEC)
    story.work.wanted = (Interest(readable), Interest(silent))
    story.play(_snapshot(), story.advance(1), lambda: setattr(story.work, "wanted", (Interest(silent),)), story.advance(1))
    assert story.work.called("readable") == [("readable", readable)] * 2
    os.close(readable)
    os.close(silent)


def test_a_descriptor_is_waited_for_as_its_interest_says(story: Story) -> None:
    """Writing is told only where it is wanted; an interest may change, and one that wants neither is silent."""
    both = os.eventfd(1, os.EFD_CLOEXEC)
    story.work.wanted = (Interest(both, readable=False, writable=True),)
    turns = ((Interest(both, writable=True),), (Interest(both, readable=False),), ())
    steps = [lambda wanted=wanted: setattr(story.work, "wanted", wanted) for wanted in turns]
    story.play(_snapshot(), *steps, story.advance(1))
    # What a step changes counts from the next turn.
    written, read = ("writable", both), ("readable", both)
    assert [call for call in story.work.calls if call[0] in ("readable", "writable")] == [written, read, written]
    os.close(both)


def test_a_failed_descriptor_is_reported_to_the_work_that_waits_for_it(story: Story) -> None:
    """The other end of a pipe is closed: writing there is what shows it."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.close(reading)
    story.work.wanted = (Interest(writing, readable=False, writable=True),)
    story.play(_snapshot(), story.advance(1))
    assert story.work.called("writable") == [("writable", writing)]
    os.close(writing)


def test_a_watched_socket_is_heard_before_the_start_too(story: Story) -> None:
    """The writer takes batches in while it waits for its rules."""
    readable = os.eventfd(1, os.EFD_CLOEXEC)
    story.peer = RecordingPeer(readable)
    story.play(story.advance(5))
    assert story.work.called("data") == [("data", START_NS + 5)]
    os.close(readable)


def test_the_outbox_is_looked_after_every_turn(sender: Story) -> None:
    """Whatever woke the loop: the writer's answers are taken with it."""
    sender.play(_snapshot(), sender.advance(1), sender.advance(1))
    assert sender.outbox is not None
    assert sender.outbox.pumped == 3


def test_the_writers_first_hello_wakes_the_loop(sender: Story) -> None:
    """Until the writer has spoken nothing can be sent, so that is worth a turn; this one would wait an hour else."""
    outbox = sender.outbox
    assert outbox is not None
    outbox.writer_epoch = None
    outbox.on_pump = sender.wake_bus
    os.eventfd_write(outbox.socket, 1)
    sender.play(sender.silence_bus, _snapshot())
    assert sender.work.called("start") != []


def test_at_the_end_the_writers_acknowledgement_wakes_the_loop(sender: Story) -> None:
    """The last acknowledgement is all that is waited for."""
    outbox = sender.outbox
    assert outbox is not None
    outbox.buffer.is_empty = False

    def on_pump() -> None:
        outbox.buffer.is_empty = outbox.is_ended

    def everything_arrives() -> None:
        sender.silence_bus()
        os.eventfd_write(outbox.socket, 1)
        outbox.on_pump = on_pump

    sender.play(_snapshot(), Stop(HOUR), everything_arrives)
    assert sender.was_cut_short()


def test_who_hands_on_what_others_keep_is_told_when_more_of_it_is_stored(sender: Story) -> None:
    """Once for each growth; the writer's answers wake the loop. Who only fills tables is told nothing."""
    assert sender.outbox is not None
    outbox = sender.outbox
    stored = iter([0, 2, 2, 5])

    def hear() -> None:
        outbox.buffer.acknowledged_seq = next(stored, 5)

    outbox.on_pump = hear
    outbox.is_awaited = True
    sender.play(_snapshot(), (), (), (), ())
    assert sender.work.called("stored") == [("stored", START_NS)] * 2


def test_an_operation_is_handed_to_the_work_and_answered_by_its_number(story: Story) -> None:
    """At once, or later in any order; before the work has started it is refused with what to do."""

    def answer_late() -> None:
        story.work.late_answers = [(8, {"late": 8}), (7, {"late": 7})]

    asked = (Ask(7, "run-it", {"name": "a"}), Ask(8, "run-it", {}), Ask(9, "run-it", {"at_once": {"done": True}}))
    said = story.play(Ask(6, "run-it", {}), _snapshot(), asked, answer_late)
    refused = {"code": "worker_not_up", "sentence": "the worker has just been started; try again", "exit": 75}
    numbered = [each for each in said if isinstance(each, tuple) and isinstance(each[0], int)]
    assert numbered == [(6, {"refused": refused}), (9, {"done": True}), (8, {"late": 8}), (7, {"late": 7})]
    assert story.work.called("operation")[0] == ("operation", 7, "run-it", {"name": "a"})
