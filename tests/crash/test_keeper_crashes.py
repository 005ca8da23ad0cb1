"""Workloads outlive every crash: of the keeper at any moment of a birth or an end, and of every process of the agent."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from fakes.contained_agent import ContainedAgent
from fakes.failpoints import arm, failpoints
from fakes.keeper_world import KeeperProcess, is_done, own_tree
from fakes.worker_set_agent import WorkerSetAgent
from harness.waiting import DEADLINE_SECONDS, wait_until

from agent.process_mark import KEEPER_MARK, has_mark
from workers.keeper.protocol import SpawnWorkload, WorkloadRecord, WorkloadSpec

POINTS = sorted({point for point in failpoints() if point.startswith("keeper.")})
NOTED_KERNEL = (6, 15)


@pytest.fixture
def tree(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A part of the cgroup tree."""
    with own_tree(f"crash-{abs(hash(request.node.nodeid)) % 10**8}") as tree:
        yield tree


def kernel_notes_ends() -> bool:
    """Whether the exit status of a process that is not our child can be known (PIDFD_GET_INFO)."""
    return tuple(int(word) for word in os.uname().release.split(".")[:2]) >= NOTED_KERNEL


@pytest.mark.parametrize("point", POINTS)
def test_a_keeper_killed_anywhere_starts_nothing_twice(tmp_path: Path, tree: Path, point: str) -> None:
    """Whatever the moment: the next keeper knows what runs, the command was started once at most, and its name can be used."""
    points = tmp_path / "points"
    points.mkdir()
    keeper = KeeperProcess(tmp_path, tree, environment={"EVERGAUGE_FAILPOINTS": str(points)})
    starts = tmp_path / "starts"
    spec = WorkloadSpec(name="web", argv=("sh", "-c", f"echo started >>{starts}; exec sleep 1000"))
    if point == "keeper.listening":
        met = arm(points, point, "kill")
        keeper.start_alone()
        wait_until(lambda: not met.exists(), "the point is met")
        keeper.wait_dead()
    else:
        keeper.start()
        met = arm(points, point, "kill")
        keeper.client.send(SpawnWorkload(keeper.next(), spec))
        keeper.wait_dead()
        assert not met.exists()
    keeper.start()
    with keeper:
        running = [each for each in keeper.listing().records if each.ending is None]
        if not running:
            assert not starts.exists()
            keeper.spawn(spec)
        # The shell makes the file before it writes.
        wait_until(lambda: starts.exists() and starts.read_text(), "it has started")
        assert starts.read_text() == "started\n"
        (record,) = keeper.listing().records
        assert record.ending is None
        assert psutil.pid_exists(record.pid)
        assert is_done(keeper.stop("web"))
        ended = keeper.wait_ended("web").ending
        assert ended is not None
        assert ended.stopped
        assert not keeper.cgroup(record).exists()


@pytest.mark.runbook("Workloads")
def test_the_next_keeper_finds_what_runs(tmp_path: Path, tree: Path) -> None:
    """With its name, limits and start; its exit code where the kernel notes it, else the reason why it is unknown."""
    keeper = KeeperProcess(tmp_path, tree)
    keeper.start()
    before = keeper.run("web", "sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done")
    wait_until(lambda: keeper.output("web") == "up\n", "it runs")
    keeper.kill()
    keeper.start()
    with keeper:
        found = keeper.record("web")
        assert found.adopted
        assert (found.pid, found.start_ticks, found.started_wall_ns) == (before.pid, before.start_ticks, before.started_wall_ns)
        os.kill(before.pid, signal.SIGTERM)
        ended = keeper.wait_ended("web").ending
        assert ended is not None
        if kernel_notes_ends():
            assert (ended.code, ended.unknown_why) == (5, "")
        else:
            assert ended.code is None
            assert "6.15" in ended.unknown_why


@pytest.mark.runbook("Workloads")
def test_what_ended_while_no_keeper_ran_is_unknown(tmp_path: Path, tree: Path) -> None:
    """Nobody could know its exit code; the last reading of its cgroup is taken all the while."""
    keeper = KeeperProcess(tmp_path, tree)
    keeper.start()
    record = keeper.run("web", "sleep", "1000")
    keeper.kill()
    os.kill(record.pid, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(record.pid), "it is gone")
    keeper.start()
    with keeper:
        ending = keeper.record("web").ending
        assert ending is not None
        assert (ending.code, ending.signal, ending.unknown_why) == (None, None, "it ended while no keeper ran")
        assert ending.cpu_ns is not None
        assert not keeper.cgroup(record).exists()


def test_a_workload_without_a_cgroup_is_found_by_its_start(tmp_path: Path) -> None:
    """By pid, start time and boot."""
    (tmp_path / "none").mkdir()
    keeper = KeeperProcess(tmp_path / "state", tmp_path / "none")
    keeper.start()
    before = keeper.run("web", "sleep", "1000")
    keeper.kill()
    keeper.start()
    with keeper:
        assert keeper.record("web").pid == before.pid
        keeper.stop("web")
        ended = keeper.wait_ended("web").ending
        assert ended is not None
        assert ended.signal == signal.SIGTERM or ended.unknown_why


