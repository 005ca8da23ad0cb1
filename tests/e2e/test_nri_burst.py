"""Many pods at once through a real containerd: no program runs unmeasured, and no pod is hurt by the agent's own troubles.

The first program of each container looks for its own number in its pod's group: the runtime was held until it was there.
"""

import os
import threading
from pathlib import Path

import pytest
from fakes.resctrl_machine import REAL_MOUNT, resctrl_machine
from harness.lab.cri import ContainerSpec, CriClient
from harness.lab.observed import ObservedAgent
from harness.lab.runtime import LabPod, LabRuntime
from harness.waiting import wait_until

# Fetching containerd comes first on a machine that has none yet.
pytestmark = [pytest.mark.timeout(300), pytest.mark.skipif(os.geteuid() != 0, reason="running containers needs root")]
PODS = 20


class Looking:
    """Makes pods whose programs look where they are; `verdicts` are what they saw, by pod and container."""

    def __init__(self, runtime: LabRuntime, folder: Path) -> None:
        self._runtime = runtime
        self._folder = folder
        folder.mkdir()

    def make(self, number: int, cri: CriClient) -> LabPod:
        """One pod with two containers, one after the other."""
        spec = self._runtime.spec(f"burst-{number}", host_pids=True)
        return self._runtime.run(spec, self._container(spec.uid, "first"), self._container(spec.uid, "second"), cri=cri)

    def _container(self, uid: str, name: str) -> ContainerSpec:
        tasks = f"/resctrl/resctrl/mon_groups/pod_{uid}/tasks"
        # An emulator is mounted in the shared folder after the containers' folders are, the real one is there before.
        shown = (Path(REAL_MOUNT), "/resctrl/resctrl", False) if REAL_MOUNT else (self._runtime.place.shared, "/resctrl", False)
        mounts = (shown, (self._folder, "/verdicts", True))
        return ContainerSpec(name, ("/bin/load", "inside", tasks, f"/verdicts/{uid}.{name}"), mounts=mounts)

    def verdicts(self, pods: list[LabPod]) -> dict[str, str]:
        """By container what its program saw, once each has looked."""
        names = [f"{pod.uid}.{name}" for pod in pods for name in pod.containers]
        wait_until(lambda: all((self._folder / name).exists() for name in names), "every program has looked")
        return {name: (self._folder / name).read_text().split()[0] for name in names}


def test_no_first_program_runs_outside_its_group(tmp_path: Path, runtime: LabRuntime) -> None:
    """Pods side by side, each with two containers: every program finds itself inside when it looks first."""
    looking = Looking(runtime, tmp_path / "verdicts")
    # Where other tests take the processors, a start may take longer than the usual limit; the limit is not what is tested here.
    slow = "1s"
    with (
        resctrl_machine(runtime.place.shared) as emulator,
        ObservedAgent(tmp_path, runtime, emulator, nri_start_deadline=slow) as agent,
    ):
        wait_until(agent.is_hearing, "the agent hears the runtime")
        pods = runtime.run_many(PODS, looking.make)
        verdicts = looking.verdicts(pods)
        assert {name: seen for name, seen in verdicts.items() if seen != "inside"} == {}
        assert len(verdicts) == 2 * PODS
        agent.wait_whole(*pods, containers=2)
        agent.assert_all_inside(*pods)


def test_a_control_plane_that_dies_in_a_burst_neither_fails_nor_loses_a_pod(tmp_path: Path, runtime: LabRuntime) -> None:
    """Killed again and again while pods start: each start succeeds, and in the end every pod is whole in its group."""
    looking = Looking(runtime, tmp_path / "verdicts")
    with (
        resctrl_machine(runtime.place.shared) as emulator,
        ObservedAgent(tmp_path, runtime, emulator) as agent,
    ):
        first = runtime.run_idle("first", threads=3)
        agent.wait_whole(first)
        pods: list[LabPod] = []
        burst = threading.Thread(target=lambda: pods.extend(runtime.run_many(PODS, looking.make)))
        burst.start()
        deaths = 0
        while burst.is_alive() and deaths < 3:
            before = agent.process.kill_worker("control-plane")
            deaths += 1
            agent.process.wait_for_replacement(before)
        burst.join(180)
        assert not burst.is_alive(), "the pods do not come to an end"
        assert len(pods) == PODS, "a pod did not start"
        assert deaths > 0
        agent.wait_whole(first)
        agent.wait_whole(*pods, containers=2)
        agent.assert_all_inside(first, *pods)
        assert set(agent.pods()) == {pod.uid for pod in (first, *pods)}
        assert {path for path in emulator.groups() if path} == {f"mon_groups/pod_{pod.uid}" for pod in (first, *pods)}


def test_a_storm_of_forks_is_caught_whole(tmp_path: Path, runtime: LabRuntime) -> None:
    """A pod that forks without end is running when the agent comes: in the end no thread of it lives outside its group."""
    storm = runtime.run(runtime.spec("storm"), ContainerSpec("storm", ("/bin/load", "storm")))
    with resctrl_machine(runtime.place.shared) as emulator, ObservedAgent(tmp_path, runtime, emulator) as agent:
        wait_until(lambda: agent.row(storm).get("group_state") == "exists", "it has its group")
        # Each look is at children that were born after the last one.
        for _ in range(20):
            wait_until(lambda: not agent.missing(storm), "no thread of it is outside")
        late = runtime.run(runtime.spec("late"), ContainerSpec("storm", ("/bin/load", "storm")))
        wait_until(lambda: agent.row(late).get("group_state") == "exists", "so has one that starts later")
        for _ in range(20):
            wait_until(lambda: not agent.missing(late), "no thread of it is outside")
