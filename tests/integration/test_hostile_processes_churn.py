"""A real agent beside a fork storm: every tick is taken, and the deaths are in its tables."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fakes.load import NICE, only_storm
from harness.agent_process import AgentProcess, run_agentctl
from harness.waiting import SLOWNESS, wait_until

LOAD = Path(__file__).parents[2] / "scripts" / "bench" / "process_bench" / "load.c"
SECONDS = 8
# A machine that gives the sampler no processor is not what is asked here; what the sampler itself takes too long for is.
NOT_ITS_OWN = ("starved", "frozen", "suspended")


def _query(agent: AgentProcess, statement: str) -> list[dict[str, Any]]:
    done = run_agentctl("--state-dir", str(agent.state_dir), "query", statement, "--format", "json", seconds=60)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


@pytest.mark.timeout(150)
@pytest.mark.parametrize(("rate", "burn_us"), [(2000, 200), (5000, 20)])
def test_a_fork_storm_costs_no_tick(rate: int, burn_us: int, tmp_path: Path) -> None:
    """Thousands of new processes a second: no tick is missing for a reason that is the sampler's."""
    assert shutil.which("gcc"), "needs gcc"
    program = tmp_path / "load"
    subprocess.run(["gcc", "-O2", "-static", "-pthread", "-o", str(program), str(LOAD), "-lm"], check=True)
    with only_storm(), AgentProcess(tmp_path, quick=False) as agent:

        def ticks() -> int:
            return int(agent.stats("sampler/process")["ticks"])

        wait_until(lambda: ticks() > 1, "the first ticks")
        words = [str(program), "churn", "burn-storm", str(rate), str(burn_us), str(burn_us), str(SECONDS), "plain"]
        storm = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        # Ahead of the tests beside it, or it would be no storm; its children inherit the priority.
        os.setpriority(os.PRIO_PROCESS, storm.pid, NICE)
        said, _ = storm.communicate("\nend\n", timeout=80 * SLOWNESS)
        count = int(said.split()[1])
        seen = ticks()
        wait_until(lambda: ticks() > seen + 1, "two further ticks")
        restarts = {name: row["restarts"] for name, row in agent.workers().items()}
        gaps = _query(agent, "SELECT reason, ticks FROM gap WHERE worker = 'sampler/process'")
        (scan,) = _query(agent, "SELECT count(*) AS ticks, sum(deaths)::BIGINT AS deaths FROM process_scan")

    assert [row for row in gaps if row["reason"] not in NOT_ITS_OWN] == []
    assert restarts == dict.fromkeys(restarts, 0)
    assert count > rate * SECONDS / 4
    assert scan["ticks"] + sum(row["ticks"] for row in gaps) >= SECONDS - 2
