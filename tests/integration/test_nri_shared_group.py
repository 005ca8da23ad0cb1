"""The last pod of a shared group goes while the next one starts, and rules change under pods that start."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fakes.nri_agent import nri_flags, wait_true
from fakes.nri_node import RealNode, Where, real_node
from fakes.nri_runtime import NriRuntime
from fakes.resctrl_mount import EmulatedResctrl, tasks_of
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

TIMES = 60
FRONT: dict[str, Any] = {"name": "front", "match": {"pod": "app-*"}, "action": {"kind": "shared", "group": "front"}}


class SharedSide:
    """A runtime with real processes, an emulated resctrl, and an agent beside them."""

    def __init__(self, runtime: NriRuntime, node: RealNode, resctrl: EmulatedResctrl, agent: AgentProcess) -> None:
        self.runtime = runtime
        self.node = node
        self.resctrl = resctrl
        self.agent = agent

    def wait_whole(self, *groups: str) -> None:
        """Exactly these groups stand, each thread is in one, and the agent lists the pods that there are."""
        wait_true(self.agent, self.runtime)
        wait_until(lambda: self._is_whole(groups), f"{groups} and no other group, with all threads")
        assert self.runtime.failed_operations == []

    def _is_whole(self, groups: tuple[str, ...]) -> bool:
        threads = set().union(*(made.threads() for made in self.node.running))
        with suppress(OSError):
            held = set().union(*(tasks_of(self.resctrl.mount / "mon_groups" / each) for each in groups))
            return set(self.resctrl.groups()) - {""} == {f"mon_groups/{each}" for each in groups} and held >= threads
        return False


@pytest.fixture
def side(tmp_path: Path) -> Iterator[SharedSide]:
    """Nothing runs yet."""
    with (
        EmulatedResctrl(tmp_path) as resctrl,
        NriRuntime(tmp_path / "nri.sock") as runtime,
        real_node("shared", runtime, resctrl.mount) as node,
    ):
        flags = nri_flags(tmp_path, runtime, resctrl_mount=str(resctrl.mount), nri_start_deadline="1s")
        flags["--kernel-cgroup-root"] = str(node.root)
        with AgentProcess(tmp_path, flags=flags) as agent:
            runtime.wait_plugin()
            yield SharedSide(runtime, node, resctrl, agent)


def test_a_group_is_not_removed_under_the_pod_that_starts(side: SharedSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pod starts just when the one before it has left the group empty, and begins inside it."""
    monkeypatch.setattr(side.node, "group_of", lambda _pod: side.resctrl.mount / "mon_groups" / "pod_front")
    side.agent.call("add-rule", rule=FRONT)
    pod = side.node.run_pod(0)
    side.node.start(pod)
    side.wait_whole("pod_front")
    where = []
    for number in range(1, TIMES):
        side.node.remove_pod(pod)
        pod = side.node.run_pod(number)
        where.append(side.node.start(pod).where)
    assert where == [Where.INSIDE] * (TIMES - 1)
    side.wait_whole("pod_front")
    side.node.remove_pod(pod)
    side.wait_whole()


def test_rules_that_change_while_pods_start_are_followed_in_the_end(side: SharedSide) -> None:
    """Some start by the old rules and some by the new; afterwards all are where the rules say, and no group is left over."""
    pods = []
    for number in range(30):
        if number == 10:
            side.agent.call("add-rule", rule=FRONT)
        if number == 20:
            side.agent.call("remove-rule", name="front")
        pods.append(side.node.run_pod(number))
        side.node.start(pods[-1])
    side.wait_whole(*(f"pod_{pod.uid!s}" for pod in pods))
    side.agent.call("add-rule", rule=FRONT)
    side.wait_whole("pod_front")
