"""Names of a real containerd's pods and containers, from the runtime to the screen: over NRI, and over CRI alone."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from harness.agent_process import AgentProcess, run_agentctl
from harness.lab.cri import ContainerSpec
from harness.lab.runtime import LabPod, LabRuntime
from harness.waiting import wait_until

# Fetching containerd comes first on a machine that has none yet.
pytestmark = [pytest.mark.timeout(300), pytest.mark.skipif(os.geteuid() != 0, reason="running containers needs root")]

IDLE = ("/bin/load", "threads", "2")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder with a short name, for sockets."""
    with tempfile.TemporaryDirectory(prefix="names-") as made:
        yield Path(made)


@contextmanager
def _agent(folder: Path, runtime: LabRuntime) -> Iterator[AgentProcess]:
    home = folder / "agent"
    home.mkdir(exist_ok=True)
    flags = {
        "--nri-socket-path": str(runtime.place.nri),
        "--cri-socket-path": str(runtime.place.socket),
        "--cri-interval": "1s",
        "--resctrl-mount": str(folder / "no-resctrl"),
        # Every process has a row, also one that sleeps.
        "--sampler-process-capture": "1.0",
        "--sampler-process-top-rows": "1000",
    }
    with AgentProcess(home, flags=flags) as agent:
        yield agent


def _json(agent: AgentProcess, command: str, *words: str) -> Any:
    places = ("--state-dir", str(agent.state_dir), "--runtime-dir", str(agent.runtime_dir))
    done = run_agentctl(command, *words, *places, "--json")
    assert done.returncode in (0, 69), done.stderr
    return json.loads(done.stdout) if done.returncode == 0 else None


def _pod(agent: AgentProcess, pod: LabPod) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        rows = agent.call("list-pods")["pods"]
        return next((row for row in rows if row["uid"] == pod.uid), {})
    return {}


@pytest.mark.parametrize(("version", "has_nri"), [("1.7", True), ("2", True), ("2", False)], ids=["nri-1.7", "nri-2", "cri"])
def test_processes_of_real_containers_have_their_names(folder: Path, version: str, has_nri: bool) -> None:
    """The ids in the cgroup paths are those that the runtime reports, so every process finds its pod and container."""
    with LabRuntime(folder, version, has_nri=has_nri) as runtime:
        spec = runtime.spec("web-0", labels={"app": "web", "app.kubernetes.io/part-of": "shop"})
        pod = runtime.run(spec, ContainerSpec("server", IDLE), ContainerSpec("sidecar", IDLE))
        with _agent(folder, runtime) as agent:
            names = wait_until(lambda: _names(agent, pod, 2), "the runtime's names of both containers are there")
            assert {name: id_ for id_, name in names.items()} == pod.containers
            row = _pod(agent, pod)
            assert (row["namespace"], row["name"], row["labels"]["app"]) == ("lab", "web-0", "web")

            def found(*words: str) -> set[tuple[str, str]]:
                document = _json(agent, "top", "--filter", " ".join(words))
                processes = [] if document is None else document["processes"]
                return {(each["pod_name"], each["container_name"]) for each in processes if each["container_name"]}

            both = {("lab/web-0", "server"), ("lab/web-0", "sidecar")}
            wait_until(lambda: found("namespace:lab") == both, f"both containers are on the screen, not {found('namespace:lab')}")
            wait_until(lambda: found("label:app=web", "container:side") == {("lab/web-0", "sidecar")}, "one of them is found")

            def is_judged() -> bool:
                """By the control plane's own word, which doctor does not always have in time."""
                findings = {each["topic"]: each for each in _json(agent, "doctor")["findings"]}
                nri = "usable" if has_nri else "missing" if _is_known(findings) else "unused"
                return (findings["container runtime"]["state"], findings["NRI"]["state"]) == ("usable", nri)

            wait_until(is_judged, "doctor finds the runtime usable, and NRI where it is switched on")
        statement = (
            "SELECT DISTINCT p.name AS pod, c.name AS container, p.labels->>'app' AS app FROM process x "
            "JOIN container c ON x.container = c.container_id JOIN pod p ON p.pod_uid = c.pod_uid ORDER BY 2"
        )
        assert _json(agent, "query", statement) == [
            {"pod": "lab/web-0", "container": name, "app": "web"} for name in ("server", "sidecar")
        ]


def _names(agent: AgentProcess, pod: LabPod, count: int) -> dict[str, str] | None:
    """Names of the pod's containers by their ids, once there are so many."""
    names: dict[str, str] = _pod(agent, pod).get("container_names") or {}
    return names if len(names) == count else None


def _is_known(findings: dict[str, Any]) -> bool:
    return "there is no container runtime" not in findings["NRI"]["detail"]
