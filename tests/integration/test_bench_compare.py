"""scripts/bench/compare: the agent is no dearer than the baselines that are kept, and one that became dearer is told."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts/bench"))

from compare_bench.judgement import Baseline, format_baseline, judge, median_ratio, parse_baseline
from compare_bench.measurements import MEASUREMENTS

CHECKOUT = Path(__file__).parents[2]
BASELINES = CHECKOUT / "scripts/bench/baselines"
# A start imports the agent, and a measurement that others disturb is repeated.
SECONDS_MAX = 300
pytestmark = [pytest.mark.timeout(SECONDS_MAX + 20), pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a cgroup")]


def _compare(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": f"{CHECKOUT}/scripts/bench:{CHECKOUT}/tests:{CHECKOUT}", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "compare_bench", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_the_agent_is_no_dearer_than_its_baseline(name: str) -> None:
    """Measured here and now, beside a reference: a regression fails this test with the sentence."""
    ended = _compare("--only", name)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.startswith(f"{name}: fine: ")


def test_every_baseline_is_one_of_a_measurement_and_says_why_it_may_be_exceeded() -> None:
    """None is left over, and no factor hides a doubling."""
    kept = {path.stem: parse_baseline(path.read_text()) for path in BASELINES.glob("*.json")}
    assert set(kept) == set(MEASUREMENTS)
    assert all(baseline.why.endswith(".") and baseline.factor_max < 2 for baseline in kept.values())


def test_what_became_dearer_is_told_with_exit_code_1(tmp_path: Path) -> None:
    """The same agent, held against a baseline that is a tenth lower."""
    now = parse_baseline((BASELINES / "row-bytes.json").read_text())
    (tmp_path / "row-bytes.json").write_text(format_baseline(Baseline(now.ratio * 0.9, now.factor_max, now.why)))
    ended = _compare("--only", "row-bytes", "--baselines", str(tmp_path))
    assert ended.returncode == 1
    assert "row-bytes: REGRESSION: a row of table unit on the wire" in ended.stdout


def test_an_update_keeps_what_was_measured_and_the_reason(tmp_path: Path) -> None:
    """Only the ratio is another one."""
    (tmp_path / "row-bytes.json").write_text(format_baseline(Baseline(99.0, 1.5, "It may.")))
    assert _compare("--only", "row-bytes", "--baselines", str(tmp_path), "--update").returncode == 0
    kept = json.loads((tmp_path / "row-bytes.json").read_text())
    assert kept["ratio"] == parse_baseline((BASELINES / "row-bytes.json").read_text()).ratio
    assert (kept["factor_max"], kept["why"]) == (1.5, "It may.")


def test_a_noisy_try_is_no_regression_and_four_of_them_are() -> None:
    """One try within the limit tells that the agent can still do it; it is not asked for more than four."""
    baseline = Baseline(2.0, 1.5, "It may.")
    noisy = iter([9.0, 3.5, 2.9, 0.0])
    assert judge("x", "y", baseline, lambda: next(noisy), 4).tries == (9.0, 3.5, 2.9)
    worse = judge("x", "y", baseline, lambda: 3.1, 4)
    assert (worse.is_regression, worse.tries) == (True, (3.1, 3.1, 3.1, 3.1))


def test_what_hits_ours_and_the_reference_at_once_cancels_out() -> None:
    """The ratio in the middle, whatever a few pairs say."""
    assert median_ratio([(2, 1), (200, 100), (2, 1), (50, 1), (1, 50)]) == 2


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--only", "speed"], 64, "'speed' is none of"),
        (["--baselines", "/nonexistent"], 69, "cannot read a baseline in /nonexistent"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(words: list[str], code: int, sentence: str) -> None:
    """With the code of its kind, and nothing measured."""
    ended = _compare(*words)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("text", ["", "{}", '{"ratio": 0, "factor_max": 2, "why": ""}', '{"ratio": 1, "factor_max": 1, "why": ""}'])
def test_a_baseline_that_says_nothing_is_refused(text: str) -> None:
    """A ratio of zero would make everything a regression, a factor of one every noise."""
    with pytest.raises(ValueError, match=r"it is no JSON|its ratio must be above 0"):
        parse_baseline(text)
