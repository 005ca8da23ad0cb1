"""An engine in a child process, which runs in the environment of scripts/lab/engines.

    with ChildEngine.start("chdb", folder) as engine:
        engine.run("SELECT 1")          # [[1]]

One line of JSON goes in for each statement, and one comes back. A test is skipped where that environment is not made.
"""

import json
import os
import select
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

import pytest
from harness.engines.query_engine import StatementRefused
from harness.waiting import DEADLINE_SECONDS, SLOWNESS

SCRIPT = Path(__file__).parents[3] / "scripts" / "lab" / "engines"
Engine = Literal["chdb", "spark"]
# sysexits.h, EX_UNAVAILABLE: as the script ends where the environment is not made.
_NOT_MADE = 69
# Spark's first statement takes seconds on an idle machine.
_ANSWER_SECONDS = 120 * SLOWNESS
# The kernel kills the child when the thread that started it ends, however that comes.
_MORTAL = ("setpriv", "--pdeathsig", "KILL", "--")


@cache
def _found() -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, "find"], capture_output=True, text=True, check=False)


def engines_python() -> Path:
    """The interpreter of that environment. Skips the test where it is not made."""
    found = _found()
    if found.returncode == _NOT_MADE:
        pytest.skip(found.stderr.strip())
    assert found.returncode == 0, found.stderr
    return Path(found.stdout.strip()) / "bin" / "python"


class ChildEngine:
    """A running child. Use it as a context: leaving it ends the child."""

    def __init__(self, name: Engine, process: "subprocess.Popen[str]", log: Path) -> None:
        self.name: str = name
        self._process = process
        self._log = log

    @classmethod
    def start(cls, name: Engine, folder: Path, **environment: str) -> "ChildEngine":
        """Start a child, which keeps what it needs in the folder; it may still be starting when this comes back."""
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"{name}.log"
        words = [*_MORTAL, str(engines_python()), str(Path(__file__).with_name(f"{name}_child.py")), str(folder)]
        with log.open("w") as errors:
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=folder,
                env={**_inherited(), **environment},
            )
        return cls(name, process, log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_rest: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child: it goes at the end of its input."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(DEADLINE_SECONDS)
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        """The process of the child."""
        return self._process.pid

    def run(self, statement: str) -> list[list[Any]]:
        """The rows of an answer. *Raises:* StatementRefused."""
        rows: list[list[Any]] = self._ask({"sql": statement})["rows"]
        return rows

    def run_python(self, program: str) -> None:
        """Run a few lines of Python in the child; Spark's session is `spark` there. *Raises:* StatementRefused."""
        self._ask({"python": program})

    def _ask(self, request: Mapping[str, str]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as cause:
            raise StatementRefused(f"{self.name} has ended:\n{self._log.read_text()[-4000:]}") from cause
        ready, _, _ = select.select([self._process.stdout], [], [], _ANSWER_SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            raise StatementRefused(f"{self.name} gave no answer:\n{self._log.read_text()[-4000:]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise StatementRefused(f"{self.name}: {answer['error']}\n{next(iter(request.values()))}")
        return answer


def _inherited() -> dict[str, str]:
    """The variables of a child: none that would lead its Python to modules of this environment."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "COV_"))}
