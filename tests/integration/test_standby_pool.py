"""Which standby process is handed out, and which is replaced."""

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from harness.waiting import wait_until

from agent.model.heartbeat_page import PAGE_BYTES, WAITING_OFFSET
from supervisor.shell.process import wait_ended
from supervisor.shell.standby import StandbyProcess
from supervisor.shell.standby_pool import START_NS_MAX, StandbyPool


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that waits to be killed."""
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield process
    process.kill()
    process.wait()


def _standby(process: "subprocess.Popen[bytes]", *, is_waiting: bool, forked_at_ns: int = 0) -> StandbyProcess:
    page = mmap.mmap(-1, PAGE_BYTES)
    page[WAITING_OFFSET] = int(is_waiting)
    ends = [os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC) for _ in range(3)]
    return StandbyProcess(process.pid, os.pidfd_open(process.pid), ends[0], ends[1], ends[2], page, forked_at_ns)


def test_only_a_process_that_waits_is_handed_out(sleeper: "subprocess.Popen[bytes]") -> None:
    """One on its way stays in the pool, which is not short by it."""
    killed: list[int] = []
    pool = StandbyPool(1, on_discard=killed.append)
    standby = _standby(sleeper, is_waiting=False)
    pool.add(standby)
    assert pool.take() is None
    short = [pool.is_short]
    standby.page[WAITING_OFFSET] = 1
    assert pool.take() is standby
    assert [*short, pool.is_short] == [False, True]
    pool.add(standby)
    pool.close()
    assert killed == [sleeper.pid]


def test_a_process_that_does_not_come_to_wait_in_time_is_killed(sleeper: "subprocess.Popen[bytes]") -> None:
    """Not a moment sooner; the sweeper of strays is told."""
    killed: list[int] = []
    pool = StandbyPool(1, on_discard=killed.append)
    pool.add(_standby(sleeper, is_waiting=False, forked_at_ns=7))
    pool.drop_failed(7 + START_NS_MAX)
    assert killed == []
    pool.drop_failed(8 + START_NS_MAX)
    assert killed == [sleeper.pid]
    assert pool.is_short
    wait_until(lambda: sleeper.poll() is not None, "it was killed")


def test_a_process_that_died_is_dropped_before_it_is_handed_out(sleeper: "subprocess.Popen[bytes]") -> None:
    """Also when it had come to wait."""
    killed: list[int] = []
    pool = StandbyPool(1, on_discard=killed.append)
    pool.add(_standby(sleeper, is_waiting=True))
    pidfd = os.pidfd_open(sleeper.pid)
    sleeper.kill()
    assert wait_ended(pidfd, 10_000)
    os.close(pidfd)
    assert pool.take() is None
    assert killed == [sleeper.pid]


def test_the_end_of_the_pool_kills_what_is_in_it(sleeper: "subprocess.Popen[bytes]") -> None:
    """No worker will ever be made of it."""
    killed: list[int] = []
    pool = StandbyPool(1, on_discard=killed.append)
    pool.add(_standby(sleeper, is_waiting=True))
    pool.close()
    assert pool.take() is None
    wait_until(lambda: sleeper.poll() is not None, "it was killed")
