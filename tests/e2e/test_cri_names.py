"""Names over CRI from a real containerd whose NRI is switched off, through the whole agent."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness.agent_process import AgentProcess
from harness.lab.place import VERSIONS
from harness.lab.runtime import LabPod, LabRuntime
from harness.waiting import wait_until

# Fetching containerd comes first on a machine that has none yet.
pytestmark = [pytest.mark.timeout(300), pytest.mark.skipif(os.geteuid() != 0, reason="running containers needs root")]
# No test waits for it: what is known sooner was brought by an event.
NEVER = "1h"


@pytest.fixture(scope="module", params=VERSIONS)
def runtime(request: pytest.FixtureRequest) -> Iterator[LabRuntime]:
    """A runtime without NRI, for all tests of this file."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder, LabRuntime(Path(folder), request.param, has_nri=False) as made:
        yield made


@contextmanager
def agent_beside(folder: Path, runtime: LabRuntime) -> Iterator[AgentProcess]:
    """An agent that finds this runtime and no other, and looks often at the cgroup tree; the pods are removed at the end."""
    flags = {
        "--nri-socket-path": str(folder / "no-nri.sock"),
        "--cri-socket-path": str(runtime.place.socket),
        "--cri-interval": NEVER,
        "--control-plane-interval": "100ms",
    }
    with AgentProcess(folder, flags=flags) as agent:
        yield agent
    runtime.remove_all()


def listed(agent: AgentProcess, pod: LabPod) -> dict[str, Any]:
    """A pod as list-pods shows it; empty: not at all."""
    return next((shown for shown in agent.call("list-pods")["pods"] if shown["uid"] == pod.uid), {})


def is_named(agent: AgentProcess, pod: LabPod) -> bool:
    """Whether list-pods shows it with what its runtime knows."""
    shown = listed(agent, pod)
    return bool(shown) and (shown["namespace"], shown["name"], shown["labels"].get("app")) == ("lab", pod.spec.name, pod.spec.name)


def cri_stats(agent: AgentProcess) -> dict[str, Any]:
    """What the control plane says of the way over CRI; empty: it has not tried yet."""
    found: dict[str, Any] = agent.stats("control-plane").get("runtime", {}).get("wires", {}).get("cri", {})
    return found


def is_connected(agent: AgentProcess) -> bool:
    """Whether the control plane hears the runtime over CRI."""
    return bool(cri_stats(agent).get("is_connected"))


def wait_named(agent: AgentProcess, *pods: LabPod) -> None:
    """All of them are."""
    wait_until(lambda: all(is_named(agent, pod) for pod in pods), "named pods")


def wait_removed(agent: AgentProcess, pod: LabPod) -> None:
    """It is in no list any more."""
    wait_until(lambda: not listed(agent, pod), "a removed pod")


def test_pods_from_before_the_agent_are_named(tmp_path: Path, runtime: LabRuntime) -> None:
    """Namespace, name, labels and the names of containers are in list-pods, and the condition `cri` is not."""
    pods = [runtime.run_idle(f"early-{number}") for number in range(3)]
    with agent_beside(tmp_path, runtime) as agent:
        wait_named(agent, *pods)
        wanted = {id for pod in pods for id in pod.containers.values()}
        wait_until(lambda: {id for pod in pods for id in listed(agent, pod)["container_names"]} == wanted, "named containers")
        stats = wait_until(lambda: found if (found := cri_stats(agent)).get("has_events") else None, "events of the runtime")
        assert (stats["is_connected"], stats["runtime"].split()[0]) == (True, "containerd")


def test_a_new_pod_is_named_within_a_second_of_its_start(tmp_path: Path, runtime: LabRuntime) -> None:
    """By the runtime's event, since the next list is an hour away; a pod that is removed goes from the list.

    Each is named; the quickest of them is the judge of the time, since others may have the processors for a second.
    """
    seconds = []
    with agent_beside(tmp_path, runtime) as agent:
        wait_until(lambda: is_connected(agent), "a connection")
        for number in range(3):
            pod = runtime.run_idle(f"late-{number}")
            began = time.monotonic()
            wait_named(agent, pod)
            seconds.append(time.monotonic() - began)
            runtime.remove(pod)
            wait_removed(agent, pod)
    assert min(seconds) < 1, seconds


def test_a_restarted_runtime_is_heard_again(tmp_path: Path, runtime: LabRuntime) -> None:
    """Its pods keep their names while it is away, and what it starts later is named, too."""
    with agent_beside(tmp_path, runtime) as agent:
        before = runtime.run_idle("before")
        wait_named(agent, before)
        runtime.kill()
        wait_until(lambda: not is_connected(agent), "the loss")
        assert is_named(agent, before)
        runtime.start()
        # Tries are up to 30 s apart where a runtime takes long to come back.
        wait_until(lambda: is_connected(agent), "a new connection", seconds=90)
        after = runtime.run_idle("after")
        wait_named(agent, before, after)
