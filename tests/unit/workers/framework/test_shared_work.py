"""Samplers that share a process: each ticks on its own grid, tells its own troubles, and counts the others' work rightly."""

from typing import Any

from fakes.bus import RecordingBus
from fakes.clock import FakeClock
from fakes.outbox import RecordingOutbox

from agent.config import Config
from agent.model.column_type import DType
from agent.model.gap_cause import GapCause
from agent.model.message import Missed
from agent.model.rule_state import RuleState
from agent.model.table import Column, Table
from agent.model.timebase import MS, S
from agent.ports import Interest
from workers.framework.member_context import MemberBus
from workers.framework.sampler import NoRules, Sample, Sampler, SamplerContext, UnreadableError, enabled_setting, interval_setting
from workers.framework.sampler_work import SamplerWork
from workers.framework.shared_work import SharedWork

START_NS = 100 * S
FIRST, SECOND = "sampler/first", "sampler/second"


class TurnProbe(NoRules):
    """Takes as long as it is told; `log` has the turns of all probes."""

    def __init__(self, name: str, clock: FakeClock, log: list[tuple[str, int]]) -> None:
        self.table = Table(name, 1, "of a test.", ("timestamp",), (Column("timestamp", DType.INT64, "ns", "when", "test"),))
        self._name = name
        self._clock = clock
        self._log = log
        self.duration_ns = self.rules_ns = 0
        self.parts_left = 0
        self.failure: UnreadableError | None = None
        self.is_closed = False

    def check(self) -> None:
        """All is well."""

    def on_rules(self, rules: RuleState) -> None:
        """Takes its time."""
        self._clock.advance(self.rules_ns)

    def is_behind(self) -> bool:
        """While parts are left."""
        return self.parts_left > 0

    def catch_up(self, until_ns: int) -> None:
        """One part, for all of the time that there is."""
        self.parts_left -= 1
        self._log.append((f"{self._name} catches up", self._clock.now_ns()))
        self._clock.advance(until_ns - self._clock.now_ns())

    def sample(self, now_ns: int, wall_ns: int) -> Sample:
        """One row."""
        self._log.append((self._name, now_ns))
        self._clock.advance(self.duration_ns)
        if self.failure is not None:
            raise self.failure
        return ((self.table, [(wall_ns,)]),)

    def stats(self) -> dict[str, Any]:
        """Its name."""
        return {"probe": self._name}

    def close(self) -> None:
        """Once."""
        assert not self.is_closed
        self.is_closed = True


def _never(_around: SamplerContext) -> TurnProbe:
    raise AssertionError("nobody opens a probe here")


class SharedStory:
    """Two samplers in one process, called when they want to be."""

    def __init__(self, first_ns: int = 1 * S, second_ns: int = 1 * S) -> None:
        self.clock = FakeClock(START_NS)
        self.log: list[tuple[str, int]] = []
        self.bus = RecordingBus()
        self.outboxes = {FIRST: RecordingOutbox(), SECOND: RecordingOutbox()}
        self.probes = {name: TurnProbe(name.partition("/")[2], self.clock, self.log) for name in self.outboxes}
        self.works = {name: self._work(name, interval) for name, interval in ((FIRST, first_ns), (SECOND, second_ns))}
        self.work = SharedWork(self.clock, self.works)
        self.work.on_rules(RuleState())
        self.work.on_start(START_NS)

    def _work(self, name: str, interval_ns: int) -> SamplerWork:
        short, probe = name.partition("/")[2], self.probes[name]
        sampler = Sampler(short, "", (probe.table,), (), enabled_setting(short), interval_setting(short), (), _never)
        config = Config({f"sampler.{short}.interval": interval_ns})
        return SamplerWork(sampler, probe, self.clock, self.outboxes[name], MemberBus(self.bus, name), config)

    def run_until(self, end_ns: int) -> None:
        """Call the timer whenever it is due."""
        while (deadline_ns := self.work.next_deadline_ns()) is not None and deadline_ns <= end_ns:
            self.clock.advance(max(0, deadline_ns - self.clock.now_ns()))
            self.work.on_timer(self.clock.now_ns())

    def missed(self, name: str) -> list[Missed]:
        """The missed ticks that a sampler has reported."""
        return [item for offer in self.outboxes[name].offers if offer.tick is not None for item in offer.tick.missed]


def test_ticks_of_one_grid_are_taken_one_after_the_other() -> None:
    """The second begins when the first has ended, and the grid of neither shifts."""
    story = SharedStory()
    story.probes[FIRST].duration_ns = 30 * MS
    story.run_until(START_NS + 1 * S)
    assert [(name, at_ns - START_NS) for name, at_ns in story.log] == [
        ("first", 0),
        ("second", 30 * MS),
        ("first", 1 * S),
        ("second", 1 * S + 30 * MS),
    ]


