"""A point is met once, by the process that it is meant for, and in the way that was ordered."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from agent.failpoint import failpoint, name_process
name_process(sys.argv[1])
try:
    failpoint("a.point")
    print("passed")
    failpoint("a.point")
    print("passed again")
except OSError as error:
    print(error.errno, error.strerror)
"""


def _pass(folder: Path | None, *, process: str = "sampler/x", seconds: float = 20) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "EVERGAUGE_FAILPOINTS"}
    if folder is not None:
        environment["EVERGAUGE_FAILPOINTS"] = str(folder)
    command = [sys.executable, "-c", PROGRAM, process]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=seconds, check=False)


@pytest.mark.parametrize(
    ("order", "code", "said"),
    [
        ("kill", -signal.SIGKILL, ""),
        ("signal 11", -signal.SIGSEGV, ""),
        ("exit 7", 7, ""),
        ("error ENOSPC", 0, "28 failpoint a.point\n"),
    ],
)
def test_an_order_is_carried_out_and_taken_away(tmp_path: Path, order: str, code: int, said: str) -> None:
    """Whatever it does to the process, the file is gone before."""
    (tmp_path / "a.point").write_text(order)
    ended = _pass(tmp_path)
    assert (ended.returncode, ended.stdout) == (code, said)
    assert list(tmp_path.iterdir()) == []


def test_a_point_for_another_process_is_passed(tmp_path: Path) -> None:
    """Its file stays for the one that it names."""
    (tmp_path / "a.point@writer").write_text("exit 7")
    assert _pass(tmp_path).stdout == "passed\npassed again\n"
    assert _pass(tmp_path, process="writer").returncode == 7


def test_an_order_that_is_still_being_written_is_none(tmp_path: Path) -> None:
    """A test makes the file and then writes into it; a process may pass between the two."""
    (tmp_path / "a.point").touch()
    assert _pass(tmp_path).stdout == "passed\npassed again\n"
    assert (tmp_path / "a.point").exists()


def test_a_hang_holds_the_interpreter(tmp_path: Path) -> None:
    """It burns processor time until somebody ends it."""
    (tmp_path / "a.point").write_text("hang")
    with pytest.raises(subprocess.TimeoutExpired):
        _pass(tmp_path, seconds=1.0)


def test_an_order_that_nobody_knows_is_a_bug_of_the_test(tmp_path: Path) -> None:
    """It ends the process with a traceback instead of being overlooked."""
    (tmp_path / "a.point").write_text("dance")
    assert "does not know ['dance']" in _pass(tmp_path).stderr


def test_without_the_variable_no_point_is_met(tmp_path: Path) -> None:
    """Not even one whose file lies in the present folder."""
    (tmp_path / "a.point").write_text("kill")
    assert _pass(None).stdout == "passed\npassed again\n"
