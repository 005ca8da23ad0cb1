"""The whole agent beside a real containerd with NRI and an emulated resctrl: pods before it and after it, over both versions."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from fakes.cgroup import enter
from fakes.resctrl_machine import emulated, resctrl_machine
from harness.agent_process import run_agentctl
from harness.lab.cri import ContainerSpec
from harness.lab.observed import ObservedAgent
from harness.lab.runtime import LabRuntime
from harness.waiting import wait_until

# Fetching containerd comes first on a machine that has none yet.
pytestmark = [pytest.mark.timeout(300), pytest.mark.skipif(os.geteuid() != 0, reason="running containers needs root")]
BUSY = ContainerSpec("busy", ("/bin/load", "busy", "2"))
MAIN = ContainerSpec("main", ("/bin/load", "threads", "3"))


def test_pods_from_before_and_after_the_start_are_named_measured_and_stored(tmp_path: Path, runtime: LabRuntime) -> None:
    """Two pods run, two follow: names, uids and bytes of all in rows; every thread in its group; a rotation seals them."""
    early = [runtime.run(runtime.spec(name), BUSY) for name in ("early-1", "early-2")]
    with resctrl_machine(runtime.place.shared) as emulator, ObservedAgent(tmp_path, runtime, emulator) as agent:
        agent.wait_whole(*early)
        late = [runtime.run(runtime.spec(name), BUSY) for name in ("late-1", "late-2")]
        agent.wait_whole(*late)
        agent.assert_all_inside(*early, *late)
        wanted = {("lab", pod.spec.name, pod.uid) for pod in (*early, *late)}
        measured = "SELECT DISTINCT pod_namespace, pod_name, pod_uid FROM occupancy WHERE llc_occupancy_bytes > 0"
        wait_until(lambda: set(agent.rows(measured)) >= wanted, "all four have rows with names and bytes")
        listed = run_agentctl("--runtime-dir", str(agent.process.runtime_dir), "list-pods")
        assert listed.returncode == 0, listed.stderr
        assert all(name in listed.stdout for name in ("early-1", "early-2", "late-1", "late-2"))
        runtime.remove(early[0])
        wait_until(lambda: not agent.group(early[0]).exists(), "its group goes with it")
        wait_until(lambda: early[0].uid not in agent.pods(), "it is not listed any more")
        assert agent.process.process is not None
        os.kill(agent.process.process.pid, signal.SIGUSR1)
        wait_until(lambda: list(agent.process.state_dir.glob("data/occupancy/*/resctrl-occupancy-*.parquet")), "a file is sealed")


def test_init_ephemeral_and_nested_parts_of_a_pod_are_all_its_own(tmp_path: Path, runtime: LabRuntime) -> None:
    """An init container that ended counts no more; containers added later and processes in cgroups of their own below do."""
    with resctrl_machine(runtime.place.shared) as emulator, ObservedAgent(tmp_path, runtime, emulator) as agent:
        pod = runtime.run(runtime.spec("parts"), ContainerSpec("init", ("/bin/load", "end")))
        wait_until(lambda: runtime.container(pod, "init").is_over, "the init container has ended")
        for name in ("first", "second"):
            pod.add(runtime.cri, ContainerSpec(name, ("/bin/load", "threads", "2")))
        agent.wait_whole(pod, containers=2)
        wait_until(lambda: set(agent.row(pod)["container_names"].values()) == {"first", "second"}, "they have their names")
        pod.add(runtime.cri, ContainerSpec("debug", ("/bin/load", "threads", "40")))
        agent.wait_whole(pod, containers=3)
        agent.assert_all_inside(pod)
        inner = runtime.cgroup(pod) / pod.containers["debug"] / "inner" / "deeper"
        inner.mkdir(parents=True)
        (moved,) = {int(line) for line in (inner.parents[1] / "cgroup.procs").read_text().split()}
        enter(inner, moved)
        pod.add(runtime.cri, ContainerSpec("last", ("/bin/load", "threads", "2")))
        agent.wait_whole(pod, containers=4)
        agent.assert_all_inside(pod)
        runtime.cri.stop_container(pod.containers["debug"])
        agent.wait_whole(pod, containers=3)
        agent.assert_all_inside(pod)


def test_a_full_resctrl_is_retried_once_ids_are_free(tmp_path: Path, runtime: LabRuntime) -> None:
    """Another tool holds every id: the pod starts and says why it is not measured; then ids are free, and it is whole."""
    with emulated(runtime.place.shared, "has so few ids", profile="tiny") as emulator:
        for number in range(7):
            emulator.make_group(f"mon_groups/theirs{number}")
        with ObservedAgent(tmp_path, runtime, emulator) as agent:
            pod = runtime.run(runtime.spec("late"), MAIN)
            wait_until(lambda: agent.row(pod).get("group_problem") == "capacity", "there is no id")
            # A look at the cgroup tree may find it before the runtime's reports, which are gathered, name it.
            wait_until(lambda: agent.row(pod).get("name") == "late", "its name is known")
            assert agent.row(pod)["group_state"] == "failed"
            for number in range(2):
                (emulator.mount / "mon_groups" / f"theirs{number}").rmdir()
            agent.wait_whole(pod)
            agent.assert_all_inside(pod)
        assert {path for path in emulator.groups() if path} == {f"mon_groups/theirs{number}" for number in range(2, 7)}


def test_only_groups_of_the_agents_own_go_at_its_first_start(tmp_path: Path, runtime: LabRuntime) -> None:
    """What an earlier agent left goes, other tools' groups stay, and a pod that runs is grouped."""
    pod = runtime.run(runtime.spec("early"), MAIN)
    with emulated(runtime.place.shared, "is free of other tools") as emulator:
        for path in ("mon_groups/pod_stale", "mon_groups/theirs", "batch", "batch/mon_groups/pod_theirs"):
            emulator.make_group(path)
        with ObservedAgent(tmp_path, runtime, emulator) as agent:
            agent.wait_whole(pod)
            assert {path for path in emulator.groups() if path} == {
                "mon_groups/theirs",
                "batch",
                "batch/mon_groups/pod_theirs",
                f"mon_groups/pod_{pod.uid}",
            }
            agent.assert_all_inside(pod)


