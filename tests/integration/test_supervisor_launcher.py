"""The launcher over a real fork server: processes are born, end, are killed, and so is the server itself."""

import errno
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fakes.ordered_worker import exit_status
from harness.waiting import wait_until
from msgspec import structs

from agent.clock import SystemClock
from agent.failpoint import VARIABLE
from agent.model.heartbeat_page import BODY_BYTES, BODY_OFFSET, VERSION, WAITING_OFFSET, Beat, parse_page
from supervisor.shell import launcher as module
from supervisor.shell.fork_server_start import ForkServerSettings
from supervisor.shell.launcher import Launcher, NotStarted
from supervisor.shell.standby_pool import START_NS_MAX
from supervisor.shell.started_worker import StartedWorker
from supervisor.shell.stray import Stray
from supervisor.shell.takeover_record import TakeoverRecordFile

# Behind the launcher, which prepares it.
from multiprocess import forkserver, resource_tracker, util  # isort: skip

DEADLINE_SECONDS = 30.0
# The moment between a bind and a listen is short: one try seldom meets it.
TIMES_MADE_AGAIN = 500


class Starter:
    """A launcher whose outcomes are waited for."""

    def __init__(self, folder: Path) -> None:
        # The agent's own preload: it lets the server hear of its children's ends, of which the exit statuses are made.
        settings = ForkServerSettings(
            "run", "fakes.ordered_worker:be", ("workers.runtime.preload",), str(folder), 0, str(folder / "living")
        )
        epochs = {"sampler/tested": 0}
        record_file = TakeoverRecordFile(
            str(folder / "takeover-record"), boot_id=bytes(16), run="run", fingerprint=bytes(32), epochs=epochs
        )
        self.killed: list[Stray] = []
        self.launcher = Launcher(settings, record_file, SystemClock(), on_killed=self.killed.extend)
        self._epoch = 0
        self._started: list[StartedWorker] = []
        # What came out of the reserve.
        self._handed_out: list[StartedWorker] = []
        self._is_closed = False

    def order(self, order: str) -> None:
        """Ask for a process."""
        self._epoch += 1
        started = self.launcher.launch("sampler/tested", self._epoch, order.encode())
        if started is not None:
            self._handed_out.append(started)
            self._started.append(started)

    def outcome(self) -> StartedWorker | NotStarted:
        """What became of the next order."""
        while not self._handed_out:
            assert select.select([self.launcher.thread.descriptor], [], [], DEADLINE_SECONDS)[0], "no outcome"
            for outcome in self.launcher.thread.results():
                # None: the server was warmed up.
                if outcome is not None:
                    if isinstance(outcome, StartedWorker):
                        self._started.append(outcome)
                    return outcome
        return self._handed_out.pop()

    def start(self, order: str) -> StartedWorker:
        """Ask for a process, and get it."""
        self.order(order)
        started = self.outcome()
        assert isinstance(started, StartedWorker), started
        return started

    def server(self) -> int:
        """The process id of the fork server."""
        pid = forkserver._forkserver._forkserver_pid
        assert pid is not None
        return int(pid)

    def close(self) -> None:
        """End the server."""
        if not self._is_closed:
            self._is_closed = True
            self.launcher.close()

    def give_back(self) -> None:
        """Everything that the loop would give back."""
        self.close()
        for started in self._started:
            for descriptor in (started.stderr, started.status, started.pidfd):
                if descriptor >= 0:
                    os.close(descriptor)
            started.page.close()
        os.close(self.launcher.thread.descriptor)


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Starter]:
    """A launcher in this process; what it changes of the process is changed back."""
    main = sys.modules["__main__"]
    kept = {name: getattr(main, name) for name in ("__spec__", "__file__") if hasattr(main, name)}
    spawn, tracker = util.spawnv_passfds, resource_tracker._resource_tracker._fd
    starter = Starter(tmp_path)
    yield starter
    starter.give_back()
    # A supervisor has one launcher in its life; here the next test has a server of its own.
    server = forkserver._forkserver
    server._forkserver_pid = server._forkserver_address = server._forkserver_alive_fd = None
    os.close(resource_tracker._resource_tracker._fd)
    util.spawnv_passfds, resource_tracker._resource_tracker._fd = spawn, tracker
    for name, value in kept.items():
        setattr(main, name, value)


