"""Starts workers through the fork server of `multiprocess`, in a thread of its own.

The fork server imports what every worker needs once and freezes it; a start is a fork of it, some milliseconds. Its
answer is waited for in an errand thread: a fork server that is stopped or still importing delays starts, nothing else.
"""

import mmap
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

import msgspec
from msgspec import Struct

from agent.failpoint import failpoint
from agent.model.heartbeat import CERTIFICATE_LENGTH, CERTIFICATE_OFFSET, PAGE_BYTES
from agent.ports import Clock
from supervisor.shell import lean
from supervisor.shell.birth import Inherited, be_born
from supervisor.shell.errand import ErrandThread
from supervisor.shell.ledger import Ledger, ServerRecord
from supervisor.shell.linger import become_subreaper
from supervisor.shell.takeover import PAGE_NAME, Certificate, Former, Started, end_strays, process_start_ticks, wait_ended

# Behind `lean`, which must come before it.
import multiprocess  # isort: skip
from multiprocess import forkserver, process, resource_tracker, util  # isort: skip

# A killed fork server is gone within a millisecond.
SERVER_END_MS = 1000
STRAYS_PER_LOOK_MAX = 64
SWEEPS_MAX = 100


_PACKAGE_START = util.spawnv_passfds


class NotStarted(Struct, frozen=True):
    """No process came to be, and why."""

    child: str
    epoch: int
    problem: str


class Birthplace(Struct, frozen=True):
    """Where workers are born: of which run, by which `entry` (`module:function`), with what imported before, beside which
    sockets, and how long they are kept for a successor when the supervisor dies."""

    run: str
    entry: str
    preload: Sequence[str]
    socket_dir: str
    orphan_grace_ns: int