def test_readiness_follows_the_mount_while_pods_start(tmp_path: Path, runtime: LabRuntime) -> None:
    """Not mounted: not ready, no row, and pods start; mounted: ready, and each of them is whole in its group."""
    emulator = emulated(runtime.place.shared, "can be mounted while a scenario runs")
    emulator.mount.mkdir(exist_ok=True)
    agent = ObservedAgent(tmp_path, runtime, emulator, sampler_resctrl_enabled="true")
    agent.process.start(ready=False)
    try:
        wait_until(lambda: _answers(agent), "it answers")
        pod = runtime.run(runtime.spec("early"), MAIN)
        wait_until(lambda: agent.row(pod).get("name") == "early", "the pod is known by its name")
        status = wait_until(lambda: _status_about_resctrl(agent), "the status names resctrl")
        assert not status["ready"]
        assert not list(agent.process.state_dir.glob("data/occupancy/*/*.parquet"))
        with emulator:
            wait_until(agent.process.is_ready, "ready")
            agent.wait_whole(pod)
            agent.assert_all_inside(pod)
            agent.process.end()
    finally:
        agent.process.end()
    agent.process.assert_nothing_left()


def _status_about_resctrl(agent: ObservedAgent) -> dict[str, Any] | None:
    status: dict[str, Any] = agent.process.call("status")
    return status if any("resctrl" in reason for reason in status["reasons"]) else None


def _answers(agent: ObservedAgent) -> bool:
    try:
        return bool(agent.process.call("status")["reasons"])
    except OSError:
        return False