def _status(started: StartedWorker) -> int | None:
    """The exit status once it is there; None: the server died before it could write one."""
    assert select.select([started.status], [], [], DEADLINE_SECONDS)[0], "no exit status"
    data = os.read(started.status, 8)
    return exit_status(data) if data else None


def _words(started: StartedWorker) -> str:
    """The next words of a process."""
    assert select.select([started.stderr], [], [], DEADLINE_SECONDS)[0], "no words"
    return os.read(started.stderr, 1 << 16).decode()


def _wait_gone(started: StartedWorker) -> None:
    assert started.pidfd < 0 or select.select([started.pidfd], [], [], DEADLINE_SECONDS)[0], "it lives on"


def _wait_ended(server: int) -> None:
    """A server that was sent SIGKILL a moment ago may still be counted as alive, which would cost one more start."""

    def is_over() -> bool:
        try:
            return bool(psutil.Process(server).status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True

    wait_until(is_over, "the server ended")


@pytest.mark.parametrize("code", [0, 3, 78])
def test_the_exit_code_arrives_through_the_status_descriptor(starter: Starter, code: int) -> None:
    """Also of a process that ended before anybody looked."""
    started = starter.start(f"exit {code}")
    assert _status(started) == code
    _wait_gone(started)
    assert (started.child, started.epoch) == ("sampler/tested", 1)


def test_a_killed_process_has_minus_the_signals_number_as_its_status(starter: Starter) -> None:
    """Killed through its own descriptor, as the loop does it."""
    started = starter.start("wait")
    assert _words(started) == "waiting\n"
    signal.pidfd_send_signal(started.pidfd, signal.SIGKILL)
    assert _status(started) == -signal.SIGKILL
    _wait_gone(started)


def test_what_a_process_says_is_read_and_ends_with_it(starter: Starter) -> None:
    """Its own pipe; reading it never blocks."""
    started = starter.start("say last words")
    assert _words(started) == "last words\n"
    _wait_gone(started)
    assert os.read(started.stderr, 10) == b""
    assert not os.get_blocking(started.stderr)


def test_its_heartbeat_page_is_shared(starter: Starter) -> None:
    """What it wrote stays readable after its end."""
    started = starter.start("beat")
    assert _status(started) == 0
    version, body = started.page[: VERSION.size], started.page[BODY_OFFSET : BODY_OFFSET + BODY_BYTES]
    assert parse_page(version, body, version) == Beat(1, started.pid, 17, bytes(range(32)))


def test_a_new_worker_hears_no_signal_until_it_wants_to(starter: Starter) -> None:
    """A Ctrl-C in its first milliseconds does not end it; the supervisor's own signals are as they were."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    blocked = {int(number) for number in _words(starter.start("signals")).split()}
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2} <= blocked
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_the_end_of_the_launcher_ends_every_process(starter: Starter) -> None:
    """A worker that would wait for ever is killed with its fork server."""
    started = starter.start("wait")
    assert _words(started) == "waiting\n"
    server = psutil.Process(starter.server())
    starter.close()
    _wait_gone(started)
    assert not server.is_running()


def test_many_starts_leave_no_descriptor_behind(starter: Starter) -> None:
    """In the supervisor each start costs what it hands out and nothing else."""
    starter.start("exit 0")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        started = starter.start("exit 0")
        assert _status(started) == 0
    # Words, status, the process itself, and the page, for which the mapping keeps a descriptor of its own.
    handed_out = sum(3 + (each.pidfd >= 0) for each in starter._started[1:])
    assert len(os.listdir("/proc/self/fd")) == before + handed_out


def test_a_killed_server_costs_at_most_the_start_under_way(starter: Starter) -> None:
    """Its processes are told apart by their own descriptors; the next order, or the one after it, has a new server."""
    first = starter.start("exit 0")
    assert _status(first) == 0
    killed = starter.server()
    os.kill(killed, signal.SIGKILL)
    starter.order("exit 4")
    outcome = starter.outcome()
    if isinstance(outcome, NotStarted):
        assert outcome.problem
        _wait_ended(killed)
        outcome = starter.start("exit 4")
    assert _status(outcome) == 4
    assert starter.server() != killed


def test_a_process_whose_server_was_killed_has_no_known_status(starter: Starter) -> None:
    """It dies with its server; the status descriptor ends without one."""
    started = starter.start("wait")
    assert _words(started) == "waiting\n"
    os.kill(starter.server(), signal.SIGKILL)
    _wait_gone(started)
    assert _status(started) is None


def test_a_socket_that_is_made_again_refuses_nobody_who_finds_it(starter: Starter) -> None:
    """From the first moment that its name is there again: a caller that is refused would take the server for dead."""
    starter.start("exit 0")
    server, path = starter.server(), starter.launcher.server.path
    for _ in range(TIMES_MADE_AGAIN):
        os.unlink(path)
        starter.launcher.server.make_again()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            with socket.socket(socket.AF_UNIX) as caller:
                problem = caller.connect_ex(path)
            if problem != errno.ENOENT:
                break
            assert time.monotonic() < deadline, "the name never came back"
        assert problem == 0, errno.errorcode[problem]
    assert starter.server() == server
    assert _status(starter.start("exit 3")) == 3
    assert [name for name in os.listdir(os.path.dirname(path)) if name.startswith("listener-")] == [os.path.basename(path)]


@pytest.fixture
def points(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which files arm failpoints of the server."""
    folder = tmp_path_factory.mktemp("points")
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


def test_a_name_that_is_removed_while_it_is_made_again_is_made_once_more(points: Path, starter: Starter) -> None:
    """The server is asked again before the new socket is in the place of the old one: who finds the name finds it listening."""
    assert _status(starter.start("exit 0")) == 0
    server, path = starter.server(), starter.launcher.server.path
    (points / "fork_server.named").write_text("stop")
    os.unlink(path)
    starter.launcher.server.make_again()
    wait_until(lambda: psutil.Process(server).status() == psutil.STATUS_STOPPED, "it has just made the name")
    os.unlink(path)
    starter.launcher.server.make_again()
    os.kill(server, signal.SIGCONT)
    wait_until(lambda: os.path.exists(path), "the name is back")
    assert _status(starter.start("exit 3")) == 3
    assert starter.server() == server


def test_a_stopped_server_delays_a_start_until_it_is_reset(starter: Starter) -> None:
    """Until then nothing comes; the order under way fails with a problem in words, the next is served by a new server."""
    assert _status(starter.start("exit 0")) == 0
    stopped = starter.server()
    os.kill(stopped, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(stopped).status() == psutil.STATUS_STOPPED, "the server is stopped")
    starter.order("exit 0")
    assert starter.launcher.thread.results() == []
    starter.launcher.reset()
    outcome = starter.outcome()
    # StartedWorker: the order was still in line when the server ended, so it went to the new one.
    assert isinstance(outcome, StartedWorker) or outcome.problem
    _wait_ended(stopped)
    assert _status(starter.start("exit 6")) == 6
    assert starter.server() != stopped


def _stop_new_server(starter: Starter) -> int:
    """A server that was just started stands still before it has made a process, and somebody waits for one."""
    wait_until(lambda: starter.launcher.is_importing, "a new server")
    stopped = starter.server()
    os.kill(stopped, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(stopped).status() == psutil.STATUS_STOPPED, "the server is stopped")
    starter.order("exit 0")
    return stopped


def test_a_new_server_is_waited_for_while_it_imports(starter: Starter) -> None:
    """On a slow machine each next one would be killed in the middle of its imports, too."""
    stopped = _stop_new_server(starter)
    starter.launcher.reset()
    assert psutil.Process(stopped).status() == psutil.STATUS_STOPPED
    os.kill(stopped, signal.SIGCONT)
    assert isinstance(starter.outcome(), StartedWorker)
    assert starter.server() == stopped
    assert not starter.launcher.is_importing


def test_a_new_server_that_imports_for_too_long_is_killed(starter: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next order is served by another one."""
    stopped = _stop_new_server(starter)
    monkeypatch.setattr(module, "IMPORT_NS_MAX", 0)
    starter.launcher.reset()
    _wait_ended(stopped)
    starter.outcome()
    assert _status(starter.start("exit 6")) == 6
    assert starter.server() != stopped


def test_an_order_that_names_no_behaviour_ends_with_misuse(starter: Starter) -> None:
    """Whatever the standby does with its order: it has arrived byte by byte."""
    assert _status(starter.start("dance")) == 64


# ---- processes in reserve --------------------------------------------------------------------------


def _reserve(starter: Starter) -> int:
    """Let the launcher look until a process waits in reserve; gives its pid."""

    def has_spare() -> int:
        starter.launcher.housekeep()
        # A copy: the launcher's thread adds to them.
        return sum(spare.is_waiting for spare in list(starter.launcher.pool.processes))

    wait_until(has_spare, "a process is in reserve")
    return starter.launcher.pool.processes[0].pid


@pytest.fixture
def with_reserve(starter: Starter) -> Starter:
    """The same launcher, which keeps one process in reserve."""
    starter.launcher.pool._size = 1
    return starter


def test_a_process_in_reserve_takes_the_next_order_at_once(with_reserve: Starter) -> None:
    """It is handed out without a wait, does what it is told, and its exit code is told as any other's."""
    spare = _reserve(with_reserve)
    started = with_reserve.launcher.launch("sampler/tested", 5, b"exit 9")
    assert started is not None
    with_reserve._started.append(started)
    assert (started.pid, started.epoch) == (spare, 5)
    assert _status(started) == 9


def test_a_process_in_reserve_that_died_is_passed_over(with_reserve: Starter) -> None:
    """The order goes the long way; another is kept in reserve later."""
    spare = _reserve(with_reserve)
    os.kill(spare, signal.SIGKILL)
    _wait_ended(spare)
    assert with_reserve.launcher.launch("sampler/tested", 1, b"exit 3") is None
    outcome = with_reserve.outcome()
    assert isinstance(outcome, StartedWorker)
    assert _status(outcome) == 3
    assert _reserve(with_reserve) != spare


def test_the_end_of_the_launcher_ends_its_reserve(with_reserve: Starter) -> None:
    """Nobody will give it an order."""
    spare = psutil.Process(_reserve(with_reserve))
    with_reserve.close()
    wait_until(lambda: not spare.is_running(), "it has ended")
    assert with_reserve.killed == [], "it is nobody's stray"


def test_a_stray_that_is_slow_to_go_is_told_once(starter: Starter) -> None:
    """A killed process is there until the kernel has taken it apart; meanwhile it is met, and killed, again."""
    strays = [starter.start("wait") for _ in range(3)]
    for stray in strays:
        starter.launcher.note_gone(stray.pid)
    starter.close()
    assert {stray.pid for stray in strays} == {told.pid for told in starter.killed}
    assert len(starter.killed) == len(strays)


def test_children_that_nobody_knows_are_ended(with_reserve: Starter) -> None:
    """What a dead worker leaves behind comes to the fork server; the worker beside it and the reserve are left alone."""
    worker = with_reserve.start("wait")
    stranger = with_reserve.start("wait")
    spare = _reserve(with_reserve)
    # As if its start had been lost half-way.
    with_reserve.launcher.note_gone(stranger.pid)
    with_reserve.launcher.housekeep()
    _wait_gone(stranger)
    assert psutil.pid_exists(worker.pid)
    assert psutil.pid_exists(spare)


def test_a_process_in_reserve_that_never_comes_to_wait_is_replaced(with_reserve: Starter) -> None:
    """It hangs on its way there: it gets no order, and is ended when it has had its time."""
    _reserve(with_reserve)
    hung = with_reserve.launcher.pool.processes[0]
    hung.page[WAITING_OFFSET] = 0
    # Its time begins now, however long this machine took until here.
    with_reserve.launcher.pool.processes[0] = hung = structs.replace(hung, forked_at_ns=SystemClock().now_ns())
    with_reserve.launcher.housekeep()
    assert with_reserve.launcher.pool.take() is None
    with_reserve.launcher.pool.processes[0] = structs.replace(hung, forked_at_ns=hung.forked_at_ns - START_NS_MAX)
    assert _reserve(with_reserve) != hung.pid
    wait_until(lambda: not psutil.pid_exists(hung.pid), "it is ended")
