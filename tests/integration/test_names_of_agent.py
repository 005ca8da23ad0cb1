"""Names through a whole agent: from the container runtime's wire to rules, commands, queries and the doctor."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes.agentctl_here import agentctl_here
from fakes.nri_agent import listed, nri_flags, wait_true
from fakes.nri_dialect import FakePod, container_of, pod_of
from fakes.nri_node import real_node
from fakes.nri_runtime import NriRuntime
from fakes.resctrl_mount import EmulatedResctrl
from harness.agent_process import UNHURRIED, AgentProcess
from harness.waiting import wait_until


@contextmanager
def _together(folder: Path) -> Iterator[tuple[AgentProcess, NriRuntime]]:
    with (
        NriRuntime(folder / "nri.sock") as runtime,
        AgentProcess(folder, flags=nri_flags(folder, runtime) | UNHURRIED) as agent,
    ):
        runtime.wait_plugin()
        yield agent, runtime


def _agentctl(agent: AgentProcess, command: str, *words: str) -> tuple[int, str, str]:
    """A command over the folders of the agent."""
    places = ("--state-dir", str(agent.state_dir), "--runtime-dir", str(agent.runtime_dir))
    return agentctl_here(agent.state_dir, command, *words, *places)


def _rows(agent: AgentProcess, statement: str) -> list[dict[str, Any]]:
    code, text, told = _agentctl(agent, "query", statement, "--json")
    assert (code, told) == (0, "")
    rows: list[dict[str, Any]] = json.loads(text)
    return rows


def _start(runtime: NriRuntime, pod: FakePod, containers: int = 1) -> FakePod:
    runtime.start_pod(pod, *(container_of(pod, number) for number in range(containers)))
    return pod


def test_rules_by_namespace_name_and_label_take_the_pods_they_name(tmp_path: Path) -> None:
    """A pod that comes later, too; the one that a rule does not name keeps a group of its own."""
    with _together(tmp_path) as (agent, runtime):
        first, second = _start(runtime, pod_of(1)), _start(runtime, pod_of(2))
        wait_true(agent, runtime)

        for words, matched, hint in (
            (["by-namespace", "--namespace", "team-1", "--shared", "one"], 1, ""),
            (["by-label", "--label", "app=app-2", "--label", "tier=backend", "--shared", "two"], 1, ""),
            (["by-name", "--pod", "app-3-*", "--ignore"], 0, "no pod has name app-3-*; there are app-1-00001, app-2-00002"),
        ):
            code, text, told = _agentctl(agent, "add-rule", *words)
            assert (code, text.splitlines()[-1]) == (0, f"it matches {matched} of 2 pods and units now")
            assert told == (f"agentctl: add-rule: rule by-name takes no pod yet: {hint}\n" if hint else "")
        third, fourth = _start(runtime, pod_of(3)), _start(runtime, pod_of(4))
        wait_true(agent, runtime)

        def groups() -> dict[str, object]:
            return {uid: row["group"] for uid, row in listed(agent).items()}

        wanted = {first.uid: "one", second.uid: "two", third.uid: None, fourth.uid: fourth.uid}
        wait_until(lambda: groups() == wanted, f"each pod has its group, not {groups()}")
        # A pod's rule comes with its group.
        rules = {str(row["uid"]): row["rule"] for row in listed(agent).values()}
        assert rules == {first.uid: "by-namespace", second.uid: "by-label", third.uid: "by-name", fourth.uid: None}


def test_commands_and_queries_have_the_names_that_the_runtime_reported(tmp_path: Path) -> None:
    """list-pods, the views `pod` and `container`, worker-state, and what the doctor says of the connection."""
    with _together(tmp_path) as (agent, runtime):
        pod = _start(runtime, pod_of(1), containers=2)
        _start(runtime, pod_of(2))
        wait_true(agent, runtime)
        wait_until(lambda: len(listed(agent)[str(pod.uid)]["container_names"]) == 2, "both containers are listed")

        code, text, _ = _agentctl(agent, "list-pods", "--namespace", "team-1", "--wide")
        assert code == 0
        title, line = text.splitlines()
        assert title.split()[:3] == ["KIND", "POD", "UID"]
        assert line.split()[:3] == ["pod", f"team-1/{pod.name!s}", pod.uid]
        assert "app=app-1,pod-template-hash=00000001,tier=backend" in line
        assert "main-0,main-1" in line

        statement = f"SELECT container_id, name FROM container WHERE pod_uid = '{pod.uid!s}'"
        known = listed(agent)[str(pod.uid)]["container_names"]
        assert set(known.values()) == {"main-0", "main-1"}
        # What is listed is stored a moment later.
        wait_until(lambda: {row["container_id"]: row["name"] for row in _rows(agent, statement)} == known, "rows of containers")
        statement = f"SELECT name, pod_namespace, labels->>'app' AS app FROM pod WHERE pod_uid = '{pod.uid!s}'"
        wanted = {"name": f"team-1/{pod.name!s}", "pod_namespace": "team-1", "app": "app-1"}
        wait_until(lambda: _rows(agent, statement) == [wanted], f"a row of the pod, not {_rows(agent, statement)}")

        # The supervisor lists it before it has told the worker.
        name = f"team-1/{pod.name!s}"
        wait_until(lambda: name in _agentctl(agent, "worker-state", "control-plane")[1], "the worker holds it")

        def is_known() -> bool:
            found = {each["topic"]: each for each in json.loads(_agentctl(agent, "doctor", "--json")[1])["findings"]}
            is_usable = found["NRI"]["state"] == found["container runtime"]["state"] == "usable"
            return is_usable and str(found["NRI"]["detail"]).startswith("connected to containerd ")

        # `status`, where the doctor finds it, waits 0.3 s for the control plane's word.
        wait_until(is_known, "the doctor has the control plane's word")


@pytest.mark.runbook("Control plane and pods")
def test_the_doctor_of_an_agent_without_its_runtime_has_the_agents_sentence(tmp_path: Path) -> None:
    """The socket is still there, and nobody listens: only the agent knows, and says what to do."""
    with _together(tmp_path) as (agent, runtime):
        wait_until(lambda: _nri(agent)["state"] == "usable", "it is connected")
        runtime.end()
        found = wait_until(lambda: found if (found := _nri(agent))["state"] != "usable" else None, "the doctor says so")
        assert str(runtime.path) in found["detail"]


def _nri(agent: AgentProcess) -> dict[str, Any]:
    found = json.loads(_agentctl(agent, "doctor", "--json")[1])["findings"]
    return next(each for each in found if each["topic"] == "NRI")


@pytest.mark.runbook("Control plane and pods")
def test_names_stay_when_the_agent_is_gone_and_when_its_pods_are(tmp_path: Path) -> None:
    """A removed pod is in the stored rows by its name, and its containers by theirs."""
    with _together(tmp_path) as (agent, runtime):
        pod = _start(runtime, pod_of(6))
        wait_true(agent, runtime)
        wait_until(lambda: _rows(agent, "FROM container_name"), "the name is stored")
        runtime.remove_pod(pod)
        wait_true(agent, runtime)
    (row,) = _rows(agent, "SELECT name, valid_until IS NOT NULL AS has_ended FROM pod")
    assert row == {"name": f"team-1/{pod.name!s}", "has_ended": True}
    (row,) = _rows(agent, "SELECT c.name, p.name AS pod FROM container c JOIN pod p USING (pod_uid)")
    assert row == {"name": "main-0", "pod": f"team-1/{pod.name!s}"}


def test_hostile_names_cross_the_whole_agent_and_stay_readable(tmp_path: Path) -> None:
    """Escapes, bidi, bytes that are no UTF-8, and a megabyte: listed, stored, and matched by rules."""
    names: list[str | bytes] = ["\x1b[2J\x07", "web\u202etxt", b"\xff\xfe", "负载均衡器", "n" * 1_000_000]
    with _together(tmp_path) as (agent, runtime):
        for number, name in enumerate(names):
            pod = pod_of(number)
            _start(runtime, FakePod(pod.id, pod.uid, name, name, {name: name, "app": "x"}, pod.cgroup_parent))
        wait_until(lambda: len(listed(agent)) == len(names), "all pods are listed")
        for words in (("list-pods",), ("list-pods", "--wide"), ("list-pods", "--label", "app=x")):
            code, text, _ = _agentctl(agent, *words)
            lines = text.splitlines()
            assert (code, len(lines)) == (0, 1 + len(names))
            assert all(letter.isprintable() for line in lines for letter in line)
        statement = "SELECT name FROM pod WHERE labels->>'app' = 'x'"
        # What is listed is stored a moment later.
        wait_until(lambda: len(_rows(agent, statement)) == len(names), "all pods are stored")
        code, text, _ = _agentctl(agent, "add-rule", "x", "--label", "app=x", "--ignore")
        assert text.splitlines()[-1] == f"it matches {len(names)} of {len(names)} pods and units now"


def test_occupancy_rows_have_names_and_counts_of_containers(tmp_path: Path) -> None:
    """Real threads in a mounted resctrl: each row says whose it is, and of how many containers every thread is in the group."""
    with (
        NriRuntime(tmp_path / "nri.sock") as runtime,
        EmulatedResctrl(tmp_path) as resctrl,
        real_node("names", runtime, resctrl.mount) as node,
    ):
        more = {"sampler_resctrl_interval": "100ms", "sampler_resctrl_enabled": "true"}
        flags = nri_flags(tmp_path, runtime, **more)
        flags |= {"--resctrl-mount": str(resctrl.mount), "--kernel-cgroup-root": str(node.root)}
        with AgentProcess(tmp_path, flags=flags) as agent:
            runtime.wait_plugin()
            pod = node.run_pod(1)
            for number in range(2):
                node.start(pod, number)
            statement = (
                "SELECT DISTINCT pod_namespace || '/' || pod_name AS pod, total_containers AS total, "
                "reconciled_containers AS whole FROM occupancy ORDER BY total, whole"
            )
            wanted = {"pod": f"team-1/{pod.name!s}", "total": 2, "whole": 2}
            wait_until(lambda: wanted in _rows(agent, statement), f"rows with names, not {_rows(agent, statement)}")
            text = _agentctl(agent, "top", "--occupancy", "--filter", "namespace:team-1 container:main-1 label:tier=backend")[1]
            assert f"team-1/{pod.name!s}" in text
            row = listed(agent)[str(pod.uid)]
            assert (row["total_containers"], row["reconciled_containers"], row["group_state"]) == (2, 2, "exists")
