"""agentctl top on terminals that change their size, take nothing, are taken over, or go."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
from pathlib import Path

import pytest
from fakes.live_terminal import DEADLINE_SECONDS, top_line, watching
from fakes.stored_data import batch_of, head_of, process_row, tail_row, write_segment


def tick(at: int, *pids: int, tail: int = 7) -> bytes:
    """The batches of one tick, stamped as they are in a spool."""
    named = batch_of("process", [process_row(at, pid, pod="uid-1") for pid in pids], stamp_wall_ns=at)
    return named + batch_of("process_tail", [tail_row(at, tail)], stamp_wall_ns=at)


@pytest.mark.parametrize(("columns", "lines"), [(20, 5), (1, 1), (8, 3), (220, 60)])
def test_any_size_of_terminal_is_drawn_at_once(columns: int, lines: int, tmp_path: Path) -> None:
    """The size changes under it, and no line is longer than it; the longest pause between two frames plays no part."""
    write_segment(tmp_path, "a", head_of("a") + tick(1, *range(100, 150)))
    with watching(tmp_path, "--interval", "30", environment={"NO_COLOR": "1"}) as terminal:
        terminal.wait_for(r"\x1b\[J")
        terminal.resize(columns=columns, lines=lines)
        terminal.wait_for(r"\x1b\[2J.*\x1b\[J")
        frame = terminal.seen.split("\x1b[2J")[-1].split("\x1b[J")[0].split("\r\n")
        assert len(frame) <= lines
        assert max(len(line.removesuffix("\x1b[K")) for line in frame) <= columns
        os.write(terminal.leader, b"q")
        assert terminal.program.wait(DEADLINE_SECONDS) == 0


def test_a_terminal_that_takes_nothing_keeps_nobody_from_quitting(tmp_path: Path) -> None:
    """Its output is stopped (Ctrl-S): keys are still read, and the program ends within its deadline."""
    path = write_segment(tmp_path, "a", head_of("a") + tick(1, 11))
    with watching(tmp_path) as terminal:
        terminal.wait_for("task-11")
        termios.tcflow(terminal.follower, termios.TCOOFF)
        with path.open("ab") as spool:
            spool.write(tick(2, *range(100, 150)))
        os.write(terminal.leader, b"crq")
        assert terminal.program.wait(DEADLINE_SECONDS) == 0
        assert terminal.local_modes() == terminal.modes_before


def test_a_stop_by_another_program_is_got_over(tmp_path: Path) -> None:
    """SIGSTOP, a shell that changes the terminal, SIGCONT: keys are read one by one again."""
    write_segment(tmp_path, "a", head_of("a") + tick(1, 11))
    with watching(tmp_path) as terminal:
        terminal.wait_for("task-11")
        terminal.program.send_signal(signal.SIGSTOP)
        os.waitpid(terminal.program.pid, os.WUNTRACED)
        modes = termios.tcgetattr(terminal.follower)
        modes[3] |= termios.ICANON | termios.ECHO
        termios.tcsetattr(terminal.follower, termios.TCSANOW, modes)
        terminal.program.send_signal(signal.SIGCONT)
        terminal.wait_for(r"\x1b\[2J.*task-11")
        os.write(terminal.leader, b"q")
        assert terminal.program.wait(DEADLINE_SECONDS) == 0


def test_a_terminal_that_goes_ends_it_without_a_word(tmp_path: Path) -> None:
    """Its window is closed, or ssh loses its connection: the signal's exit code, nothing on standard error."""
    write_segment(tmp_path, "a", head_of("a") + tick(1, 11))
    leader, follower = pty.openpty()
    program = subprocess.Popen(
        top_line(tmp_path),
        stdin=follower,
        stdout=follower,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        env={**os.environ, "TERM": "xterm"},
    )
    try:
        with program:
            os.close(follower)
            seen = b""
            while b"task-11" not in seen:
                assert select.select([leader], [], [], DEADLINE_SECONDS)[0]
                seen += os.read(leader, 65536)
            os.close(leader)
            leader = -1
            assert program.wait(DEADLINE_SECONDS) == 129
            assert program.stderr is not None
            assert program.stderr.read() == b""
    finally:
        program.kill()
        if leader >= 0:
            os.close(leader)
