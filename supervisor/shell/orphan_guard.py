"""Keeps the fork server alive for a moment when its supervisor dies, so that the next supervisor can take it over.

Runs in the fork server, before the package's own code. That ends when a pipe, whose other end the supervisor holds, comes
to its end. Here it is given another pipe that never ends, and the real one is watched by signal: at its end a timer is set.
When that has run down and no new supervisor holds the other end, the fork server ends, and its workers with it (the kernel
kills them: PR_SET_PDEATHSIG). A thread could watch too, but threads and forks do not go together.

It is also the process to which the kernel gives orphans of its workers (PR_SET_CHILD_SUBREAPER), so that none is lost.
"""

import errno
import fcntl
import os
import select
import selectors
import signal
import socket
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress

from agent.failpoint import failpoint
from agent.model.self_ending import is_self_ending
from agent.process_mark import set_mark
from supervisor.shell.descendants import become_subreaper, own_children_of
from supervisor.shell.process import name_of

# Children of children of children: each round of kills reparents the next generation to us.
_ROUNDS_MAX = 100
# The kernel ends the pipe of a supervisor that dies before it releases its lock: microseconds, unless it gets no processor.
_LOCK_TRIES = 200
_LOCK_TRY_SECONDS = 0.01
# Only the supervisor calls, and it sends its request in one piece.
CALL_SECONDS_MAX = 1.0
# Sent by the supervisor when the socket at which requests come in was removed; a new worker ignores it by default.
LISTEN_AGAIN = signal.SIGURG
BACKLOG = 128
# Not longer than the name itself, which fits into a socket's address; a start removes what begins like that.
TEMPORARY_NAME = "listener-new"

_fork = os.fork
_alive = -1
_endless_end = -1
_server = 0
_grace_seconds = 0.0
_remains: tuple[str, tuple[str, ...]] = ("", ())
_listener = -1
_listener_path = ""
_is_asked = _is_binding = False
_selector: selectors.BaseSelector | None = None


def arm(listener: int, alive: int, living: int, grace_ns: int, mark: int, lock_path: str, sockets: Sequence[str]) -> None:
    """Watch the pipe `alive` from now on; `grace_ns` is how long the fork server lives on when it ends.

    `living` is a locked file that this process and all that are forked from it keep open: the lock is free when the last of
    them is gone. All descendants bear the `mark`. At the end `sockets` are removed, unless another agent holds the lock at
    `lock_path`. *Raises:* OSError.
    """
    assert grace_ns >= 0, grace_ns
    global _alive, _endless_end, _server, _grace_seconds, _remains, _listener, _listener_path
    _listener = listener
    with socket.socket(fileno=os.dup(listener)) as bound:
        _listener_path = bound.getsockname()
    _remains = (lock_path, tuple(sockets))
    _server = os.getpid()
    # The interval timer counts in microseconds, and 0 would turn it off.
    _grace_seconds = max(grace_ns / 1e9, 1e-6)
    os.set_inheritable(living, False)
    _alive = os.dup(alive)
    endless, _endless_end = os.pipe()
    os.dup2(endless, alive)
    os.close(endless)
    become_subreaper()
    set_mark(mark)
    _let_requests_fail()
    # The package warns of every orphan that it is given.
    warnings.filterwarnings("ignore", message="forkserver: waitpid returned unexpected pid")
    signal.signal(signal.SIGIO, _on_change)
    signal.signal(signal.SIGALRM, _on_alarm)
    signal.signal(LISTEN_AGAIN, _on_listen_again)
    _keep_selector()
    fcntl.fcntl(_alive, fcntl.F_SETOWN, _server)
    fcntl.fcntl(_alive, fcntl.F_SETFL, fcntl.fcntl(_alive, fcntl.F_GETFL) | os.O_ASYNC)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGIO, signal.SIGALRM, LISTEN_AGAIN))
    # It may have ended before we listened.
    _on_change(0, None)


