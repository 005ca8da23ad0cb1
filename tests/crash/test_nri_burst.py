"""The control plane dies in the middle of a burst of pod starts: no start fails, no pod is lost, every thread is in its group."""

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from fakes.nri_agent import nri_flags, wait_connected, wait_true
from fakes.nri_dialect import container_of, pod_of
from fakes.nri_node import RealNode, Where, real_node
from fakes.nri_runtime import NriRuntime
from fakes.resctrl_mount import EmulatedResctrl, tasks_of
from harness.agent_process import AgentProcess
from harness.waiting import DEADLINE_SECONDS, wait_until

PODS, DEATHS = 40, 4
QUICK_RESTARTS = {"nri_start_deadline": "1s", "supervisor_backoff_base": "5ms", "supervisor_backoff_ceiling": "50ms"}


def _all_in_place(node: RealNode) -> bool:
    with suppress(OSError):
        return all(tasks_of(node.group_of(made.pod)) >= made.threads() for made in node.running)
    return False


def _kill(agent: AgentProcess) -> None:
    """Kill the control plane that there is; between two of them, the next one. It is replaced at the end."""
    row = wait_until(lambda: (row := agent.workers()["control-plane"])["pid"] and row, "a control plane")
    with suppress(ProcessLookupError):
        os.kill(row["pid"], signal.SIGKILL)
    agent.wait_for_replacement(row, seconds=DEADLINE_SECONDS)


def test_kill_9_in_the_middle_of_a_burst(tmp_path: Path) -> None:
    """Four times while 40 pods with real processes start; each pod is listed and grouped afterwards, and none has failed."""
    with (
        EmulatedResctrl(tmp_path) as emulator,
        NriRuntime(tmp_path / "nri.sock") as runtime,
        real_node("burst", runtime, emulator.mount) as node,
    ):
        flags = nri_flags(tmp_path, runtime, resctrl_mount=str(emulator.mount), **QUICK_RESTARTS)
        flags["--kernel-cgroup-root"] = str(node.root)
        with AgentProcess(tmp_path, flags=flags) as agent:
            runtime.wait_plugin()
            killing = [threading.Thread(target=_kill, args=(agent,)) for _death in range(DEATHS)]
            for number in range(PODS):
                if number % (PODS // DEATHS) == PODS // DEATHS // 2:
                    killing[number // (PODS // DEATHS)].start()
                pod = node.run_pod(number)
                node.start(pod)
            for each in killing:
                each.join()
            wait_connected(agent, runtime)
            wait_true(agent, runtime)
            wait_until(lambda: _all_in_place(node), "every thread is in the group of its pod")
            assert runtime.failed_operations == []
            assert agent.workers()["control-plane"]["restarts"] >= 1
            # After the last death has been survived, a container is in its group from its first instruction.
            assert node.start(node.run_pod(PODS)).where is Where.INSIDE


@pytest.mark.parametrize("times", [20])
def test_a_runtime_that_is_lost_in_mid_stream(tmp_path: Path, times: int) -> None:
    """Twenty times, with 1,000 pods and changes that go on all along: within 3 s of each return the list is the truth."""
    with NriRuntime(tmp_path / "nri.sock") as runtime:
        for number in range(1_000):
            pod = pod_of(number)
            runtime.start_pod(pod, container_of(pod))
        with AgentProcess(tmp_path, flags=nri_flags(tmp_path, runtime)) as agent:
            wait_true(agent, runtime)
            for time in range(times):
                # Half of the changes come before the loss and half while nobody is connected.
                for change in range(10):
                    number = 2_000 + 10 * time + change
                    runtime.start_pod(pod_of(number), container_of(pod_of(number)))
                    runtime.remove_pod(pod_of(number - 1_990))
                    if change == 3:
                        runtime.end(announced=time % 2 == 1)
                runtime.start()
                runtime.wait_plugin()
                assert wait_true(agent, runtime, seconds=3.0) <= 3.0
            assert runtime.failed_operations == []
            assert agent.workers()["control-plane"]["restarts"] == 0
