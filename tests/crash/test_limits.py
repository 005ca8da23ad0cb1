"""What the system can refuse: processes, descriptors, room on the disk, memory. The agent answers all the while, and recovers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from fakes.cgroup import enter, group
from fakes.convergence import Pollster, assert_converged, deaths, events, rss_bytes, spares, take_census, wait_until_up
from fakes.small_disk import fill, mounted
from fakes.worker_set_agent import WorkerSetAgent
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

from agent.model.errors import ExitCode

MIB = 1 << 20
# The third and later starts come soon, so that a brief shortage costs a test little time.
QUICK_BACKOFF = {"--supervisor-backoff-ceiling": "150ms"}
RULES = [{"name": f"rule-{number}", "priority": number} for number in range(10)]


def _add_rules(agent: AgentProcess) -> None:
    for rule in RULES:
        agent.call("add-rule", rule=rule)


def _rule_names(agent: AgentProcess) -> set[str]:
    return {rule["name"] for rule in agent.call("list-rules")["rules"]}


def _assert_rules_kept(agent: AgentProcess) -> None:
    assert _rule_names(agent) == {rule["name"] for rule in RULES}


def _use_up_the_reserve(agent: AgentProcess) -> None:
    """A worker that dies after this must be started again."""
    for _ in spares(agent):
        agent.wait_for_replacement(_kill_when_up(agent, "one"))


def _kill_when_up(agent: AgentProcess, name: str) -> dict[str, Any]:
    """Its row before; a worker that starts slowly because something is missing is waited for."""
    row = wait_until_up(agent, name)
    os.kill(row["pid"], signal.SIGKILL)
    return row


def _has_failed_to_start(agent: AgentProcess) -> bool:
    counters = agent.call("status")["counters"]
    return bool(counters.get("event_spawn_failed") or counters.get("event_fork_server_died"))


def _spawn_failures(agent: AgentProcess) -> int:
    return int(agent.call("status")["counters"].get("event_spawn_failed", 0))


# ---- processes -------------------------------------------------------------------------------------


@contextmanager
def _no_forks(processes: list[psutil.Process]) -> Iterator[None]:
    """Neither these processes nor their children can have children."""
    with group("pids", "forks") as folder:
        for process in processes:
            enter(folder, process.pid)
        (folder / "pids.max").write_text("1")
        yield


@pytest.mark.runbook("Supervision")
def test_when_nothing_can_be_forked_it_answers_and_recovers(tmp_path: Path) -> None:
    """Every process of the agent at its limit while a worker dies: starts fail and are tried again, then all is as it was."""
    with WorkerSetAgent(tmp_path, "one=idle,two=idle", flags=QUICK_BACKOFF) as agent:
        _add_rules(agent)
        before = take_census(agent)
        with Pollster(agent):
            with _no_forks(agent.marked()):
                _use_up_the_reserve(agent)
                _kill_when_up(agent, "one")
                wait_until(lambda: _spawn_failures(agent) >= 5, "starts fail")
                assert all(event["fields"]["problem"] for event in events(agent, "spawn_failed"))
            assert_converged(agent)
        assert_converged(agent, before)
        _assert_rules_kept(agent)


def test_a_fork_that_fails_costs_no_other_worker_its_life(tmp_path: Path) -> None:
    """The worker that died waits for its turn; its neighbours, and the fork server, keep their processes."""
    with WorkerSetAgent(tmp_path, "one=idle,two=idle", flags=QUICK_BACKOFF) as agent:
        before, rows, server = take_census(agent), agent.workers(), agent.fork_server()
        with _no_forks([server, *server.children()]):
            _use_up_the_reserve(agent)
            row = _kill_when_up(agent, "one")
            wait_until(lambda: _has_failed_to_start(agent), "a start fails")
        agent.wait_for_replacement(row)
        assert agent.workers()["two"]["pid"] == rows["two"]["pid"]
        assert agent.fork_server() == server
        assert_converged(agent, before)


# ---- descriptors -----------------------------------------------------------------------------------


@contextmanager
def _descriptors_left(agent: AgentProcess, count: int) -> Iterator[None]:
    """The supervisor can open this many further descriptors."""
    assert agent.process is not None
    supervisor = psutil.Process(agent.process.pid)
    used = {int(name) for name in os.listdir(f"/proc/{supervisor.pid}/fd")}
    limit = 0
    while count or limit in used:
        count -= limit not in used
        limit += 1
    before = supervisor.rlimit(psutil.RLIMIT_NOFILE)
    supervisor.rlimit(psutil.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        supervisor.rlimit(psutil.RLIMIT_NOFILE, before)


def _die_out_of_descriptors(agent: AgentProcess, pollster: Pollster, count: int) -> None:
    """A worker dies while the supervisor has few descriptors left, and again without a reserve; it is up at the end."""
    with _descriptors_left(agent, count):
        for _ in range(2):
            # Only who is connected can still ask.
            row = pollster.rows["one"]
            if row["pid"] is not None:
                os.kill(row["pid"], signal.SIGKILL)
            wait_until(partial(_is_settled, pollster, row), "its next start has come to something")
    agent.wait_for_replacement(row)


def _is_settled(pollster: Pollster, before: dict[str, Any]) -> bool:
    row = pollster.rows[before["name"]]
    # Up, and no pid: its word on the bus was quicker than the launcher's.
    is_up = row["state"] == "up" and row["pid"] is not None
    return bool(row["epoch"] > before["epoch"] and (is_up or row["state"] == "backoff"))


def test_out_of_descriptors_it_answers_connected_clients_and_recovers(tmp_path: Path) -> None:
    """From none left to five, a worker dies at each: it comes back, no rule is lost, and no process is left over."""
    with WorkerSetAgent(tmp_path, "one=idle,two=idle", flags=QUICK_BACKOFF) as agent:
        _add_rules(agent)
        with Pollster(agent) as pollster:
            for count in range(6):
                _die_out_of_descriptors(agent, pollster, count)
                assert_converged(agent)
        _assert_rules_kept(agent)


def test_a_start_without_descriptors_costs_no_other_worker_its_life_and_leaks_none(tmp_path: Path) -> None:
    """The neighbour and the fork server are the same afterwards, and the supervisor has as many descriptors as before."""
    with WorkerSetAgent(tmp_path, "one=idle,two=idle", flags=QUICK_BACKOFF) as agent:
        before, two, server = take_census(agent), agent.workers()["two"], agent.fork_server()
        with Pollster(agent) as pollster:
            for count in range(6):
                _die_out_of_descriptors(agent, pollster, count)
        assert agent.workers()["two"]["pid"] == two["pid"]
        assert agent.fork_server() == server
        assert_converged(agent, before)


def test_out_of_descriptors_the_fork_server_is_replaced_all_the_same(tmp_path: Path) -> None:
    """It dies while the supervisor has next to none left: all workers come back, once, and none of the dead ones' is left."""
    with WorkerSetAgent(tmp_path, "one=idle,two=idle", flags=QUICK_BACKOFF) as agent:
        _add_rules(agent)
        with Pollster(agent) as pollster:
            for count in range(0, 6, 2):
                rows, server = agent.workers(), agent.fork_server()
                with _descriptors_left(agent, count):
                    server.kill()
                    for name, row in rows.items():
                        wait_until(partial(_is_settled, pollster, row), f"{name} has ended")
                for row in rows.values():
                    agent.wait_for_replacement(row)
                assert_converged(agent)
        _assert_rules_kept(agent)


