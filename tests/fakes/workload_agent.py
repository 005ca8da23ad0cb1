"""A real agent whose workloads live in a part of the cgroup tree of the test's own."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from fakes.keeper_world import members
from harness.agent_process import AgentProcess, run_agentctl
from harness.waiting import wait_until

# On a machine with other tests a worker may get no processor for seconds, and its death is another test's matter.
UNHURRIED = {"--supervisor-start-timeout": "2m", "--supervisor-hang-timeout": "30s", "--supervisor-stop-timeout": "20s"}


class WorkloadAgent:
    """The agent, and what is asked about workloads."""

    def __init__(self, agent: AgentProcess, tree: Path) -> None:
        self.agent = agent
        self.tree = tree

    def run(self, name: str, *argv: str, **more: Any) -> dict[str, Any]:
        """Start a workload that is expected to start."""
        changed: dict[str, Any] = self.agent.call("run-workload", workload={"name": name, "argv": list(argv), **more})
        return changed

    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows of list-workloads by name, once the keeper has said what there is."""

        def listed() -> Any:
            document = self.agent.call("list-workloads")
            return document if document["is_asked"] else None

        document = wait_until(listed, "the keeper has listed its workloads")
        return {row["name"]: row for row in document["workloads"]}

    def wait_state(self, name: str, state: str) -> dict[str, Any]:
        """Until a workload is in this state; its row."""

        def there() -> dict[str, Any] | None:
            row = self.rows().get(name)
            return row if row is not None and row["state"] == state else None

        return wait_until(there, f"{name} is {state}")

    def ctl(self, *words: str) -> tuple[int, str, str]:
        """One command of agentctl: exit code, output, warnings."""
        done = run_agentctl("--runtime-dir", str(self.agent.runtime_dir), *words, seconds=60)
        return done.returncode, done.stdout, done.stderr

    def keeper(self) -> psutil.Process:
        """The keeper's process."""
        pids = members(self.tree / "evergauge-workloads" / "keeper")
        assert len(pids) == 1, pids
        return psutil.Process(pids[0])

    def kill_keeper(self) -> None:
        """End the keeper as a crash does; one that is just being started is left alone."""
        with suppress(psutil.NoSuchProcess, AssertionError):
            self.keeper().kill()

    def processes(self, name: str) -> list[int]:
        """Every process of a workload."""
        return members(self.tree / "evergauge-workloads" / f"{name}.workload")

    def kill_agent(self) -> None:
        """End every process of the agent but the keeper and the workloads, as fast as one after another can be killed."""
        spared = set(members(self.tree))
        for process in self.agent.note_processes():
            if process.pid not in spared:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        assert self.agent.process is not None
        self.agent.process.wait()


@contextmanager
def workload_agent(folder: Path, tree: Path, **flags: str) -> Iterator[WorkloadAgent]:
    """An agent; at the end its workloads and their keeper are ended too."""
    settings = {
        **UNHURRIED,
        "--kernel-cgroup-root": str(tree),
        **{f"--{name.replace('_', '-')}": text for name, text in flags.items()},
    }
    with AgentProcess(folder, flags=settings) as agent:
        yield WorkloadAgent(agent, tree)
        end_with_workloads(agent, tree)


def end_with_workloads(agent: AgentProcess, tree: Path) -> None:
    """End an agent, its workloads and their keeper. Not the other way round: an agent starts another keeper for one that died."""
    agent.end()
    _end_all(tree)


def _end_all(tree: Path) -> None:
    """Kill everybody in a part of the cgroup tree."""

    def is_empty() -> bool:
        found = members(tree)
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not found

    wait_until(is_empty, f"nobody is in {tree}")
