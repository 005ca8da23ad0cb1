"""Workflows of a public CI: linted, pinned, bounded, and made of scripts that are there."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
LINTER = ROOT / "scripts/lab/actionlint"
MADE = Path.home() / ".cache/evergauge-lab"


def test_each_action_is_pinned_to_a_commit() -> None:
    """A tag can be moved; behind the commit stands the version, for a person."""
    used = [line.strip() for path in WORKFLOWS for line in path.read_text().splitlines() if " uses: " in line]
    assert used
    assert [line for line in used if not re.search(r"uses: [\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)] == []


def test_each_workflow_may_only_read_and_each_job_has_a_time_limit() -> None:
    """No secret and no write permission is needed, and nothing hangs for six hours."""
    for path in WORKFLOWS:
        text = path.read_text()
        assert "\npermissions:\n  contents: read\n" in text, path.name
        assert "\nconcurrency:\n" in text, path.name
        assert text.count("\n    runs-on: ") == text.count("\n    timeout-minutes: ") >= 1, path.name
        assert "secrets." not in text, path.name


def test_each_script_is_there_unless_the_step_asks_first() -> None:
    """What is called by its path can be run; a step may ask with `hashFiles` whether the checkout has it."""
    for path in WORKFLOWS:
        text = path.read_text()
        asked = set(re.findall(r"hashFiles\('(scripts/[\w/-]+)'\)", text))
        called = set(re.findall(r"(?:run: |PATH |^ +)(scripts/[\w/-]+)(?= |$)", text, re.M))
        assert sorted(name for name in called - asked if not (ROOT / name).is_file()) == [], path.name


@pytest.mark.timeout(300)
def test_actionlint_finds_nothing() -> None:
    """Syntax, expressions, types, labels and matrices; the workflows themselves are not run here."""
    if not list(MADE.glob("actionlint-*")):
        pytest.skip("actionlint is not made; make it: scripts/lab/actionlint package")
    ended = subprocess.run([str(LINTER)], capture_output=True, text=True, timeout=280, check=False)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr


def test_actionlint_finds_what_is_wrong(tmp_path: Path) -> None:
    """A misspelled key: the linter does look."""
    if not list(MADE.glob("actionlint-*")):
        pytest.skip("actionlint is not made; make it: scripts/lab/actionlint package")
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("runs-on: ", "run-on: ", 1))
    ended = subprocess.run([str(LINTER), str(wrong)], capture_output=True, text=True, timeout=50, check=False)
    assert ended.returncode == 1
    assert "run-on" in ended.stdout
