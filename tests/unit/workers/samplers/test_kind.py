"""The work around a sampler's ticks: a fixed raster, nothing made up for, one end."""

from collections.abc import Callable
from typing import Any

from fakes.bus import RecordingBus
from fakes.clock import FakeClock
from fakes.outbox import RecordingOutbox

from agent.config import Config
from agent.model.rule_state import RuleState
from agent.model.table import Column, DType, Table
from agent.model.timebase import MS, S
from agent.ports import KernelTree
from workers.samplers.kind import Sample, Sampler, SamplerWork, enabled_setting, interval_setting

ROWS = Table("rows", 1, "a table of the tests", ("timestamp",), (Column("timestamp", DType.INT64, "ns", "when", "test"),))
QUIET = Table("quiet", 1, "a table without rows", ("timestamp",), ROWS.columns)
START_NS = 100 * S


class SlowProbe:
    """Each sample takes as long as it is told."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.duration_ns = 0
        self.failure: OSError | None = None
        self.sampled: list[tuple[int, int]] = []
        self.is_closed = False

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def sample(self, now_ns: int, wall_ns: int) -> Sample:
        if self.failure is not None:
            raise self.failure
        self.sampled.append((now_ns, wall_ns))
        self._clock.advance(self.duration_ns)
        return ((ROWS, [(wall_ns,), (wall_ns + 1,)]), (QUIET, []))

    def stats(self) -> dict[str, Any]:
        return {"probe": "well"}

    def close(self) -> None:
        assert not self.is_closed
        self.is_closed = True


class Story:
    """A sampler's work that is called when it wants to be."""

    def __init__(self) -> None:
        self.clock = FakeClock(START_NS)
        self.probe = SlowProbe(self.clock)
        self.outbox = RecordingOutbox()
        make: Callable[[KernelTree, Config], SlowProbe] = lambda tree, config: self.probe  # noqa: E731  never called
        sampler = Sampler(
            "tested", "a sampler of the tests", (ROWS, QUIET), (), enabled_setting("tested"), interval_setting("tested"), (), make
        )
        self.bus = RecordingBus()
        config = Config({"sampler.tested.interval": 1 * S})
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


def _started() -> Story:
    story = Story()
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


def test_rows_are_offered_with_the_time_of_the_tick_and_empty_tables_not_at_all() -> None:
    """The stamp is taken before the measuring."""
    story = _started()
    wall_ns = story.clock.wall_ns()
    story.probe.duration_ns = 5 * MS
    story.run_until(START_NS)
    (offer,) = story.outbox.offers
    assert (offer.table, offer.rows, offer.stamp_wall_ns) == (ROWS, ((wall_ns,), (wall_ns + 1,)), wall_ns)


def test_ticks_that_went_by_are_counted_and_not_made_up_for() -> None:
    """A tick of two and a half intervals costs two; the third is on the raster again."""
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


def test_after_the_stop_it_wants_nothing_more() -> None:
    """The probe has given everything back, and it is done at once."""
    story = _started()
    assert not story.work.is_done()
    story.work.on_stop(START_NS, for_good=True)
    assert (story.work.is_done(), story.probe.is_closed, story.work.next_deadline_ns()) == (True, True, None)


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
        ("unreadable", False, True),
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
