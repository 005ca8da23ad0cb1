"""Answers a yes-or-no question in a child process, because asking the kernel may never return: then only the child waits."""

import os
import select
import signal
from collections.abc import Callable

_YES, _NO = 0, 1


def check_in_child(question: Callable[[], bool], *, seconds: float) -> bool | None:
    """The answer that a forked child finds within `seconds`. The calling process must have no other threads.

    *Absent:* None when the child gave no answer in time, or failed. *Raises:* OSError when no process can be made.
    *Source:* pidfd_open(2), wait(2).
    """
    child = os.fork()
    if child == 0:
        code = 2
        try:
            code = _YES if question() else _NO
        finally:
            # The child must never return into the parent's code, whatever the question raises.
            os._exit(code)
    pidfd = os.pidfd_open(child)
    try:
        waiting = select.poll()
        waiting.register(pidfd, select.POLLIN)
        if not waiting.poll(seconds * 1000):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            # A child that is stuck in the kernel stays until its mount is gone; the next wait for all children reaps it.
            waiting.poll(100)
            os.waitpid(child, os.WNOHANG)
            return None
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return None if code not in (_YES, _NO) else code == _YES
    finally:
        os.close(pidfd)
