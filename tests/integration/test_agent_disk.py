"""The real agent when its disk is full or damaged: nothing stops, nothing that was there is lost."""

import math
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.sealed_rows import sealed_rows
from fakes.small_disk import fill, mounted
from harness.agent_process import UNHURRIED, AgentProcess
from harness.waiting import in_time, wait_until

from workers.process.schema import TABLES


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 8 MiB, for the agent's state: by itself the agent does not fill it within a minute."""
    with mounted(tmp_path / "disk", "8m") as place:
        yield place


def _agent_on(disk: Path, elsewhere: Path, flags: dict[str, str]) -> AgentProcess:
    """Its state is on this disk; its log is not, and has room."""
    agent = AgentProcess(elsewhere, flags=flags)
    agent.state_dir = disk / "state"
    return agent


@pytest.mark.runbook("Writer and spool")
def test_a_full_disk_stops_nothing_and_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    """Not ready with the folder named, samplers go on into their buffers; with room again all rows are stored once."""
    with _agent_on(small_disk, tmp_path, UNHURRIED) as agent:
        ballast = agent.state_dir / "ballast"
        fill(ballast)
        wait_until(lambda: _says_that_it_is_full(agent), "the agent says that it is not ready, and names the folder")
        ticks = agent.stats("sampler/process")["ticks"]
        wait_until(lambda: agent.stats("sampler/process")["ticks"] >= ticks + 20, "the sampler goes on")
        ballast.unlink()
        wait_until(agent.is_ready, "ready again")
        last = agent.stats("sampler/process")
    rows = sealed_rows(agent.state_dir, "process")
    stored = sum(len(sealed_rows(agent.state_dir, table.name)) for table in TABLES)
    assert stored >= last["outbox"]["offered_rows"]
    assert last["outbox"]["refused_rows"] == 0
    assert max(Counter((row["timestamp"], row["pid"], row["start_ticks"]) for row in rows).values()) == 1
    # Rows of `gap` about ticks alone tell how busy this machine was.
    assert [row for row in sealed_rows(agent.state_dir, "gap") if row["first_seq"] is not None] == []


@pytest.mark.runbook("Rules")
def test_a_rule_that_cannot_be_made_durable_is_refused(small_disk: Path, tmp_path: Path) -> None:
    """add-rule on a full disk: a sentence with the remedy, the rules as before."""
    with _agent_on(small_disk, tmp_path, {}) as agent:
        agent.call("add-rule", rule={"name": "before"})
        ballast = agent.state_dir / "ballast"
        fill(ballast)
        wait_until(lambda: _says_that_it_is_full(agent), "the agent says that it is not ready, and names the folder")
        # What the writer had begun to store when the disk became full, it has taken back.
        fill(agent.state_dir / "more")
        with pytest.raises(RuntimeError, match="No space left on device; the rules are as before"):
            agent.call("add-rule", rule={"name": "after"})
        assert [rule["name"] for rule in agent.call("list-rules")["rules"]] == ["before"]
        (agent.state_dir / "more").unlink()
        ballast.unlink()


