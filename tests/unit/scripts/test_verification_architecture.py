"""The report of the architecture comes from the code, and what is not as it must be is a problem in it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts/bench"))
sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from harness.waiting import SLOWNESS
from verification import architecture
from verification.architecture import deviations, feature_flags, lifecycle_problems, lifecycles, work_classes, worker_file
from verification.judges import judge_law
from verification.milestones import MILESTONES, milestone_lines
from verification.remedy_proof import named_tests
from verification.runbook import scenario_names
from verification.sources import ROOT
from verification.test_record import RecordedTests

from workers import registry
from workers.framework.work import BaseWork


def test_every_work_has_a_whole_life() -> None:
    """Found by reading the source; one of another shape is told."""
    assert lifecycle_problems() == []
    assert {"WriterWork", "GatewayWork", "SamplerWork", "ExporterWork"} <= {work.__name__ for work in work_classes()}
    assert all(own for _name, own in lifecycles())

    class OddWork(BaseWork):
        def on_start(self) -> None:  # type: ignore[override]
            """Without the time."""

    class NoWork:
        on_stop = None

    assert lifecycle_problems([OddWork]) == ["OddWork.on_start takes other parameters than the loop gives"]
    assert "NoWork has no on_stop" in lifecycle_problems([NoWork])
    assert lifecycle_problems([]) == ["no work was found"]


def test_every_module_has_its_file() -> None:
    """Of each worker and member."""
    files = [worker_file(each).split(" ")[0] for worker in registry.all_workers() for each in (worker, *worker.members)]
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_feature_flags_are_settings() -> None:
    """Those that switch something."""
    flags = dict(feature_flags())
    assert {"sampler.process.enabled", "writer.compaction", "nri.enabled"} <= flags.keys()
    assert "gateway.port" not in flags


def test_a_decision_without_goals_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is listed, and the report does not hold."""
    (tmp_path / "0001-a.md").write_text("# 1. Something\n\nGoals: G-2, G-5\n")
    (tmp_path / "0002-b.md").write_text("# 2. Another thing\n")
    assert list(deviations(tmp_path)) == [("0001", "Something", "G-2, G-5"), ("0002", "Another thing", "")]
    monkeypatch.setattr(architecture, "lint_imports", lambda: (0, "Contracts: 3 kept, 0 broken."))
    assert architecture.architecture_lines()[1]
    monkeypatch.setattr(architecture, "deviations", lambda: deviations(tmp_path))
    lines, is_good = architecture.architecture_lines()
    assert not is_good
    assert lines[-1] == "- 0002 does not say which goals it touches"


def test_milestones_name_what_exists() -> None:
    """Modules, files of tests and scenarios."""
    known = scenario_names()
    for each in MILESTONES:
        assert [module for module in each.modules if not (ROOT / module).exists()] == []
        for proof in each.proofs:
            assert proof.removeprefix("scenario ") in known if proof.startswith("scenario ") else named_tests(ROOT / proof)
    assert len(MILESTONES) == 5
    assert "  scenario breakers: pass" in milestone_lines(lambda _proof: "pass")


@pytest.mark.timeout(120 * SLOWNESS)
def test_a_forbidden_import_fails(tmp_path: Path) -> None:
    """import-linter itself refuses a planted module, and the judge says so."""
    for name in ("agent", "evergauge", "supervisor", "workers"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    (tmp_path / "supervisor/core/planted.py").write_text('"""PURE."""\n\nimport workers.registry\n')
    command = [str(Path(sys.executable).with_name("lint-imports")), "--config", "setup.cfg", "--no-cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100 * SLOWNESS, check=False)
    law = RecordedTests(1.0, 1.0, 0, "", "", {"tests/architecture/test_layers.py::test_a": "passed"})
    assert judge_law(0, "Contracts: 3 kept, 0 broken.", law).is_good
    verdict = judge_law(done.returncode, done.stdout + done.stderr, law)
    assert not verdict.is_good
    assert "lint-imports ends with 1" in verdict.evidence
