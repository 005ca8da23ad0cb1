"""Reads the line of one process that is looked at once; the process sampler and the supervisor's statistics keep it open."""

import os

from agent.model.proc_stat import STAT_BYTES_MAX, Stat, parse_stat


def read_stat(folder: str) -> Stat:
    """The fields of `/proc/PID`, given as that folder. It never waits, whatever lies under that name.

    *Raises:* OSError when the process is gone or hidden, KernelFormatError. *Source:* proc_pid_stat(5).
    """
    descriptor = os.open(os.path.join(folder, "stat"), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return parse_stat(os.read(descriptor, STAT_BYTES_MAX))
    finally:
        os.close(descriptor)