def test_each_has_its_interval_and_its_outbox() -> None:
    """Four ticks of the one go by between two of the other."""
    story = SharedStory(second_ns=250 * MS)
    story.run_until(START_NS + 1 * S)
    assert {name: len(outbox.offers) for name, outbox in story.outboxes.items()} == {FIRST: 2, SECOND: 5}
    assert {offer.table.name for offer in story.outboxes[SECOND].offers} == {"second"}


def test_one_that_cannot_read_keeps_no_other_from_its_ticks() -> None:
    """Its condition has its name, and the other has all of its rows."""
    story = SharedStory()
    story.probes[FIRST].failure = UnreadableError("/nowhere", "is not there", "mount it")
    story.run_until(START_NS + 2 * S)
    (condition,) = story.bus.conditions
    assert (condition.kind, condition.member, condition.active) == ("unreadable", FIRST, True)
    assert story.outboxes[FIRST].offers == []
    assert len(story.outboxes[SECOND].records(story.probes[SECOND].table)) == 3


def test_a_tick_that_another_sampler_made_late_was_not_stopped_from_outside() -> None:
    """The first waits 2.5 s in a read: the second was kept by work of this process, not frozen."""
    story = SharedStory()
    story.run_until(START_NS)
    story.probes[FIRST].duration_ns = 2500 * MS
    story.run_until(START_NS + 1 * S)
    assert story.works[SECOND].stats()["ticks_missed"] == 2
    story.probes[FIRST].duration_ns = 0
    story.run_until(START_NS + 5 * S)
    assert [(item.last_tick - item.first_tick, item.reason) for item in story.missed(SECOND)] == [(1, GapCause.SLOW_READ)]


def test_what_one_does_with_the_rules_counts_for_the_other_too() -> None:
    """Seconds of work between two ticks."""
    story = SharedStory()
    story.run_until(START_NS)
    story.probes[SECOND].rules_ns = 3 * S
    story.work.on_rules(RuleState())
    story.run_until(START_NS + 4 * S)
    assert {item.reason for item in story.missed(FIRST)} == {GapCause.SLOW_READ}


def test_work_between_ticks_leaves_room_for_the_ticks_of_the_other() -> None:
    """The one has a second until its tick; the other's comes in 40 ms."""
    story = SharedStory(second_ns=100 * MS)
    story.run_until(START_NS)
    story.clock.advance(60 * MS)
    story.probes[FIRST].parts_left = 1
    story.run_until(START_NS + 150 * MS)
    assert [(name, (at_ns - START_NS) // MS) for name, at_ns in story.log[2:]] == [("second", 100), ("first catches up", 100)]


def test_statistics_stand_under_the_names_of_the_samplers() -> None:
    """Each with its own ticks."""
    story = SharedStory(second_ns=500 * MS)
    story.run_until(START_NS + 1 * S)
    document = story.work.on_ask("stats", story.clock.now_ns())
    assert document is not None
    told = {name: (part["probe"], part["ticks"]) for name, part in document["members"].items()}
    assert told == {FIRST: ("first", 2), SECOND: ("second", 3)}


def test_a_descriptor_wakes_the_one_that_waits_there() -> None:
    """And one that was closed in the same turn wakes nobody."""
    story = SharedStory()
    story.works[SECOND].interests = lambda: (Interest(7),)  # type: ignore[method-assign]  # as a probe that waits would have it
    heard: list[int] = []
    story.works[SECOND].on_readable = lambda descriptor, now_ns: heard.append(descriptor)  # type: ignore[method-assign]
    story.works[SECOND].on_writable = lambda descriptor, now_ns: heard.append(-descriptor)  # type: ignore[method-assign]
    assert story.work.interests() == (Interest(7),)
    story.work.on_readable(7, START_NS)
    story.work.on_writable(7, START_NS)
    story.work.on_readable(8, START_NS)
    story.work.on_writable(8, START_NS)
    assert heard == [7, -7]


def test_a_stop_ends_both_once_and_nothing_is_due_after_it() -> None:
    """Each tells its missed ticks and closes its files."""
    story = SharedStory()
    story.run_until(START_NS)
    story.work.on_taken_over(START_NS)
    assert not story.work.is_done()
    for _ in range(2):
        story.work.on_stop(story.clock.now_ns(), for_good=True)
    assert all(probe.is_closed for probe in story.probes.values())
    assert story.work.is_done()
    assert story.work.next_deadline_ns() is None
