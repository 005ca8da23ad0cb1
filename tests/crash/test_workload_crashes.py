"""Workloads outlive every crash of the agent: each is found again, running, and nothing runs twice."""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fakes.keeper_world import own_tree
from fakes.workload_agent import WorkloadAgent, workload_agent
from harness.control_connection import ControlConnection
from harness.waiting import wait_until

KEPT = ("name", "pid", "started", "command", "birth", "cgroup", "in_force", "restarts", "labels", "output")


@pytest.fixture
def tree(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A part of the cgroup tree."""
    with own_tree(str(abs(hash(request.node.nodeid)) % 10**8)) as tree:
        yield tree


def _kept(host: WorkloadAgent) -> dict[str, list[object]]:
    return {name: [row[field] for field in KEPT] for name, row in host.rows().items()}


def _restart(host: WorkloadAgent) -> None:
    host.agent.start(ready=False)
    wait_until(host.agent.is_ready, "the agent is ready again")
    host.agent.note_processes()


def test_every_workload_is_found_again_whatever_was_killed(tmp_path: Path, tree: Path) -> None:
    """Worker, keeper, worker and keeper, every process of the agent, everything but the workloads: each time all are there."""
    with workload_agent(tmp_path, tree) as host:
        for name in ("a", "b", "c"):
            host.run(name, "sleep", "1000", labels={"team": name})
        before = _kept(host)
        worker = host.agent.kill_worker("workloads")
        host.agent.wait_for_replacement(worker)
        assert _kept(host) == before
        host.keeper().kill()
        wait_until(lambda: all(row["adopted"] for row in host.rows().values()), "another keeper has found them")
        assert _kept(host) == before
        host.kill_agent()
        _restart(host)
        assert _kept(host) == before
        host.keeper().kill()
        host.kill_agent()
        _restart(host)
        assert _kept(host) == before
        assert {name: len(host.processes(name)) for name in before} == {"a": 1, "b": 1, "c": 1}


def test_restarts_go_on_through_random_deaths(tmp_path: Path, tree: Path) -> None:
    """A server that ends by itself all the time has one process at most, whether worker or keeper dies; then it is stopped."""
    with workload_agent(tmp_path, tree, supervisor_backoff_ceiling="200ms") as host:
        host.run("server", "sh", "-c", "sleep 0.2; exit 1", restart="always")
        chance = random.Random(5)
        for _ in range(8):
            if chance.random() < 0.5:
                # The supervisor may not have seen yet that the last one has gone.
                with suppress(ProcessLookupError):
                    host.agent.kill_worker("workloads")
            else:
                host.kill_keeper()
            wait_until(lambda: host.processes("server"), "the server runs again")
            # The shell and its sleep.
            assert len(host.processes("server")) <= 2
        starts = host.rows()["server"]["restarts"]
        wait_until(lambda: host.rows()["server"]["restarts"] > starts, "it is started again")
        assert host.ctl("stop", "server")[0] == 0
        host.kill_keeper()
        host.agent.wait_for_replacement(host.agent.kill_worker("workloads"))
        assert host.wait_state("server", "ended")["backoff_seconds"] is None
        assert host.processes("server") == []


def test_a_look_survives_the_crash_of_the_worker_that_was_asked(tmp_path: Path, tree: Path) -> None:
    """It died over the question: its replacement answers it."""
    with workload_agent(tmp_path, tree, supervisor_backoff_ceiling="200ms") as host:
        host.run("server", "sleep", "1000")
        row = host.agent.kill_worker("workloads", signal.SIGSTOP)
        with ControlConnection(host.agent.runtime_dir / "control.sock") as connection:
            connection.request("list-workloads")
            # Answered by the supervisor itself, behind the first: so that one is on its way.
            assert host.agent.is_ready()
            os.kill(row["pid"], signal.SIGKILL)
            assert connection.answer()["result"].keys() >= {"is_asked", "workloads"}


def test_an_end_while_nobody_looked_is_found_with_its_code_and_stored_once(tmp_path: Path, tree: Path) -> None:
    """The worker is dead when the workload ends: the keeper knows how, and table unit_event has it."""
    with workload_agent(tmp_path, tree) as host:
        os.mkfifo(tmp_path / "fifo")
        host.run("job", "sh", "-c", "read line < $FIFO; exit 7", env={"FIFO": str(tmp_path / "fifo")})
        row = host.agent.kill_worker("workloads", signal.SIGSTOP)
        with (tmp_path / "fifo").open("w") as fifo:
            fifo.write("go\n")
        wait_until(lambda: not host.processes("job"), "the job has ended")
        os.kill(row["pid"], signal.SIGKILL)
        host.agent.wait_for_replacement(row)
        ended = host.wait_state("job", "ended")
        assert (ended["exit_code"], ended["ended_how"]) == (7, "exit code 7")
        sql = "SELECT unit, exit_code, signal, sequence FROM unit_event WHERE event = 'ended' AND kind = 'workload'"

        def stored() -> list[str]:
            code, text, _warnings = host.ctl("--state-dir", str(host.agent.state_dir), "query", sql, "--format", "csv")
            assert code == 0
            return text.splitlines()[1:]

        wait_until(stored, "its end is stored")
        host.agent.wait_for_replacement(host.agent.kill_worker("workloads"))
        host.wait_state("job", "ended")
        host.agent.wait_sealed("unit_event")
        assert stored() == ["/evergauge-workloads/job.workload,7,,1"]
