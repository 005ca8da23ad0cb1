"""Which source of deaths is in force, when that changes, and how it is said."""

from collections.abc import Callable
from errno import EIO, EPERM

import pytest
from fakes.bus import RecordingBus
from fakes.dying_world import record, tracked

from agent.model.timebase import MS, S
from workers.process.exits.connector import ConnectorListener
from workers.process.exits.connector_event import ConnectorExit
from workers.process.exits.deaths import TickTimes
from workers.process.exits.taskstats import TaskstatsListener
from workers.process.exits.taskstats_record import ExitRecord, ExitRecords
from workers.process.exits.watcher import RECORDS_MAX, RETRY_NS, ExitWatcher, Openers
from workers.process.process_table import ProcessTable, Scan


class FakeTaskstats(TaskstatsListener):
    """Exit records from a list; `failure` ends it."""

    def __init__(self) -> None:
        self.waiting: list[ExitRecord] = []
        self.lost = 0
        self.failure: OSError | None = None
        self.is_closed = False

    @property
    def capacity(self) -> int:
        return 10_000

    def drain(self, into: ExitRecords, beat: Callable[[], None] = lambda: None) -> None:
        if self.failure is not None:
            raise self.failure
        into.threads += self.waiting
        into.lost += self.lost
        self.waiting, self.lost = [], 0

    def close(self) -> None:
        self.is_closed = True


class FakeConnector(ConnectorListener):
    """Exit events from a list."""

    def __init__(self) -> None:
        self.waiting: list[ConnectorExit] = []
        self.is_closed = False

    @property
    def capacity(self) -> int:
        return 20_000

    def drain(self, into: list[ConnectorExit], beat: Callable[[], None] = lambda: None) -> tuple[int, int]:
        into += self.waiting
        came, self.waiting = len(self.waiting), []
        return came, 0

    def close(self) -> None:
        self.is_closed = True


class World:
    """A watcher whose sources are there or refused."""

    def __init__(self, *, has_taskstats: bool = True, has_connector: bool = True) -> None:
        self.has_taskstats, self.has_connector = has_taskstats, has_connector
        self.taskstats, self.connector = FakeTaskstats(), FakeConnector()
        self.bus = RecordingBus()
        openers = Openers(lambda _size: self.open_taskstats(), lambda _size: self.open_connector())
        self.watcher = ExitWatcher(self.bus, buffer_bytes=1 << 20, openers=openers)
        self.now_ns = 1_000 * S
        self.table = ProcessTable.__new__(ProcessTable)
        self.table.processes = {}

    def open_taskstats(self) -> TaskstatsListener:
        if not self.has_taskstats:
            raise OSError(EPERM, "netlink: Operation not permitted")
        return self.taskstats

    def open_connector(self) -> ConnectorListener:
        if not self.has_connector:
            raise OSError(EPERM, "netlink: Operation not permitted")
        return self.connector

    def tick(self, scan: Scan | None = None, after_ns: int = S) -> tuple[int, int, str, int]:
        """Deaths, those unseen, the source, and what was lost."""
        self.now_ns += after_ns
        times = TickTimes(self.now_ns, self.now_ns, self.now_ns, after_ns)
        deaths = self.watcher.settle(scan or Scan(), self.table, times)
        return deaths.count, deaths.unseen, deaths.source, deaths.lost


def test_exit_records_are_the_first_choice() -> None:
    """No condition holds, and what came, what was lost and what ended are counted."""
    world = World()
    world.taskstats.waiting = [record(7), record(8)]
    world.taskstats.lost = 3
    assert world.tick() == (2, 2, "taskstats", 3)
    stats = world.watcher.stats()
    assert (stats["exits"], stats["exit_records"], stats["exit_records_lost"]) == (2, 2, 3)
    assert stats["exit_sources"] == {"taskstats": 1, "connector": 0, "cutime": 0}
    assert (world.bus.conditions, stats["exit_source_problem"]) == ([], "")


@pytest.mark.parametrize(("has_connector", "source"), [(True, "connector"), (False, "cutime")])
def test_without_them_the_next_best_is_used_and_said(has_connector: bool, source: str) -> None:
    """A lasting condition with the reason, what is used instead, and the remedy."""
    world = World(has_taskstats=False, has_connector=has_connector)
    world.connector.waiting = [ConnectorExit(7, 0, 1)]
    assert world.tick(Scan(gone=[tracked(9)]))[2] == source
    (condition,) = world.bus.conditions
    assert (condition.kind, condition.active, condition.blocks_ready) == ("sampler_fallback:exits", True, False)
    assert "Operation not permitted" in condition.detail
    assert "CAP_NET_ADMIN" in condition.detail
    assert world.watcher.stats()["exit_source_problem"] == condition.detail


def test_a_better_source_that_comes_back_is_taken() -> None:
    """It is tried again once a minute; the condition ends, and the worse source is given back."""
    world = World(has_taskstats=False)
    world.tick()
    world.has_taskstats = True
    assert world.tick()[2] == "connector"
    world.tick(after_ns=RETRY_NS)
    assert world.tick()[2] == "taskstats"
    assert world.connector.is_closed
    assert [condition.active for condition in world.bus.conditions] == [True, False]


def test_a_source_that_fails_is_given_up_for_the_next_best() -> None:
    """A socket that cannot be read ends nothing else."""
    world = World()
    world.tick()
    world.taskstats.failure = OSError(EIO, "netlink: Input/output error")
    world.has_taskstats = False
    assert world.tick()[2] == "connector"
    assert world.taskstats.is_closed
    assert world.bus.conditions[-1].active


def test_it_wants_to_be_called_before_the_buffer_can_be_full() -> None:
    """At the rate of late, and never slower than a burst that nobody can foresee."""
    world = World()
    assert world.watcher.wake_at_ns() is None
    world.tick()
    assert world.watcher.wake_at_ns() == world.now_ns + 2 * S
    world.taskstats.waiting = [record(pid) for pid in range(10_000)]
    world.tick()
    assert world.watcher.wake_at_ns() == world.now_ns + S // 2
    world.taskstats.waiting = [record(7)]
    world.watcher.catch_up(world.now_ns + 500 * MS)
    assert world.tick()[0] == 1


def test_records_that_wait_for_their_tick_are_bounded() -> None:
    """What does not fit is lost, and counted."""
    world = World()
    world.taskstats.waiting = [record(7)] * (RECORDS_MAX + 5)
    world.watcher.catch_up(world.now_ns)
    assert world.tick() == (RECORDS_MAX, RECORDS_MAX, "taskstats", 5)


def test_counters_alone_need_no_waking() -> None:
    """There is no buffer; closing twice is harmless."""
    world = World(has_taskstats=False, has_connector=False)
    world.tick()
    assert world.watcher.wake_at_ns() is None
    world.watcher.close()
    world.watcher.close()
