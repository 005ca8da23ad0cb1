"""A whole agent beside the fake runtime, and whether what it says is the truth."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from fakes.nri_dialect import FakePod
from fakes.nri_runtime import NriRuntime
from harness.agent_process import AgentProcess
from harness.waiting import DEADLINE_SECONDS, wait_until

# Where the agent looks for pods by itself: a tree with nothing in it, so that all it knows comes from the runtime.
EMPTY_TREE = "empty-cgroups"


def nri_flags(folder: Path, runtime: NriRuntime, **more: str) -> dict[str, str]:
    """Flags of an agent that hears this runtime, and looks at no cgroup of the host. `more` are other settings, `_` for `-`."""
    tree = folder / EMPTY_TREE
    tree.mkdir(exist_ok=True)
    (tree / "cgroup.controllers").touch()
    flags = {
        "--nri-socket-path": str(runtime.path),
        "--kernel-cgroup-root": str(tree),
        "--resctrl-mount": str(folder / "no-resctrl"),
        "--sampler-process-enabled": "false",
        "--sampler-host-enabled": "false",
        "--sampler-unit-enabled": "false",
        # No test with these flags is about a worker that is silent: on a busy machine any may be for a moment.
        "--supervisor-hang-timeout": "60s",
    }
    return flags | {f"--{name.replace('_', '-')}": value for name, value in more.items()}


def listed(agent: AgentProcess) -> dict[str, dict[str, Any]]:
    """The rows of pods by uid. *Raises:* OSError and ValueError without an answer."""
    return {row["uid"]: row for row in agent.call("list-pods")["pods"] if row["kind"] == "pod"}


def truth(runtime: NriRuntime) -> set[tuple[object, object, object]]:
    """Uid, namespace and name of each pod that there is."""
    return {_identity(pod) for pod in list(runtime.pods.values())}


def is_true(agent: AgentProcess, runtime: NriRuntime) -> bool:
    """Whether the agent lists exactly the pods that there are, by their names."""
    with suppress(OSError, ValueError):
        return {(row["uid"], row["namespace"], row["name"]) for row in listed(agent).values()} == truth(runtime)
    return False


def wait_true(agent: AgentProcess, runtime: NriRuntime, *, seconds: float = DEADLINE_SECONDS) -> float:
    """Wait until the agent lists the truth; gives the seconds that it took."""
    began = time.monotonic()
    wait_until(lambda: is_true(agent, runtime), f"the agent lists the pods of {runtime.summary()}", seconds=seconds)
    return time.monotonic() - began


def wait_connected(agent: AgentProcess, runtime: NriRuntime) -> None:
    """Wait until the registered plugin is the control plane that there is now. One that was killed may still look registered."""
    wait_until(lambda: _is_connected(agent, runtime), f"the control plane is registered at {runtime.summary()}")


def _is_connected(agent: AgentProcess, runtime: NriRuntime) -> bool:
    plugin = runtime.plugin
    return plugin is not None and plugin.pid == agent.workers()["control-plane"]["pid"]


def condition(agent: AgentProcess, kind: str = "nri") -> str:
    """The sentence of the control plane's condition of this kind; empty: it does not hold."""
    rows = agent.call("status")["conditions"]
    return next((str(row["detail"]) for row in rows if (row["worker"], row["kind"]) == ("control-plane", kind)), "")


def _identity(pod: FakePod) -> tuple[object, object, object]:
    return pod.uid, pod.namespace, pod.name
