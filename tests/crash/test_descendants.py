"""What workers start themselves never outlives them: grandchildren in sessions of their own, deaf to all that can be ignored."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fakes.convergence import assert_converged, events, take_census
from fakes.worker_set_agent import WorkerSetAgent
from harness.agent_process import AgentProcess
from harness.waiting import DEADLINE_SECONDS, wait_until

# A grandchild that nobody ends is there for a thousand seconds.
GONE_SECONDS_MAX = DEADLINE_SECONDS


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[WorkerSetAgent]:
    """An agent of a worker that has a grandchild, and of one that has none."""
    with WorkerSetAgent(tmp_path, "parent=idle,other=idle") as agent:
        yield agent


def _have_grandchild(agent: WorkerSetAgent, order: str = "breed") -> psutil.Process:
    """The one grandchild, which the worker `parent` has just had."""
    agent.order("parent", order)
    (grandchild,) = wait_until(agent.grandchildren, "there is a grandchild")
    assert os.getsid(grandchild.pid) == grandchild.pid
    return grandchild


def _assert_gone(agent: WorkerSetAgent, *, seconds: float = GONE_SECONDS_MAX) -> None:
    wait_until(lambda: not agent.grandchildren(), f"no grandchild is left, not {agent.grandchildren()}", seconds=seconds)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
def test_the_grandchild_of_a_worker_that_dies_or_hangs_goes_with_it(agent: WorkerSetAgent, number: int) -> None:
    """Killed, crashed, stopped and replaced: soon nobody of its house is left, and nothing has leaked."""
    before = take_census(agent)
    grandchild = _have_grandchild(agent)
    other = agent.workers()["other"]["pid"]
    row = agent.kill_worker("parent", number)
    agent.wait_for_replacement(row)
    _assert_gone(agent)
    wait_until(lambda: f"stray_killed pid={grandchild.pid} name=sleep" in agent.output, "its end is told")
    assert agent.workers()["other"]["pid"] == other
    assert_converged(agent, before)


@pytest.mark.parametrize("end", ["exit 0", "exit 78", "spin"])
def test_the_grandchild_of_a_worker_that_ends_by_itself_or_spins_goes_with_it(agent: WorkerSetAgent, end: str) -> None:
    """A clean stop, a final failure, or a kill for holding the interpreter."""
    _have_grandchild(agent)
    epoch = agent.workers()["parent"]["epoch"]
    agent.order("parent", end)
    wait_until(lambda: _is_over(agent, epoch), "the worker has ended")
    _assert_gone(agent)


def test_the_grandchild_of_a_worker_that_is_restarted_goes_with_it(agent: WorkerSetAgent) -> None:
    """restart-worker: the successor begins with an empty house."""
    _have_grandchild(agent)
    row = agent.workers()["parent"]
    agent.call("restart-worker", name="parent")
    agent.wait_for_replacement(row)
    _assert_gone(agent)
    assert_converged(agent)


def test_a_dead_workers_grandchild_does_not_hold_its_successor(agent: WorkerSetAgent) -> None:
    """It keeps the worker's stderr open; the successor is up before the grandchild is gone or soon after, without a wait."""
    grandchild = _have_grandchild(agent)
    assert Path(f"/proc/{grandchild.pid}/fd/2").readlink() == Path(f"/proc/{agent.workers()['parent']['pid']}/fd/2").readlink()
    row = agent.kill_worker("parent")
    # A supervisor that waited for the end of that stderr would wait for ever: the grandchild goes when the death is noted.
    after = agent.wait_for_replacement(row)
    assert events(agent, "worker_backoff") == []
    assert after["restarts"] == 1
    _assert_gone(agent)


def test_the_grandchild_of_a_living_worker_lives(agent: WorkerSetAgent) -> None:
    """The death of another worker, and many looks, do not cost it its life: a sweep takes only what nobody owns."""
    grandchild = _have_grandchild(agent)
    for _ in range(3):
        agent.wait_for_replacement(agent.kill_worker("other"))
    passed = agent.workers()["parent"]["uptime_seconds"] + 1.0
    wait_until(lambda: agent.workers()["parent"]["uptime_seconds"] > passed, "ten looks have passed")
    assert agent.grandchildren() == [grandchild]


def test_a_line_of_descendants_is_swept_to_its_end(agent: WorkerSetAgent) -> None:
    """Several, some of which have left their parent long before it dies."""
    for order in ("breed", "daemonize", "breed", "daemonize"):
        agent.order("parent", order)
    wait_until(lambda: len(agent.grandchildren()) >= 2, "there are grandchildren")
    agent.wait_for_replacement(agent.kill_worker("parent"))
    _assert_gone(agent)
    assert_converged(agent)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_agent_that_ends_takes_every_grandchild_along(tmp_path: Path, number: int) -> None:
    """Also those of a worker that is stopped and cannot hear of the end."""
    with WorkerSetAgent(tmp_path, "parent=idle,stopped=idle") as agent:
        _have_grandchild(agent)
        agent.order("stopped", "breed")
        wait_until(lambda: len(agent.grandchildren()) == 2, "there are two grandchildren")
        os.kill(agent.workers()["stopped"]["pid"], signal.SIGSTOP)
        assert agent.end(number) == 0
        agent.assert_no_marked_process_left()


def test_a_killed_supervisor_that_has_no_successor_leaves_no_grandchild(tmp_path: Path) -> None:
    """SIGKILL: workers and fork server wait for another and then go, and what they have started goes too."""
    with WorkerSetAgent(tmp_path, "parent=idle") as agent:
        _have_grandchild(agent)
        agent.end(signal.SIGKILL)
        agent.assert_no_marked_process_left()
        # The next agent takes the socket files of the dead one away, and its own when it ends.
        agent.start()


def test_the_grandchildren_of_workers_that_die_with_the_fork_server_go_too(agent: WorkerSetAgent) -> None:
    """The fork server is killed, and all its workers with it: what they leave belongs to nobody any more."""
    before = take_census(agent)
    _have_grandchild(agent)
    rows = agent.workers()
    agent.fork_server().kill()
    for row in rows.values():
        agent.wait_for_replacement(row)
    _assert_gone(agent)
    assert_converged(agent, before)


def _is_over(agent: AgentProcess, epoch: int) -> bool:
    row = agent.workers()["parent"]
    return bool(row["state"] == "failed" or row["epoch"] > epoch)
