"""A real agent whose output goes where nobody reads: a pipe that is full, a terminal that was stopped."""

import fcntl
import os
import pty
import subprocess
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from harness.agent_process import _STARTED, AgentProcess
from harness.waiting import wait_until


class MuteAgent(AgentProcess):
    """Its output goes to `stream`; with `is_terminal` that is its controlling terminal."""

    stream = -1
    is_terminal = False

    def start(self, *more: str, ready: bool = True) -> None:
        """Start and (by default) wait until it is ready."""
        stream, is_terminal = self.stream, self.is_terminal
        self.process = subprocess.Popen(
            self.command_line(*more),
            stdin=stream if is_terminal else subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            text=True,
            start_new_session=True,
            env=self._environment(),
            preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if is_terminal else None,
        )
        _STARTED.add(self)
        if ready:
            wait_until(self.is_ready, "the agent is ready")
            self.note_processes()

    @property
    def output(self) -> str:
        """Nobody has read it."""
        return "(not read)"


@contextmanager
def full_pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe that takes nothing more."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write, b"." * 4096)
    os.set_blocking(write, True)
    try:
        yield read, write
    finally:
        os.close(read)
        os.close(write)


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Leader and follower of a pseudo terminal."""
    leader, follower = pty.openpty()
    tty.setraw(follower)
    try:
        yield leader, follower
    finally:
        os.close(leader)
        os.close(follower)


def read_all(descriptor: int) -> str:
    """What is there now."""
    os.set_blocking(descriptor, False)
    taken = b""
    with suppress(BlockingIOError):
        while data := os.read(descriptor, 1 << 16):
            taken += data
    return taken.decode(errors="replace")
