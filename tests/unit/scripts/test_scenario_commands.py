"""Scenarios that are programs: the exit code is the verdict, a kept result counts for the sources that it is of."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts/bench"))
sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from scenarios.command_run import last_tests, run_step
from scenarios.definition import CommandStep
from scenarios.shapes import HOST
from verification.sources import source_digest
from verification.test_record import RecordedTests, write_record


def _step(*words: str, seconds: float = 20.0) -> CommandStep:
    return CommandStep("a step", words, "G-9", tests=False, seconds=seconds)


@pytest.mark.parametrize(
    ("step", "is_good", "evidence"),
    [
        (_step("sh", "-c", "echo fine"), True, "exit code 0: fine"),
        (_step("sh", "-c", "echo bad >&2; exit 3"), False, "exit code 3: bad"),
        (_step("sh", "-c", "sleep 60 & wait", seconds=0.2), False, "not ended after 0.2 s"),
    ],
)
def test_the_exit_code_is_the_verdict(step: CommandStep, is_good: bool, evidence: str) -> None:
    """The last lines are the evidence; what takes too long is ended with all that it started."""
    found = run_step(step, HOST, lambda _text: None)
    assert (found.is_good, found.goal, evidence in found.evidence) == (is_good, "G-9", True), found.evidence


def _checkout(folder: Path) -> Path:
    for name in ("pyproject.toml", "setup.cfg", "agent/a.py"):
        path = folder / "checkout" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("")
        os.utime(path, (1_000, 1_000))
    return folder / "checkout"


@pytest.mark.parametrize(
    ("code", "is_known", "is_good", "evidence"),
    [(0, True, True, "exit code 0"), (1, True, False, "exit code 1"), (0, False, False, "was changed last: scripts/test")],
)
def test_a_kept_result_counts_for_its_own_sources(tmp_path: Path, code: int, is_known: bool, is_good: bool, evidence: str) -> None:
    """A failure stays one, and a change of any source makes it void."""
    checkout, kept = _checkout(tmp_path), tmp_path / "tests.json"
    write_record(RecordedTests(2_000, 1, code, "abc", source_digest(checkout) if is_known else "another"), kept)
    found, words = last_tests(checkout, kept)
    assert (found, evidence in words) == (is_good, True), words


def test_without_a_kept_result_nothing_is_proven(tmp_path: Path) -> None:
    """And the remedy is named; as with one that a disk has damaged."""
    kept = tmp_path / "tests.json"
    assert last_tests(_checkout(tmp_path), kept) == (False, "no whole run is kept: scripts/test")
    kept.write_text("{")
    assert "is damaged" in last_tests(tmp_path / "checkout", kept)[1]


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    """So that nobody has to look for it."""
    checkout, kept = _checkout(tmp_path), tmp_path / "tests.json"
    write_record(RecordedTests(2_000, 1, 0, "abc", source_digest(checkout)), kept)
    (checkout / "agent/a.py").write_text("new")
    assert "agent/a.py" in last_tests(checkout, kept)[1]
