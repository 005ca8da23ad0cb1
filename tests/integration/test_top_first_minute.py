"""A newcomer at `agentctl top`: its first line names who is to blame, within some ticks, for real loads under a real agent.

The machine may have other things to do, other tests among them. So a load runs above them where it is about CPU, and problems that
blame only others are left out.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fakes.agentctl_here import agentctl_here
from fakes.cgroup import enter, group, members
from fakes.load import NICE, Loads, only_storm, started
from fakes.pair_of_interfaces import THERE, pair_of_interfaces
from harness.agent_process import AgentProcess, run_agentctl
from harness.waiting import NotInTime, wait_until

from agent.cli.problem_cpu import THREADS_MANY

MIB = 1 << 20
# Half of the usual interval: what a person sees within a minute, a test sees within seconds.
FLAGS = {"--sampler-process-interval": "500ms", "--sampler-host-interval": "500ms"}
# The load starts, is sampled in the tick after, and has a rate in the next; the others are for a machine that is busy.
TICKS_MAX = 60
SECONDS_MAX = TICKS_MAX * 0.5
LOOK_SECONDS = 0.2
VICTIMS_MAX = 4
VICTIM_SECONDS_MAX = 12.0

Told = dict[str, Any]


class Newcomer:
    """Looks at the problems of one agent's host."""

    def __init__(self, agent: AgentProcess) -> None:
        self._agent = agent

    def sample(self) -> Told:
        """What is shown now; empty: there is nothing yet."""
        code, text, _ = agentctl_here(self._agent.folder, "top", "--json", *self._folders())
        return dict(json.loads(text)) if code == 0 else {}

    def look_around(self) -> None:
        """Wait until there are rates: of the processes and of the host."""
        wait_until(self._has_rates, "two ticks of the host and of its processes are stored", pause_seconds=LOOK_SECONDS)

    def _has_rates(self) -> bool:
        sample = self.sample()
        host, scan = sample.get("machine", {}).get("host"), sample.get("scan")
        return bool(host and host["elapsed_ns"] and scan and scan["elapsed_ns"])

    def first(
        self, *names: str, blamed: str, pid: int | None = None, beside: str | None = None, seconds: float = SECONDS_MAX
    ) -> Told:
        """Wait until the first problem that blames this load is one of these.

        `pid`: and it blames this process. `beside`: and it blames this one too, and no other. Other tests run loads at the same
        time, and how a load ended is told for a minute after.
        """
        seen: list[Told] = []

        def found() -> Told | None:
            seen[:] = self.sample().get("problems", [])
            ours = [problem for problem in seen if pid_of(problem, blamed) is not None]
            # What stands there may still be a load of this name that has just ended.
            if not ours or ours[0]["name"] not in names or pid not in (None, pid_of(ours[0], blamed)):
                return None
            all_blamed = [culprit["name"] for culprit in ours[0]["culprits"]]
            return ours[0] if beside is None or all_blamed == [blamed, beside] else None

        try:
            return wait_until(found, f"{names} {blamed}", seconds=seconds, pause_seconds=LOOK_SECONDS)
        except AssertionError as failure:
            failure.add_note("\n".join(problem["text"] for problem in seen))
            raise

    def reads(self, words: str, *, seconds: float = SECONDS_MAX) -> None:
        """Wait until the screen that a person reads has these words."""

        def is_there() -> bool:
            done = run_agentctl("top", "--once", *self._folders())
            assert done.returncode == 0, done.stderr
            return words in done.stdout

        wait_until(is_there, words, seconds=seconds, pause_seconds=LOOK_SECONDS)

    def _folders(self) -> tuple[str, ...]:
        return ("--state-dir", str(self._agent.state_dir), "--runtime-dir", str(self._agent.runtime_dir))


def pid_of(problem: Told, name: str) -> int | None:
    """The pid of the culprit of this name, 0 where it has none; None: it is not blamed."""
    return next((culprit["pid"] or 0 for culprit in problem["culprits"] if culprit["name"] == name), None)


@pytest.fixture(scope="module")
def loads(tmp_path_factory: pytest.TempPathFactory) -> Loads:
    """The programs, built once."""
    return Loads(tmp_path_factory.mktemp("loads"))


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    """One agent for all loads."""
    with AgentProcess(tmp_path_factory.mktemp("agent"), flags=FLAGS) as made:
        made.outlive_tests()
        yield made


@pytest.fixture
def newcomer(agent: AgentProcess) -> Newcomer:
    """Looks when there is something to see."""
    made = Newcomer(agent)
    made.look_around()
    return made


def test_a_cpu_hog(newcomer: Newcomer, loads: Loads) -> None:
    """The process that uses a core, whether or not the others are busy too."""
    with loads.running("eg-cpu-hog", "cpu", nice=NICE) as hog:
        newcomer.first("cpu_hog", "cpu_saturated", blamed="eg-cpu-hog", pid=hog.pid)
        newcomer.reads(f"eg-cpu-hog (pid {hog.pid}) uses")