def test_two_keepers_never(tmp_path: Path, tree: Path) -> None:
    """The second one of a folder says so and ends."""
    with KeeperProcess(tmp_path, tree) as keeper:
        second = KeeperProcess(tmp_path, tree)
        second.start_alone()
        assert second.process is not None
        assert second.process.wait(DEADLINE_SECONDS) == 75
        assert second.process.stderr is not None
        assert "another keeper is at work there" in second.process.stderr.read().decode()
        second.process.stderr.close()
        assert keeper.listing().records == ()


class KeptWorkload:
    """A workload below an agent: its worker has started the keeper, and a client has started the workload."""

    def __init__(self, agent: WorkerSetAgent, tree: Path) -> None:
        self.keeper = KeeperProcess(agent.folder / "kept", tree)
        self.keeper.folder.mkdir(parents=True)
        agent.order("parent", f"keep {self.keeper.state_dir} {tree}")
        self.keeper.connect()
        self.record = self.keeper.run("web", "sh", "-c", "sleep 1000 & setsid sleep 1000 & wait")
        self.keeper_pid = self.keeper.listing().pid
        wait_until(lambda: len(self.family()) == 3, "all of it runs")
        self.first = self.family()

    def family(self) -> set[int]:
        """Every process of the workload."""
        file = self.keeper.cgroup(self.record) / "cgroup.procs"
        return {int(word) for word in file.read_text().split()}

    def assert_alive(self) -> None:
        """The keeper and every process of the workload are the same as ever before."""
        assert self.family() == self.first
        assert self.keeper.listing().pid == self.keeper_pid
        assert all(has_mark(pid, KEEPER_MARK) for pid in (self.keeper_pid, *self.first))

    def end(self) -> None:
        """End both."""
        self.keeper.stop("web", grace_ns=0)
        self.keeper.wait_ended("web")
        self.keeper.client.close()
        os.kill(self.keeper_pid, signal.SIGTERM)
        wait_until(lambda: not psutil.pid_exists(self.keeper_pid), "the keeper is gone")


def _kill_worker(agent: WorkerSetAgent) -> None:
    agent.wait_for_replacement(agent.kill_worker("parent"))


def _kill_fork_server(agent: WorkerSetAgent) -> None:
    row = agent.workers()["parent"]
    agent.fork_server().kill()
    agent.wait_for_replacement(row)


def _kill_supervisor(agent: WorkerSetAgent) -> None:
    agent.end(signal.SIGKILL)
    agent.start()


def _kill_all(agent: WorkerSetAgent) -> None:
    for process in agent.note_processes():
        # With the supervisor or the fork server others end by themselves.
        with suppress(psutil.NoSuchProcess):
            if process.name() not in ("sleep", "sh", "eg:keeper"):
                process.kill()
    assert agent.process is not None
    agent.process.wait(DEADLINE_SECONDS)
    agent.start()


def _kill_supervisor_for_good(agent: WorkerSetAgent) -> None:
    agent.end(signal.SIGKILL)
    agent.assert_no_marked_process_left()
    agent.start()


def _stop(agent: WorkerSetAgent) -> None:
    assert agent.end() == 0
    agent.assert_no_marked_process_left()


def _restart(agent: WorkerSetAgent) -> None:
    _stop(agent)
    agent.start()


@pytest.mark.parametrize(
    "end", [_kill_worker, _kill_fork_server, _kill_supervisor, _kill_all, _kill_supervisor_for_good, _stop, _restart]
)
def test_no_agent_ends_a_workload(tmp_path: Path, tree: Path, end: "object") -> None:
    """Killed in part, killed as a whole, stopped, started again: keeper and workload are untouched, though they are orphans."""
    assert callable(end)
    with WorkerSetAgent(tmp_path, "parent=idle,other=idle") as agent:
        kept = KeptWorkload(agent, tree)
        try:
            end(agent)
            kept.assert_alive()
        finally:
            kept.end()


def test_workloads_of_a_dead_keeper_are_spared(tmp_path: Path, tree: Path) -> None:
    """They are the agent's orphans then; each sweep of it leaves them alone, and a new keeper finds them."""
    with WorkerSetAgent(tmp_path, "parent=idle,other=idle") as agent:
        kept = KeptWorkload(agent, tree)
        os.kill(kept.keeper_pid, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(kept.keeper_pid), "the keeper is gone")
        for end in (_kill_worker, _kill_fork_server, _restart):
            end(agent)
            assert kept.family() == kept.first
        agent.order("parent", f"keep {kept.keeper.state_dir} {tree}")
        kept.keeper.connect()
        kept.keeper_pid = kept.keeper.listing().pid
        try:
            assert kept.keeper.record("web").adopted
            kept.assert_alive()
        finally:
            kept.end()


def test_the_first_process_of_a_container_spares_them(tmp_path: Path, tree: Path) -> None:
    """There every orphan is given to the agent itself."""
    with ContainedAgent(tmp_path, "parent=idle,other=idle") as agent:
        keeper = KeeperProcess(tmp_path / "kept", tree)
        keeper.folder.mkdir(parents=True)
        agent.order("parent", f"keep {keeper.state_dir} {tree}")
        keeper.connect()
        record: WorkloadRecord = keeper.run("web", "sh", "-c", "setsid sleep 1000 & wait")
        file = keeper.cgroup(record) / "cgroup.procs"
        wait_until(lambda: len(file.read_text().split()) == 2, "all of it runs")
        before = file.read_text()
        row = agent.workers()["parent"]
        agent.server().kill()
        agent.wait_for_replacement(row)
        agent.restart("other")
        assert file.read_text() == before
        assert keeper.record("web").ending is None
        keeper.client.close()
