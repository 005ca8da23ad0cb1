"""The mark by which a descendant of a fork server is known."""

import os
import subprocess
import sys

from agent.process_mark import has_mark
from supervisor.shell.descendants import mark_of_run

MARK = mark_of_run("0123456789abcdef")


def test_a_run_has_one_mark_and_another_run_another() -> None:
    """The same after a takeover, which keeps the run."""
    assert mark_of_run("0123456789abcdef") == MARK
    assert mark_of_run("0123456789abcdee") != MARK


def test_the_mark_is_handed_on_through_fork_session_and_program() -> None:
    """Whatever a descendant does; nobody else bears it, and a process that has gone does not."""
    script = f"import os; from agent.process_mark import set_mark; set_mark({MARK}); os.setsid(); os.execvp('cat', ['cat'])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"here\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"here\n"
        assert has_mark(child.pid, MARK)
        assert not has_mark(child.pid, MARK + 1)
        child.stdin.close()
        child.wait()
        assert not has_mark(child.pid, MARK)
    assert not has_mark(os.getpid(), MARK)


def test_a_limit_that_may_not_be_so_high_leaves_the_process_unmarked() -> None:
    """Then nobody is taken for ours, and nobody killed."""
    limit = "resource.setrlimit(process_mark.RLIMIT_LOCKS, (7, 7))"
    script = f"import resource; from agent import process_mark; {limit}; process_mark.set_mark({MARK})"
    subprocess.run([sys.executable, "-c", script], check=True)
