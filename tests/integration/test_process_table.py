"""How the end of a worker is told when the fork server, which knows its exit status, does not come to tell it."""

import mmap
import os
import tempfile
from collections.abc import Callable, Iterator

import pytest
from fakes.clock import FakeClock

from agent.model.heartbeat_page import PAGE_BYTES
from agent.model.timebase import MS
from supervisor.core.effect import Exited, ObserveWorkers
from supervisor.core.watchdog import ProcessState
from supervisor.shell.log import EventLog
from supervisor.shell.process_statistics import ProcessStatistics
from supervisor.shell.process_table import STARVED_GRACE_AT_END_NS, STARVED_GRACE_NS, STATUS_GRACE_NS, WorkerProcessTable
from supervisor.shell.started_worker import StartedWorker
from workers.runtime.heartbeat_page import HeartbeatPage


class _Nowhere:
    lost = untold = 0

    def put(self, piece: bytes, *, tells: int = 0) -> None:
        """Drop it."""


class Table:
    """A table with one worker that has ended, and the fork server's end of its status."""

    def __init__(self, *, is_starved: Callable[[], bool] | None = None, pidfd: int = -1, page: mmap.mmap | None = None) -> None:
        self.is_starved = True
        self.clock = FakeClock()
        log = EventLog(self.clock, level="error", form="text", output=_Nowhere())
        self.table = WorkerProcessTable(self.clock, log, lambda *_: None, is_starved=is_starved or (lambda: self.is_starved))
        status, self.status_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        stderr, stderr_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.close(stderr_end)
        page = page or mmap.mmap(-1, PAGE_BYTES)
        pid = 4711 if pidfd < 0 else os.getpid()
        self.table.add(StartedWorker("writer", 1, pid, pidfd, status, stderr, page, started_at_ns=0))

    def told_after(self, waited_ns: int) -> list[Exited]:
        """What is told so long after the last look."""
        self.clock.advance(waited_ns)
        return [gone for _pid, gone in self.table.take_gone()]


@pytest.fixture
def dead() -> Iterator[Table]:
    """One of them; its descriptors are given back."""
    table = Table()
    yield table
    table.table.close()
    os.close(table.status_end)


def test_a_status_that_comes_late_from_a_starved_fork_server_is_told(dead: Table) -> None:
    """An exit code that ends all restarts must not be lost because a machine is busy."""
    assert dead.told_after(STATUS_GRACE_NS) == []
    deadline_ns = dead.table.next_deadline_ns()
    assert deadline_ns is not None
    assert deadline_ns > dead.clock.now_ns(), "nobody turns for it without a pause"
    os.write(dead.status_end, (78).to_bytes(8, "little", signed=True))
    assert [gone.status for gone in dead.told_after(0)] == [78]
    assert dead.table.next_deadline_ns() is None


def test_a_stopped_fork_server_is_waited_for_shortly(dead: Table) -> None:
    """Its worker's end is told without a status."""
    dead.is_starved = False
    assert dead.told_after(STATUS_GRACE_NS - MS) == []
    assert [gone.status for gone in dead.told_after(MS)] == [None]


def test_a_starved_fork_server_is_not_waited_for_without_an_end(dead: Table) -> None:
    """A bug may keep it busy for ever."""
    assert dead.told_after(STARVED_GRACE_NS - MS) == []
    assert [gone.status for gone in dead.told_after(MS)] == [None]


def test_while_the_agent_ends_a_starved_fork_server_is_waited_for_shorter(dead: Table) -> None:
    """A worker that has ended is not taken for one that SIGKILL could not end."""
    dead.clock.advance(STARVED_GRACE_AT_END_NS - MS)
    assert dead.table.take_gone(is_ending=True) == []
    dead.clock.advance(MS)
    assert [gone.status for _pid, gone in dead.table.take_gone(is_ending=True)] == [None]


def test_a_fork_server_that_writes_between_two_looks_is_heard() -> None:
    """It had not written the status when that was read, and was idle when it was asked about."""
    table = Table(is_starved=lambda: bool(os.write(table.status_end, (78).to_bytes(8, "little", signed=True)) < 0))
    assert [gone.status for gone in table.told_after(STATUS_GRACE_NS)] == [78]
    table.table.close()
    os.close(table.status_end)


def test_a_worker_that_goes_on_between_two_looks_is_seen_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its page was read before its turn and its state after it: it sleeps because it is done."""
    with tempfile.TemporaryFile() as file:
        file.truncate(PAGE_BYTES)
        page = HeartbeatPage(file.fileno())
        page.beat(1, 0, bytes(32))
        table = Table(pidfd=os.pidfd_open(os.getpid()), page=mmap.mmap(file.fileno(), PAGE_BYTES))
        monkeypatch.setattr(ProcessStatistics, "sample", lambda _self, _now_ns: None)
        order = ObserveWorkers((("writer", 1),))
        (seen,) = table.table.observe(order).observations

        def sample(_self: ProcessStatistics, _now_ns: int) -> ProcessState:
            page.beat(2, 0, bytes(32))
            return ProcessState("S", 0)

        monkeypatch.setattr(ProcessStatistics, "sample", sample)
        (later,) = table.table.observe(order).observations
        table.table.close()
        os.close(table.status_end)
    assert seen.beat is not None
    assert later.beat is not None
    assert (seen.beat.turns, later.beat.turns) == (1, 2)
