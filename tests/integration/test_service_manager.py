"""What a real agent tells the service manager that started it, heard at the socket where systemd would listen."""

import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from harness.agent_process import AgentProcess
from harness.waiting import DEADLINE_SECONDS, wait_until

# As a service manager starts it: one of the watchdog's two variables names the process that is watched.
WATCHED = ("sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh", sys.executable, "-c", "from agent.daemon.main import main; main()")
CREDENTIALS = struct.Struct("3i")
# Each fork writes down the variables that it has: what the kernel shows of one is what the process of the last exec began with.
NOTED = """
import os, pathlib
def note():
    pathlib.Path({folder!r}, str(os.getpid())).write_text(" ".join(os.environ))
os.register_at_fork(after_in_child=note)
from agent.daemon.main import main
main()
"""
# A heartbeat of 100 ms makes this the time of several.
WATCHDOG_SECONDS = 1.0
# Enough to fill any socket's queue (net.unix.max_dgram_qlen, of the network namespace).
QUEUE_MAX = 10_000


class Listener:
    """The service manager's end."""

    def __init__(self, address: str) -> None:
        # Each line with the instant at which it was heard and the number of the process that sent it.
        self.heard: list[tuple[float, int, str]] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(address)

    def listen(self) -> list[str]:
        """All lines so far, in their order."""
        while True:
            try:
                data, extra, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(CREDENTIALS.size))
            except BlockingIOError:
                return [line for _, _, line in self.heard]
            pid, _, _ = CREDENTIALS.unpack(extra[0][2])
            self.heard += [(time.monotonic(), pid, line) for line in data.decode().split("\n")]

    def wait_for(self, line: str, *, seconds: float = DEADLINE_SECONDS) -> None:
        """Until this line has been heard."""
        wait_until(lambda: line in self.listen(), f"{line} is said", seconds=seconds)

    def statuses(self) -> list[str]:
        """The lines for people, in their order."""
        return [line.removeprefix("STATUS=") for line in self.listen() if line.startswith("STATUS=")]

    def beats_in_time(self, count: int) -> bool:
        """Whether the last beats, so many, each came in time; a machine with other things to do may hold one up."""
        self.listen()
        times = [at for at, _, line in self.heard if line == "WATCHDOG=1"][-count:]
        return len(times) == count and all(later - earlier < WATCHDOG_SECONDS for earlier, later in pairwise(times))


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """A listener, named in the environment in which the test's agent starts."""
    listener = Listener(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    yield listener
    listener.socket.close()


def supervisor_of(agent: AgentProcess) -> int:
    """The supervisor's number."""
    assert agent.process is not None
    return agent.process.pid


def test_it_says_ready_once_and_at_the_end_that_it_stops(tmp_path: Path, listener: Listener) -> None:
    """READY comes with the main process and a line for people, STOPPING comes last; nobody but the supervisor speaks."""
    with AgentProcess(tmp_path) as agent:
        supervisor = supervisor_of(agent)
        listener.wait_for("READY=1")
        assert f"MAINPID={supervisor}" in listener.listen()
        assert listener.statuses()[-1].startswith("ready")
    said = listener.listen()
    assert said.count("READY=1") == 1
    assert said[-2:] == ["STATUS=stopping", "STOPPING=1"]
    assert {pid for _, pid, _ in listener.heard} == {supervisor}


def test_no_other_process_of_the_agent_knows_the_service_manager(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables by which a process could speak in the supervisor's name are not handed on to what it starts."""
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    forks = tmp_path / "forks"
    forks.mkdir()
    with AgentProcess(tmp_path, program=(*WATCHED[:-1], NOTED.format(folder=str(forks)))) as agent:
        listener.wait_for("READY=1")
        pids = {process.pid for process in agent.note_processes()} - {supervisor_of(agent)}
        noted = {int(path.name): path.read_text().split() for path in forks.iterdir()}
        assert len(pids & set(noted)) >= 5
        for pid in pids - set(noted):
            # The child that looks at the host for the banner may end meanwhile.
            with suppress(psutil.NoSuchProcess):
                noted[pid] = list(psutil.Process(pid).environ())
        assert [names for names in noted.values() if {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(names)] == []


def test_it_tells_why_it_is_not_ready_and_that_it_is_again(tmp_path: Path, listener: Listener) -> None:
    """The line names a worker that is away, and is the old one as soon as that is back; READY is not said again."""
    with AgentProcess(tmp_path) as agent:
        listener.wait_for("READY=1")
        started = len(listener.statuses())
        agent.wait_for_replacement(agent.kill_worker("writer", signal.SIGKILL))
        wait_until(lambda: len(listener.statuses()) >= started + 2, "it is ready again")
        away, back = listener.statuses()[started : started + 2]
        assert away.startswith("not ready: writer")
        assert "SIGKILL" in away
        assert back.startswith("ready")
        assert listener.listen().count("READY=1") == 1


def test_a_start_that_does_not_succeed_wholly_is_over_too(tmp_path: Path, listener: Listener) -> None:
    """Where a worker can never be up READY is sent too, because the others measure; the line says what is wrong."""
    (tmp_path / "worker.before_hello@gateway").write_text("exit 78")
    program = ("env", f"EVERGAUGE_FAILPOINTS={tmp_path}", sys.executable, "-c", "from agent.daemon.main import main; main()")
    agent = AgentProcess(tmp_path, program=program)
    agent.start(ready=False)
    listener.wait_for("READY=1")
    assert "gateway" in listener.statuses()[-1]
    assert not agent.call("status")["ready"]
    agent.end()


def test_it_beats_while_its_loop_turns_and_only_then(tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """WATCHDOG is said in each interval; a supervisor that stands still says nothing, whatever its workers do."""
    monkeypatch.setenv("WATCHDOG_USEC", str(int(WATCHDOG_SECONDS * 1e6)))
    with AgentProcess(tmp_path, program=WATCHED) as agent:
        wait_until(lambda: listener.beats_in_time(10), "it beats ten times in a row, each in time")
        supervisor = psutil.Process(supervisor_of(agent))
        supervisor.suspend()
        wait_until(lambda: supervisor.status() == psutil.STATUS_STOPPED, "it stands still")
        before, stopped_at = len(listener.listen()), time.monotonic()
        wait_until(lambda: time.monotonic() > stopped_at + WATCHDOG_SECONDS, "an interval has gone by")
        assert len(listener.listen()) == before
        supervisor.resume()


@pytest.mark.parametrize("variables", [{}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}])
def test_it_does_not_beat_for_others(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """Without a watchdog, or with one that watches another process, no WATCHDOG is said in many heartbeats."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with AgentProcess(tmp_path) as agent:
        wait_until(lambda: agent.call("status")["uptime_seconds"] > 2 * WATCHDOG_SECONDS, "many heartbeats have gone by")
        assert "WATCHDOG=1" not in listener.listen()
        assert "READY=1" in listener.listen()


def test_a_service_manager_that_does_not_listen_holds_nothing_up(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its queue full the agent starts, answers, replaces a worker and ends as always."""
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    fill(str(tmp_path / "notify"))
    with AgentProcess(tmp_path, program=WATCHED) as agent:
        agent.wait_for_replacement(agent.kill_worker("gateway", signal.SIGKILL))


def test_an_abstract_address_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`@name` is a socket without a file, as containers have it."""
    name = f"evergauge-test-{os.getpid()}"
    listener = Listener(f"\0{name}")
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with AgentProcess(tmp_path):
        listener.wait_for("READY=1")
    listener.socket.close()


def test_ready_is_said_although_the_queue_was_full_at_first(tmp_path: Path, listener: Listener) -> None:
    """At a busy boot the first word may find no room; a start that is over must not be taken for one that hangs."""
    fill(str(tmp_path / "notify"))
    with AgentProcess(tmp_path):
        listener.wait_for("READY=1", seconds=3)


def test_it_beats_in_time_although_workers_are_looked_at_seldom(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watchdog's interval is the service manager's, whatever the heartbeat's."""
    monkeypatch.setenv("WATCHDOG_USEC", str(int(WATCHDOG_SECONDS * 1e6)))
    slow = {"--supervisor-heartbeat-interval": "3s", "--supervisor-hang-timeout": "10s"}
    with AgentProcess(tmp_path, program=WATCHED, flags=slow):
        wait_until(lambda: listener.beats_in_time(3), "it beats three times in a row, each in time")


def fill(address: str) -> None:
    """Send until nothing more is taken."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        for _ in range(QUEUE_MAX):
            try:
                sender.sendto(b"X_FILL=1", address)
            except BlockingIOError:
                return
    raise AssertionError("the queue has no end")
