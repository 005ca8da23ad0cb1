"""The work around a sampler's ticks: a fixed grid, nothing made up for, one end."""

from typing import Any

import pytest
from fakes.bus import RecordingBus
from fakes.clock import FakeClock
from fakes.outbox import RecordingOutbox

from agent.config import Config
from agent.model.column_type import DType
from agent.model.gap_cause import ClockReading, GapCause
from agent.model.heartbeat import Heartbeat
from agent.model.message import Missed, Tick
from agent.model.rule_state import RuleState
from agent.model.table import Column, Table
from agent.model.timebase import MS, S
from agent.ports import Interest
from agent.setting import AutoSwitch, Whole
from workers.framework.sampler import Sample, Sampler, SamplerContext, UnreadableError, enabled_setting, interval_setting
from workers.framework.sampler_work import CATCH_UP_NS, SamplerWork

ROWS = Table("rows", 1, "a table of the tests", ("timestamp",), (Column("timestamp", DType.INT64, "ns", "when", "test"),))
QUIET = Table("quiet", 1, "a table without rows", ("timestamp",), ROWS.columns)
START_NS = 100 * S


class SlowProbe:
    """Each sample takes as long as it is told."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.duration_ns = self.rules_ns = 0
        self.rows: tuple[int, ...] = (0, 1)
        self.failure: OSError | UnreadableError | None = None
        self.rules: list[RuleState] = []
        self.parts_left = 0
        self.kept_back: tuple[int, ...] = ()
        self.wake_ns: int | None = None
        self.caught_up: list[int] = []
        self.sampled: list[tuple[int, int]] = []
        self.waits_for: tuple[Interest, ...] = ()
        self.readable: list[tuple[int, int]] = []
        self.is_closed = False
        self.steps: frozenset[str] = frozenset()

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def on_rules(self, rules: RuleState) -> None:
        self.rules.append(rules)
        self._clock.advance(self.rules_ns)

    def is_behind(self) -> bool:
        return self.parts_left > 0

    def wake_at_ns(self) -> int | None:
        return self.wake_ns

    def catch_up(self, until_ns: int) -> None:
        self.parts_left -= 1
        self.caught_up.append(self._clock.now_ns())
        self._clock.advance(until_ns - self._clock.now_ns())

    def interests(self) -> tuple[Interest, ...]:
        return self.waits_for

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        self.readable.append((descriptor, now_ns))
        self._clock.advance(self.duration_ns)

    def sample(self, now_ns: int, wall_ns: int) -> Sample:
        if self.failure is not None:
            raise self.failure
        self.sampled.append((now_ns, wall_ns))
        self._clock.advance(self.duration_ns)
        return ((ROWS, [(wall_ns + number,) for number in self.rows]), (QUIET, []))

    def on_steps(self, steps: frozenset[str]) -> None:
        self.steps = steps

    def rest(self) -> Sample:
        assert not self.is_closed
        return ((ROWS, [(row,) for row in self.kept_back]), (QUIET, []))

    def stats(self) -> dict[str, Any]:
        return {"probe": "well"}

    def close(self) -> None:
        assert not self.is_closed
        self.is_closed = True


class Story:
    """A sampler's work that is called when it wants to be."""

    def __init__(self, interval_ns: int = 1 * S) -> None:
        self.clock = FakeClock(START_NS)
        self.probe = SlowProbe(self.clock)
        self.outbox = RecordingOutbox()
        sampler = Sampler(
            "tested", "a sampler of the tests", (ROWS, QUIET), (), enabled_setting("tested"), interval_setting("tested"), (), _never
        )
        self.bus = RecordingBus()
        config = Config({"sampler.tested.interval": interval_ns})
        self.work = SamplerWork(sampler, self.probe, self.clock, self.outbox, self.bus, config)

    def run_until(self, end_ns: int) -> None:
        """Call the timer whenever it is due."""
        while (deadline_ns := self.work.next_deadline_ns()) is not None and deadline_ns <= end_ns:
            self.clock.advance(max(0, deadline_ns - self.clock.now_ns()))
            self.work.on_timer(self.clock.now_ns())

    def stats(self) -> dict[str, Any]:
        """What it says of itself."""
        document = self.work.on_ask("stats", self.clock.now_ns())
        assert document is not None
        return document


def _started(interval_ns: int = 1 * S) -> Story:
    story = Story(interval_ns)
    story.work.on_rules(RuleState())
    story.work.on_start(START_NS)
    return story


def test_before_the_start_it_wants_nothing() -> None:
    """Not called, not measured."""
    assert Story().work.next_deadline_ns() is None


