"""The README's first command, as a newcomer types it."""

import json
import os
import signal
import subprocess
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
from harness.agent_process import AgentProcess, run_agentctl
from harness.waiting import wait_until

RUN = str(Path(__file__).parents[2] / "scripts" / "run")


def rows_of(statement: str) -> list[tuple[Any, ...]]:
    """What a statement answers that has rows."""
    relation = duckdb.sql(statement)
    assert relation is not None
    return relation.fetchall()


def test_for_a_while_it_measures_and_ends_by_itself(tmp_path: Path) -> None:
    """`scripts/run --for 500ms` from another folder: exit 0, a banner of a few lines, Parquet where the environment says."""
    environment = {**os.environ, "EVERGAUGE_STATE_DIR": str(tmp_path), "EVERGAUGE_RUNTIME_DIR": str(tmp_path)}
    ended = subprocess.run(
        [RUN, "--for", "500ms", "--gateway-port", "0"],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    words = [line.split()[0] for line in ended.stdout.splitlines() if line.strip()]
    assert words[0] == "evergauge"
    assert {"measures", "data", "look"} <= set(words)
    assert len(ended.stdout.splitlines()) < 15
    assert list(tmp_path.glob("data/process/date=*/process-*.parquet"))


@pytest.mark.timeout(120)
def test_kill_9_of_any_worker_while_it_runs_loses_no_acknowledged_row_and_is_repaired_at_once(tmp_path: Path) -> None:
    """Each worker is killed twice; every row that a sampler knew to be acknowledged is in Parquet exactly once."""
    agent = AgentProcess(tmp_path, program=(RUN,))
    acknowledged: Counter[int] = Counter()

    def note() -> dict[str, Any]:
        stats: dict[str, Any] = agent.call("status")["stats"]["sampler/process"]
        epoch = agent.workers()["sampler/process"]["epoch"]
        acknowledged[epoch] = max(acknowledged[epoch], stats["outbox"]["acknowledged_seq"])
        return stats

    def has_ticked(ticks: int) -> bool:
        return bool(note()["ticks"] >= ticks)

    with agent:
        for name in ("writer", "sampler/process", "control-plane", "gateway") * 2:
            before = note()["ticks"]
            wait_until(partial(has_ticked, before + 5), "the sampler goes on")
            row = agent.kill_worker(name, signal.SIGKILL)
            after = agent.wait_for_replacement(row, seconds=5)
            assert after["last_exit"] == "SIGKILL"
    files = str(agent.state_dir / "data" / "{}" / "*" / "*.parquet")
    process, tail = (f"read_parquet('{files.format(table)}')" for table in ("process", "process_tail"))
    ticks = rows_of(f"SELECT count(DISTINCT timestamp) FROM {process}")[0][0]
    # Two batches a tick, so what was acknowledged in all generations is twice as many batches as ticks.
    assert ticks >= sum(acknowledged.values()) // 2
    assert rows_of(f"SELECT timestamp, pid, start_ticks FROM {process} GROUP BY ALL HAVING count(*) > 1") == []
    assert rows_of(f"SELECT timestamp, pod_uid FROM {tail} GROUP BY ALL HAVING count(*) > 1") == []
    # Rows about ticks alone tell how busy this machine was.
    batches = f"read_parquet('{files.format('gap')}') WHERE first_seq IS NOT NULL"
    gaps = rows_of(f"SELECT worker, reason FROM {batches}")
    assert set(gaps) <= {("sampler/process", "worker_died"), ("control-plane", "worker_died")}
    question = "SELECT count(DISTINCT timestamp) AS n FROM process"
    counted = run_agentctl("--state-dir", str(agent.state_dir), "query", question, "--json")
    assert json.loads(counted.stdout) == [{"n": ticks}], counted.stderr
