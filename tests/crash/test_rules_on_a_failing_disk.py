"""The state folder cannot be synced after the rules document is in place: what runs and what a restart finds are the same."""

from pathlib import Path
from typing import Any

import pytest
from harness.agent_process import AgentProcess, run_agentctl
from harness.waiting import wait_until


def names(agent: AgentProcess) -> list[str]:
    """The rules in force."""
    return [rule["name"] for rule in agent.call("list-rules")["rules"]]


def conditions(agent: AgentProcess) -> list[str]:
    """What holds now."""
    return [row["kind"] for row in agent.call("status")["conditions"]]


@pytest.mark.parametrize("operation", ["add-rule", "remove-rule"])
@pytest.mark.runbook("Rules")
def test_a_change_that_could_not_be_synced_is_in_force_and_told_as_unknown(tmp_path: Path, operation: str) -> None:
    """EIO: agentctl ends with 74 and says what is not known; the workers hold it, a restart finds it, a later change settles it."""
    points = tmp_path / "points"
    points.mkdir()
    arguments: dict[str, Any] = {"rule": {"name": "new"}} if operation == "add-rule" else {"name": "old"}
    after = {"add-rule": ["new", "old"], "remove-rule": []}[operation]
    with AgentProcess(tmp_path, failpoints=points) as agent:
        agent.call("add-rule", rule={"name": "old"})
        (points / "document.renamed").write_text("error EIO")
        with pytest.raises(RuntimeError, match="until a later one is durable a power failure may undo it"):
            agent.call(operation, **arguments)
        assert names(agent) == after
        assert "rules_not_durable" in conditions(agent)
        wait_until(lambda: all(row["in_sync"] for row in agent.workers().values()), "all workers hold it")
        agent.call("add-rule", rule={"name": "settles"})
        assert "rules_not_durable" not in conditions(agent)
        agent.call("remove-rule", name="settles")
        agent.end()
        agent.start()
        assert names(agent) == after


@pytest.mark.runbook("Rules")
def test_a_file_system_that_syncs_no_folders_takes_rules(tmp_path: Path) -> None:
    """EINVAL, as network file systems answer: the rule is in force, agentctl ends well, and the log says once what it means."""
    points = tmp_path / "points"
    points.mkdir()
    with AgentProcess(tmp_path, failpoints=points) as agent:
        for name in ("a", "b"):
            (points / "document.renamed").write_text("error EINVAL")
            folders = ("--runtime-dir", str(agent.runtime_dir))
            added = run_agentctl("add-rule", name, "--all", *folders)
            added = added if added.returncode != 64 else run_agentctl("add-rule", name, *folders)
            assert added.returncode == 0, added.stderr
        assert names(agent) == ["a", "b"]
        wait_until(lambda: agent.output.count("rules_durability_limited") == 1, "it is said")
