"""`agentctl top` on a pseudo terminal."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEADLINE_SECONDS = 30.0
# Well within the time that `agentctl top` waits for the rest of a sequence (`_SEQUENCE_SECONDS` of `top_screen.py`).
PIECES_SECONDS_MAX = 0.02


class Terminal:
    """A pseudo terminal with `agentctl top` in it, and everything that it wrote."""

    def __init__(self, leader: int, follower: int, program: "subprocess.Popen[bytes]", modes_before: int) -> None:
        self.leader = leader
        self.follower = follower
        self.program = program
        self.seen = ""
        self.modes_before = modes_before
        """Echo, line editing and similar modes before the program began."""

    def wait_for(self, pattern: str) -> None:
        """Read until the pattern is there, from what was not read before."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        fresh = ""
        while re.search(pattern, fresh, re.DOTALL) is None:
            ready, _, _ = select.select([self.leader], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{pattern!r} did not come, but {fresh[-2000:]!r}"
            fresh += os.read(self.leader, 65536).decode(errors="replace")
        self.seen += fresh

    def type_in_pieces(self, *pieces: bytes) -> bool:
        """Type pieces one after the other; whether they came as fast as those of one key do.

        A test that had to wait for a processor between two of them has typed something else: the key Esc, or half a letter.
        """
        began = time.monotonic()
        for piece in pieces:
            os.write(self.leader, piece)
        return time.monotonic() - began < PIECES_SECONDS_MAX

    def resize(self, *, columns: int, lines: int) -> None:
        """Another size, which the kernel tells the program."""
        fcntl.ioctl(self.leader, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def local_modes(self) -> int:
        """Echo, line editing and similar modes."""
        return local_modes_of(self.follower)


def local_modes_of(terminal: int) -> int:
    """Echo, line editing and similar modes."""
    return int(termios.tcgetattr(terminal)[3])


def top_line(state: Path, *words: str) -> list[str]:
    """The command `agentctl top` with these words, drawn ten times a second."""
    folders = ["--state-dir", str(state), "--runtime-dir", str(state)]
    return [sys.executable, "-m", "agent.cli.main", "top", "--interval", "0.1", *words, *folders]


@contextmanager
def watching(state: Path, *words: str, kind: str = "xterm", environment: dict[str, str] | None = None) -> Iterator[Terminal]:
    """`agentctl top` with these words on a terminal of this kind; it is ended with the block."""
    with on_terminal(top_line(state, *words), kind=kind, environment=environment) as terminal:
        yield terminal


@contextmanager
def on_terminal(line: list[str], *, kind: str = "xterm", environment: dict[str, str] | None = None) -> Iterator[Terminal]:
    """A program on a terminal of 80 x 24; it is ended with the block."""
    leader, follower = pty.openpty()
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    modes_before = local_modes_of(follower)
    # A session of its own, so that the terminal is its controlling one and Ctrl-C reaches it.
    program = subprocess.Popen(
        line,
        stdin=follower,
        stdout=follower,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        env={**os.environ, "TERM": kind, **(environment or {})},
    )
    try:
        with program:
            try:
                yield Terminal(leader, follower, program, modes_before)
            finally:
                program.kill()
    finally:
        os.close(leader)
        os.close(follower)
