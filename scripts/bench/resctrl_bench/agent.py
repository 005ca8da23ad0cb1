"""The real agent over an emulated mount: started, asked, read out, ended."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.agent_process import AgentProcess, run_agentctl

from resctrl_bench.bench import wait_slowly
from resctrl_bench.place import Place

SAMPLER = "sampler/resctrl"
CONTROL_PLANE = "control-plane"
QUERY_SECONDS = 120.0
# Two domains with three events each, in the profile that all parts with a sampler have.
FILES_A_GROUP = 6
Row = dict[str, Any]


@dataclass(slots=True)
class Agent:
    """One running agent."""

    process: AgentProcess

    def pods(self) -> list[Row]:
        """The pods that it knows, as list-pods shows them."""
        rows: list[Row] = self.process.call("list-pods")["pods"]
        return [row for row in rows if row["kind"] == "pod"]

    def pods_so_far(self) -> list[Row]:
        """As `pods`; none before it has opened its socket."""
        try:
            return self.pods()
        except (OSError, ValueError):
            return []

    def stats(self, worker: str) -> Row:
        """What a worker says of itself."""
        found: Row = self.process.call("status")["stats"].get(worker) or {}
        return found

    def pid(self, worker: str) -> int:
        """The process of a worker."""
        pid: int = self.process.workers()[worker]["pid"]
        return pid

    def query(self, statement: str) -> list[Row]:
        """The rows that are stored, the open spool included."""
        words = ("--state-dir", str(self.process.state_dir), "query", statement, "--json", "--timeout", f"{QUERY_SECONDS:g}")
        ended = run_agentctl(*words, seconds=2 * QUERY_SECONDS)
        assert ended.stdout, f"{statement}: {ended.stderr}"
        rows: list[Row] = json.loads(ended.stdout)
        return rows

    def wait_for_whole(self, count: int, *, seconds: float) -> None:
        """Wait until this many pods have their group, with all their containers completely in it."""
        wait_slowly(lambda: sum(map(is_whole, self.pods())) >= count, f"{count} pods are whole in their groups", seconds=seconds)

    def wait_for_readers(self, groups: int, *, seconds: float) -> None:
        """Wait until the sampler reads this many groups at each tick: it opens the files of new ones a few at a time."""
        files = groups * FILES_A_GROUP
        wait_slowly(lambda: self.stats(SAMPLER).get("event_files", 0) >= files, f"{files} files are open", seconds=seconds)

    def wait_for_ticks(self, count: int, *, seconds: float) -> None:
        """Wait until the sampler has begun this many further ticks."""
        wanted = int(self.stats(SAMPLER).get("ticks", 0)) + count
        wait_slowly(lambda: int(self.stats(SAMPLER).get("ticks", 0)) >= wanted, f"{count} ticks of the sampler", seconds=seconds)


def is_whole(row: Row) -> bool:
    """Whether the agent claims that all threads of a pod are in its group."""
    return bool(row["group_paths"]) and row["reconciled_containers"] == row["total_containers"] and bool(row["total_containers"])


def prepared(place: Place, mount: Path, name: str, *, flags: Mapping[str, str] | None = None) -> AgentProcess:
    """An agent that is not started yet; all that is not named here is as a default agent has it."""
    folder = place.folder / name
    folder.mkdir()
    settings = {
        "--resctrl-mount": str(mount),
        "--kernel-cgroup-root": str(place.cgroup),
        "--nri-socket-path": str(folder / "no-nri.sock"),
        "--sampler-resctrl-enabled": "true",
    }
    return AgentProcess(folder, flags={**settings, **(flags or {})}, quick=False)


@contextmanager
def agent(place: Place, mount: Path, name: str, *, flags: Mapping[str, str] | None = None) -> Iterator[Agent]:
    """An agent that is ready, and has left nothing when the context ends."""
    with prepared(place, mount, name, flags=flags) as process:
        yield Agent(process)
