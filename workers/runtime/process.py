"""What a worker process sets once about itself: signals, its name, its tie to its parent's life."""

import ctypes
import os
import resource
import signal
from contextlib import suppress

from agent.model.errors import BusyError
from agent.model.proc_stat import STAT_BYTES_MAX, stat_fields
from agent.prctl import PR_SET_NAME, PR_SET_PDEATHSIG, prctl

_NAME_BYTES_MAX = 15
# Of the fields behind the name. *Source:* proc_pid_stat(5), fields 48 and 49.
_ARG_START, _ARG_END = 45, 46

# Set by the fork server, inherited by its children.
server_pid: int | None = None

_IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE)


def settle() -> None:
    """Set signals as a worker needs them, the death signal, and as many descriptors as the system allows.

    *Raises:* BusyError when the fork server has ended already. *Source:* prctl(2), PR_SET_PDEATHSIG.
    """
    for number in _IGNORED:
        # A terminal's Ctrl-C and a hang-up are the supervisor's to answer; it stops its workers in order.
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # The fork server ends when the supervisor does; with this even a stopped or looping worker ends with it.
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if server_pid is not None and os.getppid() != server_pid:
        raise BusyError("worker", "its fork server has ended meanwhile", "the supervisor starts another")
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def set_name(name: str) -> None:
    """What `ps` and `top` show: `eg:writer` as the name, of which the kernel keeps 15 bytes, and the interpreter with
    `evergauge writer` as the command line, in the place of the fork server's long one."""
    buffer = ctypes.create_string_buffer(f"eg:{name}".encode()[:_NAME_BYTES_MAX])
    prctl(PR_SET_NAME, ctypes.addressof(buffer))
    with suppress(OSError, ValueError, IndexError):
        # Only for the eye: where the kernel does not tell where the arguments lie, they stay as they are.
        _set_arguments(name)


def _set_arguments(name: str) -> None:
    """Write over this process's own copy of its arguments. *Source:* proc_pid_stat(5), arg_start and arg_end."""
    with open("/proc/self/stat", "rb") as stat:
        fields = stat_fields(stat.read(STAT_BYTES_MAX))
    start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
    with open("/proc/self/cmdline", "rb") as command:
        interpreter = command.read(4096).partition(b"\0")[0]
    text = b"\0".join((interpreter, b"evergauge", name.encode()))
    if 0 < len(text) < end - start:
        ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)


def own_pss_bytes() -> int:
    """Proportional memory of this process, 0 where the kernel does not tell; some 100 us. *Source:* proc_pid_smaps(5)."""
    with suppress(OSError), open("/proc/self/smaps_rollup", "rb") as rollup:
        for line in rollup.read(8192).splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return 0
