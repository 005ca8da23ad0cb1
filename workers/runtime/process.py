"""What a worker process sets once about itself: signals, its name, its tie to its parent's life."""

import ctypes
import os
import resource
import signal

from agent.model.errors import BusyError

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_NAME_BYTES_MAX = 15

# Set by the fork server, inherited by its children.
server_pid: int | None = None

_LIBC = ctypes.CDLL(None, use_errno=True)
_IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE)


def settle() -> None:
    """Signals as a worker needs them, the death signal, as many descriptors as the system allows."""
    for number in _IGNORED:
        # A terminal's Ctrl-C and a hang-up are the supervisor's to answer; it stops its workers in order.
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # The fork server ends when the supervisor does; with this even a stopped or looping worker ends with it.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if server_pid is not None and os.getppid() != server_pid:
        raise BusyError("worker", "its fork server has ended meanwhile", "the supervisor starts another")
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def set_name(name: str) -> None:
    """What `ps` and `top` show: the kernel keeps 15 bytes."""
    buffer = ctypes.create_string_buffer(name.encode()[:_NAME_BYTES_MAX])
    _prctl(_PR_SET_NAME, ctypes.addressof(buffer))


def _prctl(option: int, value: int) -> None:
    if _LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), f"prctl({option})")
