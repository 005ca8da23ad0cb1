"""A sketch that cannot be built costs no value and no worker: a condition says why, and the values are in table `process_raw`."""

from pathlib import Path

import pytest
from fakes.failpoints import arm
from fakes.sealed_rows import sealed_rows
from harness.agent_process import UNHURRIED, AgentProcess
from harness.waiting import wait_until

SAMPLER = "sampler/process"


@pytest.mark.runbook("Sketches")
def test_a_sketch_that_cannot_be_built_is_told_and_its_values_are_kept(tmp_path: Path) -> None:
    """By the agent itself: the condition names its module and why, the sampler goes on, rows come with the window's end."""
    points = tmp_path / "points"
    points.mkdir()
    with AgentProcess(tmp_path, flags=UNHURRIED, failpoints=points) as agent:
        epoch = agent.workers()[SAMPLER]["epoch"]
        arm(points, "sampler.sketch", "error ENOSPC")

        def told() -> list[str]:
            held = agent.call("status")["conditions"]
            return [row["detail"] for row in held if (row["kind"], row["worker"]) == ("sketch_fallback", SAMPLER)]

        wait_until(lambda: bool(told()), "the condition holds")
        (detail,) = told()
        assert "failpoint sampler.sketch; the values are in table process_raw" in detail
        ticks = agent.stats(SAMPLER)["ticks"]
        wait_until(lambda: agent.stats(SAMPLER)["ticks"] >= ticks + 2, "two more ticks")
        assert agent.workers()[SAMPLER]["epoch"] == epoch
        agent.end()
        rows = sealed_rows(agent.state_dir, "process_raw")
        assert {row["metric"] for row in rows} == {"cpu", "rss"}
        assert all(row["times"] > 0 and row["relative_error"] == 0 for row in rows)
        told_rows = [row for row in sealed_rows(agent.state_dir, "diag") if row["kind"] == "sketch_fallback"]
        assert [(row["phase"], row["module"]) for row in sorted(told_rows, key=lambda row: row["seq"])] == [
            ("begin", SAMPLER),
            ("end", SAMPLER),
        ]
