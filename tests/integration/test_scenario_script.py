"""scripts/scenario as a person runs it: a verdict, mistakes, an interruption."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness.proc import family
from harness.waiting import SLOWNESS, wait_until

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts/bench"))
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from scenarios.definition import parse_scenario

ROOT = Path(__file__).parents[2]

SMALL = """\
name: small
about: A few processes for two seconds.
workload: {name: cpu_spikes, processes: 3, milliseconds: 20, every_seconds: 1}
configuration: minimal
warm_up: 1s
duration: 3s
validators:
  - judge: closing
    percent: 20%
  - judge: continuity
"""
# The environment is made, and other tests may run beside this one.
ENVIRONMENT = os.environ | {"PYTHONPATH": ":".join(str(ROOT / path) for path in ("scripts", "scripts/bench", "tests", "."))}
pytestmark = pytest.mark.timeout(180 * SLOWNESS)


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "scenarios", *words]


def _run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(_command(*words), capture_output=True, text=True, env=ENVIRONMENT, timeout=150 * SLOWNESS, check=False)


def _groups() -> list[str]:
    return [path.name for root in (Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup")) for path in root.glob("eg-scenario-*")]


def test_a_short_scenario_gives_a_verdict_and_leaves_nothing(tmp_path: Path) -> None:
    """The exit code is that of the judgements, which the JSON has with figure, limit and evidence."""
    (tmp_path / "small.yaml").write_text(SMALL)
    before = set(_groups())
    ended = _run(str(tmp_path / "small.yaml"), "--json", str(tmp_path / "out.json"), "--report", str(tmp_path / "report"))
    assert ended.returncode in (0, 1), ended.stderr
    (found,) = json.loads((tmp_path / "out.json").read_text())["runs"]
    assert found["failures"] == []
    assert found["passed"] == (ended.returncode == 0), ended.stdout
    judged = {each["what"]: each for each in found["judgements"]}
    assert judged["ticks missing without a reason"]["is_good"], ended.stdout
    assert judged["CPU of the host, off"]["limit"] == 20
    assert "| G-5 |" in (tmp_path / "report/report.md").read_text()
    # Another run of this test may make groups of its own meanwhile.
    assert not [name for name in set(_groups()) - before if f"-{os.getpid()}-" in name]


def test_an_interrupted_scenario_ends_all_that_it_started(tmp_path: Path) -> None:
    """Agent, load and baseline are gone, and their cgroups."""
    (tmp_path / "small.yaml").write_text(SMALL.replace("duration: 3s", "duration: 60s"))
    with subprocess.Popen(_command(str(tmp_path / "small.yaml")), stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "measuring" in line:
                break
        started = family(process.pid)
        assert len(started) > 5
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert (process.wait(60 * SLOWNESS), "interrupted" in rest) == (130, True), rest
        wait_until(lambda: not [name for name in _groups() if f"eg-scenario-{process.pid}-" in name], "its cgroups are gone")
        wait_until(
            lambda: not [pid for pid in started if pid != process.pid and Path(f"/proc/{pid}").exists()], "its processes are gone"
        )


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["standart"], 64, "there is no scenario 'standart'; did you mean standard or standard_hour?"),
        (["standard", "--goal", "G-11"], 64, "there is no goal 'G-11'; did you mean G-1"),
        (["failover", "--goal", "G-9"], 64, "failover judges G-6, and not G-9"),
        (["standard", "--platform", "guest-6.2"], 64, "there is no platform 'guest-6.2'; did you mean"),
        (["standard", "--repeat", "0"], 64, "--repeat is from 1 to 1000"),
        (["standard", "--plan"], 64, "belong to --matrix"),
        ([], 64, "name scenarios, or give one of"),
        (["standard", "--platform", "guest-6.12"], 69, "scenario standard runs on host, and not on guest-6.12"),
        (["/nowhere/x.yaml"], 64, "there is no scenario"),
    ],
)
def test_a_mistake_gets_a_sentence(words: list[str], code: int, sentence: str) -> None:
    """And nothing is started."""
    ended = _run(*words)
    assert (ended.returncode, sentence in ended.stderr) == (code, True), ended.stderr
    assert "Traceback" not in ended.stderr


def test_check_says_line_and_column_and_runs_nothing(tmp_path: Path) -> None:
    """A good file fits; of a bad one the place is named."""
    (tmp_path / "good.yaml").write_text(SMALL)
    (tmp_path / "bad.yaml").write_text(SMALL.replace("judge: closing", "judge: closin"))
    good, bad = _run("--check", str(tmp_path / "good.yaml")), _run("--check", str(tmp_path / "bad.yaml"))
    assert (good.returncode, bad.returncode) == (0, 64)
    assert "bad.yaml:8:12: 'judge': there is no 'closin'; did you mean closing?" in bad.stderr


def test_the_matrix_shows_its_plan() -> None:
    """Every workload and configuration is in it."""
    ended = _run("--matrix", "--plan", "--quick")
    assert ended.returncode == 0
    assert all(word in ended.stdout for word in ("high_pid_churn", "minimal", "full", "custom", "kill_supervisor", "runs"))


def test_the_example_of_the_page_fits() -> None:
    """A reader copies it."""
    page = (ROOT / "docs/scenarios.md").read_text()
    found = re.search(r"<!-- example -->\n```yaml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    assert parse_scenario(found[1], origin="page").goals == ("G-5", "G-6")
