"""A short child process whose answer is waited for in the loop, and only for a bounded time.

For looks at the host that may never return: a mount whose server does not answer blocks every process that touches it, and
not even SIGKILL ends that. A blocked thread would keep the whole process from ending; a blocked child keeps only itself.
"""

import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from agent import multiprocess_bootstrap
from supervisor.shell.poller import Register

ANSWER_BYTES_MAX = 1 << 20
READ_BYTES = 64 << 10

# Called once with what the child wrote. *Absent:* it did not end in time.
OnAnswer = Callable[[bytes | None], None]


class ShortChild:
    """One child: `code` runs in an interpreter of its own, with `order` as its standard input, and its standard output is the
    answer. It is a child like any other of this process, and is waited for with the others (`StraySweeper.reap`)."""

    def __init__(self, code: str, order: bytes, *, register: Register, until_ns: int, on_answer: OnAnswer) -> None:
        self._register = register
        self._on_answer = on_answer
        self._answer = bytearray()
        self.deadline_ns: int | None = until_ns
        self._output, self._pidfd = _start(code, order)
        register(self._output, select.EPOLLIN, self._on_output)

    def turn(self, now_ns: int) -> None:
        """Give up when the time is over."""
        if self.deadline_ns is not None and self.deadline_ns <= now_ns:
            self._finish(None)

    def close(self) -> None:
        """Give up now."""
        if self.deadline_ns is not None:
            self._finish(None)

    def _on_output(self, _mask: int) -> None:
        data = os.read(self._output, READ_BYTES)
        self._answer += data
        if not data or len(self._answer) > ANSWER_BYTES_MAX:
            self._finish(bytes(self._answer))

    def _finish(self, answer: bytes | None) -> None:
        self.deadline_ns = None
        self._register(self._output, 0, None)
        # What it still does is of no use; one that has ended already is not hit.
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        os.close(self._output)
        os.close(self._pidfd)
        self._on_answer(answer)


def _start(code: str, order: bytes) -> tuple[int, int]:
    """The read end of its standard output, and the process. *Raises:* OSError."""
    given = os.memfd_create("evergauge-order", os.MFD_CLOEXEC)
    output, output_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(given, order, 0)
        # The child may wait for room in the pipe; its parent must not wait for the child.
        os.set_blocking(output_end, True)
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", multiprocess_bootstrap.prologue(sys.path) + code],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, given, 0), (os.POSIX_SPAWN_DUP2, output_end, 1), (os.POSIX_SPAWN_DUP2, nothing, 2)],
            # Ctrl-C in the terminal is for the agent.
            setpgroup=0,
        )
        return output, os.pidfd_open(pid)
    except OSError:
        os.close(output)
        raise
    finally:
        for descriptor in (given, output_end, nothing):
            os.close(descriptor)
