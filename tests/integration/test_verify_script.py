"""scripts/verify as a person runs it: lines, exit codes, wrong words; and what it reads of earlier runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.waiting import SLOWNESS

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts/bench"))
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from scenarios.judgement import Judgement, ScenarioResult
from verification.scenario_record import keep_results, read_scenario_record
from verification.sources import source_digest
from verification.test_record import RecordedTests, write_record

ROOT = Path(__file__).parents[2]
PATHS = {"PYTHONPATH": ":".join(str(ROOT / path) for path in ("scripts", "scripts/bench", "tests", "."))}
pytestmark = pytest.mark.timeout(120 * SLOWNESS)


def _run(*words: str, results: Path) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | PATHS | {"EVERGAUGE_RESULTS": str(results)}
    command = [sys.executable, "-m", "verification", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100 * SLOWNESS, cwd=ROOT, check=False)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--shrt"], "did you mean --short?"),
        (["--only", "G-20"], "there is no goal 'G-20'; did you mean G-2 or G-10?"),
        (["now"], "unrecognized arguments: now"),
    ],
)
def test_wrong_words_are_a_sentence(words: list[str], sentence: str, tmp_path: Path) -> None:
    """With what may have been meant, and 64."""
    done = _run(*words, results=tmp_path)
    assert (done.returncode, sentence in done.stderr) == (64, True), done.stderr


def test_help_names_all_goals(tmp_path: Path) -> None:
    """And ends with 0."""
    done = _run("--help", results=tmp_path)
    assert done.returncode == 0
    assert "G-10  every remedy is proven" in done.stdout


def test_goals_that_need_no_load_are_judged_by_the_last_results(tmp_path: Path) -> None:
    """Nothing recorded: the goals fail, each with the remedy. A green run of other sources: it says so."""
    done = _run(
        "--short", "--only", "G-1,G-7,G-8", "--json", str(tmp_path / "v.json"), "--report", str(tmp_path / "v.md"), results=tmp_path
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stdout + done.stderr
    assert [line[:10].split() for line in lines[:3]] == [["G-1", "pass"], ["G-7", "pass"], ["G-8", "FAIL"]]
    assert lines[2].endswith("no whole run of the tests is recorded: scripts/test")
    assert lines[3].startswith("2 of 3 goals hold: short verification")
    assert [goal["is_good"] for goal in json.loads((tmp_path / "v.json").read_text())["goals"]] == [True, True, False]
    assert "2 of 3 goals hold." in (tmp_path / "v.md").read_text()
    write_record(RecordedTests(1.0, 2.0, 0, "abc", "of-old", {"tests/a.py::test_b": "passed"}), tmp_path / "tests.json")
    stale = _run("--short", "--only", "G-8", results=tmp_path)
    assert (stale.returncode, "of other sources" in stale.stdout) == (1, True)
    (tmp_path / "tests.json").write_text("{")
    damaged = _run("--short", "--only", "G-8", results=tmp_path)
    assert (damaged.returncode, "is damaged" in damaged.stderr) == (69, True)


def test_a_green_run_of_these_sources_passes(tmp_path: Path) -> None:
    """With its counts."""
    write_record(RecordedTests(1.0, 2.0, 0, "abc", source_digest(), {"tests/a.py::test_b": "passed"}), tmp_path / "tests.json")
    done = _run("--short", "--only", "G-8", results=tmp_path)
    assert (done.returncode, "G-8  pass  1 passed, 0 failed" in done.stdout) == (0, True), done.stdout


def test_the_architecture_and_the_milestones_are_reported(tmp_path: Path) -> None:
    """Without violations, with every decision; and the last result of what proves a milestone."""
    done = _run("--architecture", "--milestones", results=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "lint-imports: 0 violations" in done.stdout
    assert "0001: Decisions are recorded (goals: none)" in done.stdout
    assert "scenario breakers: not run yet" in done.stdout


def test_the_last_result_of_a_scenario_is_kept(tmp_path: Path) -> None:
    """Of several runs a failed one; a damaged record is none."""
    good = ScenarioResult("x", "", "host", judgements=[Judgement("events", "G-6", "event a", True, "seen")])
    bad = ScenarioResult("x", "", "host", judgements=[Judgement("events", "G-6", "event a", False, "silent")])
    keep_results([good, bad, good], tmp_path)
    kept = read_scenario_record("x", folder=tmp_path)
    assert kept is not None
    assert (kept.result.has_passed, kept.sources) == (False, source_digest())
    keep_results([good], tmp_path)
    again = read_scenario_record("x", folder=tmp_path)
    assert again is not None
    assert again.result.has_passed
    (tmp_path / "x@host.json").write_text("{}")
    assert read_scenario_record("x", folder=tmp_path) is None
    assert read_scenario_record("y", folder=tmp_path) is None
