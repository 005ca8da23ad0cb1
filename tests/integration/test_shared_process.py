"""The samplers of worker `sampler/node` in a real agent: one process, and to everybody who looks two samplers."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fakes.sealed_rows import sealed_rows
from harness.agent_process import UNHURRIED, AgentProcess
from harness.waiting import wait_until

WORKER = "sampler/node"
MEMBERS = ["sampler/host", "sampler/unit"]
# Ticks of both come often, and not on the same grid.
OFTEN = {**UNHURRIED, "--sampler-host-interval": "50ms", "--sampler-unit-interval": "70ms"}


def _acknowledged(agent: AgentProcess, name: str) -> int:
    outbox: dict[str, Any] = agent.stats(name).get("outbox", {})
    return int(outbox.get("acknowledged_seq") or 0)


def _unit_ticks(agent: AgentProcess) -> int:
    with suppress(OSError, ValueError):
        return int((agent.call("status")["stats"].get("sampler/unit") or {}).get("ticks", 0))
    return 0


def _wait_stored(agent: AgentProcess) -> None:
    for name in MEMBERS:
        wait_until(lambda each=name: _acknowledged(agent, each) >= 5, f"batches of {name} are stored")  # type: ignore[misc]


def test_both_samplers_store_their_ticks_and_the_death_of_their_process_is_a_gap_of_each(tmp_path: Path) -> None:
    """Killed in the middle and started again: rows of both before and after it, and one row of `gap` with the name of each."""
    with AgentProcess(tmp_path, flags=OFTEN) as agent:
        assert agent.workers()[WORKER]["members"] == MEMBERS
        _wait_stored(agent)
        agent.wait_for_replacement(agent.kill_worker(WORKER))
        _wait_stored(agent)
        ticks = {name: agent.stats(name)["ticks"] for name in MEMBERS}
    lost = {(row["worker"], row["epoch"]) for row in sealed_rows(agent.state_dir, "gap") if row["reason"] == "worker_died"}
    assert lost == {(name, 1) for name in MEMBERS}
    assert len({row["timestamp"] for row in sealed_rows(agent.state_dir, "host")}) >= ticks["sampler/host"]


@pytest.mark.parametrize("off", MEMBERS)
def test_with_one_of_them_switched_off_the_other_runs_alone(tmp_path: Path, off: str) -> None:
    """Nobody says anything of the other, and the agent is ready."""
    with AgentProcess(tmp_path, flags={f"--{off.replace('/', '-')}-enabled": "false"}) as agent:
        (left,) = agent.workers()[WORKER]["members"]
        wait_until(lambda: agent.stats(left).get("ticks"), "it ticks")
        assert {left, off} & set(agent.call("status")["stats"]) == {left}


def test_one_that_can_read_nothing_keeps_the_other_from_nothing(tmp_path: Path) -> None:
    """Without a proc file system the host's sampler says so in its own name; units are measured."""
    flags = {"--kernel-proc-root": str(tmp_path / "nowhere"), "--sampler-process-enabled": "false"}
    agent = AgentProcess(tmp_path, flags={**UNHURRIED, **flags})
    agent.start(ready=False)
    wait_until(lambda: _unit_ticks(agent) >= 2, "units are measured")
    told = {(row["worker"], row["kind"]) for row in agent.call("status")["conditions"]}
    assert ("sampler/host", "unreadable") in told
    assert agent.end() == 0
    agent.assert_nothing_left()
