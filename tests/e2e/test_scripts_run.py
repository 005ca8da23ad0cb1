"""The README's first command, as a newcomer types it."""

import json
import os
import signal
import subprocess
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from harness.agent_process import AgentProcess, run_agentctl
from harness.waiting import wait_until

from workers.process.schema import TABLES

RUN = str(Path(__file__).parents[2] / "scripts" / "run")


def stored_rows(state_dir: Path, statement: str) -> list[dict[str, Any]]:
    """What a statement answers about all that an agent has stored."""
    done = run_agentctl("--state-dir", str(state_dir), "query", statement, "--format", "json", seconds=60)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


@pytest.mark.timeout(120)
def test_for_a_while_it_measures_and_ends_by_itself(tmp_path: Path) -> None:
    """`scripts/run --for 3s` from another folder: exit 0, a banner of a few lines, Parquet where the environment says."""
    environment = {**os.environ, "EVERGAUGE_STATE_DIR": str(tmp_path), "EVERGAUGE_RUNTIME_DIR": str(tmp_path)}
    # What a busy machine leaves no time to seal stays in the spool: here it has the time.
    environment["EVERGAUGE_SUPERVISOR_STOP_TIMEOUT"] = "30s"
    ended = subprocess.run(
        [RUN, "--for", "3s", "--gateway-port", "0"],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    words = [line.split()[0] for line in ended.stdout.splitlines() if line.strip()]
    assert words[0] == "evergauge"
    assert {"measures", "data", "look"} <= set(words)
    assert len(ended.stdout.splitlines()) < 15
    assert list(tmp_path.glob("data/process/date=*/process-*.parquet"))


@pytest.mark.timeout(300)
def test_kill_9_of_any_worker_while_it_runs_loses_no_acknowledged_row_and_is_repaired_at_once(tmp_path: Path) -> None:
    """Each worker is killed twice; every row that a sampler knew to be acknowledged is stored exactly once."""
    agent = AgentProcess(tmp_path, program=(RUN,))
    acknowledged: Counter[int] = Counter()

    def note() -> dict[str, Any]:
        stats: dict[str, Any] = agent.stats("sampler/process")
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
    # What the end left no time to seal is in the spool, and is read from there.
    rows_of = partial(stored_rows, agent.state_dir)
    batches = " UNION ALL ".join(f"SELECT count(DISTINCT timestamp) AS batches FROM {table.name}" for table in TABLES)
    # A tick has a batch of each table at most.
    assert rows_of(f"SELECT sum(batches)::BIGINT AS batches FROM ({batches})")[0]["batches"] >= sum(acknowledged.values())
    for table, key in (("process", "pid, start_ticks"), ("process_tail", "pod_uid, command")):
        assert rows_of(f"SELECT timestamp, {key} FROM {table} GROUP BY ALL HAVING count(*) > 1") == []
    # Rows about ticks alone tell how busy this machine was.
    gaps = {(row["worker"], row["reason"]) for row in rows_of("SELECT worker, reason FROM gap WHERE first_seq IS NOT NULL")}
    assert gaps <= {("sampler/process", "worker_died"), ("control-plane", "worker_died")}
