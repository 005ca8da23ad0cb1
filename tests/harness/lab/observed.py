"""The whole agent beside a real containerd and an emulated resctrl, and what the kernel says of the same pods."""

from contextlib import closing
from pathlib import Path
from typing import Any, Self

from fakes.resctrl_machine import ResctrlMachine
from fakes.resctrl_mount import tasks_of
from harness.agent_process import AgentProcess
from harness.lab.runtime import LabPod, LabRuntime
from harness.waiting import wait_until

from agent.cli.query_database import QueryRequest, open_query_database
from workers import registry


class ObservedAgent:
    """An agent that measures the pods of one runtime. Use it as a context; `more` are settings beside the usual ones."""

    def __init__(self, folder: Path, runtime: LabRuntime, emulator: ResctrlMachine, **more: str) -> None:
        flags = {
            "--kernel-cgroup-root": str(runtime.cgroup_root),
            "--resctrl-mount": str(emulator.mount),
            "--nri-socket-path": str(runtime.place.nri),
            "--cri-socket-path": str(runtime.place.socket),
            "--resctrl-check-interval": "300ms",
            "--resctrl-retry-interval": "500ms",
            "--sampler-resctrl-interval": "100ms",
            "--sampler-process-enabled": "false",
            "--sampler-host-enabled": "false",
            "--sampler-unit-enabled": "false",
        }
        folder.mkdir(parents=True, exist_ok=True)
        self.process = AgentProcess(folder, flags=flags | {f"--{name.replace('_', '-')}": value for name, value in more.items()})
        self._runtime = runtime
        self._emulator = emulator

    def __enter__(self) -> Self:
        self.process.start()
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self.process.__exit__(kind, *rest)

    def pods(self) -> dict[str, dict[str, Any]]:
        """By uid the rows of list-pods."""
        return {row["uid"]: row for row in self.process.call("list-pods")["pods"] if row["kind"] == "pod"}

    def row(self, pod: LabPod) -> dict[str, Any]:
        """How list-pods shows a pod; nothing where it does not."""
        return self.pods().get(pod.uid, {})

    def connections(self) -> int:
        """How often the agent has reached the runtime over NRI."""
        return int(self._nri()["connections"])

    def is_hearing(self) -> bool:
        """Whether the runtime reports to the agent over NRI now."""
        return bool(self._nri()["is_connected"])

    def _nri(self) -> dict[str, Any]:
        wires: dict[str, dict[str, Any]] = self.process.stats("control-plane")["runtime"]["wires"]
        return wires.get("nri", {"connections": 0, "is_connected": False})

    def group(self, pod: LabPod) -> Path:
        """The directory of a pod's own group."""
        return self._emulator.mount / "mon_groups" / f"pod_{pod.uid}"

    def is_whole(self, pod: LabPod, *, containers: int = 1) -> bool:
        """Whether the agent says that every container of the pod is in its group."""
        row = self.row(pod)
        if row.get("group_state") != "exists" or row["name"] != pod.spec.name:
            return False
        return bool(row["reconciled_containers"] == row["total_containers"] == containers)

    def wait_whole(self, *pods: LabPod, containers: int = 1) -> None:
        """Until that is so for each of them."""
        for pod in pods:
            wait_until(
                lambda: self.is_whole(pod, containers=containers),  # noqa: B023
                f"{pod.spec.name} is whole in its group, not {self.row(pod)}",
            )

    def missing(self, pod: LabPod) -> set[int]:
        """The threads that the kernel lists in the pod's cgroups and the group does not have, though they live on."""
        inside = self._runtime.threads(pod)
        listed = tasks_of(self.group(pod))
        return (inside - listed) & self._runtime.threads(pod)

    def assert_all_inside(self, *pods: LabPod) -> None:
        """The kernel's cgroups, the group's `tasks` and the emulator's own account agree on every pod.

        The emulator hears of a new thread a moment after the kernel has made it, so it is asked until they do.
        """
        for pod in pods:
            assert self._runtime.threads(pod), f"{pod.spec.name} has no thread"
            wait_until(lambda: self._agree(pod), f"{pod.spec.name} has all its threads in its group")  # noqa: B023

    def _agree(self, pod: LabPod) -> bool:
        threads = self._runtime.threads(pod)
        truth = self._emulator.groups()[f"mon_groups/pod_{pod.uid}"]["threads"]
        return tasks_of(self.group(pod)) == set(truth) == threads

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What a query over the stored data gives."""
        request = QueryRequest(str(self.process.state_dir), statement)
        with closing(open_query_database(request, registry.tables())) as database:
            return database.connection.execute(statement).fetchall()
