"""A thread whose bug is its process's death."""

import subprocess
import sys
import threading

import pytest

from agent.model.errors import ExitCode
from workers.framework.vital_thread import VitalThread


def test_a_thread_that_ends_by_itself_ends_nothing_else() -> None:
    """That is its regular end."""
    deaths: list[str] = []
    thread = VitalThread("t", lambda: None, lambda: deaths.append("t"))
    thread.start()

    assert thread.join(10)
    assert deaths == []


def test_one_that_was_never_started_is_over() -> None:
    """There is nothing to wait for."""
    assert VitalThread("t", lambda: None).join(10)


def test_one_that_hangs_is_waited_for_briefly() -> None:
    """Its process ends with it."""
    release = threading.Event()

    def hang() -> None:
        release.wait(10)

    thread = VitalThread("t", hang)
    thread.start()

    assert not thread.join(0.01)
    release.set()
    assert thread.join(10)


def test_a_bug_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    """With its traceback, before the end."""

    def fail() -> None:
        raise ZeroDivisionError("a bug of the test")

    died = threading.Event()
    VitalThread("t", fail, died.set).start()

    assert died.wait(10)
    assert "a bug of the test" in capfd.readouterr().err


def test_the_process_ends_with_the_code_of_a_bug() -> None:
    """At once, whatever its main thread does, and with the traceback on stderr."""
    program = (
        "from workers.framework.vital_thread import VitalThread\n"
        "import threading\n"
        "VitalThread('t', lambda: 1 / 0).start()\n"
        "threading.Event().wait(30)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, timeout=30)

    assert done.returncode == ExitCode.BUG
    assert b"ZeroDivisionError" in done.stderr