class Launcher:
    """`launch` orders a start; its outcome comes through `errands`. `is_alone`: all children of this process are ours."""

    def __init__(
        self, place: Birthplace, ledger: Ledger, clock: Clock, *, former: Former | None = None, is_alone: bool = False
    ) -> None:
        self._place = place
        self._ledger = ledger
        self._clock = clock
        self._is_alone = is_alone
        self._server_pidfd = -1
        self._alive = -1
        self._living: set[int] = set()
        self._has_deaths = False
        self._context = multiprocess.get_context("forkserver")
        # What every newborn passes through is imported before it is born: 2 ms of each start.
        self._context.set_forkserver_preload([be_born.__module__, *place.preload])
        # The fork server's socket belongs beside ours, where a later start finds and removes it after a SIGKILL.
        process.current_process()._config["tempdir"] = place.socket_dir
        _do_without_tracker()
        _prefix_commands(place.orphan_grace_ns)
        _hide_main_module()
        if is_alone:
            # What the fork server leaves behind when it is killed comes to us.
            become_subreaper()
        self._server = forkserver._forkserver
        self._start_server = type(self._server).ensure_running.__get__(self._server)
        self._server.ensure_running = self._ensure_server
        if former is not None:
            self._take_over(former)
        self.errands: ErrandThread[Started | NotStarted | None] = ErrandThread("launcher")
        self.errands.send(self._warm_up)

    def launch(self, child: str, epoch: int, order: bytes) -> None:
        """Start this generation with this launch order."""
        self.errands.send(lambda: self._launch(child, epoch, order))

    def reset(self) -> None:
        """The fork server does not answer: end it. The start that waits for it fails and the next one makes a new server."""
        if self._server_pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._server_pidfd, signal.SIGKILL)

    def note_gone(self, pid: int) -> None:
        """A worker's process has ended: what it leaves behind is looked for at the next sweep."""
        self._living.discard(pid)
        self._has_deaths = True

    def sweep(self) -> None:
        """After deaths, end what dead workers have left behind, until there is nothing; called at every look."""
        if self._has_deaths:
            self._has_deaths = False
            self.errands.send(self._sweep)
        self._reap_strays()

    def close(self) -> None:
        """End the fork server and all that is left below it, and wait for that."""
        self.errands.close(timeout_seconds=1.0)
        self._server.ensure_running = self._start_server
        if self._server._forkserver_pid is None:
            return
        for _ in range(SWEEPS_MAX):
            if not end_strays(self._server._forkserver_pid, frozenset(self._living)):
                break
        self.reset()
        if self._server_pidfd >= 0:
            wait_ended(self._server_pidfd, SERVER_END_MS)
        self._forget_server()

    # ---- the fork server -------------------------------------------------------------------------

    def _warm_up(self) -> None:
        # A failure here is met again, and reported, by the first start.
        with suppress(OSError):
            _masked(self._ensure_server)

    def _ensure_server(self) -> None:
        """In the place of the package's own: that knows only servers which are its children, and gives every worker the
        end of the pipe that keeps the server alive. Only the supervisor may hold it, or it would not be missed."""
        if self._server_pidfd >= 0:
            if not wait_ended(self._server_pidfd, 0):
                return
            self._forget_server()
        self._start_server()
        pid = self._server._forkserver_pid
        self._alive, self._server._forkserver_alive_fd = self._server._forkserver_alive_fd, _null_device()
        self._server_pidfd = os.pidfd_open(pid)
        failpoint("launcher.server_started")
        record = ServerRecord(pid, process_start_ticks(pid) or 0, os.fstat(self._alive).st_ino, self._server._forkserver_address)
        self._ledger.note_server(record)
        failpoint("launcher.server_noted")

    def _take_over(self, former: Former) -> None:
        self._server._forkserver_pid = former.server.pid
        self._server._forkserver_address = former.server.address
        self._server._forkserver_alive_fd = _null_device()
        self._alive, self._server_pidfd = former.alive, former.server_pidfd
        self._ledger.note_server(former.server)
        for name, epoch in former.epochs.items():
            self._ledger.note_epoch(name, epoch)
        self._living = {worker.pid for worker in former.workers}

    def _forget_server(self) -> None:
        """It has ended."""
        for descriptor in (self._server_pidfd, self._alive, self._server._forkserver_alive_fd):
            os.close(descriptor)
        with suppress(ChildProcessError):
            # Not our child when it was taken over.
            os.waitpid(self._server._forkserver_pid, os.WNOHANG)
        self._server_pidfd = self._alive = -1
        self._server._forkserver_pid = self._server._forkserver_alive_fd = self._server._forkserver_address = None

    # ---- what is left behind ---------------------------------------------------------------------

    def _sweep(self) -> None:
        strays = 0
        if self._server._forkserver_pid is not None:
            strays += end_strays(self._server._forkserver_pid, frozenset(self._living))
        if self._is_alone:
            strays += end_strays(os.getpid(), frozenset({self._server._forkserver_pid or 0}))
        # What they leave behind in their turn is met by the next one.
        self._has_deaths = self._has_deaths or strays > 0

    def _reap_strays(self) -> None:
        """Wait for the orphans that the kernel gave to this process."""
        if not self._is_alone:
            return
        for _ in range(STRAYS_PER_LOOK_MAX):
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            # The fork server's end is waited for elsewhere.
            if ended is None or ended.si_pid == self._server._forkserver_pid:
                return
            os.waitpid(ended.si_pid, 0)

    # ---- starts ----------------------------------------------------------------------------------

    def _launch(self, child: str, epoch: int, order: bytes) -> Started | NotStarted:
        with ExitStack() as given_back:
            try:
                return self._start(child, epoch, order, given_back)
            except (FileNotFoundError, ConnectionRefusedError) as failure:
                # The fork server lives but its socket is gone: something cleans the runtime folder. Only a new one has a socket.
                self.reset()
                return NotStarted(child, epoch, f"the fork server cannot be reached: {failure.strerror}")
            except (OSError, EOFError) as failure:
                text = f"{type(failure).__name__}: {failure}" if str(failure) else "the fork server died"
                # Whatever came to be of it is known to nobody.
                self._has_deaths = True
                return NotStarted(child, epoch, text)
            finally:
                # Not children in the package's sense: their exit is seen by pidfd, and nothing is to be joined at exit.
                process._children.clear()

    def _start(self, child: str, epoch: int, order: bytes, given_back: ExitStack) -> Started:
        failpoint("launcher.before_start")
        self._ledger.note_epoch(child, epoch)
        page = os.memfd_create(PAGE_NAME, os.MFD_CLOEXEC)
        given_back.callback(os.close, page)
        os.ftruncate(page, PAGE_BYTES)
        words_read, words_write = os.pipe2(os.O_CLOEXEC)
        given_back.callback(os.close, words_write)
        with ExitStack() as on_failure:
            on_failure.callback(os.close, words_read)
            os.set_blocking(words_read, False)
            view = mmap.mmap(page, PAGE_BYTES)
            arguments = (self._place.entry, order, Inherited(page), Inherited(words_write))
            newborn = self._context.Process(target=be_born, args=arguments, name=child)
            started_at_ns = self._clock.now_ns()
            _masked(newborn.start)
            failpoint("launcher.started")
            popen = newborn._popen
            # The package would close the status pipe when its object goes; a duplicate is ours.
            status = os.dup(popen.sentinel)
            on_failure.callback(os.close, status)
            os.set_blocking(status, False)
            popen.finalizer()
            started = Started(child, epoch, popen.pid, _pidfd(popen.pid), status, words_read, view, started_at_ns)
            _certify(started, self._place.run)
            self._living.add(popen.pid)
            on_failure.pop_all()
            return started