def test_a_damaged_spool_record_costs_only_itself_and_its_file_is_kept(tmp_path: Path) -> None:
    """One byte altered in the middle of a dead agent's spool: set aside, a row of gap, every other record in Parquet."""
    agent = AgentProcess(tmp_path, flags=UNHURRIED)
    agent.start()
    wait_until(lambda: agent.stats("writer")["batches"] >= 20, "twenty batches are stored")
    assert agent.process is not None
    agent.process.kill()
    agent.process.wait()
    wait_until(lambda: not agent.living(), "all processes are gone")
    (spool,) = agent.state_dir.glob("spool/*.spool")
    data = bytearray(spool.read_bytes())
    data[len(data) // 2] ^= 0xFF
    spool.write_bytes(data)
    agent.start()
    wait_until(lambda: list(agent.state_dir.glob("set-aside/*")), "the damaged file is set aside")
    assert agent.end() == 0
    agent.assert_nothing_left()
    (aside,) = agent.state_dir.glob("set-aside/*")
    assert aside.read_bytes() == bytes(data)
    gaps = [row for row in sealed_rows(agent.state_dir, "gap") if row["reason"] == "corrupt_record"]
    assert len(gaps) == 1
    ticks = {row["timestamp"] for row in sealed_rows(agent.state_dir, "process")}
    tails = {row["timestamp"] for row in sealed_rows(agent.state_dir, "process_tail")}
    # The damaged record was one batch of one of the tables, of one tick (the last record may be torn as well).
    assert len(ticks ^ tails) <= 2


@pytest.mark.runbook("Service and folders")
def test_a_state_folder_that_cannot_be_written_is_named_at_the_start(small_disk: Path) -> None:
    """A file system mounted read-only: exit code 74 and one sentence."""
    from harness.agent_process import run_agentd

    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    ended = run_agentd("--state-dir", str(small_disk / "state"), "--runtime-dir", str(small_disk.parent / "run"))
    assert ended.returncode == 74
    assert "Read-only file system; make it writable" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_stop_while_the_disk_is_full_ends_in_time_and_says_what_was_lost(small_disk: Path, tmp_path: Path) -> None:
    """Nothing can be acknowledged any more: two seconds, exit 0, and the log names batches and rows."""

    def attempt(which: int) -> float:
        agent = _agent_on(small_disk / str(which), tmp_path, {})
        agent.start()
        said = agent.output
        ballast = agent.state_dir / "ballast"
        fill(ballast)
        wait_until(lambda: _says_that_it_is_full(agent), "the agent says that it is not ready, and names the folder")
        before = _ticks(agent)
        wait_until(lambda: _ticks(agent) > before, "a tick is measured that cannot be stored")
        began = time.monotonic()
        assert agent.end() == 0
        took = time.monotonic() - began
        agent.assert_nothing_left()
        ballast.unlink()
        lost = [line for line in agent.output[len(said) :].splitlines() if "rows_not_stored" in line]
        # A worker that gets no processor in its last tenth of a second is killed before it has said so.
        return took if any("worker=sampler/process" in line for line in lost) else math.inf

    in_time(attempt, seconds=2.5)


@pytest.mark.runbook("Writer and spool")
def test_a_spool_that_is_removed_while_the_agent_runs_costs_nothing(tmp_path: Path) -> None:
    """The folder and all in it: made again within a tick, and every row that was acknowledged is stored once."""
    with AgentProcess(tmp_path, flags=UNHURRIED) as agent:
        wait_until(lambda: agent.stats("writer")["batches"] >= 10, "ten batches are stored")
        # At once: of a folder that goes file by file the writer may have made a new one before it is gone.
        os.rename(agent.state_dir / "spool", tmp_path / "removed")
        shutil.rmtree(tmp_path / "removed")
        wait_until(lambda: list(agent.state_dir.glob("spool/*.spool")), "the spool is there again")
        wait_until(agent.is_ready, "it is ready")
        rows = agent.stats("writer")["rows_by_table"]["process"]
        wait_until(lambda: agent.stats("writer")["rows_by_table"]["process"] > rows, "rows go on")
        events = [event["kind"] for event in agent.call("diag", limit=200)["events"]]
        assert events.count("segment_removed") == 1
        stored = agent.stats("writer")["rows_by_table"]["process"]
    rows_found = sealed_rows(agent.state_dir, "process")
    assert len(rows_found) >= stored
    assert max(Counter((row["timestamp"], row["pid"], row["start_ticks"]) for row in rows_found).values()) == 1
    # A busy machine may cost a tick, which is a row without numbers of batches.
    assert [row for row in sealed_rows(agent.state_dir, "gap") if row["first_seq"] is not None] == []


def _says_that_it_is_full(agent: AgentProcess) -> bool:
    return any(str(agent.state_dir) in reason for reason in agent.call("status")["reasons"])


def _ticks(agent: AgentProcess) -> int:
    ticks: int = agent.stats("sampler/process")["ticks"]
    return ticks
