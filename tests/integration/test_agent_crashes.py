"""Whatever dies in the real agent is back at once, and what was acknowledged is not lost."""

import os
import signal
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from fakes.convergence import assert_converged, assert_holds_the_rules, take_census
from fakes.sealed_rows import sealed_rows
from harness.agent_process import UNHURRIED, AgentProcess
from harness.waiting import wait_until

from workers.process.schema import TABLES


def _lost_batches(state_dir: Path) -> list[dict[str, Any]]:
    """Rows of `gap` about batches: those about ticks alone tell how busy this machine was."""
    return [row for row in sealed_rows(state_dir, "gap") if row["first_seq"] is not None]


def _sampler(agent: AgentProcess) -> dict[str, Any]:
    stats: dict[str, Any] = agent.stats("sampler/process")
    return stats


def _duplicates(keys: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [key for key, count in Counter(keys).items() if count > 1]


def _has_ticked(agent: AgentProcess, ticks: int) -> bool:
    return bool(_sampler(agent)["ticks"] >= ticks)


@pytest.mark.parametrize("name", ["control-plane", "sampler/process", "writer", "gateway"])
def test_a_killed_worker_is_replaced_at_once_and_the_others_are_untouched(tmp_path: Path, name: str) -> None:
    """kill -9: the next generation is up and holds exactly the rules, the neighbours keep their processes."""
    with AgentProcess(tmp_path) as agent:
        agent.call("add-rule", rule={"name": "kept", "priority": 3})
        before = agent.workers()
        agent.kill_worker(name)
        after = agent.wait_for_replacement(before[name])
        assert after["last_exit"] == "SIGKILL"
        assert after["restarts"] == before[name]["restarts"] + 1
        events = [(event["kind"], event["worker"]) for event in agent.call("diag", limit=512)["events"]]
        assert ("worker_backoff", name) not in events
        for other, row in agent.workers().items():
            assert other == name or row["pid"] == before[other]["pid"]
        assert [rule["name"] for rule in agent.call("worker-state", name=name)["rules"]] == ["kept"]
        # The digest is also of the host's units, which other tests change.
        assert_holds_the_rules(agent, name)


def test_kill_9_of_the_writer_again_and_again_loses_no_row_and_stores_none_twice(tmp_path: Path) -> None:
    """Five dead writers while the sampler runs at 20 Hz: every row that the sampler offered is in Parquet once, and no gap."""
    with AgentProcess(tmp_path, flags=UNHURRIED) as agent:
        for _ in range(5):
            ticks = _sampler(agent)["ticks"]
            row = agent.kill_worker("writer")
            agent.wait_for_replacement(row)
            wait_until(partial(_has_ticked, agent, ticks + 10), "ten more ticks")
        last = _sampler(agent)
    stored = {table.name: sealed_rows(agent.state_dir, table.name) for table in TABLES}
    rows, tails = stored["process"], stored["process_tail"]
    assert last["outbox"]["refused_rows"] == 0
    assert sum(map(len, stored.values())) >= last["outbox"]["offered_rows"]
    assert len({row["timestamp"] for row in rows}) >= last["ticks"]
    assert _duplicates((row["timestamp"], row["pid"], row["start_ticks"]) for row in rows) == []
    assert _duplicates((row["timestamp"], row["pod_uid"], row["command"]) for row in tails) == []
    assert _lost_batches(agent.state_dir) == []


def test_a_killed_sampler_loses_nothing_acknowledged_and_its_hole_is_a_row_of_gap(tmp_path: Path) -> None:
    """What was acknowledged before the kill is stored; the table `gap` tells from where something may be missing."""
    with AgentProcess(tmp_path, flags=UNHURRIED) as agent:
        wait_until(lambda: _sampler(agent)["outbox"]["acknowledged_seq"] >= 20, "twenty batches are acknowledged")
        before = _sampler(agent)["outbox"]["acknowledged_seq"]
        row = agent.kill_worker("sampler/process")
        agent.wait_for_replacement(row)
        wait_until(lambda: _sampler(agent)["ticks"] >= 5, "the successor measures")
    (gap,) = _lost_batches(agent.state_dir)
    assert (gap["worker"], gap["epoch"], gap["reason"]) == ("sampler/process", 1, "worker_died")
    assert gap["first_seq"] > before
    assert gap["from_timestamp"] < gap["until_timestamp"]
    stored = {row["timestamp"] for row in sealed_rows(agent.state_dir, "process")}
    # A tick has a batch of each table at most, so `before` acknowledged batches are at least so many ticks.
    assert len([at for at in stored if at <= gap["from_timestamp"]]) >= before // len(TABLES)


def test_a_stopped_worker_is_seen_and_replaced(tmp_path: Path) -> None:
    """SIGSTOP: no progress, a traceback asked for, killed, replaced; the tally of deaths tells it."""
    with AgentProcess(tmp_path) as agent:
        row = agent.kill_worker("sampler/process", signal.SIGSTOP)
        agent.wait_for_replacement(row)
        kinds = [event["kind"] for event in agent.call("diag", limit=512)["events"]]
        assert "worker_hung" in kinds
        assert agent.call("status")["deaths"][-1]["exit"] == "SIGKILL"


def test_all_workers_killed_at_once_all_come_back(tmp_path: Path) -> None:
    """Three times in a row, nothing leaks: as many descriptors as before."""
    with AgentProcess(tmp_path) as agent:
        before = take_census(agent)
        for _ in range(3):
            rows = agent.workers()
            for row in rows.values():
                os.kill(row["pid"], signal.SIGKILL)
            for row in rows.values():
                agent.wait_for_replacement(row)
        assert_converged(agent, before)


def test_a_killed_fork_server_is_replaced_and_the_workers_with_it(tmp_path: Path) -> None:
    """Its death takes the workers along (they must never outlive the supervisor's grip); all are started again."""
    with AgentProcess(tmp_path) as agent:
        rows = agent.workers()
        agent.fork_server().kill()
        for row in rows.values():
            agent.wait_for_replacement(row)


def test_operator_rules_survive_the_supervisor(tmp_path: Path) -> None:
    """Durable before the answer: SIGKILL right after it, and the next agent has the rule, at the same revision or later."""
    agent = AgentProcess(tmp_path)
    agent.start()
    revision = agent.call("add-rule", rule={"name": "kept", "action": {"kind": "shared", "group": "g"}})["revision"]
    assert agent.process is not None
    agent.process.kill()
    agent.process.wait()
    wait_until(lambda: not agent.living(), "all processes are gone")
    with agent:
        answer = agent.call("list-rules")
        assert [rule["name"] for rule in answer["rules"]] == ["kept"]
        assert answer["revision"] >= revision


def test_a_damaged_rules_file_is_set_aside_and_the_agent_measures_on(tmp_path: Path) -> None:
    """Never deleted, named in the diagnostic events."""
    agent = AgentProcess(tmp_path)
    agent.state_dir.mkdir()
    (agent.state_dir / "rules.json").write_text('{"format": 1, "revision": 3, "rules": [')
    with agent:
        events = agent.call("diag", limit=512)["events"]
        assert [event["kind"] for event in events if event["severity"] == "error"] == ["rules_set_aside"]
        (aside,) = agent.state_dir.glob("rules.json.damaged-*")
        assert aside.read_text().startswith('{"format": 1')
        assert agent.call("list-rules")["rules"] == []


def test_an_agent_killed_whole_loses_no_acknowledged_row(tmp_path: Path) -> None:
    """SIGKILL of the supervisor takes every process; the next agent makes Parquet of the spool that was left."""
    agent = AgentProcess(tmp_path)
    agent.start()
    wait_until(lambda: _sampler(agent)["outbox"]["acknowledged_seq"] >= 20, "twenty batches are acknowledged")
    acknowledged = _sampler(agent)["outbox"]["acknowledged_seq"]
    assert agent.process is not None
    agent.process.kill()
    agent.process.wait()
    wait_until(lambda: not agent.living(), "all processes are gone")
    agent.start()
    first_files = wait_until(lambda: list(agent.state_dir.glob("data/process/date=*/*.parquet")), "the old spool is sealed")
    rows = [row for path in first_files for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()]
    assert len({row["timestamp"] for row in rows}) >= acknowledged // len(TABLES)
    assert agent.end() == 0
    agent.assert_nothing_left()


def test_the_fork_servers_death_is_named_and_nobody_is_blamed(tmp_path: Path) -> None:
    """One event, all workers back without backoff, and a stopped fork server does not hold the agent's end."""
    with AgentProcess(tmp_path) as agent:
        rows = agent.workers()
        agent.fork_server().kill()
        for row in rows.values():
            agent.wait_for_replacement(row)
        kinds = Counter(event["kind"] for event in agent.call("diag", limit=512)["events"])
        assert kinds["fork_server_died"] == 1
        assert kinds["worker_backoff"] == 0
        agent.fork_server().suspend()
        # The agent waits half a second for exit codes that the stopped server does not tell; the rest is for a busy machine.
        assert agent.end(seconds=15.0) == 0
