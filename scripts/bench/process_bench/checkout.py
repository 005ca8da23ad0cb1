"""One checkout of this project: its agent is started in a private folder and its rows are read back."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.agent_process import AgentProcess
from harness.waiting import wait_until

Row = dict[str, Any]
SAMPLER = "sampler/process"
QUERY_SECONDS = 120.0
START_SECONDS = 60.0
HERE = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Checkout:
    """Where the programs of a state of this project are."""

    name: str
    root: Path = HERE

    @contextmanager
    def agent(self, folder: Path, flags: dict[str, str] | None = None) -> Iterator[AgentProcess]:
        """A default agent that is ready; nothing is left of it when the context ends."""
        folder.mkdir(parents=True)
        with AgentProcess(folder, flags=flags, quick=False, program=(str(self.root / ".venv/bin/agentd"),)) as process:
            yield process

    def query(self, agent: AgentProcess, statement: str) -> list[Row]:
        """Stored rows, those of the open spool included. *Raises:* RuntimeError with the words of the program."""
        words = ["--state-dir", str(agent.state_dir), "query", statement, "--format", "json", "--timeout", f"{QUERY_SECONDS:g}"]
        done = subprocess.run(
            [str(self.root / ".venv/bin/agentctl"), *words], capture_output=True, text=True, timeout=2 * QUERY_SECONDS, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{statement}: {done.stderr.strip()}")
        rows: list[Row] = json.loads(done.stdout)
        return rows

    def tables(self, agent: AgentProcess) -> set[str]:
        """The names of the tables that can be asked."""
        return {str(value) for row in self.query(agent, "SHOW TABLES") for value in row.values()}


def ticks(agent: AgentProcess) -> int:
    """How many ticks the sampler has made."""
    stats: Row = agent.call("status")["stats"].get(SAMPLER) or {}
    return int(stats.get("ticks", 0))


def wait_for_ticks(agent: AgentProcess, count: int) -> None:
    """Wait for so many further ticks."""
    wanted = ticks(agent) + count
    wait_until(lambda: ticks(agent) >= wanted, f"{count} ticks", seconds=START_SECONDS, pause_seconds=0.1)


def sampler_pid(agent: AgentProcess) -> int:
    """The process of the sampler."""
    pid: int = agent.workers()[SAMPLER]["pid"]
    return pid
