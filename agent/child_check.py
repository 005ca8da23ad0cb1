"""A yes-or-no question to a child process, for what may never answer: only the child waits for it."""

import os
import select
import signal
from collections.abc import Callable

_YES, _NO = 0, 1


def check_in_child(question: Callable[[], bool], *, seconds: float) -> bool | None:
    """The answer of a forked child; None: it did not answer in time, or could not. For a process without other threads.

    *Raises:* OSError when there is no process to be had.
    """
    child = os.fork()
    if child == 0:
        code = 2
        try:
            code = _YES if question() else _NO
        finally:
            # Whatever happens, the child does not go on as its parent.
            os._exit(code)
    pidfd = os.pidfd_open(child)
    try:
        waiting = select.poll()
        waiting.register(pidfd, select.POLLIN)
        if not waiting.poll(seconds * 1000):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            # One that is stuck in the kernel stays until its mount is gone; the next wait for all children takes it then.
            waiting.poll(100)
            os.waitpid(child, os.WNOHANG)
            return None
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return None if code not in (_YES, _NO) else code == _YES
    finally:
        os.close(pidfd)
