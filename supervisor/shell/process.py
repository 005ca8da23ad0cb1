"""Processes as the kernel shows them: opened by pid and confirmed, named, killed, waited for.

A pid alone proves nothing: its process may end and the number be given to another. So a process is opened first and checked
afterwards; the descriptor cannot become another process. Nothing here decides who is killed.
"""

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

from agent.model.foreign import readable
from agent.model.proc_stat import STAT_BYTES_MAX, Stat, stat_fields
from agent.process_stat import read_stat

# TASK_COMM_LEN is 16; kernel threads may have longer names.
NAME_BYTES_MAX = 64
# Some sixty lines; the longest names all groups of its user, at most 65,536, and all processors it may use.
STATUS_BYTES_MAX = 1 << 20
# *Source:* linux/sched.h, PF_EXITING.
_EXITING = 0x0000_0004
_KILL_PENDING = 1 << (signal.SIGKILL - 1)


def open_process(pid: int, is_it: Callable[[Stat], bool]) -> int | None:
    """A pidfd of the process with this pid, if `is_it` confirms it.

    *Absent:* the process is gone, is another one, or there is no descriptor left. *Source:* pidfd_open(2), proc_pid_stat(5).
    """
    assert pid > 0, pid
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    stat = _stat_of(pid)
    if stat is not None and is_it(stat):
        return pidfd
    os.close(pidfd)
    return None


def wait_ended(pidfd: int, milliseconds: int) -> bool:
    """Whether the process ended within the time. *Source:* pidfd_open(2): readable from its end on."""
    assert pidfd >= 0
    assert milliseconds >= 0
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(milliseconds))


def kill(pidfd: int) -> bool:
    """Send SIGKILL; whether it could be sent. A process that is gone, or another user's, is not hit."""
    assert pidfd >= 0
    with suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return True
    return False


def is_ending(pid: int) -> bool:
    """Whether the end of a process has begun: it is being taken apart, or was sent SIGKILL. True once it is gone.

    *Source:* proc_pid_stat(5), flags; proc_pid_status(5), ShdPnd: a SIGKILL to the process stays there until it is gone.
    """
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            pending = _line_of(file.read(STATUS_BYTES_MAX), b"ShdPnd:")
        with open(f"/proc/{pid}/stat", "rb") as file:
            flags = stat_fields(file.read(STAT_BYTES_MAX))[6]
    except OSError:
        return True
    return bool(int(pending, 16) & _KILL_PENDING or int(flags) & _EXITING)


def start_ticks_of(pid: int) -> int | None:
    """When the process began. *Units:* clock ticks since boot. *Absent:* it is gone. *Source:* proc_pid_stat(5)."""
    stat = _stat_of(pid)
    return None if stat is None else stat.start_ticks


def state_of(pid: int) -> str | None:
    """The letter of its state. *Absent:* it is gone. *Source:* proc_pid_stat(5)."""
    stat = _stat_of(pid)
    return None if stat is None else stat.state


def name_of(pid: int) -> str:
    """The process's name, safe to print; `?` when it is gone. *Source:* proc_pid_comm(5)."""
    try:
        with open(f"/proc/{pid}/comm", "rb") as comm:
            return readable(comm.read(NAME_BYTES_MAX).rstrip(b"\n"))
    except OSError:
        return "?"


def descriptors_of(pid: int) -> Iterator[tuple[str, str]]:
    """Number and target of each descriptor of a process; none when it is gone or not ours. *Source:* proc_pid_fd(5)."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for name in names:
        with suppress(OSError):
            yield name, os.readlink(f"/proc/{pid}/fd/{name}")


def reopen_pipe(pid: int, inode: int, flags: int) -> int | None:
    """Another end of the pipe with this inode that the process holds, non-blocking.

    *Absent:* the process is gone or holds no such pipe. *Source:* proc_pid_fd(5), pipe(7).
    """
    for descriptor, target in descriptors_of(pid):
        if target == f"pipe:[{inode}]":
            with suppress(OSError):
                return os.open(f"/proc/{pid}/fd/{descriptor}", flags | os.O_NONBLOCK | os.O_CLOEXEC)
    return None


def _stat_of(pid: int) -> Stat | None:
    try:
        return read_stat(f"/proc/{pid}")
    except OSError:
        return None


def _line_of(text: bytes, name: bytes) -> bytes:
    """What a line behind this name says; `0` without such a line."""
    return next((line.removeprefix(name).strip() for line in text.splitlines() if line.startswith(name)), b"0")