def _let_requests_fail() -> None:
    """Let a request that fails cost only itself: the package would end the server for it, and every worker with it.

    The package's loop goes on after one kind of failure only, ECONNABORTED.
    """
    from multiprocess import reduction

    receive = reduction.recvfds
    request: list[int] = []

    def receive_or_drop(caller: socket.socket, size: int) -> list[int]:
        caller.settimeout(CALL_SECONDS_MAX)
        try:
            request[:] = receive(caller, size)
        except (EOFError, RuntimeError, AssertionError, OSError) as cause:
            raise ConnectionAbortedError(errno.ECONNABORTED, "a caller without a request") from cause
        return list(request)

    def fork_or_drop() -> int:
        try:
            return _fork()
        except OSError as refused:
            # The caller reads their end.
            for descriptor in request:
                os.close(descriptor)
            raise ConnectionAbortedError(errno.ECONNABORTED, refused.strerror) from refused

    reduction.recvfds, os.fork = receive_or_drop, fork_or_drop


def _keep_selector() -> None:
    """Keep a reference to the selector that the package's loop makes for itself."""

    class Kept(selectors.DefaultSelector):
        def __init__(self) -> None:
            global _selector
            super().__init__()
            _selector = self

    selectors.DefaultSelector = Kept  # type: ignore[misc]  # what the package finds there


def _on_listen_again(_number: int, _frame: object) -> None:
    """Bind the socket's name once more, if it is gone, and put the new socket in the place of the old one."""
    global _is_asked, _is_binding
    _is_asked = True
    # Asked again meanwhile, because the name is gone once more: that waits until the new socket is in its place. The signal is
    # not blocked for so long: Python would run the next one while it lets it through, inside of this one, and so on without an end.
    while _is_asked and not _is_binding:
        _is_binding, _is_asked = True, False
        try:
            _listen_again()
        finally:
            _is_binding = False


def _listen_again() -> None:
    if os.getpid() != _server or _selector is None or os.path.lexists(_listener_path):
        return
    # Bound under another name: a caller that finds the name before anybody listens is refused, and counts the server as dead.
    temporary = os.path.join(os.path.dirname(_listener_path), TEMPORARY_NAME)
    # The folder may be gone again: the supervisor looks whether the name is there.
    with suppress(OSError, KeyError):
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(temporary)
            os.chmod(temporary, 0o600)
            listener.listen(BACKLOG)
            os.rename(temporary, _listener_path)
            failpoint("fork_server.named")
            os.dup2(listener.fileno(), _listener, inheritable=False)
        # The kernel has forgotten the old one with its last descriptor.
        waiting = _selector.get_key(_listener).fileobj
        _selector.unregister(waiting)
        _selector.register(waiting, selectors.EVENT_READ)


def forget() -> None:
    """In a new worker: undo all of it."""
    os.fork = _fork
    os.close(_alive)
    os.close(_endless_end)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(LISTEN_AGAIN, signal.SIG_DFL)


def _is_orphaned() -> bool:
    poll = select.poll()
    poll.register(_alive, 0)
    return bool(poll.poll(0))


def _on_change(_number: int, _frame: object) -> None:
    if os.getpid() == _server and _is_orphaned():
        signal.setitimer(signal.ITIMER_REAL, _grace_seconds)


def _on_alarm(_number: int, _frame: object) -> None:
    """No new supervisor came: end everything below this process, then itself."""
    if os.getpid() != _server or not _is_orphaned():
        return
    for _ in range(_ROUNDS_MAX):
        # One that ends by itself may be stuck in the kernel: it would be waited for without end.
        children = [pid for pid in own_children_of(_server) if not is_self_ending(name_of(pid))]
        if not children:
            break
        # They are our children and not yet waited for, so no other process can have their numbers.
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)
    _remove_sockets()
    os._exit(0)


def _remove_sockets() -> None:
    """Remove what the dead supervisor's sockets left in the file system, under its lock: another agent may be starting."""
    lock_path, sockets = _remains
    with suppress(OSError):
        lock = os.open(lock_path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        for _ in range(_LOCK_TRIES):
            if _take(lock):
                for path in sockets:
                    with suppress(FileNotFoundError):
                        os.unlink(path)
                return
            if _names_the_living(lock):
                return
            time.sleep(_LOCK_TRY_SECONDS)


def _take(descriptor: int) -> bool:
    """Take the lock, unless another process holds it; whether it was taken."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _names_the_living(lock: int) -> bool:
    """Whether the holder runs that is noted in the file: the kernel takes the program of a dying one before it closes descriptors.

    *Source:* proc_pid_exe(5), do_exit() of the kernel. *Raises:* OSError: nobody can say.
    """
    pid = os.pread(lock, 32, 0).partition(b"\n")[0]
    try:
        os.readlink(b"/proc/%b/exe" % pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True