def test_a_memory_hog(newcomer: Newcomer, loads: Loads) -> None:
    """The process that takes memory so fast that it is all gone soon, while there is still some."""
    # All would be gone within a minute; a seventh is taken, for a few seconds.
    each_second = psutil.virtual_memory().available // 60
    with loads.running("eg-memory-hog", "grow", str(each_second), "9", nice=NICE) as hog:
        problem = newcomer.first("memory_growth", "memory_short", blamed="eg-memory-hog", pid=hog.pid)
    assert "memory is full in" in problem["text"]


def test_a_fork_storm(newcomer: Newcomer, loads: Loads) -> None:
    """The script that starts them, and the command that they are."""
    storm = loads.script("eg-storm", "while :; do /bin/true; done")
    with only_storm(), started([str(storm)], nice=NICE) as script:
        newcomer.first("fork_storm", blamed="eg-storm", pid=script.pid, beside="true")


def test_a_disk_writer(newcomer: Newcomer, loads: Loads) -> None:
    """The process that writes, whether or not it keeps the disk busy all the time."""
    # Where files are on a disk by convention; /tmp may be memory.
    file = Path(f"/var/tmp/evergauge-test-{os.getpid()}")
    try:
        with loads.running("eg-disk-writer", "write", str(file), str(256 * MIB), nice=NICE) as writer:
            problem = newcomer.first("disk_saturated", "disk_heavy", blamed="eg-disk-writer", pid=writer.pid)
    finally:
        file.unlink(missing_ok=True)
    assert "writes" in problem["text"]


def test_a_network_sender(newcomer: Newcomer, loads: Loads) -> None:
    """The process that sends, and the interface that it sends through."""
    receiver = [str(loads.program("eg-receiver")), "receive", THERE, "9000"]
    with (
        pair_of_interfaces(receiver) as interface,
        loads.running("eg-sender", "send", THERE, "9000", str(150 * MIB), nice=NICE) as sender,
    ):
        newcomer.first("network_heavy", "network_full", blamed="eg-sender", pid=sender.pid, beside=interface)


def test_a_process_with_five_hundred_threads(newcomer: Newcomer, loads: Loads) -> None:
    """The process, though it uses neither CPU nor memory to speak of."""
    with loads.running("eg-crowd", "threads", "500") as crowd:
        problem = newcomer.first("many_threads", blamed="eg-crowd", pid=crowd.pid)
    # Some of them may still have been to come.
    assert int(problem["text"].split(" has ")[1].split()[0]) >= THREADS_MANY


@pytest.mark.timeout(150)
def test_a_process_killed_for_memory(tmp_path: Path, loads: Loads) -> None:
    """The victim, by its name and pid, as the first line for the minute after; the limit is that of a group.

    The kernel does not say whom it killed: the largest of those that SIGKILL ended just then is named. So a larger one that another
    test kills in the same three seconds takes its place, and the next victim has a try.
    """
    # An agent of its own: in the minute before it nothing happened.
    with AgentProcess(tmp_path, flags=FLAGS) as agent, group("memory", "small") as small:
        newcomer = Newcomer(agent)
        newcomer.look_around()
        # More than what most other tests kill.
        (small / "memory.limit_in_bytes").write_text(str(128 * MIB))
        for number in range(VICTIMS_MAX):
            victim = subprocess.Popen([str(loads.program("eg-victim")), "grow", str(400 * MIB), "20"], stdin=subprocess.DEVNULL)
            enter(small, victim.pid)
            assert victim.wait(20) == -signal.SIGKILL
            wait_until(lambda: not members(small), "the group is empty")
            try:
                problem = newcomer.first("oom_kill", blamed="eg-victim", pid=victim.pid, seconds=VICTIM_SECONDS_MAX)
                newcomer.reads(f"eg-victim (pid {victim.pid}) was killed for lack of memory", seconds=VICTIM_SECONDS_MAX)
            except NotInTime:
                if number == VICTIMS_MAX - 1:
                    raise
                continue
            assert problem["severity"] == "critical"
            break


def test_a_command_that_crashes_again_and_again(tmp_path: Path, loads: Loads) -> None:
    """Its name and the signal."""
    with AgentProcess(tmp_path, flags=FLAGS) as agent:
        newcomer = Newcomer(agent)
        newcomer.look_around()
        for _ in range(4):
            assert subprocess.run([str(loads.program("eg-crasher")), "crash"], check=False).returncode == -signal.SIGSEGV
        problem = newcomer.first("crash_loop", blamed="eg-crasher")
        assert "signal 11 (SIGSEGV)" in problem["text"]
