"""scripts/soak in short: it finds nothing where nothing grows, and it does find what grows."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fakes.worker_set_agent import TESTS_FOLDER
from harness.proc import processes_with
from harness.waiting import wait_until

pytestmark = pytest.mark.timeout(240)
SCRIPTS = TESTS_FOLDER.parent / "scripts"
CAUSES = {"one", "two", "all", "spare", "restart", "hang", "fork server"}
MIB = 1 << 20


def _soak(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """A soak with its temporary files, and the report, in this folder."""
    command = [str(SCRIPTS / "soak"), "--json", str(folder / "report.json"), "--every", "30ms", *arguments]
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _ended(folder: Path, soak: "subprocess.Popen[str]", *, code: int) -> dict[str, Any]:
    """The report of a soak that ends with this code, and leaves nobody behind."""
    words, errors = soak.communicate(timeout=200)
    assert soak.returncode == code, f"{words}\n{errors}"
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    for verdict in report["verdicts"]:
        assert f"{verdict['name']}: {verdict['found']}" in words
    wait_until(lambda: not processes_with(f"TMPDIR={folder}"), "nobody is left behind")
    return report


def _bad(report: dict[str, Any]) -> list[str]:
    return [verdict["name"] for verdict in report["verdicts"] if verdict["is_good"] is False]


def test_a_short_soak_kills_in_every_way_and_finds_nothing_that_grows(tmp_path: Path) -> None:
    """Workers, standby process, fork server and supervisor: all are counted, replaced and measured; no file is left."""
    report = _ended(tmp_path, _soak(tmp_path, "--for", "8s", "--supervisor"), code=0)
    assert _bad(report) == []
    assert set(report["kills"]) == CAUSES | {"supervisor", "sum"}
    assert report["kills"]["sum"] == sum(count for cause, count in report["kills"].items() if cause != "sum") >= 50
    assert report["took_ms"]["one"]["count"] > 0
    assert 0 < report["took_ms"]["one"]["p50"] <= report["took_ms"]["one"]["p99"] <= report["took_ms"]["one"]["max"]
    assert report["took_ms"]["supervisor answers"]["count"] == report["kills"]["supervisor"]
    assert report["lives"]["supervisor"] > 1
    assert report["hangs"]["false"] == []
    assert report["stored"]["rows"]["process"] > 0
    assert report["stored"]["gaps"]["worker_died"] > 0
    assert {sample["role"] for sample in report["samples"]} == {"supervisor", "fork server"}
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_soak_finds_a_descriptor_that_a_supervisor_forgets_at_each_death(tmp_path: Path) -> None:
    """One more with every worker that ends: a bad verdict on just that, exit code 1, and the agent's folders are kept."""
    agentd = f"env -C {TESTS_FOLDER} {sys.executable} -m fakes.leaky_agent"
    report = _ended(tmp_path, _soak(tmp_path, "--for", "1h", "--kills", "60", "--agentd", agentd), code=1)
    # All of them may be the last.
    assert 60 <= report["kills"]["sum"] < 60 + 5
    assert _bad(report) == ["descriptors of the supervisor"]
    assert report["growth"]["supervisor"]["descriptors_per_100_kills"] > 50
    assert report["growth"]["supervisor"]["more"]["/dev/null"] > 0
    (kept,) = tmp_path.glob("soak-*")
    assert (kept / "output").exists()


def test_a_soak_without_kills_finds_what_grows_by_the_hour(tmp_path: Path) -> None:
    """Five descriptors a second: bad verdicts on the supervisor's descriptors alone, and a report with a picture of them."""
    agentd = f"env -C {TESTS_FOLDER} {sys.executable} -m fakes.hourly_leak_agent"
    terms = ("--for", "45s", "--kills", "0", "--calm", "1s", "--warm-up", "3s", "--judge-from", "8s")
    report = _ended(tmp_path, _soak(tmp_path, *terms, "--report", str(tmp_path / "shown"), "--agentd", agentd), code=1)
    # What else a process fills in its first seconds is not this test's business. Samplers keep files of the host's processes and
    # units open, which come and go: over half a minute of a busy host that is no slope.
    assert "descriptors of supervisor by the hour" in _bad(report)
    assert report["slopes_per_hour"]["supervisor"]["descriptors"]["per_hour"] == pytest.approx(18_000, rel=0.3)
    others = [name for name in _bad(report) if name.startswith("descriptors of") and "supervisor" not in name]
    assert [name for name in others if "sampler/" not in name] == []
    assert {path.name for path in (tmp_path / "shown").iterdir()} == {"report.md", "report.json", "soak.svg"}


