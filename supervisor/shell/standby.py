"""StandbyProcess workers: processes that the fork server has made and that wait to be told which worker they are.

One that waits already when another worker dies takes its place within a millisecond: everything that does not depend on
which worker it is lies behind it.
"""

import fcntl
import mmap
import os
import pickle
import resource
from contextlib import ExitStack, suppress
from errno import EMFILE

import msgspec
from msgspec import Struct

from agent import multiprocess_bootstrap  # noqa: F401  before multiprocess
from agent.failpoint import failpoint
from agent.model.heartbeat_page import CERTIFICATE_LENGTH, CERTIFICATE_OFFSET, PAGE_BYTES, WAITING_OFFSET
from supervisor.shell.takeover import PAGE_NAME, Certificate, Started, kill, wait_ended
from supervisor.shell.worker_start import WorkerStart

from multiprocess import forkserver  # isort: skip

# A page and its mapping, three pipes, a connection, the package's two pipes, and two for whoever else needs one meanwhile.
DESCRIPTORS_OF_A_START = 13
# pipe(7): what a pipe holds without being asked to hold more.
PIPE_BYTES = 64 << 10


class StandbyProcess(Struct, frozen=True):
    """A process without a name, born at this instant (monotonic): `order` is where its launch order is written, the others
    are as in `Started`."""

    pid: int
    pidfd: int
    status: int
    words: int
    order: int
    page: mmap.mmap
    born_at_ns: int

    @property
    def is_waiting(self) -> bool:
        """Whether it has come to the place where it waits for its order."""
        return self.page[WAITING_OFFSET] == 1


def bear(entry: str, now_ns: int) -> StandbyProcess:
    """Have the fork server make a process; it begins with `entry` (`module:function`). Waits for the fork server.

    *Raises:* OSError, EOFError when the fork server cannot be reached or dies.
    """
    _assure_descriptors()
    with ExitStack() as given_back, ExitStack() as on_failure:
        page = _give_back(given_back, os.memfd_create(PAGE_NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
        os.ftruncate(page, PAGE_BYTES)
        fcntl.fcntl(page, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        words, stderr_end = os.pipe2(os.O_CLOEXEC)
        _give_back(given_back, stderr_end)
        _give_back(on_failure, words)
        order_end, order = os.pipe2(os.O_CLOEXEC)
        _give_back(given_back, order_end)
        _give_back(on_failure, order)
        os.set_blocking(words, False)
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
        standby = StandbyProcess(pid, _pidfd(pid), status, words, order, view, now_ns)
        on_failure.pop_all()
        return standby


def _assure_descriptors() -> None:
    """*Raises:* OSError when there are not as many descriptors left as a start needs: the package loses those that it has
    opened when it runs out halfway, and asks the fork server for half a worker.

    They are counted and not tried: who opens them to see takes them from a thread of ZeroMQ that accepts a worker's connection
    at this moment, and that ends the whole process.
    """
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The listing's own descriptor is free again, and makes the count one too careful.
    used = sum(int(name) < soft for name in os.listdir("/proc/self/fd"))
    if soft != resource.RLIM_INFINITY and soft - used < DESCRIPTORS_OF_A_START:
        raise OSError(EMFILE, os.strerror(EMFILE))


def employ(standby: StandbyProcess, run: str, child: str, epoch: int, order: bytes, now_ns: int) -> Started:
    """Tell a standby which worker it is. Never waits; one that has died meanwhile is a worker that died at once."""
    inodes = os.fstat(standby.words).st_ino, os.fstat(standby.status).st_ino
    _certify(standby.page, Certificate(run, child, epoch, now_ns, *inodes))
    if len(order) > PIPE_BYTES:
        fcntl.fcntl(standby.order, fcntl.F_SETPIPE_SZ, len(order))
    with suppress(BrokenPipeError):
        os.write(standby.order, order)
    os.close(standby.order)
    return Started(child, epoch, standby.pid, standby.pidfd, standby.status, standby.words, standby.page, now_ns)


def has_ended(standby: StandbyProcess) -> bool:
    """Whether it has died while it waited."""
    return standby.pidfd < 0 or wait_ended(standby.pidfd, 0)


def give_up(standby: StandbyProcess) -> None:
    """Let go of a standby. One that waits would end by itself; one that hangs would not."""
    if standby.pidfd >= 0:
        kill(standby.pidfd)
    standby.page.close()
    for descriptor in (standby.pidfd, standby.status, standby.words, standby.order):
        if descriptor >= 0:
            os.close(descriptor)


def _certify(page: mmap.mmap, certificate: Certificate) -> None:
    """Write into a page whose it is; the length comes last, so that a half-written certificate is none."""
    data = msgspec.msgpack.encode(certificate)
    at = CERTIFICATE_OFFSET + CERTIFICATE_LENGTH.size
    page[at : at + len(data)] = data
    CERTIFICATE_LENGTH.pack_into(page, CERTIFICATE_OFFSET, len(data))


def _give_back(stack: ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _pidfd(pid: int) -> int:
    """The descriptor of a process just started; -1 when it has already ended (its status then says how)."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return -1