def test_it_ticks_at_once_and_then_on_the_raster() -> None:
    """Not an interval after the last tick was done: a tick of 200 ms does not shift the next."""
    story = _started()
    story.probe.duration_ns = 200 * MS
    story.run_until(START_NS + 3 * S)
    assert [now_ns - START_NS for now_ns, _wall_ns in story.probe.sampled] == [0, 1 * S, 2 * S, 3 * S]


def test_a_tick_has_number_and_stamp_of_one_moment() -> None:
    """Held just after its clocks were read, it is still the tick of that moment; those that went by meanwhile are missed."""
    story = _started()
    first, wall_ns, read = START_NS // S, story.clock.wall_ns(), story.clock.reading

    def held() -> ClockReading:
        found = read()
        story.clock.reading = read  # type: ignore[method-assign]
        story.clock.advance(2500 * MS)
        return found

    story.clock.reading = held  # type: ignore[method-assign]
    story.work.on_timer(START_NS)
    (offer,) = story.outbox.offers
    assert offer.tick is not None
    assert (offer.tick.number, offer.stamp_wall_ns) == (first, wall_ns)
    story.run_until(START_NS + 3 * S)
    assert story.outbox.offers[-1].tick == Tick(first + 3, (Missed(first + 1, first + 2, GapCause.SLOW_READ),))


def test_rows_are_offered_with_the_time_of_the_tick_and_empty_tables_not_at_all() -> None:
    """The stamp is taken before the measuring."""
    story = _started()
    wall_ns = story.clock.wall_ns()
    story.probe.duration_ns = 5 * MS
    story.run_until(START_NS)
    (offer,) = story.outbox.offers
    assert (offer.table, offer.rows, offer.stamp_wall_ns) == (ROWS, ((wall_ns,), (wall_ns + 1,)), wall_ns)


def test_a_probe_hears_its_descriptors_from_its_start_to_its_end() -> None:
    """Neither before there are ticks nor after the last: descriptor numbers may belong to other files then."""
    story = Story()
    story.probe.waits_for = (Interest(7),)
    assert story.work.interests() == ()
    story.work.on_rules(RuleState())
    story.work.on_start(START_NS)
    assert story.work.interests() == (Interest(7),)
    story.work.on_readable(7, START_NS + 1)
    story.work.on_stop(START_NS + 2, for_good=True)
    story.work.on_readable(7, START_NS + 3)
    assert story.work.interests() == ()
    assert story.probe.readable == [(7, START_NS + 1)]


def test_a_tick_that_is_late_for_a_descriptor_was_kept_by_the_sampler_itself() -> None:
    """Work between two ticks counts as its own, whatever began it."""
    story = _started()
    story.run_until(START_NS)
    story.probe.duration_ns = 3 * S
    story.work.on_readable(7, story.clock.now_ns())
    story.probe.duration_ns = 0
    story.run_until(START_NS + 4 * S)
    missed = [part for offer in story.outbox.offers if offer.tick is not None for part in offer.tick.missed]
    assert {part.reason for part in missed} == {GapCause.SLOW_READ}


def test_ticks_that_went_by_are_counted_and_not_made_up_for() -> None:
    """A tick of two and a half intervals costs two; the third is on the grid again."""
    story = _started()
    story.probe.duration_ns = 2500 * MS
    story.run_until(START_NS)
    assert story.work.next_deadline_ns() == START_NS + 3 * S
    assert story.stats()["ticks_missed"] == 2


def test_a_tick_as_long_as_its_interval_misses_one() -> None:
    """The next was due at the very end of this one and has gone by."""
    story = _started()
    story.probe.duration_ns = 1 * S
    story.run_until(START_NS)
    assert (story.work.next_deadline_ns(), story.stats()["ticks_missed"]) == (START_NS + 2 * S, 1)


def test_a_host_that_slept_is_measured_once() -> None:
    """An hour later there is one tick, not 3,600."""
    story = _started()
    story.run_until(START_NS)
    story.clock.advance(3600 * S)
    story.run_until(story.clock.now_ns())
    assert len(story.probe.sampled) == 2
    assert story.stats()["ticks_missed"] == 3599


def test_each_batch_says_its_tick_and_what_was_missed_before_it() -> None:
    """By the number of the grid; what a long tick cost is told by the next."""
    story = _started()
    story.probe.duration_ns = 1200 * MS
    story.run_until(START_NS)
    story.probe.duration_ns = 0
    story.run_until(START_NS + 3 * S)
    assert [offer.tick for offer in story.outbox.offers] == [
        Tick(100),
        Tick(102, (Missed(101, 101, GapCause.SLOW_READ),)),
        Tick(103),
    ]


