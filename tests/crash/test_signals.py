"""Every way in which a worker can end or hang, over the real agent: named rightly, answered by the policy, without a leak."""

import itertools
import os
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from fakes.convergence import Pollster, assert_converged, deaths, events, spares, take_census
from fakes.worker_set_agent import WorkerSetAgent
from harness.agent_process import AgentProcess, run_agentctl, slowed
from harness.waiting import SLOWNESS, in_time, wait_until

KINDS = ("control-plane", "sampler/node", "sampler/process", "writer", "gateway")
# A worker that is killed by a test has done nothing wrong, and waits for nothing.
FORGIVING = {"--supervisor-stable-period": "10ms"}
# Long enough that nothing is started twice while a test looks.
SLOW_BACKOFF = {"--supervisor-backoff-base": "10m", "--supervisor-backoff-ceiling": "10m"}
AS_BY_DEFAULT = {"--supervisor-heartbeat-interval": slowed(250), "--supervisor-hang-timeout": slowed(1_000)}
HANG_SECONDS_MAX = 3.0
ASKED_AGAIN_MAX = 3
# Exit code to its name; all but the last are started again.
CODES = {
    0: "done (0)",
    1: "failed (1)",
    3: "code 3 (3)",
    64: "misuse (64)",
    70: "bug (70)",
    75: "try_again (75)",
    78: "config (78)",
}


@pytest.mark.parametrize(
    ("number", "stderr_tail"),
    [(signal.SIGKILL, None), (signal.SIGSEGV, "Segmentation fault"), (signal.SIGABRT, "Aborted")],
)
def test_a_signal_to_any_kind_of_worker_is_named_in_the_tally(
    tmp_path: Path, number: signal.Signals, stderr_tail: str | None
) -> None:
    """Each kind in turn: list-workers, the tally and diag name the signal, a crash leaves its traceback on stderr."""
    with AgentProcess(tmp_path) as agent:
        before = take_census(agent)
        for name in KINDS:
            row = agent.kill_worker(name, number)
            after = agent.wait_for_replacement(row)
            assert after["last_exit"] == number.name
            death = deaths(agent)[name]
            assert (death["exit"], death["epoch"]) == (number.name, row["epoch"])
            text = "\n".join(death["stderr_tail"])
            assert text == "" if stderr_tail is None else f"Fatal Python error: {stderr_tail}" in text
        noted = {event["worker"]: event["fields"]["exit"] for event in events(agent, "worker_died")}
        assert noted == dict.fromkeys(KINDS, number.name)
        assert_converged(agent, before)


def test_a_stopped_worker_of_any_kind_is_replaced(tmp_path: Path) -> None:
    """SIGSTOP to all kinds at once: each is found hung and replaced, and the tally names the signal that ended it."""
    with AgentProcess(tmp_path) as agent:
        before = take_census(agent)
        rows = agent.workers()
        for name in KINDS:
            os.kill(rows[name]["pid"], signal.SIGSTOP)
        for name in KINDS:
            agent.wait_for_replacement(rows[name])
        assert {event["worker"] for event in events(agent, "worker_hung")} == set(KINDS)
        for _ in range(ASKED_AGAIN_MAX):
            for name in _without_stacks(deaths(agent), "loop.py"):
                agent.wait_for_replacement(agent.kill_worker(name, signal.SIGSTOP))
        assert _without_stacks(found := deaths(agent), "loop.py") == [], f"their stacks are kept: {found}"
        assert set(found) == set(KINDS)
        assert_converged(agent, before)


def _without_stacks(found: dict[str, dict[str, Any]], *words: str) -> list[str]:
    """Workers that were found hung and killed, and left no stacks, with no line of these words: they are to be asked again.

    CPython's own fault may have ended one: version 3.11 crashes at about one of 1,400 requests for the stacks of a busy thread.
    And on a busy machine a worker may get no processor in the tenth of a second that it has for writing them.
    """
    names = []
    for name, death in found.items():
        has_crashed = death["exit"] == "SIGSEGV" and "Fatal Python error: Segmentation fault" in "\n".join(death["stderr_tail"])
        assert death["reason"] == "hung", death
        assert has_crashed or death["exit"] == "SIGKILL", death
        if has_crashed or not any(all(word in line for word in words) for line in death["stderr_tail"]):
            names.append(name)
    return names