# ---- the disk --------------------------------------------------------------------------------------


def test_workers_that_die_while_the_disk_is_full_come_back_and_no_rule_is_lost(tmp_path: Path) -> None:
    """Writer, sampler and control plane killed on a full file system: up again, rules refused until there is room, then kept."""
    agent = AgentProcess(tmp_path)
    # Its log and its sockets are elsewhere, and by itself it does not fill the disk within a minute.
    agent.state_dir = tmp_path / "disk" / "state"
    with mounted(tmp_path / "disk", "8m"), agent:
        _add_rules(agent)
        before = take_census(agent)
        ballast, more = agent.state_dir / "ballast", agent.state_dir / "more"
        with Pollster(agent):
            fill(ballast)
            wait_until(lambda: agent.call("status")["reasons"], "the agent says that it is not ready")
            for name in ("writer", "sampler/process", "control-plane"):
                agent.wait_for_replacement(agent.kill_worker(name))
            # What a writer had begun to store when it was killed, the next one has cut off.
            fill(more)
            with pytest.raises(RuntimeError, match="No space left on device; the rules are as before"):
                agent.call("add-rule", rule={"name": "too-much"})
            _assert_rules_kept(agent)
            ballast.unlink()
            more.unlink()
            wait_until(agent.is_ready, "ready again")
            assert agent.call("remove-rule", name="rule-0")["changed"]
            assert agent.call("add-rule", rule=RULES[0])["changed"]
        assert_converged(agent, before)
        _assert_rules_kept(agent)
        assert agent.end() == 0
        agent.start()
        _assert_rules_kept(agent)