def _certify(worker: Started, run: str) -> None:
    """Write into a worker's page who it is; the length comes last, so that a half-written certificate is none."""
    inodes = os.fstat(worker.words).st_ino, os.fstat(worker.status).st_ino
    data = msgspec.msgpack.encode(Certificate(run, worker.child, worker.epoch, worker.started_at_ns, *inodes))
    at = CERTIFICATE_OFFSET + CERTIFICATE_LENGTH.size
    worker.page[at : at + len(data)] = data
    CERTIFICATE_LENGTH.pack_into(worker.page, CERTIFICATE_OFFSET, len(data))


def _null_device() -> int:
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def _pidfd(pid: int) -> int:
    """The descriptor of a process just started; -1 when it has already ended (its status then says how)."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return -1


def _masked(call: Callable[[], object]) -> None:
    """Call with all signals blocked: what is started inherits that, and unblocks when it has its own handlers.

    Without it a Ctrl-C in the first milliseconds would end a newborn worker with a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    try:
        call()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _do_without_tracker() -> None:
    """The package starts a process that tracks shared memory and semaphores: 17 MB of memory for things not used here.

    Its client side is pointed at the null device, which takes every message. (multiprocess 0.70; it can go when the
    fork server no longer insists on a tracker.)
    """
    resource_tracker._resource_tracker._fd = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def _prefix_commands(orphan_grace_ns: int) -> None:
    """Let the fork server begin with what is ours: without dill, with our search path, and lingering when it is orphaned.

    The package starts it with the code `…main(…)` as the last argument, and with the pipe of life as the last descriptor.
    """
    start = _PACKAGE_START

    def start_with_prologue(path: str, arguments: list[str], descriptors: list[int]) -> int:
        linger = f"from supervisor.shell import linger; linger.arm({descriptors[-1]}, {orphan_grace_ns}); "
        code = lean.prologue(sys.path) + linger + arguments[-1]
        pid: int = start(path, [*arguments[:-1], code], descriptors)
        return pid

    util.spawnv_passfds = start_with_prologue


def _hide_main_module() -> None:
    """Keep the package from importing the start script again in every worker: workers have an entry of their own."""
    main = sys.modules["__main__"]
    main.__spec__ = None
    if hasattr(main, "__file__"):
        del main.__file__
