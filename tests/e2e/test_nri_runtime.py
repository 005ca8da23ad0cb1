"""A real containerd that dies, comes back, or has NRI switched off, and process numbers that change hands."""

import os
import tempfile
from pathlib import Path

import pytest
from fakes.cgroup import enter
from fakes.resctrl_machine import resctrl_machine
from fakes.resctrl_mount import tasks_of
from harness.agent_process import run_agentctl
from harness.lab.cri import ContainerSpec
from harness.lab.observed import ObservedAgent
from harness.lab.place import VERSIONS
from harness.lab.runtime import LabRuntime
from harness.numbered_process import NumberedProcess
from harness.waiting import wait_until

# Fetching containerd comes first on a machine that has none yet.
pytestmark = [pytest.mark.timeout(300), pytest.mark.skipif(os.geteuid() != 0, reason="running containers needs root")]
MAIN = ContainerSpec("main", ("/bin/load", "threads", "3"))


def test_a_runtime_that_crashes_and_returns_costs_no_group(tmp_path: Path, runtime: LabRuntime) -> None:
    """containerd is killed; its pods stay in their groups with the same ids, one that ends meanwhile is let go, and new ones
    are grouped once it is back."""
    with resctrl_machine(runtime.place.shared) as emulator, ObservedAgent(tmp_path, runtime, emulator) as agent:
        pod = runtime.run(runtime.spec("stays"), MAIN)
        ending = runtime.run(runtime.spec("ends"), MAIN)
        agent.wait_whole(pod, ending)
        before = emulator.groups()[f"mon_groups/pod_{pod.uid}"]["rmid"]
        runtime.kill()
        wait_until(lambda: not agent.is_hearing(), "the agent knows that it is gone")
        agent.assert_all_inside(pod, ending)
        runtime.start()
        wait_until(agent.is_hearing, "the agent hears it again")
        assert agent.connections() == 2
        runtime.remove(ending)
        late = runtime.run(runtime.spec("late"), MAIN)
        agent.wait_whole(pod, late)
        wait_until(lambda: set(agent.pods()) == {pod.uid, late.uid}, "the pod that ended is gone")
        agent.assert_all_inside(pod, late)
        groups = emulator.groups()
        assert groups[f"mon_groups/pod_{pod.uid}"]["rmid"] == before
        assert {path for path in groups if path} == {f"mon_groups/pod_{each.uid}" for each in (pod, late)}


def test_a_killed_control_plane_adopts_its_groups(tmp_path: Path, runtime: LabRuntime) -> None:
    """The next one hears of all pods from the runtime again and keeps the groups with their ids and counters."""
    with resctrl_machine(runtime.place.shared) as emulator, ObservedAgent(tmp_path, runtime, emulator) as agent:
        pods = [runtime.run(runtime.spec(f"pod-{number}"), MAIN) for number in range(3)]
        agent.wait_whole(*pods)
        before = {path: group["rmid"] for path, group in emulator.groups().items()}
        agent.process.wait_for_replacement(agent.process.kill_worker("control-plane"))
        gone = pods.pop()
        runtime.remove(gone)
        wait_until(lambda: gone.uid not in agent.pods(), "a pod that is removed goes")
        wait_until(lambda: not agent.group(gone).exists(), "its group goes after its name")
        agent.wait_whole(*pods)
        agent.assert_all_inside(*pods)
        after = {path: group["rmid"] for path, group in emulator.groups().items()}
        assert after == {path: rmid for path, rmid in before.items() if gone.uid not in path}


def test_a_process_number_that_another_pod_gets_is_measured_there(tmp_path: Path, runtime: LabRuntime) -> None:
    """A container's process ends, and a process of another pod gets its number: it is in the group of the pod it is in."""
    with resctrl_machine(runtime.place.shared) as emulator, ObservedAgent(tmp_path, runtime, emulator) as agent:
        first = runtime.run(runtime.spec("first"), MAIN, ContainerSpec("more", ("/bin/load", "threads", "2")))
        second = runtime.run(runtime.spec("second"), MAIN)
        agent.wait_whole(first, containers=2)
        agent.wait_whole(second)
        folder = runtime.cgroup(first) / first.containers["more"]
        (number,) = {int(line) for line in (folder / "cgroup.procs").read_text().split()}
        runtime.cri.stop_container(first.containers["more"])
        wait_until(lambda: not Path(f"/proc/{number}").exists(), "the container's process is gone")
        process = NumberedProcess(number)
        try:
            enter(runtime.cgroup(second) / second.containers["main"], process.pid)
            wait_until(lambda: number in tasks_of(agent.group(second)), "it is in the group of its pod")
            assert number not in tasks_of(agent.group(first))
            agent.wait_whole(first, second)
            agent.assert_all_inside(first, second)
        finally:
            process.kill()


@pytest.mark.parametrize("version", VERSIONS)
def test_without_nri_names_come_over_cri_and_the_agent_says_so(tmp_path: Path, version: str) -> None:
    """NRI is switched off: pods are found in the cgroup tree and named by CRI, each is whole, and the agent says so."""
    with (
        tempfile.TemporaryDirectory(prefix="lab-") as folder,
        LabRuntime(Path(folder), version, has_nri=False) as runtime,
        resctrl_machine(runtime.place.shared) as emulator,
        ObservedAgent(tmp_path, runtime, emulator, cri_interval="500ms") as agent,
    ):
        pod = runtime.run(runtime.spec("named"), MAIN)
        agent.wait_whole(pod)
        assert agent.row(pod)["namespace"] == "lab"
        wait_until(lambda: set(agent.row(pod)["container_names"].values()) == {"main"}, "its container has its name")
        agent.assert_all_inside(pod)
        assert agent.process.call("status")["ready"]
        runtime.remove(pod)
        wait_until(lambda: pod.uid not in agent.pods(), "the removed pod goes")
        agent.process.wait_banner("container runtime (CRI)")
        words = ("--runtime-dir", str(agent.process.runtime_dir), "doctor")
        assert "missing  NRI" in run_agentctl(*words, seconds=60).stdout
        # Without the control plane's own word, which comes within 0.3 s, it judges by the sockets that it finds.
        sentence = "reports names and labels of pods over its CRI"
        wait_until(lambda: sentence in run_agentctl(*words, seconds=60).stdout, f"doctor says that the runtime {sentence}")
