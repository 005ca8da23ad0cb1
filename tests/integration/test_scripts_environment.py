"""Ctrl-C while scripts/run makes the environment, and in the first moments of the programs."""

import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from harness.waiting import wait_until

ROOT = Path(__file__).parents[2]
# Stands for the interpreter that makes the environment and for pip: it says that it is at it, and hates to be interrupted.
PYTHON = """#!/usr/bin/env bash
case "$*" in
    *"import "*) exit 0 ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip --version") exit 1 ;;
    "-m pip install "*)
        trap 'echo Traceback >&2; exit 1' INT
        echo $$ >"$AT_WORK"
        while :; do sleep 0.05; done
        ;;
esac
"""

SENTENCES = [
    "evergauge: setting up .venv (once, about a minute)",
    "evergauge: interrupted while setting up .venv; the next start begins it again",
]


def _has_ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("number", "whole_group", "code"),
    [(signal.SIGINT, True, 130), (signal.SIGTERM, False, 143), (signal.SIGHUP, False, 129)],
)
def test_an_interrupted_set_up_ends_with_one_sentence_and_is_begun_again(
    number: signal.Signals, whole_group: bool, code: int, tmp_path: Path
) -> None:
    """As a terminal sends it, to all in the foreground, or somebody else to the script alone: nothing of it goes on."""
    checkout, at_work = tmp_path / "checkout", tmp_path / "at-work"
    environment = _prepare(tmp_path, checkout, at_work)
    for _ in range(2 if whole_group else 1):
        with _started(checkout, environment) as run:
            wait_until(lambda: at_work.exists() and at_work.read_text().strip(), "pip is at work")
            if whole_group:
                os.killpg(run.pid, number)
            else:
                run.send_signal(number)
            _, told = run.communicate(timeout=50)
        assert (run.returncode, told.splitlines()) == (code, SENTENCES)
        pip = int(at_work.read_text())
        wait_until(partial(_has_ended, pip), "pip has ended")
        assert (checkout / ".venv" / "evergauge.unfinished").exists()
        at_work.unlink()


def test_an_interrupt_just_after_the_start_of_a_part_ends_that_part(tmp_path: Path) -> None:
    """The signal comes when pip, the second part, runs and the script has not yet noted which process it is."""
    checkout, at_work = tmp_path / "checkout", tmp_path / "at-work"
    moment = tmp_path / "moment"
    moment.write_text("parts=0; trap '[[ $BASH_COMMAND != group=* ]] || ((++parts < 2)) || kill -HUP $$' DEBUG; set -o functrace\n")
    with _started(checkout, _prepare(tmp_path, checkout, at_work) | {"BASH_ENV": str(moment)}) as run:
        _, told = run.communicate(timeout=50)
    assert (run.returncode, told.splitlines()) == (129, SENTENCES)


def _prepare(folder: Path, checkout: Path, at_work: Path) -> dict[str, str]:
    """A checkout with the scripts alone, and the environment in which the stand-in sets it up."""
    (checkout / "scripts").mkdir(parents=True)
    for name in ("run", "environment"):
        shutil.copy(ROOT / "scripts" / name, checkout / "scripts" / name)
    (checkout / "pyproject.toml").write_text("")
    python = folder / "python3.12"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return {**os.environ, "PYTHON": str(python), "AT_WORK": str(at_work)}


def _started(checkout: Path, environment: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [checkout / "scripts" / "run"],
        env=environment,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


HELD_BACK = """
import os, signal, sys, threading
sys.argv = ["/x/bin/{program}", "--help"]
sys.path.insert(0, {root!r})
import evergauge
{moment}
os.kill(os.getpid(), signal.SIGINT)
print("goes on")
"""


@pytest.mark.parametrize("program", ["agentctl", "agentd"])
def test_ctrl_c_while_a_program_imports_prints_nothing(program: str) -> None:
    """It ends as the shell knows it, not with the stack of an import."""
    code = HELD_BACK.format(program=program, root=str(ROOT), moment="")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_where_ctrl_c_is_ignored_it_stays_so() -> None:
    """`nohup`, and what a script starts in the background."""
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)" + HELD_BACK.format(
        program="agentctl", root=str(ROOT), moment=""
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "goes on\n", "")


def test_once_a_program_listens_ctrl_c_is_its_own() -> None:
    """agentctl stops cleanly, with exit code 130."""
    code = HELD_BACK.format(program="agentctl", root=str(ROOT), moment="evergauge._hear_interrupts()")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert "KeyboardInterrupt" in ended.stderr
