"""The lock on `<state>/living`: held as long as any process lives that may write into the state folder.

A fork server inherits the locked file and hands it to each worker, so the kernel releases the lock with the last of them.
"""

import fcntl
import os
import time
from contextlib import suppress

from agent.model.timebase import S

LIVING_NAME = "living"
# What is killed is gone in microseconds, unless it waits inside the kernel; that is not waited for.
KILLED_SECONDS_MAX = 1.0
# A fork server that no takeover record names, because its supervisor died first, ends by itself behind its grace.
GRACE_SECONDS_MAX = 10.0
_POLL_SECONDS = 0.002


def hold_living_lock(path: str) -> int:
    """A descriptor of the locked file, for a new fork server to inherit. *Raises:* OSError.

    Shared: a fork server may follow another one whose last worker is still dying.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def wait_all_gone(path: str, grace_ns: int) -> bool:
    """Wait until no process holds the lock any more, at most a second longer than the grace (of which ten seconds count at most);
    whether that came true. *Raises:* OSError.

    A killed process takes its time on a busy machine, and releases the lock only when it is gone.
    """
    seconds = KILLED_SECONDS_MAX + min(grace_ns / S, GRACE_SECONDS_MAX)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    try:
        for _ in range(int(seconds / _POLL_SECONDS)):
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(_POLL_SECONDS)
        return False
    finally:
        os.close(descriptor)