def test_a_tick_that_finds_nothing_is_a_batch_without_rows() -> None:
    """Measured and empty is not missed; the writer is to know which it was."""
    story = _started()
    story.probe.rows = ()
    story.run_until(START_NS)
    (offer,) = story.outbox.offers
    assert (offer.table, offer.rows, offer.tick) == (ROWS, (), Tick(100))


def test_ticks_that_could_read_nothing_are_told_as_missed_once_a_minute_and_at_the_end() -> None:
    """They have no rows, and a condition says why; a row of `gap` for each of them would bury all others."""
    story = _started()
    story.probe.failure = FileNotFoundError(2, "No such file or directory", "/nowhere")
    story.run_until(START_NS + 90 * S)
    assert [(offer.rows, offer.tick) for offer in story.outbox.offers] == [
        ((), Tick(159, (Missed(100, 159, GapCause.UNREADABLE),))),
    ]
    story.clock.advance(700 * MS)
    story.work.on_stop(story.clock.now_ns(), for_good=True)
    assert story.outbox.offers[1].tick == Tick(190, (Missed(160, 190, GapCause.UNREADABLE),))
    assert story.stats()["ticks_missed"] == 91


def test_work_between_ticks_is_the_samplers_own_time() -> None:
    """A tick that it makes late was not stopped by anybody."""
    story = _started(50 * MS)
    story.run_until(START_NS)
    story.probe.rules_ns = 200 * MS
    story.work.on_rules(RuleState())
    story.run_until(story.clock.now_ns())
    assert story.outbox.offers[-1].tick == Tick(2004, (Missed(2001, 2003, GapCause.SLOW_READ),))


def test_it_says_what_its_ticks_cost() -> None:
    """Ticks, the last and the longest, rows, and what the probe says."""
    story = _started()
    for duration_ns in (30 * MS, 10 * MS):
        story.probe.duration_ns = duration_ns
        story.run_until(story.work.next_deadline_ns() or 0)
    expected = {
        "ticks": 2,
        "ticks_missed": 0,
        "tick_seconds_last": 0.01,
        "tick_seconds_most": 0.03,
        "rows": 4,
        "interval_seconds": 1.0,
    }
    assert story.stats() == {**expected, "probe": "well"}


def test_a_full_outbox_stops_nothing() -> None:
    """What was refused is the outbox's account."""
    story = _started()
    story.outbox.is_full = True
    story.run_until(START_NS + 2 * S)
    assert len(story.outbox.refused) == 3


def _dropped(story: Story) -> list[tuple[str, str, Any, Any]]:
    return [(note.kind, note.severity, note.fields["batches"], note.fields["rows"]) for note in story.bus.notes]


def test_what_is_dropped_is_told_once_a_second_with_all_that_was_since() -> None:
    """Ten ticks a second into a full outbox: the first at once, then what has come together in each second."""
    story = _started(100 * MS)
    story.outbox.is_full = True
    story.run_until(START_NS + 2 * S)
    assert _dropped(story) == [("batches_dropped", "warning", batches, 2 * batches) for batches in (1, 10, 10)]


def test_what_was_dropped_last_is_told_when_the_second_is_over_or_at_the_end() -> None:
    """Also where nothing more is dropped; and nothing is told twice."""
    story = _started(100 * MS)
    story.outbox.is_full = True
    story.run_until(START_NS + 300 * MS)
    story.outbox.is_full = False
    story.run_until(START_NS + 900 * MS)
    assert [batches for _kind, _severity, batches, _rows in _dropped(story)] == [1]
    story.run_until(START_NS + 3 * S)
    assert [batches for _kind, _severity, batches, _rows in _dropped(story)] == [1, 3]
    story.outbox.is_full = True
    story.run_until(START_NS + 3200 * MS)
    story.work.on_stop(story.clock.now_ns(), for_good=True)
    assert [batches for _kind, _severity, batches, _rows in _dropped(story)] == [1, 3, 1, 1]


def test_a_full_outbox_is_no_word_about_what_is_dropped_where_nothing_is() -> None:
    """No note without a loss."""
    story = _started(100 * MS)
    story.run_until(START_NS + 2 * S)
    story.work.on_stop(story.clock.now_ns(), for_good=True)
    assert story.bus.notes == []


