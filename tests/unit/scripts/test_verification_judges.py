"""Each judge passes where its goal holds, and fails where the goal is broken on purpose."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts/bench"))
sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from scenarios.definition import ValidatorChoice
from scenarios.evidence import Evidence
from scenarios.judgement import Judgement, ScenarioResult
from scenarios.judging import judge
from scenarios.shapes import VALIDATORS
from schema_gate.compare import refusals
from schema_gate.declared import declared
from verification.judges import (
    GatheredSchema,
    judge_law,
    judge_measured,
    judge_remedies,
    judge_runbook,
    judge_schema,
    judge_tests,
)
from verification.mutations import allowed_mutation, refused_mutations
from verification.runbook_page import Remedy
from verification.test_record import RecordedTests
from verification.verdict import GOAL_TITLES, GoalVerdict, all_hold, verdict_document, verdict_page

LAW = "tests/architecture/test_layers.py::test_imports_go_one_way"
GREEN = RecordedTests(
    1.0, 1200.0, 0, "abc", "digest", {LAW: "passed", "tests/a.py::test_b[1]": "passed", "tests/a.py::test_b[2]": "passed"}
)
SCHEMA = GatheredSchema("release 0.1.0", 30, 40, (), {"a removed column": True}, True)
KEPT = "Contracts: 3 kept, 0 broken."


def _result(*judgements: Judgement, failures: tuple[str, ...] = ()) -> ScenarioResult:
    return ScenarioResult("standard", "about", "host", judgements=list(judgements), failures=list(failures))


def _figure(goal: str, figure: float, limit: float, *, at_least: bool = False, validator: str = "x") -> Judgement:
    is_good = figure >= limit if at_least else figure <= limit
    return Judgement(validator, goal, "a figure", is_good, "seen", figure, limit, "%", at_least)


# ---- G-1 -----------------------------------------------------------------------------------------


def test_only_additions_hold() -> None:
    """With the gate shown to refuse."""
    assert judge_schema(SCHEMA).line() == (
        "G-1  pass  only additions since release 0.1.0: 30 tables, 40 messages; the gate refused 1 of 1 mutations"
    )


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"refused": ["table x was removed"]}, "table x was removed"),
        ({"mutations": {"a removed column": False}}, "the gate let through: a removed column"),
        ({"mutations": {}}, "the gate was not tried"),
        ({"passes": False}, "the gate refused an addition"),
    ],
)
def test_a_schema_that_is_no_addition_fails(changed: dict[str, Any], sentence: str) -> None:
    """And so does a gate that lets one through, was not tried, or refuses everything."""
    verdict = judge_schema(dataclasses.replace(SCHEMA, **changed))
    assert (verdict.is_good, verdict.details) == (False, [sentence])


def test_the_real_gate_refuses_each_mutation_and_lets_an_addition_through() -> None:
    """Of the present declarations."""
    now = declared()
    mutations = refused_mutations(now)
    assert len(mutations) == 13
    assert [name for name, each in mutations.items() if not refusals(now, each)] == []
    assert refusals(now, allowed_mutation(now)) == []


# ---- G-2 to G-5 ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (_figure("G-2", 1.4, 2), _figure("G-2", 2.4, 2)),
        (_figure("G-3", 0.54, 1, validator="sketch_error"), _figure("G-3", 1.4, 1, validator="sketch_error")),
        (_figure("G-4", 0.97, 0.95, at_least=True), _figure("G-4", 0.93, 0.95, at_least=True)),
        (_figure("G-5", 0.1, 5), _figure("G-5", 6, 5)),
    ],
)
def test_a_figure_beyond_its_limit_fails(good: Judgement, bad: Judgement) -> None:
    """The other figures of the goal do not hide it, and it stands first."""
    goal = str(good.goal)
    assert judge_measured(goal, [_result(good)]).is_good
    verdict = judge_measured(goal, [_result(good, bad)])
    assert not verdict.is_good
    assert verdict.evidence.startswith("NOT a figure")
    assert not judge_measured(goal, [_result(good, failures=("the agent died",))]).is_good
    assert not judge_measured(goal, [_result(_figure("G-9", 1, 2))]).is_good
    assert not judge_measured(goal, []).is_good


def test_a_sketch_is_held_against_our_own_limit_too() -> None:
    """The goal is 1 %, ours 0.55 %."""
    assert "within our own 0.55 %" in judge_measured("G-3", [_result(_figure("G-3", 0.54, 1, validator="sketch_error"))]).evidence
    assert "NOT within our own" in judge_measured("G-3", [_result(_figure("G-3", 0.9, 1, validator="sketch_error"))]).evidence


@pytest.mark.parametrize(("name", "goal"), [("cost", "G-2"), ("sketch_error", "G-3"), ("capture", "G-4"), ("closing", "G-5")])
def test_what_was_not_measured_fails(name: str, goal: str) -> None:
    """An agent that shows nothing at all: hidden processes, no sketch, no row."""
    limits = {key: each.default for key, each in VALIDATORS[name].parameters.items() if each.default is not None}
    nothing = Evidence(begin_ns=0, end_ns=1, interval_ns=1)
    assert not judge_measured(goal, [_result(*judge([ValidatorChoice(name, goal, limits)], nothing))]).is_good


# ---- G-7, G-10 -----------------------------------------------------------------------------------


def test_an_undocumented_setting_fails() -> None:
    """As the check of the page says it."""
    assert judge_runbook([], {"sections": 31, "settings": 160}).evidence == "in the runbook: 31 sections, 160 settings"
    assert not judge_runbook(["setting gateway.speed is in no section"], {}).is_good


def _remedies(*proofs: str) -> list[Remedy]:
    return [Remedy("Writer", "a symptom", "a cause", "a remedy", proofs)]


def _remedy_verdict(*proofs: str, record: RecordedTests | None = GREEN, ran: bool | None = True, needs: bool = True) -> GoalVerdict:
    return judge_remedies(_remedies(*proofs), (), record, lambda _name: ran, needs_scenarios=needs)


def test_a_remedy_is_proven_by_what_passed() -> None:
    """With all parameters of a test, and by scenarios."""
    assert _remedy_verdict("tests/a.py::test_b", "scenario x").is_good
    assert _remedy_verdict("tests/a.py::test_b", "scenario x", ran=None, needs=False).evidence.endswith(
        "1 scenarios, 1 of which are left to the whole run"
    )


@pytest.mark.parametrize(
    ("proofs", "more", "sentence"),
    [
        (("tests/a.py::test_gone",), {}, "tests/a.py::test_gone did not run"),
        (("tests/a.py::test_b",), {"record": None}, "tests/a.py::test_b did not run"),
        (("scenario x",), {"ran": False, "needs": False}, "scenario x failed"),
        (("scenario x",), {"ran": None}, "scenario x did not run"),
        ((), {}, "nothing proves: a symptom"),
    ],
)
def test_a_remedy_that_nothing_proves_fails(proofs: tuple[str, ...], more: dict[str, Any], sentence: str) -> None:
    """No test of this name, none that ran, one that failed, none named."""
    verdict = _remedy_verdict(*proofs, **more)
    assert (verdict.is_good, verdict.details) == (False, [sentence])
    red = dataclasses.replace(GREEN, outcomes=GREEN.outcomes | {"tests/a.py::test_b[2]": "failed"})
    assert not _remedy_verdict("tests/a.py::test_b", record=red).is_good
    assert not judge_remedies([], (), GREEN, lambda _name: True, needs_scenarios=False).is_good
    assert not judge_remedies(
        _remedies("scenario x"), ["there is no scenario x"], GREEN, lambda _name: True, needs_scenarios=True
    ).is_good


# ---- G-8, G-9 ------------------------------------------------------------------------------------


def test_a_green_run_of_these_sources_holds() -> None:
    """With its counts and its time."""
    assert judge_tests(GREEN, "digest").line() == "G-8  pass  3 passed, 0 failed, 0 skipped in 1200 s, commit abc, sources digest"


@pytest.mark.parametrize(
    ("record", "sources", "word"),
    [
        (None, "digest", "no whole run"),
        (GREEN, "another", "of other sources"),
        (dataclasses.replace(GREEN, code=1), "digest", "exit code 1"),
        (dataclasses.replace(GREEN, outcomes={"tests/a.py::test_c": "failed"}), "digest", "failed: tests/a.py::test_c"),
        (dataclasses.replace(GREEN, outcomes={}), "digest", "nothing ran"),
    ],
)
def test_a_red_stale_or_missing_run_fails(record: RecordedTests | None, sources: str, word: str) -> None:
    """Each with the reason."""
    verdict = judge_tests(record, sources)
    assert not verdict.is_good
    assert word in verdict.evidence


def test_the_law_holds_by_its_linter_and_its_tests() -> None:
    """Both are needed."""
    assert judge_law(0, KEPT, GREEN).evidence == "lint-imports: 3 kept, 0 broken.; 1 tests of the architecture passed"
    assert not judge_law(1, "supervisor.core is not allowed to import workers", GREEN).is_good
    assert not judge_law(0, KEPT, None).is_good
    assert not judge_law(0, KEPT, dataclasses.replace(GREEN, outcomes={LAW: "failed"})).is_good


# ---- the whole -----------------------------------------------------------------------------------


def test_every_goal_is_in_the_document_and_the_page() -> None:
    """With title, verdict and evidence; nothing judged is no success."""
    verdicts = [GoalVerdict(goal, goal != "G-3", "a | b\nc", ["a detail"]) for goal in GOAL_TITLES]
    document = verdict_document(verdicts, {"commit": "abc"})
    assert (document["passed"], document["commit"], len(document["goals"])) == (False, "abc", 10)
    page = verdict_page(verdicts, {"commit": "abc"})
    assert "9 of 10 goals hold." in page
    assert "| G-3 | sketches are right | **FAIL** | a \\| b c |" in page
    assert verdicts[0].line() == "G-1  pass  a | b c"
    assert (all_hold(verdicts), all_hold(verdicts[:2]), all_hold([])) == (False, True, False)