def test_every_exit_code_has_its_name_and_its_policy(tmp_path: Path) -> None:
    """One worker for each code: the name is shown, the tail of its stderr is kept, and only 78 is not started again."""
    workers = ",".join(f"code{code}=exits-{code}" for code in CODES)
    with WorkerSetAgent(tmp_path, workers, flags=SLOW_BACKOFF, ready=False) as agent:
        wait_until(lambda: _exits(agent) == {f"code{code}": word for code, word in CODES.items()}, "all have ended")
        # The first failure is answered at once, the second by a wait: each has two lives, the one with 78 a single one.
        expected = {**dict.fromkeys(CODES, ("backoff", 2)), 78: ("failed", 1)}
        wait_until(lambda: _states(agent) == expected, f"each has its state, not {_states(agent)}")
        rows = agent.workers()
        assert rows["code78"]["backoff_seconds"] is None
        assert 500 < rows["code3"]["backoff_seconds"] <= 600
        stderr_tail = {worker: death["stderr_tail"] for worker, death in deaths(agent).items()}
        assert {worker: words[-1:] for worker, words in stderr_tail.items()} == {
            worker: [f"ends with {worker.removeprefix('code')}"] for worker in stderr_tail
        }
        died = {event["worker"]: event["fields"] for event in events(agent, "worker_died")}
        assert {worker: fields["exit"] for worker, fields in died.items()} == _exits(agent)
        assert died["code78"]["stderr_tail"] == "ends with 78"
        assert [event["worker"] for event in events(agent, "worker_failed")] == ["code78"]


def test_a_failed_worker_is_started_again_only_by_a_reset(tmp_path: Path) -> None:
    """Exit 78: restart-worker is refused with the remedy, reset-worker starts it, and once mended it stays up."""
    with WorkerSetAgent(tmp_path, "settled=idle,wrong=idle") as agent:
        agent.order("wrong", "exit 78")
        wait_until(lambda: agent.workers()["wrong"]["state"] == "failed", "it has failed")
        with pytest.raises(RuntimeError, match="agentctl reset-worker wrong"):
            agent.call("restart-worker", name="wrong")
        assert "wrong is failed" in agent.call("status")["reasons"][0]
        # A failed worker must not wait for a time that comes: another one lives through two whole deaths meanwhile.
        for _ in range(2):
            agent.wait_for_replacement(agent.kill_worker("settled"))
        row = agent.workers()["wrong"]
        assert (row["state"], row["epoch"]) == ("failed", 1)
        reset = run_agentctl("reset-worker", "wrong", "--runtime-dir", str(agent.runtime_dir))
        assert (reset.returncode, reset.stdout) == (0, "wrong is starting\n")
        agent.wait_for_replacement(row)
        assert_converged(agent)


def test_every_way_to_hang_is_seen_and_replaced_in_time(tmp_path: Path) -> None:
    """A loop of Python, one in C that holds the interpreter, a lock, a wait in the kernel: replaced within 3 s by default."""
    # One at a time of those that burn a processor: how long several take to be told from starved ones is not the question.
    rounds = [("spin", "deadlock", "sleep"), ("compute",), ("search",)]
    ways = [way for each in rounds for way in each]
    with WorkerSetAgent(tmp_path, ",".join(f"{way}=idle" for way in ways), flags=AS_BY_DEFAULT) as agent:
        before = take_census(agent)

        def hang(together: tuple[str, ...], _number: int) -> float:
            rows = agent.workers()
            for way in together:
                agent.order(way, way)
            hung_at = time.monotonic()
            for way in together:
                agent.wait_for_replacement(rows[way])
            return time.monotonic() - hung_at

        with Pollster(agent):
            for together in rounds:
                in_time(partial(hang, together), seconds=HANG_SECONDS_MAX)
        assert {event["worker"] for event in events(agent, "worker_hung")} == set(ways)
        # What each did when it hung is in the tail of its stderr: the stacks that were asked for before the kill.
        for _ in range(ASKED_AGAIN_MAX):
            for way in _without_stacks(deaths(agent), "order.py", "_hang"):
                again = agent.workers()[way]
                agent.order(way, way)
                agent.wait_for_replacement(again)
        assert _without_stacks(found := deaths(agent), "order.py", "_hang") == [], found
        assert set(found) == set(ways)
        assert_converged(agent, before)


@pytest.mark.timeout(150)
def test_a_worker_that_is_merely_busy_is_never_killed(tmp_path: Path) -> None:
    """Twenty seconds on processors that four others want: a busy one, an idle one and one that gets next to nothing live on."""
    with WorkerSetAgent(tmp_path, "busy=busy,idle=idle,starved=busy", flags=AS_BY_DEFAULT) as agent:
        rows = agent.workers()
        starved = psutil.Process(rows["starved"]["pid"])
        processors = starved.cpu_affinity()
        # The least weight there is, on one processor with the other busy one (which is in its session, and so in its scheduling
        # group where sessions have such) and two hogs: a turn of its loop takes longer than the hang timeout, and only the
        # kernel's word on it tells that it is no fault of its own.
        starved.nice(19)
        for pid in (starved.pid, rows["busy"]["pid"]):
            psutil.Process(pid).cpu_affinity(processors[:1])
        # Where all these tests run with a low priority, the others would weigh little more than it.
        with suppress(psutil.AccessDenied):
            psutil.Process(rows["busy"]["pid"]).nice(0)
        hogs = [psutil.Popen(["/bin/sh", "-c", "while :; do :; done"]) for _ in range(4)]
        try:
            for hog, processor in zip(hogs, itertools.cycle(processors), strict=False):
                hog.cpu_affinity([processor])
            until = time.monotonic() + 20
            ages_seconds = [0.0]

            def is_over() -> bool:
                ages_seconds.append(agent.workers()["starved"]["heartbeat_age_seconds"] or 0.0)
                return time.monotonic() > until and max(ages_seconds) > SLOWNESS

            wait_until(
                is_over, "twenty seconds are over, and it was starved for longer than the hang timeout", seconds=90 * SLOWNESS
            )
        finally:
            for hog in hogs:
                hog.kill()
                hog.wait()
        assert events(agent, "worker_hung") == []
        assert {name: row["pid"] for name, row in agent.workers().items()} == {name: row["pid"] for name, row in rows.items()}
        assert_converged(agent)