def test_after_the_stop_it_wants_nothing_more() -> None:
    """The probe has given everything back, and it is done at once."""
    story = _started()
    assert not story.work.is_done()
    story.work.on_stop(START_NS, for_good=True)
    assert (story.work.is_done(), story.probe.is_closed, story.work.next_deadline_ns()) == (True, True, None)


def test_what_the_probe_kept_back_is_offered_at_the_end() -> None:
    """Once, before it is closed, and without a tick: those were told already. What does not fit is counted."""
    story = _started()
    story.run_until(START_NS)
    told = len(story.outbox.offers)
    story.probe.kept_back = (7, 8)
    story.work.on_stop(START_NS, for_good=True)
    story.work.on_stop(START_NS, for_good=True)
    assert [(offer.table.name, offer.rows, offer.tick) for offer in story.outbox.offers[told:]] == [("rows", ((7,), (8,)), None)]
    full = _started()
    full.probe.kept_back, full.outbox.is_full = (7,), True
    full.work.on_stop(START_NS, for_good=True)
    assert [note.fields["rows"] for note in full.bus.notes] == [1]


def test_told_to_end_twice_it_closes_once() -> None:
    """The operator restarts it while the agent ends: the numbers of its descriptors may be somebody else's by then."""
    story = _started()
    story.work.on_stop(START_NS, for_good=False)
    # The probe of this story refuses to be closed a second time.
    story.work.on_stop(START_NS, for_good=True)
    assert story.work.is_done()


def test_while_nothing_can_be_read_a_condition_holds_and_the_ticks_go_on() -> None:
    """A missing root is said once, blocks readiness, and ends when it is there again."""
    story = _started()
    story.probe.failure = FileNotFoundError(2, "No such file or directory", "/nowhere")
    story.run_until(START_NS + 2 * S)
    story.probe.failure = None
    story.run_until(START_NS + 3 * S)
    assert [(held.kind, held.active, held.blocks_ready) for held in story.bus.conditions] == [
        ("unreadable", True, True),
        ("unreadable", False, False),
    ]
    assert "/nowhere" in story.bus.conditions[0].detail
    assert len(story.probe.sampled) == 1


def test_what_cannot_be_read_is_known_before_the_worker_is_ready() -> None:
    """The condition is told by the start itself; the whole first sample comes right after it."""
    story = Story()
    story.probe.failure = FileNotFoundError(2, "No such file or directory", "/nowhere")
    story.work.on_start(START_NS)
    assert [held.active for held in story.bus.conditions] == [True]
    assert story.work.next_deadline_ns() == START_NS
    assert story.probe.sampled == []


def test_a_probe_that_knows_the_remedy_says_it_itself() -> None:
    """Its own sentence, whether readiness waits for it, and the rows about it are not lost."""
    story = _started()
    row = (5,)
    story.probe.failure = UnreadableError("/mnt", "nothing is mounted", "mount it", blocks_ready=False, sample=((ROWS, [row]),))
    story.run_until(START_NS + 1 * S)
    (condition,) = story.bus.conditions
    assert (condition.active, condition.blocks_ready, condition.detail) == (True, False, "/mnt: nothing is mounted; mount it")
    assert [offer.rows for offer in story.outbox.offers] == [(row,), (row,)]


def test_the_rules_are_handed_to_the_probe() -> None:
    """Before the start and whenever they change."""
    story = Story()
    rules = RuleState()
    story.work.on_rules(rules)
    assert story.probe.rules == [rules]


def test_other_work_is_done_between_ticks_in_parts_and_makes_none_late() -> None:
    """At once, part by part, with the loop's turn between them; what would reach into the next tick waits until it is over."""
    story = _started()
    story.probe.duration_ns = 10 * MS
    story.probe.parts_left = 25
    story.run_until(START_NS + 2 * S)
    assert [now_ns - START_NS for now_ns, _wall_ns in story.probe.sampled] == [0, 1 * S, 2 * S]
    first_second = [10 * MS + part * CATCH_UP_NS for part in range(19)]
    assert [at_ns - START_NS for at_ns in story.probe.caught_up] == first_second + [1 * S + at_ns for at_ns in first_second[:6]]
    assert story.stats()["ticks"] == 3


def test_a_heartbeat_beats_as_soon_as_somebody_listens() -> None:
    """Before that a probe may give it anyway."""
    beats: list[int] = []
    heartbeat = Heartbeat()
    heartbeat()
    heartbeat.beat = lambda: beats.append(1)
    heartbeat()
    assert beats == [1]


