"""A real agent and its limits: a worker over its limit is slowed and restored, which is told; what is set outlives the agent."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from harness.agent_process import UNHURRIED, AgentProcess, run_agentctl
from harness.waiting import SLOWNESS, wait_until

SAMPLER = "sampler/process"
pytestmark = pytest.mark.timeout(240)


def limits(agent: AgentProcess) -> dict[str, Any]:
    """The sampler's row of list-limits."""
    rows: list[dict[str, Any]] = agent.call("list-limits")["limits"]
    return next(row for row in rows if row["name"] == SAMPLER)


def _measured_twice(agent: AgentProcess) -> dict[str, dict[str, Any]] | None:
    """The rows of list-limits, once each worker that runs has one with its CPU time and memory."""
    rows = {row["name"]: row for row in agent.call("list-limits")["limits"]}
    measured = [rows[name][what] for name in rows.keys() - {"workloads"} for what in ("cpu_percent", "memory_bytes")]
    return None if None in measured else rows


def conditions(agent: AgentProcess) -> set[str]:
    """The kinds that hold of the sampler now."""
    return {held["kind"] for held in agent.call("status")["conditions"] if held["worker"] == SAMPLER}


def control(agent: AgentProcess, *words: str) -> str:
    """agentctl against this agent."""
    ended = run_agentctl(*words, "--runtime-dir", str(agent.runtime_dir))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_every_worker_is_measured(tmp_path: Path) -> None:
    """Processor, memory, open files and queue of each, by the supervisor."""
    with AgentProcess(tmp_path, flags=UNHURRIED) as agent:
        rows = wait_until(partial(_measured_twice, agent), "the second measurement of each", seconds=20 * SLOWNESS)
        assert rows.keys() - {"workloads"} == agent.workers().keys() - {"workloads"}
        for name in agent.workers().keys() - {"workloads"}:
            row = rows[name]
            assert row["memory_bytes"] > 1 << 20
            assert row["descriptors"] > 3
            assert row["queue_bytes"] is not None
            assert 0 <= row["cpu_percent"] < 100
            assert row["level"] == 0
            assert row["breaker"] == "closed"
        assert "settings" in control(agent, "list-limits")


@pytest.mark.runbook("Governor")
def test_an_overshoot_is_seen_told_and_ended_by_a_higher_limit(tmp_path: Path) -> None:
    """No sampler keeps within a thousandth of a percent: it is slowed, switched off, and whole again with its old limit."""
    with AgentProcess(tmp_path, flags=UNHURRIED) as agent:
        assert "cpu 0.001 %" in control(agent, "set-limit", SAMPLER, "--cpu", "0.001%")
        wait_until(lambda: "module_over_limit:cpu" in conditions(agent), "the overshoot is told", seconds=15 * SLOWNESS)
        wait_until(lambda: limits(agent)["breaker"] == "open", "the breaker opens", seconds=30 * SLOWNESS)
        assert {"module_over_limit:cpu", "degraded", "breaker_open"} <= conditions(agent)
        ticks = agent.stats(SAMPLER)["ticks"]
        row = limits(agent)
        assert (row["step"], row["is_changed"], row["cpu_limit_percent"]) == ("off", True, 0.001)
        control(agent, "set-limit", SAMPLER, "--reset")
        wait_until(lambda: limits(agent)["breaker"] == "closed", "the breaker closes", seconds=40 * SLOWNESS)
        wait_until(lambda: "module_over_limit:cpu" not in conditions(agent), "the overshoot ends", seconds=40 * SLOWNESS)
        wait_until(lambda: agent.stats(SAMPLER)["ticks"] > ticks, "it measures again", seconds=20 * SLOWNESS)
        assert limits(agent)["is_changed"] is False


@pytest.mark.runbook("Governor")
def test_what_is_set_outlives_the_agent_and_a_damaged_file_is_told(tmp_path: Path) -> None:
    """Durable before the answer; a file that a disk has damaged is set aside, and the agent starts without it."""
    with AgentProcess(tmp_path, flags=UNHURRIED) as agent:
        control(agent, "set-limit", SAMPLER, "--memory", "200MiB")
        assert json.loads((tmp_path / "state" / "limits.json").read_text())["limits"] == {SAMPLER: {"memory": 200 << 20}}
    with AgentProcess(tmp_path, flags=UNHURRIED) as agent:
        assert limits(agent)["memory_limit_bytes"] == 200 << 20
    (tmp_path / "state" / "limits.json").write_text("{")
    with AgentProcess(tmp_path, flags=UNHURRIED) as agent:
        assert limits(agent)["is_changed"] is False
        assert "limits_set_aside" in {held["kind"] for held in agent.call("status")["conditions"]}
        assert list(tmp_path.glob("state/limits.json.damaged-*"))


@pytest.mark.runbook("Governor")
def test_too_much_memory_brings_another_process(tmp_path: Path) -> None:
    """The worker is restarted cleanly, and its next process is not restarted again at once."""
    with AgentProcess(tmp_path, flags=UNHURRIED) as agent:
        before = agent.workers()[SAMPLER]
        control(agent, "set-limit", SAMPLER, "--memory", "1MiB")
        after = agent.wait_for_replacement(before)
        assert after["last_exit"].startswith("done")
        assert "module_over_limit:memory" in conditions(agent)
        assert agent.workers()[SAMPLER]["deaths"].keys() <= {after["last_exit"]}
        control(agent, "set-limit", SAMPLER, "--reset")
        wait_until(lambda: conditions(agent) & {"module_over_limit:memory"} == set(), "it is over", seconds=20 * SLOWNESS)


def test_the_level_outlives_the_process(tmp_path: Path) -> None:
    """A killed worker that was switched off comes back switched off."""
    with AgentProcess(tmp_path, flags=UNHURRIED) as agent:
        control(agent, "set-limit", SAMPLER, "--cpu", "0.001%")
        wait_until(lambda: limits(agent)["breaker"] == "open", "the breaker opens", seconds=40 * SLOWNESS)
        before = agent.kill_worker(SAMPLER)
        agent.wait_for_replacement(before)
        assert limits(agent)["step"] == "off"
        assert agent.stats(SAMPLER)["ticks"] == 0


WRONG = (
    ((SAMPLER, "--cpu", "lots"), "write a percentage of one core"),
    ((SAMPLER, "--cpu", "-1%"), "write a percentage of one core"),
    ((SAMPLER, "--cpu", "nan%"), "write a percentage of one core"),
    ((SAMPLER, "--cpu", "auto"), "--reset"),
    ((SAMPLER, "--memory", "12 parsecs"), "write a size"),
    ((SAMPLER,), "no limit is named"),
    (("nobody", "--cpu", "1%"), "there is no worker"),
    (("sampler/host", "--cpu", "1%"), "shares the process"),
)


def test_wrong_words_are_answered_with_a_sentence(tmp_path: Path) -> None:
    """And change nothing."""
    with AgentProcess(tmp_path, flags=UNHURRIED) as agent:
        for words, sentence in WRONG:
            ended = run_agentctl("set-limit", *words, "--runtime-dir", str(agent.runtime_dir))
            assert ended.returncode == 64, words
            assert sentence in ended.stderr, words
        assert not (tmp_path / "state" / "limits.json").exists()
        assert limits(agent)["is_changed"] is False