def test_ctrl_c_ends_a_soak_with_its_report_and_kills_0_kills_nobody(tmp_path: Path) -> None:
    """`--kills 0 --load 1` for an hour, and SIGINT when it has begun: the verdicts on what has been seen until then."""
    soak = _soak(tmp_path, "--for", "1h", "--kills", "0", "--load", "1", "--seed", "7")
    wait_until(lambda: list(tmp_path.glob("soak-*/state/rules.json")), "it changes rules")
    soak.send_signal(signal.SIGINT)
    report = _ended(tmp_path, soak, code=0)
    assert report["kills"] == {"sum": 0}
    assert report["rule_changes"] > 0
    assert report["options"]["seed"] == 7
    assert report["control_ms"]["count"] > 0


# ---- what follows from figures -------------------------------------------------------------------


@pytest.fixture(scope="module")
def judgement() -> ModuleType:
    """The module that judges, which does not use the others."""
    path = SCRIPTS / "soaking" / "judgement.py"
    specification = importlib.util.spec_from_file_location("soaking_judgement", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def _points(judgement: ModuleType, pid: int, level: float, per_kill: float, *, first: int, count: int = 40) -> list[Any]:
    """A sample every hundred kills from the first on; what comes before the warm-up is over is all wrong."""
    kills = [first + 100 * number for number in range(count)]
    warm = judgement.WARM_UP_KILLS
    return [judgement.Point(pid, at, level + per_kill * at + (0 if at - first >= warm else 50 * MIB)) for at in kills]


def test_a_slope_is_that_of_the_processes_and_not_of_their_levels_or_first_moments(judgement: ModuleType) -> None:
    """Two processes in turn, the second far smaller, both growing by 300 bytes a kill after a warm-up that is left out."""
    points = _points(judgement, 1, 30 * MIB, 300, first=0) + _points(judgement, 2, 9 * MIB, 300, first=4000)
    slope = judgement.slope_of(points)
    assert slope.per_kill == pytest.approx(300)
    assert slope.error_per_kill == pytest.approx(0, abs=1e-3)
    assert slope.kills == 2 * (3900 - judgement.WARM_UP_KILLS)


@pytest.mark.parametrize(("mib_per_10_000_kills", "count", "is_good"), [(0.9, 40, True), (1.2, 40, False), (1.2, 20, None)])
def test_memory_is_judged_by_its_slope_where_there_were_kills_enough(
    judgement: ModuleType, mib_per_10_000_kills: float, count: int, is_good: bool | None
) -> None:
    """Below a mebibyte in ten thousand kills, above it, and after too few of them to say."""
    points = _points(judgement, 1, 20 * MIB, mib_per_10_000_kills * MIB / 10_000, first=0, count=count)
    assert judgement.judge_memory("RSS", points).is_good is is_good


@pytest.mark.parametrize(
    ("counts", "is_good"),
    [
        ([16, 16, 16, 16, 16, 16], True),
        ([16, 17, 16, 16, 18, 16], True),
        ([16, 11, 16, 16, 16, 16, 16, 16, 16], True),
        ([16, 16, 16, 16, 17, 17], False),
        ([16, 17], False),
    ],
)
def test_a_count_may_come_and_go_but_not_grow(judgement: ModuleType, counts: list[int], is_good: bool) -> None:
    """One more in some calm moments is in use, one more in most of the last is lost; one less at first is no growth."""
    points = [judgement.Point(1, number * 100, value) for number, value in enumerate(counts)]
    assert judgement.judge_count("descriptors", points).is_good is is_good
