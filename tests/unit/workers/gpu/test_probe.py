"""The GPU sampler's ticks over collectors that answer, hang and end: what is told, and that nothing waits."""

import errno
from typing import Any

import pytest
from fakes.bus import RecordingBus
from fakes.clock import FakeClock
from fakes.gpu_collector import FakeCollector, FakeStarts
from fakes.row_problem import problem_of_row

from agent.model.timebase import MINUTE, MS, S
from workers.framework.sampler import UnreadableError
from workers.gpu.collector_process import Collector, Debris
from workers.gpu.gpu_set import SMI_NS, GpuSet
from workers.gpu.probe import LEAD_NS, GpuProbe, Terms
from workers.gpu.reading import DeviceIdentity
from workers.gpu.row import UnitPlace
from workers.gpu.watch import CollectorWatch

TERMS = Terms(1 * S, 5 * S, MINUTE, is_demanded=False, folder="", proc_root="")
ONE: dict[str, Any] = {"identity": {"device": "GPU-1", "index": 0}, "values": {"busy_time": 0.5}, "processes": [], "samples": []}
TWO: dict[str, Any] = {"identity": {"device": "GPU-2", "index": 1}}


class Story:
    """A probe over these collectors, ticked once a second."""

    def __init__(self, *given: Collector | Debris | OSError, is_demanded: bool = False) -> None:
        self.clock = FakeClock()
        self.bus = RecordingBus()
        self.starts = FakeStarts(*given)
        watch = CollectorWatch(patience_ns=TERMS.patience_ns, retry_most_ns=TERMS.retry_most_ns)
        self.set = GpuSet("nvidia", self.starts, watch, self.bus, place_of=lambda _cgroup: UnitPlace("u", None))
        terms = Terms(1 * S, 5 * S, MINUTE, is_demanded=is_demanded, folder="", proc_root="")
        self.probe = GpuProbe([self.set], terms, self.clock, self.bus)
        self.probe.check()

    def between(self) -> None:
        """What is due until the next tick."""
        due_ns = self.probe.wake_at_ns()
        if due_ns is not None and due_ns < self.clock.now_ns() + S:
            self.clock.advance(max(0, due_ns - self.clock.now_ns()))
            self.probe.catch_up(self.clock.now_ns())

    def tick(self) -> list[dict[str, Any]]:
        """Rows of `gpu` of the next tick."""
        (table, rows), (more, others) = self.probe.sample(self.clock.now_ns(), self.clock.wall_ns())
        assert all(problem_of_row(table, row) is None for row in rows)
        assert all(problem_of_row(more, row) is None for row in others)
        found = [dict(zip(table.column_names, row, strict=True)) for row in rows]
        self.between()
        self.clock.advance(S - self.clock.now_ns() % S)
        return found

    def states(self) -> list[tuple[str, str]]:
        """Devices and states of the next tick."""
        return [(row["device"], row["state"]) for row in self.tick()]

    @property
    def held(self) -> dict[str, str]:
        """The conditions that hold, with their sentences."""
        found: dict[str, str] = {}
        for each in self.bus.conditions:
            if each.active:
                found[each.kind] = each.detail
            else:
                found.pop(each.kind, None)
        return found


def test_what_has_arrived_is_taken_and_nothing_is_waited_for() -> None:
    """A tick without an answer has no row: it is not known yet, which is not zero."""
    collector = FakeCollector()
    story = Story(collector)
    assert story.tick() == []
    assert (story.starts.count, collector.asked) == (1, 1)
    collector.answer(ONE)
    assert story.states() == [("GPU-1", "ok")]
    assert story.states() == []
    assert collector.asked == 2


def test_it_is_asked_shortly_before_the_tick() -> None:
    """So that the answer is fresh."""
    collector = FakeCollector()
    story = Story(collector)
    story.tick()
    collector.answer(ONE)
    began_ns = story.clock.now_ns()
    story.probe.sample(began_ns, story.clock.wall_ns())
    assert story.probe.wake_at_ns() == began_ns + S - LEAD_NS


def test_a_slow_driver_gives_a_row_for_each_tick() -> None:
    """Its answer comes after the tick, is taken before the next question, and each tick has the one before."""
    collector = FakeCollector()
    story = Story(collector)
    story.tick()
    counts = []
    for _ in range(5):
        story.probe.sample(story.clock.now_ns(), story.clock.wall_ns())
        story.clock.advance(100 * MS)
        collector.answer(ONE)
        story.clock.advance(700 * MS)
        due_ns = story.probe.wake_at_ns()
        assert due_ns is not None
        assert due_ns <= story.clock.now_ns()
        story.probe.catch_up(0)
        story.clock.advance(200 * MS)
        counts.append(collector.asked)
    assert counts == [2, 3, 4, 5, 6]


def test_one_that_never_answers_is_given_up_and_said_once() -> None:
    """A process in uninterruptible sleep: no second one beside it, whatever the time."""
    collector = FakeCollector()
    story = Story(collector)
    story.tick()
    collector.answer(ONE)
    story.tick()
    asked_wall_ns = story.clock.wall_ns()
    for _ in range(600):
        rows = story.tick()
    assert [(row["state"], row["busy_time"], row["absent"]) for row in rows] == [("stuck", None, "not_answered")]
    assert asked_wall_ns - 2 * S < rows[0]["stuck_since_timestamp"] <= asked_wall_ns
    assert (story.starts.count, collector.asked) == (1, 2)
    assert "process 7 waits for it inside the kernel" in story.held["gpu_nvidia"]
    assert len([each for each in story.bus.conditions if each.active]) == 1
    assert [note.kind for note in story.bus.notes] == ["gpu_collector_abandoned"]
    known = [DeviceIdentity("GPU-1", None, 0)]
    assert collector.recorded == [Debris(7, None, known), Debris(7, rows[0]["stuck_since_timestamp"], known)]
    assert story.probe.wake_at_ns() is None