def test_a_process_in_reserve_may_die_at_any_moment(tmp_path: Path) -> None:
    """Killed alone, killed with the worker whose place it would take, killed right after it took it: all up, nothing leaks."""
    with WorkerSetAgent(tmp_path, "one=idle,two=idle", flags=FORGIVING) as agent:
        before = take_census(agent)
        (spare,) = spares(agent)
        spare.kill()
        wait_until(lambda: spares(agent) not in ([], [spare]), "there is another")
        for is_first in (True, False):
            row, (spare,) = agent.workers()["one"], spares(agent)
            for pid in (spare.pid, row["pid"]) if is_first else (row["pid"], spare.pid):
                os.kill(pid, signal.SIGKILL)
            agent.wait_for_replacement(row)
            assert_converged(agent, before)


def test_two_workers_killed_in_one_moment_are_two_deaths(tmp_path: Path) -> None:
    """The writer and the sampler that sends to it, both stopped first so that neither outlives the other: both are back."""
    with AgentProcess(tmp_path, flags=FORGIVING) as agent:
        before = take_census(agent)
        agent.call("add-rule", rule={"name": "kept", "priority": 1})
        for _ in range(3):
            rows = agent.workers()
            pair = [rows["writer"], rows["sampler/process"]]
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for row in pair:
                    os.kill(row["pid"], number)
            for row in pair:
                assert agent.wait_for_replacement(row)["last_exit"] == "SIGKILL"
        assert_converged(agent, before)


def test_a_worker_killed_while_it_starts_is_started_again(tmp_path: Path) -> None:
    """Three times before it is ready: each is a failure with its wait, the others go on, and then it is up with all rules."""
    flags = {"--supervisor-backoff-base": "20ms", "--supervisor-backoff-jitter-percent": "0"}
    with WorkerSetAgent(tmp_path, "slow=slow-1500,other=idle", flags=flags) as agent:
        before, other = take_census(agent), agent.workers()["other"]
        agent.call("add-rule", rule={"name": "kept"})
        agent.kill_worker("slow")
        for epoch in (2, 3, 4):
            row = wait_until(partial(_starting, agent, "slow", epoch), f"start {epoch} is under way")
            os.kill(row["pid"], signal.SIGKILL)
        wait_until(lambda: agent.workers()["slow"]["epoch"] == 5, "it is started again")
        assert_converged(agent, before)
        failures = [event["fields"]["failures"] for event in events(agent, "worker_backoff")]
        assert failures == [2, 3, 4]
        assert agent.workers()["other"]["pid"] == other["pid"]


def test_all_workers_killed_at_once_repeatedly_leak_nothing(tmp_path: Path) -> None:
    """Eight rounds over the agent's own workers: descriptors, threads and zombies of supervisor and fork server stay as were."""
    with AgentProcess(tmp_path, flags=FORGIVING) as agent:
        agent.call("add-rule", rule={"name": "kept"})
        before = take_census(agent)
        with Pollster(agent):
            for _ in range(8):
                rows = agent.workers()
                for row in rows.values():
                    os.kill(row["pid"], signal.SIGKILL)
                for row in rows.values():
                    agent.wait_for_replacement(row)
        assert_converged(agent, before)
        assert all(row["restarts"] == 8 for row in agent.workers().values())


def _exits(agent: AgentProcess) -> dict[str, Any]:
    return {name: row["last_exit"] for name, row in agent.workers().items() if row["last_exit"] is not None}


def _states(agent: AgentProcess) -> dict[int, tuple[str, int]]:
    rows = agent.workers()
    return {code: (rows[f"code{code}"]["state"], rows[f"code{code}"]["epoch"]) for code in CODES}


def _starting(agent: AgentProcess, name: str, epoch: int) -> dict[str, Any] | None:
    row = agent.workers()[name]
    return row if row["state"] == "starting" and row["epoch"] == epoch and row["pid"] is not None else None
