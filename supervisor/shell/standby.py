"""Standby processes: forked by the fork server, waiting to be told which worker to be.

One that waits when a worker dies takes its place within a millisecond: everything that does not depend on which worker it is
has been done by then.
"""

import fcntl
import mmap
import os
import pickle
import resource
from collections.abc import Callable
from contextlib import ExitStack, suppress
from errno import EMFILE

from msgspec import Struct

from agent import multiprocess_bootstrap  # noqa: F401  before multiprocess
from agent.failpoint import failpoint
from agent.model.heartbeat_page import PAGE_BYTES, WAITING_OFFSET
from supervisor.shell.process import kill, wait_ended
from supervisor.shell.started_worker import PAGE_NAME, Certificate, StartedWorker, write_certificate
from supervisor.shell.worker_start import WorkerStart

from multiprocess import forkserver  # isort: skip

# A page and its mapping, three pipes, a connection, the package's two pipes, and two for other threads meanwhile.
DESCRIPTORS_OF_A_START = 13
# pipe(7): what a pipe holds by default.
PIPE_BYTES = 64 << 10


class StandbyProcess(Struct, frozen=True):
    """A process that is no worker yet. `order` is where its launch order is written; `forked_at_ns` is monotonic; the rest is as
    in `StartedWorker`."""

    pid: int
    pidfd: int
    status: int
    stderr: int
    order: int
    page: mmap.mmap
    forked_at_ns: int

    @property
    def is_waiting(self) -> bool:
        """Whether it has come to the place where it waits for its order."""
        return self.page[WAITING_OFFSET] == 1


def fork_standby(entry: str, now_ns: Callable[[], int]) -> StandbyProcess:
    """Have the fork server make a process that begins with `entry` (`module:function`). Waits for the fork server.

    *Raises:* OSError, EOFError when the fork server cannot be reached, dies, or cannot fork.
    """
    assert ":" in entry, entry
    _check_descriptors()
    with ExitStack() as given_back, ExitStack() as on_failure:
        page = _give_back(given_back, os.memfd_create(PAGE_NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
        os.ftruncate(page, PAGE_BYTES)
        fcntl.fcntl(page, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        stderr, stderr_end = os.pipe2(os.O_CLOEXEC)
        _give_back(given_back, stderr_end)
        _give_back(on_failure, stderr)
        order_end, order = os.pipe2(os.O_CLOEXEC)
        _give_back(given_back, order_end)
        _give_back(on_failure, order)
        os.set_blocking(stderr, False)
        view = mmap.mmap(page, PAGE_BYTES)
        status, data = forkserver.connect_to_new_process([page, stderr_end, order_end])
        _give_back(on_failure, status)
        with open(data, "wb") as pipe:
            # First what the package prepares a process with: nothing.
            pickle.dump({}, pipe)
            pickle.dump(WorkerStart(entry), pipe)
        pid: int = forkserver.read_signed(status)
        failpoint("launcher.started")
        os.set_blocking(status, False)
        # The wait for a fork server that still imports is not this process's.
        standby = StandbyProcess(pid, _pidfd(pid), status, stderr, order, view, now_ns())
        on_failure.pop_all()
        return standby


def _check_descriptors() -> None:
    """Look whether a start finds enough descriptors. *Raises:* OSError when not: the package loses those that it has opened when
    it runs out halfway, and asks the fork server for half a worker.

    They are counted and not tried: opening some to see takes them from a thread of ZeroMQ that accepts a worker's connection at
    this moment, and that ends the whole process.
    """
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The listing's own descriptor is free again, and makes the count one too careful.
    used = sum(int(name) < soft for name in os.listdir("/proc/self/fd"))
    if soft != resource.RLIM_INFINITY and soft - used < DESCRIPTORS_OF_A_START:
        raise OSError(EMFILE, os.strerror(EMFILE))


class StartTask(Struct, frozen=True):
    """Which worker a standby process becomes: of this run, this name and epoch, with this encoded `agent.launch.Launch`."""

    run: str
    child: str
    epoch: int
    order: bytes


def assign(standby: StandbyProcess, task: StartTask, now_ns: int) -> StartedWorker:
    """Tell a standby process which worker it is. Never waits; one that has died meanwhile is a worker that died at once."""
    assert task.order, "an empty order tells the process to end"
    inodes = os.fstat(standby.stderr).st_ino, os.fstat(standby.status).st_ino
    write_certificate(standby.page, Certificate(task.run, task.child, task.epoch, now_ns, *inodes))
    if len(task.order) > PIPE_BYTES:
        fcntl.fcntl(standby.order, fcntl.F_SETPIPE_SZ, len(task.order))
    with suppress(BrokenPipeError):
        os.write(standby.order, task.order)
    os.close(standby.order)
    return StartedWorker(
        task.child, task.epoch, standby.pid, standby.pidfd, standby.status, standby.stderr, standby.page, started_at_ns=now_ns
    )


def has_ended(standby: StandbyProcess) -> bool:
    """Whether it died while it waited."""
    return standby.pidfd < 0 or wait_ended(standby.pidfd, 0)


def discard(standby: StandbyProcess) -> None:
    """Kill a standby process and give everything back. One that waits would end by itself; one that hangs would not."""
    if standby.pidfd >= 0:
        kill(standby.pidfd)
    standby.page.close()
    for descriptor in (standby.pidfd, standby.status, standby.stderr, standby.order):
        if descriptor >= 0:
            os.close(descriptor)


def _give_back(stack: ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _pidfd(pid: int) -> int:
    """The pidfd of a process just started; -1 when it has already ended (its status then says how)."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return -1
