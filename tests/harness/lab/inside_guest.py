"""Runs in the guest of scripts/lab/guest: `python -m harness.lab.inside_guest VERSION`; what it saw is one line of JSON.

containerd with the systemd cgroup driver, an emulated resctrl, the whole agent, and a pod with two containers that starts after it.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from fakes.resctrl_mount import EmulatedResctrl, tasks_of
from harness.agent_process import AgentProcess
from harness.lab.cri import ContainerSpec
from harness.lab.runtime import LabPod, LabRuntime
from harness.waiting import wait_until

FOLDER = Path("/lab")


def main() -> None:
    """Set everything up, look, and say what was seen."""
    version = sys.argv[1]
    started = time.monotonic()
    seen: dict[str, Any] = {}
    (FOLDER / "agent").mkdir()
    with LabRuntime(FOLDER / "runtime", version, systemd=True) as runtime:
        seen["runtime_seconds"] = round(time.monotonic() - started, 1)
        early = runtime.run_idle("early", threads=3)
        with EmulatedResctrl(runtime.place.shared) as emulator:
            seen["emulator_seconds"] = round(time.monotonic() - started, 1)
            agent = _agent(runtime, emulator)
            agent.start(ready=False)
            try:
                wait_until(agent.is_ready, "the agent is ready")
                seen["agent_seconds"] = round(time.monotonic() - started, 1)
                late = runtime.run(
                    runtime.spec("late"),
                    ContainerSpec("first", ("/bin/load", "threads", "4")),
                    ContainerSpec("second", ("/bin/load", "threads", "2")),
                )
                # The sandbox has one thread, and each program as many as it was told.
                for pod, threads in ((early, 1 + 3), (late, 1 + 4 + 2)):
                    # The runtime answers before the programs have made theirs.
                    made = f"{pod.spec.name} has {threads} threads"
                    wait_until(lambda: len(runtime.threads(pod)) == threads, made)  # noqa: B023
                    wait_until(lambda: _is_whole(agent, pod), f"{pod.spec.name} is whole in its group")  # noqa: B023
                    # The thread of the sandbox itself, which no report of a container names, follows with the next look.
                    wait_until(lambda: _has_all(agent, runtime, pod), f"{pod.spec.name} has all its threads")  # noqa: B023
                    seen[pod.spec.name] = _seen(agent, runtime, emulator, pod)
                runtime.remove(early)
                wait_until(lambda: early.uid not in _pods(agent), "the removed pod is gone")
                # Its directory goes after its name.
                own = f"mon_groups/pod_{early.uid}"
                wait_until(lambda: own not in emulator.groups(), "the group of the removed pod is gone")
                seen["groups"] = sorted(path for path in emulator.groups() if path)
            finally:
                print(agent.output, file=sys.stderr)
                agent.end()
    seen["seconds"] = round(time.monotonic() - started, 1)
    print(json.dumps(seen), flush=True)


def _agent(runtime: LabRuntime, emulator: EmulatedResctrl) -> AgentProcess:
    flags = {
        "--gateway-port": "0",
        "--resctrl-mount": str(emulator.mount),
        "--nri-socket-path": str(runtime.place.nri),
        "--supervisor-hang-timeout": "60s",
        "--supervisor-start-timeout": "60s",
        "--supervisor-spare-workers": "0",
        # Nothing but the pods is looked at here, and every start costs seconds.
        "--sampler-process-enabled": "false",
        "--sampler-host-enabled": "false",
        "--sampler-unit-enabled": "false",
    }
    return AgentProcess(FOLDER / "agent", flags=flags, quick=False)


def _pods(agent: AgentProcess) -> dict[str, dict[str, Any]]:
    return {pod["uid"]: pod for pod in agent.call("list-pods")["pods"]}


def _is_whole(agent: AgentProcess, pod: LabPod) -> bool:
    row = _pods(agent).get(pod.uid)
    # A look at the cgroup tree may find containers before the runtime's reports name them.
    if row is None or row["group_state"] != "exists" or set(row["container_names"]) != set(pod.containers.values()):
        return False
    if row["name"] != pod.spec.name or not all(row["container_names"].values()):
        return False
    return bool(row["reconciled_containers"] == row["total_containers"] == len(pod.containers))


def _has_all(agent: AgentProcess, runtime: LabRuntime, pod: LabPod) -> bool:
    (group,) = map(Path, _pods(agent)[pod.uid]["group_paths"])
    return tasks_of(group) == runtime.threads(pod)


def _seen(agent: AgentProcess, runtime: LabRuntime, emulator: EmulatedResctrl, pod: LabPod) -> dict[str, Any]:
    (group,) = map(Path, _pods(agent)[pod.uid]["group_paths"])
    threads = runtime.threads(pod)
    return {
        "uid": pod.uid,
        "row": _pods(agent)[pod.uid],
        "threads": sorted(threads),
        "tasks": sorted(tasks_of(group)),
        "cgroups": sorted(Path(f"/proc/{thread}/cgroup").read_text().strip() for thread in threads),
        "containers": pod.containers,
    }


if __name__ == "__main__":
    main()
