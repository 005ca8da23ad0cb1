"""The failpoints of the plugin, each killed once while pods start: no pod fails, none is lost, and every thread is in its group."""

from contextlib import suppress
from pathlib import Path

import pytest
from fakes.failpoints import failpoints
from fakes.nri_node import RealNode, real_node
from fakes.nri_runtime import NriRuntime
from fakes.resctrl_mount import EmulatedResctrl, tasks_of
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

POINTS = sorted(point for point in failpoints() if point.startswith("nri."))
PODS_MAX = 20
# Pods that start after the death was met: the successor is in the middle of its own start.
PODS_AFTER = 5


def _is_true(agent: AgentProcess, resctrl: EmulatedResctrl, node: RealNode) -> bool:
    """Exactly the pods' groups stand, each with exactly the pod's threads, and the agent lists exactly these pods by name."""
    with suppress(OSError, KeyError, RuntimeError, ValueError):
        rows = {row["uid"]: row for row in agent.call("list-pods")["pods"] if row["kind"] == "pod"}
        pods = {str(made.pod.uid): made for made in node.running}
        return (
            {uid: row["name"] for uid, row in rows.items()} == {uid: made.pod.name for uid, made in pods.items()}
            and set(resctrl.groups()) == {"", *(f"mon_groups/pod_{uid}" for uid in pods)}
            and all(row["reconciled_containers"] == row["total_containers"] == 1 for row in rows.values())
            and all(tasks_of(node.group_of(made.pod)) == made.threads() for made in pods.values())
        )
    return False


@pytest.mark.parametrize("point", POINTS)
def test_a_death_in_the_middle_of_a_start_is_made_good(tmp_path: Path, point: str) -> None:
    """The control plane dies just there; every container starts, and its successor knows and measures all of them."""
    points = tmp_path / "points"
    points.mkdir()
    with (
        NriRuntime(tmp_path / "nri.sock") as runtime,
        EmulatedResctrl(tmp_path) as resctrl,
        real_node("failpoint", runtime, resctrl.mount) as node,
    ):
        flags = {
            "--nri-socket-path": str(runtime.path),
            "--kernel-cgroup-root": str(node.root),
            "--resctrl-mount": str(resctrl.mount),
            "--resctrl-check-interval": "200ms",
            "--supervisor-backoff-base": "5ms",
            # It dies at its failpoint, and not because a busy machine kept it silent.
            "--supervisor-hang-timeout": "60s",
        }
        with AgentProcess(tmp_path, flags=flags, failpoints=points) as agent:
            runtime.wait_plugin()
            node.start(node.run_pod(0))
            armed = points / f".{point}"
            armed.write_text("kill")
            armed = armed.rename(points / point)
            # Where it is passed at a registration only.
            runtime.drop()
            started = 1
            while armed.exists() and started < PODS_MAX:
                node.start(node.run_pod(started))
                started += 1
                with suppress(AssertionError):
                    wait_until(lambda: not armed.exists() or runtime.plugin, "met, or registered", seconds=3)
            assert not armed.exists(), f"{point} was never passed"
            for number in range(started, started + PODS_AFTER):
                node.start(node.run_pod(number))

            runtime.wait_plugin()
            wait_until(lambda: _is_true(agent, resctrl, node), "all pods are known and measured")
            assert runtime.failed_operations == []
            for pod in [made.pod for made in node.running]:
                node.remove_pod(pod)
            wait_until(lambda: _is_true(agent, resctrl, node), "all are gone")
