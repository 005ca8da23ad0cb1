"""Processes that nobody knows below a parent: which are ended, and which were ending anyway."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from fakes.stuck_process import stuck_process
from harness.proc import stat_of
from harness.waiting import wait_until

from supervisor.shell.descendants import children_of
from supervisor.shell.process import is_ending
from supervisor.shell.stray import LEFT_BEHIND, Stray, end_strays

# Its first thread ends, and the other one waits for the end of the input.
HEADLESS = """
import ctypes, sys, threading
threading.Thread(target=sys.stdin.read).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_one_that_nobody_knows_is_killed() -> None:
    """Those that are known are left alone."""
    with subprocess.Popen(["sleep", "60"]) as known, subprocess.Popen(["sleep", "60"]) as unknown:
        others = frozenset(children_of(os.getpid())) - {unknown.pid}
        assert end_strays(os.getpid(), others, wait_ms=10_000) == [Stray(unknown.pid, "sleep", LEFT_BEHIND)]
        assert unknown.wait() == -signal.SIGKILL
        assert known.poll() is None
        assert end_strays(os.getpid(), others) == []
        known.kill()


def test_one_that_is_ending_already_is_told_as_such(tmp_path: Path) -> None:
    """Killed by somebody else a moment ago, and held up on its way: it is met by each look until it is gone."""
    others = frozenset(children_of(os.getpid()))
    with stuck_process(tmp_path / "dead") as stuck:
        assert not is_ending(stuck.pid)
        os.kill(stuck.pid, signal.SIGKILL)
        assert is_ending(stuck.pid)
        others |= set(children_of(os.getpid())) - {stuck.pid}
        for _look in range(2):
            (found,) = end_strays(os.getpid(), others)
            assert (found.pid, found.was_ending) == (stuck.pid, True)
        stuck.release()
        # Its second thread may take longer than the first.
        wait_until(lambda: end_strays(os.getpid(), others) == [], "it is gone")
        assert is_ending(stuck.pid)


def test_one_whose_first_thread_has_ended_is_no_dead_one() -> None:
    """It looks like a zombie and goes on for as long as it likes."""
    with subprocess.Popen([sys.executable, "-c", HEADLESS], stdin=subprocess.PIPE) as headless:
        wait_until(lambda: (stat := stat_of(headless.pid)) is not None and stat.state == "Z", "its first thread has ended")
        others = frozenset(children_of(os.getpid())) - {headless.pid}
        (found,) = end_strays(os.getpid(), others, wait_ms=10_000)
        assert found.pid == headless.pid
        assert headless.wait() == -signal.SIGKILL


def test_one_that_ends_by_itself_is_left_alone() -> None:
    """It may be inside a driver, where killing it freezes a device; its name says so."""
    code = "import ctypes, sys; ctypes.CDLL(None).prctl(15, b'eg~gpu-test', 0, 0, 0); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as asking:
        assert asking.stdout is not None
        asking.stdout.readline()
        others = frozenset(children_of(os.getpid())) - {asking.pid}
        assert end_strays(os.getpid(), others, wait_ms=10) == []
        assert asking.poll() is None
