"""G-6: every breaker and fallback of the catalogue has a proof that saw it; a silent one fails."""

import dataclasses
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts/bench"))
sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from scenarios.judgement import Judgement, ScenarioResult
from verification.remedy_proof import missing_proofs
from verification.runbook import scenario_names
from verification.sources import ROOT
from verification.test_record import RecordedTests
from verification.told import PROOFS, ToldProof, judge_told, kinds_to_tell

from agent.model.event_catalogue import KINDS
from agent.model.event_kind import condition, event

NAMES = [name for proof in PROOFS.values() for name in (*proof.begin, *proof.end)]
GREEN = RecordedTests(1.0, 1.0, 0, "", "", {name: "passed" for name in NAMES if not name.startswith("scenario ")})
BREAKER = condition("breaker_open", "It is off.", "Wait.")
PROOF = {"breaker_open": ToldProof(("scenario x",), ("scenario x",))}


def _run(*judged: tuple[str, bool], goal: str | None = "G-6") -> dict[str, ScenarioResult]:
    judgements = [Judgement("events", goal, what, is_good, "seen") for what, is_good in judged]
    return {"x": ScenarioResult("x", "", "host", judgements=judgements)}


def test_every_breaker_and_fallback_of_the_catalogue_has_a_proof_that_exists() -> None:
    """Also one that comes to the catalogue later: it needs a proof then."""
    wanted = [each.name for each in kinds_to_tell(KINDS.values())]
    assert {"breaker_open", "module_over_limit", "sketch_fallback", "sampler_fallback", "degraded"} <= set(wanted)
    assert sorted(PROOFS) == sorted(wanted)
    assert missing_proofs(NAMES, ROOT, scenario_names()) == []


def test_a_green_run_of_the_tests_tells_all_of_them() -> None:
    """Each beginning, and the end of each condition."""
    verdict = judge_told(KINDS.values(), PROOFS, {}, GREEN)
    assert verdict.is_good, verdict.details


def test_told_by_a_scenario() -> None:
    """Its beginning and its end."""
    assert judge_told(
        [BREAKER], PROOF, _run(("event breaker_open of sampler/process", True), ("event breaker_open, end", True)), None
    ).is_good


@pytest.mark.parametrize(
    ("judged", "sentence"),
    [
        ([("event breaker_open", False)], "breaker_open: not by scenario x"),
        ([("event breaker_open", True), ("event breaker_open, end", False)], "breaker_open, end: not by scenario x"),
        ([("event breaker_open", True)], "breaker_open, end: no run that would tell it is recorded"),
        ([], "breaker_open: no run that would tell it is recorded"),
    ],
)
def test_a_silent_breaker_fails(judged: list[tuple[str, bool]], sentence: str) -> None:
    """Its beginning, its end, or both were not told."""
    verdict = judge_told([BREAKER], PROOF, _run(*judged), None)
    assert not verdict.is_good
    assert sentence in verdict.details


def test_a_breaker_that_nothing_provokes_fails() -> None:
    """Such as one that somebody has just added; and a catalogue without any."""
    new = event("gauge_abandoned", BREAKER.severity, "It is left alone.", "Wait.", "none")
    assert judge_told([new], PROOF, {}, GREEN).details == ["nothing provokes gauge_abandoned"]
    assert not judge_told([], PROOF, {}, GREEN).is_good


def test_a_red_or_missing_test_fails() -> None:
    """And so does another figure of this goal, such as missing ticks without a reason."""
    name = next(name for name in NAMES if not name.startswith("scenario "))
    red = dataclasses.replace(GREEN, outcomes=GREEN.outcomes | {name: "failed"})
    assert not judge_told(KINDS.values(), PROOFS, {}, red).is_good
    assert not judge_told(KINDS.values(), PROOFS, {}, None).is_good
    assert not judge_told(KINDS.values(), PROOFS, _run(("ticks missing without a reason", False)), GREEN).is_good
