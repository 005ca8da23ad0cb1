"""The failpoints of monitoring groups, each killed once: no group is lost, none is left over, every thread is where it belongs."""

from contextlib import suppress
from pathlib import Path

import pytest
from fakes.failpoints import failpoints
from fakes.pod import Node, Pod, node
from fakes.resctrl_mount import EmulatedResctrl, tasks_of
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

POINTS = sorted(point for point in failpoints() if point.startswith("resctrl."))


def _converged(agent: AgentProcess, emulator: EmulatedResctrl, pods: list[Pod]) -> bool:
    """Exactly the pods' groups stand, each with exactly the pod's threads, and the agent says so."""
    with suppress(OSError, KeyError, RuntimeError, ValueError):
        rows = {row["uid"]: row for row in agent.call("list-pods")["pods"]}
        paths = {uid: emulator.mount / "mon_groups" / f"pod_{uid}" for uid in rows}
        return (
            set(rows) == {pod.uid for pod in pods}
            and set(emulator.groups()) == {"", *(f"mon_groups/pod_{pod.uid}" for pod in pods)}
            and all(row["reconciled_containers"] == row["total_containers"] == 1 for row in rows.values())
            and all(tasks_of(paths[pod.uid]) == pod.threads() for pod in pods)
        )
    return False


def _live(host: Node, agent: AgentProcess, emulator: EmulatedResctrl, armed: Path) -> list[Pod]:
    """Pods come and go until the point is met; those that stay."""
    staying = [host.run(1, 3), host.run(2, 3)]

    def is_met(pods: list[Pod]) -> bool:
        """Whether the point was passed before all was done that these pods give to do."""
        wait_until(lambda: not armed.exists() or _converged(agent, emulator, pods), "all is done", seconds=20.0)
        with suppress(AssertionError):
            # What is done now and then, and what was just going on.
            wait_until(lambda: not armed.exists(), "met", seconds=0.3)
        return not armed.exists()

    for number in range(3, 9):
        passing = host.run(number, 2)
        is_over = is_met([*staying, passing])
        passing.end()
        if is_over or is_met(staying):
            return staying
    raise AssertionError(f"{armed.name} was never passed: {agent.output}")


@pytest.mark.parametrize("point", POINTS)
def test_a_death_in_the_midst_of_a_groups_life_is_made_good(tmp_path: Path, point: str) -> None:
    """The control plane dies just there; its successor adopts what stands, makes what is missing and removes what is too much."""
    points = tmp_path / "points"
    points.mkdir()
    with node("failpoint") as host, EmulatedResctrl(tmp_path) as emulator:
        flags = {
            "--kernel-cgroup-root": str(host.root),
            "--resctrl-mount": str(emulator.mount),
            "--resctrl-check-interval": "200ms",
            "--supervisor-backoff-base": "5ms",
        }
        with AgentProcess(tmp_path, flags=flags, failpoints=points) as agent:
            armed = points / f".{point}"
            armed.write_text("kill")
            armed = armed.rename(points / point)
            pods = _live(host, agent, emulator, armed)
            # Where the last thing to do was done just before the death, all is as it should be before anybody has noticed it.
            wait_until(lambda: agent.workers()["control-plane"]["restarts"] >= 1, "the death is noticed", seconds=30.0)
            wait_until(lambda: _converged(agent, emulator, pods), "all is as it should be", seconds=30.0)