def test_a_late_answer_takes_it_back() -> None:
    """Rows, no condition, a word that it is back."""
    collector = FakeCollector()
    story = Story(collector)
    story.tick()
    collector.answer(ONE)
    for _ in range(60):
        story.tick()
    collector.answer(ONE)
    assert story.states() == [("GPU-1", "ok")]
    assert story.held == {}
    assert story.bus.notes[-1].kind == "gpu_collector_back"


def test_one_that_was_given_up_and_ended_is_followed_by_another() -> None:
    """Somebody killed it."""
    first, second = FakeCollector(), FakeCollector(8)
    story = Story(first, second)
    story.tick()
    first.answer(ONE)
    for _ in range(10):
        story.tick()
    first.end = "was killed by signal 9"
    for _ in range(3):
        story.tick()
    assert first.is_closed
    assert story.starts.count == 2
    second.answer(ONE)
    assert story.states() == [("GPU-1", "ok")]
    assert story.held == {}


def test_what_an_earlier_worker_left_is_told_with_its_devices() -> None:
    """And only looked for."""
    story = Story(Debris(9, 123, [DeviceIdentity("GPU-9")]))
    story.tick()
    (row,) = story.tick()
    assert (row["device"], row["state"], row["stuck_since_timestamp"]) == ("GPU-9", "stuck", 123)
    assert "process 9 of an earlier worker" in story.held["gpu_nvidia"]


def test_what_an_earlier_worker_could_not_give_up_is_given_up_by_the_next() -> None:
    """It was killed while the driver hung, before its patience was over."""
    story = Story(Debris(9, None, [DeviceIdentity("GPU-9")]))
    for _ in range(9):
        rows = story.tick()
    assert [(row["device"], row["state"]) for row in rows] == [("GPU-9", "stuck")]
    assert "process 9 of an earlier worker" in story.held["gpu_nvidia"]


def test_what_is_just_ending_is_waited_for_in_silence() -> None:
    """After a restart of the worker."""
    collector = FakeCollector()
    story = Story(Debris(9), collector)
    for _ in range(4):
        story.tick()
    collector.answer(ONE)
    assert story.states() == [("GPU-1", "ok")]
    assert story.bus.conditions == []


@pytest.mark.parametrize("is_demanded", [True, False])
def test_a_host_without_a_driver_says_so_and_has_no_row(is_demanded: bool) -> None:
    """Where it was demanded it is not ready; the driver is tried again, less and less often."""
    collector = FakeCollector()
    story = Story(collector, is_demanded=is_demanded)
    story.tick()
    collector.answer(problem="no_driver", detail="code 9")
    with pytest.raises(UnreadableError, match="not loaded") as told:
        story.tick()
    assert told.value.blocks_ready == is_demanded
    assert "modprobe nvidia" in told.value.sentence


def test_a_broken_answer_ends_with_that_collector() -> None:
    """The library may have written into its memory."""
    first, second = FakeCollector(), FakeCollector()
    story = Story(first, second)
    story.tick()
    first.answer_raw(b"{]")
    with pytest.raises(UnreadableError, match="cannot be read"):
        story.tick()
    assert first.is_closed


def test_a_collector_that_cannot_be_started_is_tried_again() -> None:
    """No process is left, perhaps."""
    story = Story(OSError(errno.EAGAIN, "Resource temporarily unavailable"))
    story.tick()
    with pytest.raises(UnreadableError, match="temporarily unavailable"):
        story.tick()


def test_a_device_that_is_not_named_any_more_is_lost() -> None:
    """It fell off its bus; a slice that is gone was taken away by order."""
    collector = FakeCollector()
    story = Story(collector)
    story.tick()
    part = {"identity": {"device": "MIG-1", "parent": "GPU-1"}}
    collector.answer(ONE, TWO, part)
    assert story.states() == [("GPU-1", "ok"), ("GPU-2", "ok"), ("MIG-1", "ok")]
    collector.answer(ONE)
    assert story.states() == [("GPU-1", "ok"), ("GPU-2", "lost")]
    collector.answer(ONE, TWO)
    assert story.states() == [("GPU-1", "ok"), ("GPU-2", "ok")]


def test_a_lost_device_keeps_its_name() -> None:
    """A new collector cannot ask it."""
    collector = FakeCollector()
    story = Story(collector)
    story.tick()
    collector.answer(ONE)
    story.tick()
    collector.answer({"identity": {"device": "nvidia-0", "index": 0}, "is_lost": True, "absent": {"": "device_lost"}})
    assert story.states() == [("GPU-1", "lost")]


def test_nvidia_smi_is_not_run_at_each_tick() -> None:
    """Frequent runs freeze some cards."""
    collector = FakeCollector()
    story = Story(collector)
    story.tick()
    for _ in range(40):
        if collector.asked:
            collector.asked = 0
            collector.answer(ONE, source="nvidia-smi")
            asked_ns = story.clock.now_ns()
        story.tick()
    assert story.set.source == "nvidia-smi"
    assert story.clock.now_ns() - asked_ns <= SMI_NS + 2 * S
    assert story.starts.count == 1


def test_statistics_name_collector_source_and_devices() -> None:
    """For `status` and the metric of stuck drivers."""
    collector = FakeCollector()
    story = Story(collector)
    story.tick()
    collector.answer(ONE, driver="550.1", refused=2)
    story.tick()
    found = story.probe.stats()
    assert (found["stuck"], found["sets"]["nvidia"]["driver"], found["sets"]["nvidia"]["lists_refused"]) == (0, "550.1", 2)
    story.probe.close()
    assert collector.is_closed