@pytest.mark.parametrize(
    ("word", "is_available", "wanted"),
    [("true", False, True), ("false", True, False), ("auto", True, True), ("auto", False, False)],
)
def test_a_sampler_with_three_words_runs_by_itself_only_where_it_can(word: str, is_available: bool, wanted: bool) -> None:
    """Anyone who writes true wants to hear that it cannot."""
    switch = AutoSwitch("sampler.tested.enabled", "auto", "")
    sampler = Sampler("tested", "", (), (), switch, interval_setting("tested"), (), _never, lambda config: is_available)
    assert sampler.is_wanted(Config({switch.key: word})) is wanted


@pytest.mark.parametrize("wanted", [True, False])
def test_a_sampler_with_two_words_is_asked_for_nothing_else(wanted: bool) -> None:
    """Its switch is its answer."""
    sampler = Sampler("tested", "", (), (), enabled_setting("tested"), interval_setting("tested"), (), _never)
    assert sampler.is_wanted(Config({"sampler.tested.enabled": wanted})) is wanted


def test_a_capacity_is_one_of_its_settings() -> None:
    """So that it can be set and is shown."""
    capacity = Whole("sampler.tested.capacity", 1, 1, 2, "")
    sampler = Sampler("tested", "", (), (), enabled_setting("tested"), interval_setting("tested"), (), _never, capacity=capacity)
    assert capacity in sampler.settings


def _never(around: SamplerContext) -> SlowProbe:
    raise AssertionError("nobody opens a probe here")


def test_work_between_ticks_is_due_by_a_time_taken_before_it_was_asked_for() -> None:
    """As the loop asks: it takes the time and then the deadline, and meanwhile the clock moves on."""
    story = _started()
    story.run_until(START_NS)
    story.probe.parts_left = 1
    now_ns = story.clock.now_ns()
    story.clock.advance(1)
    assert (story.work.next_deadline_ns() or 0) <= now_ns


def test_a_probe_is_called_when_it_wants_to_be_before_its_next_tick() -> None:
    """A buffer that would overflow before the next tick is drained in time; an instant after the tick changes nothing."""
    story = _started()
    story.run_until(START_NS)
    story.probe.wake_ns = START_NS + S // 4
    assert story.work.next_deadline_ns() == START_NS + S // 4
    story.probe.wake_ns = START_NS + 5 * S
    assert story.work.next_deadline_ns() == START_NS + S


# ---- levels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "stride"), [(["longer_interval"], 2), (["longer_interval", "much_longer_interval"], 5)])
def test_a_longer_interval_leaves_ticks_out_and_says_so(steps: list[str], stride: int) -> None:
    """The grid stays: what is left out are missed ticks with a reason, and nothing is unaccounted for."""
    story = _started()
    story.work.on_level(steps, is_off=False)
    story.run_until(START_NS + 40 * S)
    assert story.probe.steps == frozenset(steps)
    assert 40 // stride <= len(story.probe.sampled) <= 40 // stride + 1
    told = [offer.tick for offer in story.outbox.offers if offer.tick is not None]
    missed = [each for tick in told for each in tick.missed]
    assert {each.reason for each in missed} == {GapCause.DEGRADED}
    numbers = {tick.number for tick in told} | {n for each in missed for n in range(each.first_tick, each.last_tick + 1)}
    assert numbers == set(range(min(numbers), max(numbers) + 1))


def test_one_that_is_off_reads_nothing_and_tells_it_once_a_minute() -> None:
    """Not even what waits between ticks; the first tick after it has what was missed."""
    story = _started()
    story.run_until(START_NS)
    story.work.on_level([], is_off=True)
    story.probe.wake_ns = START_NS + 100 * MS
    story.probe.parts_left = 5
    story.run_until(START_NS + 150 * S)
    assert len(story.probe.sampled) == 1
    assert story.probe.caught_up == []
    assert 1 <= len(story.outbox.offers) - 1 <= 3
    story.probe.wake_ns, story.probe.parts_left = None, 0
    story.work.on_level([], is_off=False)
    story.run_until(START_NS + 153 * S)
    assert len(story.probe.sampled) >= 3
    assert story.stats()["ticks_missed"] >= 149


def test_a_level_that_is_over_takes_every_tick_again() -> None:
    """Nothing is left of it."""
    story = _started()
    story.work.on_level(["longer_interval"], is_off=False)
    story.run_until(START_NS + 10 * S)
    story.work.on_level([], is_off=False)
    before = len(story.probe.sampled)
    story.run_until(START_NS + 20 * S)
    assert len(story.probe.sampled) - before == 10
    assert story.probe.steps == frozenset()
