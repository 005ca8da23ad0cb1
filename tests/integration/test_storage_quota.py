"""A real agent with a storage quota: the oldest files go, the rest goes on, and a person sees what happened."""

import urllib.request
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from harness.agent_process import AgentProcess, run_agentctl
from harness.waiting import wait_until

MIB = 1 << 20
LIMIT = {"--writer-storage-quota": "64MiB"}


def _old_file(state: Path, table: str, month: int, *, size_bytes: int = 10 * MIB) -> Path:
    """A file as sealed in 2020, without content and without taking room on the disk."""
    name = f"{table}-node-1-2020{month:02d}01T000000Z-2020{month:02d}01T000000Z-{month:016x}.parquet"
    path = state / "data" / table / f"date=2020-{month:02d}-01" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return path


def _quota(agent: AgentProcess) -> dict[str, Any]:
    quota: dict[str, Any] = agent.stats("writer")["quota"]
    return quota


def _held_bytes(state: Path) -> int:
    return sum(path.stat().st_size for pattern in ("data/*/date=*/*", "spool/*.spool") for path in state.glob(pattern))


def _metrics(agent: AgentProcess) -> dict[str, float]:
    address = agent.stats("gateway")["address"]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith("evergauge_writer_"))
    return {name: float(value) for name, _, value in lines}


def _conditions(agent: AgentProcess) -> list[str]:
    return [row["detail"] for row in agent.call("status")["conditions"] if row["kind"] == "storage_quota"]


@pytest.mark.runbook("Storage quota")
def test_the_oldest_files_go_at_the_start_and_after_each_sealing(tmp_path: Path) -> None:
    """All tables together stay below the limit, what was just measured stays, and status, diag and metrics say what went."""
    state = tmp_path / "state"
    old = [_old_file(state, table, month) for month, table in enumerate(["process", "gap", "process_tail", "process"] * 2, 1)]
    aside = _old_file(state, "process", 1).with_name("mine.parquet")
    aside.write_bytes(b"mine")
    with AgentProcess(tmp_path, flags=LIMIT) as agent:
        wait_until(lambda: _quota(agent)["removed_files"] == 2, "what is too much at the start has gone")
        assert [path.exists() for path in old] == [False] * 2 + [True] * 6
        # Now the limit is reached to the byte, and the spool is above it.
        _old_file(state, "process", 9, size_bytes=4 * MIB)
        wait_until(lambda: agent.stats("writer")["rows"] > 0, "something is stored")
        sealed = [Path(file["path"]) for file in agent.call("rotate")["files"]]
        wait_until(lambda: _quota(agent)["removed_files"] == 3, "what is too much after the sealing has gone")
        assert _held_bytes(state) <= 64 * MIB
        assert [path.exists() for path in old] == [False] * 3 + [True] * 5
        assert not old[1].parent.exists()
        assert sum(pyarrow.parquet.read_metadata(path).num_rows for path in sealed) > 0
        assert aside.read_bytes() == b"mine"
        assert _conditions(agent) == []
        metrics = _metrics(agent)
        assert metrics['evergauge_writer_quota_removed_files_total{worker="writer"}'] == 3
        assert metrics['evergauge_writer_quota_removed_bytes_total{worker="writer"}'] == 30 * MIB
        sentence = "of 64.0 MiB after the last sealing; 3 old files (30.0 MiB) removed since the writer started"
        wait_until(lambda: sentence in run_agentctl("--runtime-dir", str(agent.runtime_dir), "status").stdout, "status says it")
        told = [event["fields"] for event in agent.call("diag", limit=200)["events"] if event["kind"] == "quota_removed"]
        assert told == [{"files": 2, "bytes": 20 * MIB}]


def test_a_writer_that_is_killed_goes_on_where_there_is_too_much(tmp_path: Path) -> None:
    """The next writer looks at the folder again, whatever the one before had done."""
    with AgentProcess(tmp_path, flags=LIMIT) as agent:
        old = [_old_file(agent.state_dir, "process", month) for month in range(1, 9)]
        agent.wait_for_replacement(agent.kill_worker("writer"))
        wait_until(lambda: not old[1].exists(), "the new writer has removed what is too much")
        wait_until(lambda: _quota(agent)["held_bytes"] is not None, "its round is over")
        assert [path.exists() for path in old] == [False] * 2 + [True] * 6


@pytest.mark.runbook("Storage quota")
def test_a_limit_that_cannot_be_kept_is_told_and_nothing_is_lost_for_it(tmp_path: Path) -> None:
    """A limit below the open spool: the agent is ready, stores on, keeps what is sealed, and names the remedy."""
    state = tmp_path / "state"
    kept = _old_file(state, "process", 1)
    with AgentProcess(tmp_path, flags={"--writer-storage-quota": "1KiB"}) as agent:
        (detail,) = wait_until(lambda: _conditions(agent), "the condition is told")
        assert "writer.storage_quota: the spool alone holds" in detail
        assert "raise it" in detail
        rows = agent.stats("writer")["rows"]
        wait_until(lambda: agent.stats("writer")["rows"] > rows, "rows are stored anyway")
        assert agent.is_ready()
        assert kept.exists()


def test_without_a_quota_nothing_goes_and_nothing_is_said_of_it(tmp_path: Path) -> None:
    """0: data is kept for ever, and no counter pretends that somebody looks after the disk."""
    state = tmp_path / "state"
    old = [_old_file(state, "process", month) for month in range(1, 9)]
    with AgentProcess(tmp_path, flags={"--writer-storage-quota": "0"}) as agent:
        wait_until(lambda: agent.stats("writer")["rows"] > 0, "something is stored")
        agent.call("rotate")
        assert "quota" not in agent.stats("writer")
        metrics = _metrics(agent)
        assert 'evergauge_writer_rows_total{worker="writer"}' in metrics
        assert not [name for name in metrics if "quota" in name]
        assert "removed since the writer started" not in run_agentctl("--runtime-dir", str(agent.runtime_dir), "status").stdout
        assert all(path.exists() for path in old)


def test_the_default_quota_is_named_in_the_banner_and_in_status(tmp_path: Path) -> None:
    """10 GiB or a tenth of the state folder's file system, whichever is less."""
    import os

    found = os.statvfs(tmp_path)
    limit_mib = min(10 << 10, found.f_blocks * found.f_frsize // 10 // MIB)
    with AgentProcess(tmp_path) as agent:
        assert _quota(agent)["limit_bytes"] == limit_mib * MIB
        wait_until(lambda: "quota" in run_agentctl("--runtime-dir", str(agent.runtime_dir), "status").stdout, "status names it")
    limit = f"{limit_mib >> 10}GiB" if limit_mib % 1024 == 0 else f"{limit_mib}MiB"
    assert f"sealed every 15m; at most {limit}, then the oldest goes" in agent.output


@pytest.mark.parametrize("value", ["-1", "65537GiB", "10 GB", "most"])
@pytest.mark.runbook("Service and folders")
def test_a_quota_that_is_no_size_is_refused_at_the_start(value: str) -> None:
    """The sentence names the setting, the value and what is accepted."""
    from harness.agent_process import run_agentd

    ended = run_agentd(f"--writer-storage-quota={value}", "--check-config")
    assert ended.returncode == 78
    assert "--writer-storage-quota" in ended.stderr
    assert "write auto, or a size from 0B to 65536GiB" in ended.stderr
