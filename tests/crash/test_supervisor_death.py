"""The supervisor is killed at any moment: the next one takes its workers over or finds them gone, and samples go on."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest
from fakes.convergence import assert_converged, events, take_census
from fakes.failpoints import arm
from fakes.sealed_rows import sealed_rows
from harness.agent_process import UNHURRIED, AgentProcess
from harness.foreign_descriptor import descriptor_of
from harness.waiting import DEADLINE_SECONDS, wait_until

# More of them by hand: EVERGAUGE_MOMENTS=500.
MOMENTS = int(os.environ.get("EVERGAUGE_MOMENTS", "25"))
# A supervisor that dies in its first moments leaves nothing to take over; later than this nothing new happens.
LATEST_MOMENT_SECONDS = 0.5
GONE_SECONDS = 1.0
# The first try in which nobody was held up by what else runs on this machine tells.
TRIES = 3
# However late a successor starts on a busy machine, the workers are there.
PATIENT = {**UNHURRIED, "--supervisor-orphan-grace": "20s"}


def _kill(agent: AgentProcess) -> float:
    """SIGKILL the supervisor, and nobody else; gives the time."""
    assert agent.process is not None
    agent.note_processes()
    agent.process.kill()
    agent.process.wait()
    return time.monotonic()


def _workers_alive(agent: AgentProcess) -> Counter[str]:
    """How many living processes there are of each worker, whichever supervisor they had."""
    agent.note_processes()
    found: dict[int, tuple[str, int]] = {}
    for process in agent.living():
        with suppress(psutil.NoSuchProcess):
            if process.name().startswith("eg:") and process.name() != "eg:spare":
                found[process.pid] = (process.name(), process.ppid())
    # A program that a worker starts (a sealer) bears its name until its own begins; a worker is no worker's child.
    return Counter(name for name, parent in found.values() if parent not in found)


def _pids(agent: AgentProcess) -> dict[str, int]:
    return {name: row["pid"] for name, row in agent.workers().items()}


def _sampled_at_ns(state_dir: Path) -> list[int]:
    """When the process sampler measured, over all files, in order; nanoseconds of unix time."""
    return sorted({row["timestamp"] for row in sealed_rows(state_dir, "process")})


def _gaps(state_dir: Path) -> list[dict[str, Any]]:
    """Rows of `gap` about batches: those about ticks alone tell how busy this machine was."""
    return [row for row in sealed_rows(state_dir, "gap") if row["first_seq"] is not None]


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    """A living agent whose workers wait for a successor; at the end it stops cleanly and leaves nothing behind."""
    agent = AgentProcess(tmp_path, flags=PATIENT)
    agent.start()
    yield agent
    agent.end()
    agent.assert_nothing_left()


@pytest.mark.runbook("Supervision")
def test_the_next_supervisor_takes_all_workers_over_and_no_sample_is_missing(agent: AgentProcess) -> None:
    """Same processes, same starts, the rules acknowledged again; between two samples lies at most the time without supervisor."""
    agent.call("add-rule", rule={"name": "kept"})
    before = agent.workers()
    wait_until(lambda: agent.stats("sampler/process")["ticks"] >= 10, "ten samples")
    _kill(agent)
    agent.start()
    after = agent.workers()
    assert {name: (row["pid"], row["epoch"]) for name, row in after.items()} == {
        name: (row["pid"], row["epoch"]) for name, row in before.items()
    }
    assert_converged(agent)
    assert [rule["name"] for rule in agent.call("worker-state", name="sampler/process")["rules"]] == ["kept"]
    ticks = agent.stats("sampler/process")["ticks"]
    wait_until(lambda: agent.stats("sampler/process")["ticks"] >= ticks + 10, "ten more samples")
    last = agent.stats("sampler/process")["ticks"]
    agent.end()
    # One sampler from first to last, and it has skipped nothing that it counted.
    assert len(_sampled_at_ns(agent.state_dir)) >= last
    assert _gaps(agent.state_dir) == []


def _seconds_until_all_are_gone(agent: AgentProcess, *, enough: float) -> float:
    """How long a killed supervisor is survived, a stopped worker too: the best of some tries, or the first that is enough."""
    taken: list[float] = []
    for _ in range(TRIES):
        os.kill(_pids(agent)["gateway"], signal.SIGSTOP)
        killed_at = _kill(agent)
        wait_until(lambda: not agent.living(), "all are gone")
        taken.append(time.monotonic() - killed_at)
        sockets = [path.name for path in agent.runtime_dir.iterdir() if path.is_socket()]
        assert sockets == [], "the last one to go removes the sockets"
        agent.start()
        assert events(agent, "taking_over") == []
        if taken[-1] < enough:
            break
    return min(taken)


def test_nobody_comes_and_everything_is_gone_within_a_second(tmp_path: Path) -> None:
    """The fork server waits for a successor, then it ends, and the kernel ends all workers with it, a stopped one too."""
    with AgentProcess(tmp_path) as agent:
        enough = GONE_SECONDS + 0.5
        assert _seconds_until_all_are_gone(agent, enough=enough) < enough


def test_without_a_grace_everything_is_gone_at_once(tmp_path: Path) -> None:
    """`supervisor.orphan_grace = 0`: nothing is ever taken over."""
    with AgentProcess(tmp_path, flags={"--supervisor-orphan-grace": "0s"}) as agent:
        assert _seconds_until_all_are_gone(agent, enough=0.5) < 0.5


def test_a_supervisor_that_is_slow_to_die_leaves_no_socket(tmp_path: Path) -> None:
    """Its pipe ends before its lock is free: the kernel does one after the other, and another process may run in between."""
    with AgentProcess(tmp_path, flags={"--supervisor-orphan-grace": "0s"}) as agent:
        assert agent.process is not None
        lock = descriptor_of(agent.process.pid, agent.runtime_dir / "runtime.lock")
        _kill(agent)
        wait_until(lambda: len(agent.living()) <= 1, "no more than the fork server is left")
        os.close(lock)
        wait_until(lambda: not agent.living(), "all are gone")
        assert [path.name for path in agent.runtime_dir.iterdir() if path.is_socket()] == []
        agent.start()


def test_a_start_waits_for_a_fork_server_that_no_record_names(tmp_path: Path) -> None:
    """Its supervisor was killed before it could note it, so nobody takes it over: it ends behind its grace, however long."""
    points = tmp_path / "points"
    points.mkdir()
    agent = AgentProcess(tmp_path, flags={"--supervisor-orphan-grace": "3s"}, failpoints=points)
    arm(points, "launcher.server_started", "kill")
    agent.start(ready=False)
    assert agent.process is not None
    assert agent.process.wait(DEADLINE_SECONDS) == -signal.SIGKILL
    with agent:
        assert max(_workers_alive(agent).values()) == 1


def test_an_agent_with_other_settings_ends_the_old_workers_before_it_starts_its_own(tmp_path: Path) -> None:
    """What does not fit is not taken over; never two of a name, and the data folder has one writer at a time."""
    former = AgentProcess(tmp_path)
    former.start()
    before = _pids(former)
    _kill(former)
    with AgentProcess(tmp_path, flags={"--sampler-process-interval": "70ms"}) as agent:
        agent.seen |= former.seen
        assert set(_pids(agent).values()) & set(before.values()) == set()
        assert max(_workers_alive(agent).values()) == 1


def test_an_agent_in_another_runtime_folder_ends_the_old_workers_too(tmp_path: Path) -> None:
    """The state folder remembers where its last agent had its sockets: two writers never share it."""
    former = AgentProcess(tmp_path, flags={"--supervisor-orphan-grace": "60s"})
    former.start()
    _kill(former)
    moved = AgentProcess(tmp_path, flags={"--supervisor-orphan-grace": "60s"})
    moved.runtime_dir = tmp_path / "elsewhere"
    with moved as agent:
        agent.seen |= former.seen
        assert max(_workers_alive(agent).values()) == 1


def test_a_worker_that_was_stopped_meanwhile_is_replaced(agent: AgentProcess) -> None:
    """It cannot answer the new supervisor: that waits for it no longer than for any hung worker."""
    before = agent.workers()
    _kill(agent)
    os.kill(before["sampler/process"]["pid"], signal.SIGSTOP)
    agent.start(ready=False)
    wait_until(agent.is_ready, "ready with a new sampler")
    after = agent.workers()
    assert after["sampler/process"]["epoch"] == before["sampler/process"]["epoch"] + 1
    assert after["writer"]["pid"] == before["writer"]["pid"]
    assert_converged(agent)


def test_a_worker_that_died_meanwhile_is_started_again(agent: AgentProcess) -> None:
    """Nobody was there to see it; its successor counts on from its start."""
    before = agent.workers()
    _kill(agent)
    os.kill(before["gateway"]["pid"], signal.SIGKILL)
    agent.start()
    after = agent.workers()
    assert after["gateway"]["epoch"] == before["gateway"]["epoch"] + 1
    assert_converged(agent)


def test_the_exit_of_a_worker_that_was_taken_over_is_told_exactly(agent: AgentProcess) -> None:
    """Signal, exit code and the tail of stderr arrive over new ends of the old pipes; it is restarted as any other."""
    _kill(agent)
    agent.start()
    row = agent.kill_worker("sampler/process", signal.SIGSEGV)
    assert agent.wait_for_replacement(row)["last_exit"] == "SIGSEGV"
    (death,) = agent.call("status")["deaths"]
    assert any("Segmentation fault" in word for word in death["stderr_tail"])


def test_one_successor_after_another_leaks_nothing(agent: AgentProcess) -> None:
    """Ten of them: as many descriptors in the fork server and in the supervisor as at first, and the same workers."""
    before, census = _pids(agent), take_census(agent)
    for _ in range(10):
        _kill(agent)
        agent.start()
    assert _pids(agent) == before
    assert_converged(agent, census)


@pytest.mark.timeout(300)
def test_killed_at_random_moments(agent: AgentProcess) -> None:
    """Also in the middle of its start, of a restart and of a rule: never two workers of a name, no rule lost, all well after."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    rng = Random(seed)
    promised: set[str] = set()
    kept = 0
    for number in range(MOMENTS):
        before = _pids(agent)
        with suppress(OSError, ValueError, RuntimeError):
            agent.call("add-rule", rule={"name": f"rule-{number % 50}", "priority": number})
            promised.add(f"rule-{number % 50}")
        if rng.random() < 0.5:
            with suppress(ProcessLookupError):
                os.kill(rng.choice(list(before.values())), signal.SIGKILL)
        killed_at = _kill(agent)
        agent.start(ready=False)
        if rng.random() < 0.5:
            # Its successor dies too, at any moment of its start or soon after.
            until = killed_at + rng.uniform(0, LATEST_MOMENT_SECONDS)
            wait_until(lambda until=until: time.monotonic() > until, "the moment")  # type: ignore[misc]
            _kill(agent)
            agent.start(ready=False)
        wait_until(agent.is_ready, f"ready after moment {number} of seed {seed}")
        alive = _workers_alive(agent)
        assert max(alive.values()) == 1, f"two of a name after moment {number} of seed {seed}: {alive}"
        after = _pids(agent)
        kept += sum(before[name] == pid for name, pid in after.items())
        held = {rule["name"] for rule in agent.call("list-rules")["rules"]}
        assert promised <= held, f"lost after moment {number} of seed {seed}: {promised - held}"
    assert_converged(agent)
    # Only a worker that this test killed, or that hung meanwhile, is a new one.
    assert kept >= MOMENTS, f"{kept} workers taken over in {MOMENTS} moments"