# ---- memory ----------------------------------------------------------------------------------------


def test_a_worker_that_the_kernel_kills_for_its_memory_is_replaced(tmp_path: Path) -> None:
    """A group of its own with 48 MiB, and it wants 200: SIGKILL in the tally, its neighbours live, it is back with all rules."""
    with WorkerSetAgent(tmp_path, "eater=idle,other=idle") as agent, group("memory", "eater") as folder:
        _add_rules(agent)
        before, rows = take_census(agent), agent.workers()
        (folder / "memory.limit_in_bytes").write_text(str(48 * MIB))
        enter(folder, rows["eater"]["pid"])
        with Pollster(agent):
            agent.order("eater", "eat 200")
            after = agent.wait_for_replacement(rows["eater"])
            assert after["last_exit"] == "SIGKILL"
            assert_converged(agent)
        assert_converged(agent, before)
        assert int((folder / "memory.failcnt").read_text()) > 0
        assert agent.workers()["other"]["pid"] == rows["other"]["pid"]
        _assert_rules_kept(agent)


def test_a_worker_that_gets_no_memory_says_so_and_is_replaced(tmp_path: Path) -> None:
    """Its address space is at its limit: MemoryError at the end of its stderr, exit code 70, and the next one is up."""
    with WorkerSetAgent(tmp_path, "eater=idle,other=idle") as agent:
        before, row = take_census(agent), agent.workers()["eater"]
        process = psutil.Process(row["pid"])
        limit = process.memory_info().vms + 32 * MIB
        process.rlimit(psutil.RLIMIT_AS, (limit, limit))
        with Pollster(agent):
            agent.order("eater", "eat 500")
            agent.wait_for_replacement(row)
        assert_converged(agent, before)
        death = deaths(agent)["eater"]
        assert death["exit"] == "bug (70)"
        assert death["stderr_tail"][-1] == "MemoryError"


def test_a_flood_on_stderr_costs_the_supervisor_no_memory(tmp_path: Path) -> None:
    """A worker that writes 64 MiB of complaints as fast as it can: it is heard out, most lines are hidden, answers are quick."""
    # One that floods is silent for as long as nobody reads.
    with WorkerSetAgent(tmp_path, "loud=idle,other=idle", flags={"--supervisor-hang-timeout": "60s"}) as agent:
        assert agent.process is not None
        rss_before = rss_bytes(agent.process.pid)
        with Pollster(agent):
            agent.order("loud", "flood 64")
            wait_until(lambda: "worker_stderr_hidden" in agent.output, "lines are hidden")
            agent.order("loud", "exit 3")
            wait_until(lambda: agent.workers()["loud"]["last_exit"] is not None, "it has ended")
        assert rss_bytes(agent.process.pid) - rss_before < 8 * MIB
        assert_converged(agent)


@pytest.mark.runbook("Supervision")
def test_a_start_under_a_limit_that_is_too_low_says_so(tmp_path: Path) -> None:
    """Too few descriptors for the default workers: it ends at once, with one sentence, and makes nothing."""
    folders = ["--state-dir", str(tmp_path / "state"), "--runtime-dir", str(tmp_path / "run")]
    command = [sys.executable, "-c", "from agent.daemon.main import main; main()", *folders, "--gateway-port", "0"]
    for allowed in (8, 12, 63):
        ended = _run(["prlimit", f"--nofile={allowed}:{allowed}", *command])
        assert ended.returncode == ExitCode.CONFIG
        assert ended.stderr.startswith("agentd: limit of open files: Too many open files would be needed: ")
        assert ended.stderr.count("\n") == 1
        assert f"{allowed} are allowed" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_least_number_of_open_files_is_enough_for_the_default_workers(tmp_path: Path) -> None:
    """What the refusal names as the least does let the agent come up."""
    program = ("prlimit", "--nofile=64:64", sys.executable, "-c", "from agent.daemon.main import main; main()")
    # Entering waits until it is ready.
    with AgentProcess(tmp_path, program=program) as agent:
        assert {worker["state"] for worker in agent.workers().values()} == {"up"}


def _run(command: list[str]) -> "subprocess.CompletedProcess[Any]":
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
