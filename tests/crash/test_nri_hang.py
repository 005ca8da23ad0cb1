"""The control plane stands still, is replaced on purpose, or loses its supervisor while pods start: none fails, none is lost."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fakes.nri_agent import nri_flags, wait_connected, wait_true
from fakes.nri_node import RealNode, Where, real_node
from fakes.nri_runtime import NriRuntime
from fakes.resctrl_mount import EmulatedResctrl, tasks_of
from harness.agent_process import AgentProcess
from harness.proc import is_stopped
from harness.waiting import wait_until

# The fake runtime's own limit of a call, as of the real ones.
REQUEST_SECONDS = 2.0
# None of them is what is tested here, on a machine that may be busy.
PATIENT = {"supervisor_orphan_grace": "30s", "nri_start_deadline": "1s"}


class Side:
    """A runtime with real processes, an emulated resctrl, and an agent beside them."""

    def __init__(self, runtime: NriRuntime, node: RealNode, agent: AgentProcess) -> None:
        self.runtime = runtime
        self.node = node
        self.agent = agent

    def wait_whole(self) -> None:
        """The agent lists the pods that there are, and every thread is in its group."""
        wait_connected(self.agent, self.runtime)
        wait_true(self.agent, self.runtime)
        wait_until(self._is_in_place, "every thread is in the group of its pod")
        assert self.runtime.failed_operations == []

    def _is_in_place(self) -> bool:
        with suppress(OSError):
            return all(tasks_of(self.node.group_of(made.pod)) >= made.threads() for made in self.node.running)
        return False


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Side]:
    """With one pod that runs."""
    with (
        EmulatedResctrl(tmp_path) as emulator,
        NriRuntime(tmp_path / "nri.sock", request_seconds=REQUEST_SECONDS) as runtime,
        real_node("hang", runtime, emulator.mount) as node,
    ):
        flags = nri_flags(tmp_path, runtime, resctrl_mount=str(emulator.mount), **PATIENT)
        flags["--kernel-cgroup-root"] = str(node.root)
        with AgentProcess(tmp_path, flags=flags) as agent:
            side = Side(runtime, node, agent)
            runtime.wait_plugin()
            node.start(node.run_pod(0))
            side.wait_whole()
            yield side


def test_a_control_plane_that_stands_still_costs_one_limit_of_the_runtime(side: Side) -> None:
    """The runtime lets go of it at the first call, and what starts without it is known and grouped when it goes on."""
    pid = side.agent.workers()["control-plane"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    # The kernel tells one thread, which may have to wait for a processor first; until then the others go on.
    wait_until(lambda: is_stopped(pid), "it stands still")
    began = time.monotonic()
    for number in range(1, 6):
        side.node.start(side.node.run_pod(number))
    stood_seconds = time.monotonic() - began
    os.kill(pid, signal.SIGCONT)
    assert REQUEST_SECONDS <= stood_seconds < 2 * REQUEST_SECONDS
    side.node.remove_pod(side.node.running[0].pod)
    side.wait_whole()
    assert side.agent.workers()["control-plane"]["restarts"] == 0
    assert side.node.start(side.node.run_pod(9)).where is Where.INSIDE


def test_a_control_plane_that_is_replaced_hands_over(side: Side) -> None:
    """The old connection ends before the new one registers; pods that start all along are known and grouped."""
    numbers = iter(range(1, 1_000))
    for _time in range(3):
        before = side.agent.workers()["control-plane"]
        connections = side.runtime.connections
        side.agent.call("restart-worker", name="control-plane")
        while side.agent.workers()["control-plane"]["epoch"] == before["epoch"]:
            side.node.start(side.node.run_pod(next(numbers)))
        side.wait_whole()
        assert side.runtime.connections == connections + 1
    assert side.node.start(side.node.run_pod(next(numbers))).where is Where.INSIDE


def test_a_control_plane_without_its_supervisor_goes_on(side: Side) -> None:
    """Its connection stays: what starts until the next supervisor comes begins in its group, and is listed afterwards."""
    connections = side.runtime.connections
    pid = side.agent.workers()["control-plane"]["pid"]
    assert side.agent.process is not None
    side.agent.note_processes()
    side.agent.process.kill()
    side.agent.process.wait()
    started = [side.node.start(side.node.run_pod(number)) for number in range(1, 6)]
    side.agent.start()
    side.wait_whole()
    assert {made.where for made in started} == {Where.INSIDE}
    assert side.agent.workers()["control-plane"]["pid"] == pid
    assert side.runtime.connections == connections
