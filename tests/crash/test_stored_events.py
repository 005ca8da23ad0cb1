"""Every event is a row of table `diag`, once, over kills of the writer, of other workers and of the supervisor."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.sealed_rows import sealed_rows
from harness.agent_process import UNHURRIED, AgentProcess
from harness.waiting import wait_until

KILLS = 3


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    """A living agent whose workers wait for a successor; at the end it stops cleanly and leaves nothing behind."""
    agent = AgentProcess(tmp_path, flags={**UNHURRIED, "--supervisor-orphan-grace": "30s"})
    agent.start()
    yield agent
    agent.end()
    agent.assert_nothing_left()


def _epochs(agent: AgentProcess) -> dict[str, int]:
    return {name: row["epoch"] for name, row in agent.workers().items() if row["state"] == "up"}


def _kill(agent: AgentProcess, name: str) -> None:
    epoch = agent.workers()[name]["epoch"]
    agent.kill_worker(name)
    wait_until(lambda: _epochs(agent).get(name, 0) > epoch, f"{name} is up again")


def _rows(agent: AgentProcess) -> list[dict[str, Any]]:
    return sorted(sealed_rows(agent.state_dir, "diag"), key=lambda row: row["seq"])


@pytest.mark.runbook("Status and events")
def test_events_are_stored_once_over_deaths_of_writer_and_supervisor(agent: AgentProcess) -> None:
    """Numbers grow, no row is there twice, and each death has its row."""
    for _ in range(KILLS):
        _kill(agent, "writer")
        _kill(agent, "sampler/process")
    assert agent.process is not None
    agent.note_processes()
    agent.process.kill()
    agent.process.wait()
    agent.start()
    wait_until(lambda: agent.call("status")["ready"], "it is ready again")
    agent.end()
    rows = _rows(agent)
    assert len({row["run"] for row in rows}) == 1
    assert len({row["seq"] for row in rows}) == len(rows)
    kinds = Counter((row["kind"], row["module"]) for row in rows)
    assert kinds["worker_died", "writer"] == KILLS
    assert kinds["worker_died", "sampler/process"] == KILLS
    assert kinds["worker_restart", "writer"] == KILLS
    assert kinds["taking_over", "supervisor"] == 1
    assert kinds["stopping", "supervisor"] == 1
    assert kinds["starting", "supervisor"] == 2
    # The writer ends last, and nobody stores that.
    stopped = {module for kind, module in kinds if kind == "worker_stopped"}
    assert "sampler/process" in stopped
    assert "writer" not in stopped
    begun = Counter((row["module"], row["kind"], row["subject"], row["since"]) for row in rows if row["phase"] == "begin")
    ended = Counter((row["module"], row["kind"], row["subject"], row["since"]) for row in rows if row["phase"] == "end")
    assert not ended - begun, "an end has its beginning"
