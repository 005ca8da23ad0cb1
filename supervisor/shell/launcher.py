"""Starts workers through the fork server of `multiprocess`, in a thread of its own.

The fork server imports what every worker needs once and freezes it; a start is a fork of it, some milliseconds. Its
answer is waited for in an errand thread: a fork server that is stopped or still importing delays starts, nothing else.
"""

import mmap
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

from msgspec import Struct

from agent.model.heartbeat import PAGE_BYTES
from supervisor.shell import lean
from supervisor.shell.birth import Inherited, be_born
from supervisor.shell.errand import ErrandThread

# Behind `lean`, which must come before it.
import multiprocess  # isort: skip
from multiprocess import forkserver, process, resource_tracker, util  # isort: skip

# A fork server ends within a millisecond of its pipe's end, unless it is stopped.
SERVER_END_MS = 1000
STRAYS_PER_LOOK_MAX = 64


class Started(Struct, frozen=True):
    """A worker process exists: its pid, a descriptor of the process itself (-1: it has already ended), where its exit
    status will be written, its stderr and its heartbeat page."""

    child: str
    epoch: int
    pid: int
    pidfd: int
    status: int
    words: int
    page: mmap.mmap


class NotStarted(Struct, frozen=True):
    """No process came to be, and why."""

    child: str
    epoch: int
    problem: str


class Launcher:
    """`launch` orders a start; its outcome comes through `errands`."""

    def __init__(self, *, entry: str, preload: Sequence[str], socket_dir: str) -> None:
        self._entry = entry
        self._context = multiprocess.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        # The fork server's socket belongs beside ours, where a later start finds and removes it after a SIGKILL.
        process.current_process()._config["tempdir"] = socket_dir
        _do_without_tracker()
        _prefix_commands(lean.PROLOGUE)
        _hide_main_module()
        # EOF on the read end tells a worker that the supervisor is gone, whatever killed it.
        self._life_read, self._life_write = os.pipe2(os.O_CLOEXEC)
        self.errands: ErrandThread[Started | NotStarted | None] = ErrandThread("launcher")
        self.errands.send(self._warm_up)

    def launch(self, child: str, epoch: int, order: bytes) -> None:
        """Start this generation with this launch order."""
        self.errands.send(lambda: self._launch(child, epoch, order))

    def reset(self) -> None:
        """The fork server does not answer: end it. The start that waits for it fails and the next one makes a new server."""
        server = forkserver._forkserver._forkserver_pid
        if server is not None:
            with suppress(ProcessLookupError):
                os.kill(server, signal.SIGKILL)

    def reap_strays(self) -> None:
        """As the first process of a container, wait for orphans that the kernel gives to it (workers of a dead fork server)."""
        if os.getpid() != 1:
            return
        for _ in range(STRAYS_PER_LOOK_MAX):
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            # The fork server's end is the package's to see.
            if ended is None or ended.si_pid == forkserver._forkserver._forkserver_pid:
                return
            os.waitpid(ended.si_pid, 0)

    def close(self) -> None:
        """End the fork server and wait for it; one that does not end by itself is killed."""
        os.close(self._life_write)
        self.errands.close(timeout_seconds=1.0)
        package = forkserver._forkserver
        server, alive = package._forkserver_pid, package._forkserver_alive_fd
        if server is None:
            return
        package._forkserver_pid = package._forkserver_alive_fd = package._forkserver_address = None
        os.close(alive)
        try:
            ending = os.pidfd_open(server)
            poll = select.poll()
            poll.register(ending, select.POLLIN)
            if not poll.poll(SERVER_END_MS):
                os.kill(server, signal.SIGKILL)
            os.close(ending)
            os.waitpid(server, 0)
        except (ProcessLookupError, ChildProcessError):
            # It has ended and somebody else has waited for it.
            return

    def _warm_up(self) -> None:
        # A failure here is met again, and reported, by the first start.
        with suppress(OSError):
            _masked(forkserver.ensure_running)

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
                return NotStarted(child, epoch, text)
            finally:
                # Not children in the package's sense: their exit is seen by pidfd, and nothing is to be joined at exit.
                process._children.clear()

    def _start(self, child: str, epoch: int, order: bytes, given_back: ExitStack) -> Started:
        page = os.memfd_create(f"heartbeat-{child.replace('/', '-')}", os.MFD_CLOEXEC)
        given_back.callback(os.close, page)
        os.ftruncate(page, PAGE_BYTES)
        words_read, words_write = os.pipe2(os.O_CLOEXEC)
        given_back.callback(os.close, words_write)
        with ExitStack() as on_failure:
            on_failure.callback(os.close, words_read)
            os.set_blocking(words_read, False)
            view = mmap.mmap(page, PAGE_BYTES, prot=mmap.PROT_READ)
            arguments = (self._entry, order, Inherited(page), Inherited(words_write), Inherited(self._life_read))
            newborn = self._context.Process(target=be_born, args=arguments, name=child)
            _masked(newborn.start)
            popen = newborn._popen
            # The package would close the status pipe when its object goes; a duplicate is ours.
            status = os.dup(popen.sentinel)
            on_failure.callback(os.close, status)
            os.set_blocking(status, False)
            popen.finalizer()
            started = Started(child, epoch, popen.pid, _pidfd(popen.pid), status, words_read, view)
            on_failure.pop_all()
            return started


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


def _prefix_commands(prologue: str) -> None:
    """Put `prologue` in front of the code that the package gives to interpreters it starts (the fork server)."""
    start = util.spawnv_passfds
    if getattr(start, "prologue", "") == prologue:
        return

    def start_with_prologue(path: str, arguments: list[str], descriptors: list[int]) -> int:
        pid: int = start(path, [*arguments[:-1], prologue + arguments[-1]], descriptors)
        return pid

    start_with_prologue.prologue = prologue  # type: ignore[attr-defined]  # marks it, so that it is done once
    util.spawnv_passfds = start_with_prologue


def _hide_main_module() -> None:
    """Keep the package from importing the start script again in every worker: workers have an entry of their own."""
    main = sys.modules["__main__"]
    main.__spec__ = None
    if hasattr(main, "__file__"):
        del main.__file__
