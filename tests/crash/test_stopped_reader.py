"""A worker that reads nothing while everything changes: it costs the supervisor no memory, delays nobody, and catches up."""

import os
import signal
import time
from pathlib import Path

from fakes.convergence import Pollster, assert_converged, assert_holds_the_rules, rss_bytes, take_census
from fakes.worker_set_agent import WorkerSetAgent
from harness.agent_process import AgentProcess
from harness.pressure import FairSpan
from harness.proc import is_stopped
from harness.waiting import in_time, wait_until

MIB = 1 << 20
# Together 10^5 changes; what is not sent to the one that does not read would be more than 20 MB.
DELTAS, CHANGES_EACH = 10_000, 10
GROWTH_BYTES_MAX = 8 * MIB
# A worker may be stopped for a while, as by a debugger: that alone is here no reason to replace it.
PATIENT = {"--supervisor-hang-timeout": "10m"}


def test_a_hundred_thousand_changes_flow_past_a_stopped_worker(tmp_path: Path) -> None:
    """Its queue is bounded, the others stay in sync, control answers; continued, it takes one snapshot and holds what all hold."""
    with WorkerSetAgent(tmp_path, "stopped=idle,reader=idle", flags=PATIENT) as agent:
        assert agent.process is not None
        before, rows = take_census(agent), agent.workers()
        _stop(rows["stopped"]["pid"])
        rss_before = rss_most = rss_bytes(agent.process.pid)
        with Pollster(agent):
            agent.order("control-plane", f"publish {DELTAS} {CHANGES_EACH}")
            while agent.call("list-rules")["revision"] < DELTAS:
                rss_most = max(rss_most, rss_bytes(agent.process.pid))
            agent.call("add-rule", rule={"name": "added-meanwhile"})
            for name in ("reader", "control-plane"):
                assert_holds_the_rules(agent, name)
            wait_until(lambda: _in_sync(agent) == {"reader", "control-plane"}, "all but the stopped one are in sync")
            rss_most = max(rss_most, rss_bytes(agent.process.pid))
            snapshots = _snapshots(agent)
            os.kill(rows["stopped"]["pid"], signal.SIGCONT)
            span = FairSpan(agent.process.pid, rows["stopped"]["pid"])
            wait_until(lambda: "stopped" in _in_sync(agent), "it is in sync again")
            assert span.seconds() < 2.0
        assert rss_most - rss_before < GROWTH_BYTES_MAX
        assert _snapshots(agent) > snapshots
        assert {name: row["pid"] for name, row in agent.workers().items()} == {name: row["pid"] for name, row in rows.items()}
        assert_converged(agent, before)


def test_a_rule_is_not_held_by_a_worker_until_it_says_so(tmp_path: Path) -> None:
    """Sent to a stopped worker is not taken: it is shown as out of sync, at its old revision, until it is continued."""
    with WorkerSetAgent(tmp_path, "stopped=idle,reader=idle", flags=PATIENT) as agent:
        old = agent.workers()["stopped"]
        _stop(old["pid"])
        revision = agent.call("add-rule", rule={"name": "new"})["revision"]
        wait_until(lambda: agent.workers()["reader"]["rules_revision"] == revision, "the other one has it")
        row = agent.workers()["stopped"]
        assert (row["in_sync"], row["rules_revision"], row["rules_digest"]) == (False, old["rules_revision"], old["rules_digest"])
        os.kill(old["pid"], signal.SIGCONT)
        assert_converged(agent)
        assert agent.workers()["stopped"]["rules_revision"] == revision


def test_a_stopped_worker_does_not_hold_the_agents_end(tmp_path: Path) -> None:
    """Its queue is full and it hears no word to end: the agent is gone within its stop timeout, and so is the worker."""

    def attempt(number: int) -> float:
        folder = tmp_path / str(number)
        folder.mkdir()
        with WorkerSetAgent(folder, "stopped=idle,reader=idle", flags=PATIENT) as agent:
            _stop(agent.workers()["stopped"]["pid"])
            agent.order("control-plane", "publish 1000 10")
            wait_until(lambda: agent.call("list-rules")["revision"] >= 1000, "all is published")
            began_at = time.monotonic()
            assert agent.end() == 0
            return time.monotonic() - began_at

    in_time(attempt, seconds=3.0)


def _stop(pid: int) -> None:
    """The kernel may give the signal to a thread that waits for a processor: the one that reads goes on until then."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: is_stopped(pid), "it stands still")


def _in_sync(agent: AgentProcess) -> set[str]:
    return {name for name, row in agent.workers().items() if row["in_sync"]}


def _snapshots(agent: AgentProcess) -> int:
    return int(agent.call("status")["counters"]["snapshots"])
