"""G-6: every breaker and fallback of the event catalogue is told, beginning and end. PURE."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scenarios.judgement import ScenarioResult

from agent.model.event_kind import CataloguedKind, EventForm
from verification.judges import SCENARIO, listed, outcome_of_test
from verification.test_record import RecordedTests
from verification.verdict import GoalVerdict

# A breaker or a fallback by its name, or by what the catalogue says that it means.
NAME = re.compile(r"breaker|fallback|over_limit|degrad|abandoned")
MEANING = re.compile(r"worse source|does less|not read for now|switched off|left alone|hold less|written without it", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ToldProof:
    """What provokes a kind and sees its beginning, and its end: tests by `file::name`, `scenario NAME`. An event has no end."""

    begin: tuple[str, ...]
    end: tuple[str, ...] = ()


_BREAKERS = "scenario breakers"
_AGENT = "tests/integration/test_governor_agent.py::test_an_overshoot_is_seen_told_and_ended_by_a_higher_limit"
_GOVERNANCE = "tests/unit/supervisor/core/test_governance.py::"
_QUIET = f"{_GOVERNANCE}test_every_condition_of_a_quiet_worker_has_its_end"
_FALLBACKS = "tests/integration/test_exit_fallbacks.py::"
_SKETCH = "tests/crash/test_sketch_fallback.py::test_a_sketch_that_cannot_be_built_is_told_and_its_values_are_kept"
_CAPTURE = "tests/unit/workers/samplers/test_process_stages.py::test_a_flat_load_begins_and_ends_the_condition_once"
_ROUTER = "tests/integration/test_router_http.py::test_new_windows_without_sketches_are_a_condition_once"
PROOFS: Mapping[str, ToldProof] = {
    "module_over_limit": ToldProof((_BREAKERS, _AGENT), (_BREAKERS, _AGENT)),
    "degraded": ToldProof((_BREAKERS, _AGENT), (_QUIET,)),
    "breaker_open": ToldProof((_BREAKERS, _AGENT), (_BREAKERS, _QUIET)),
    "breaker_half_open": ToldProof((_BREAKERS, _QUIET)),
    "degradation_step": ToldProof((_BREAKERS, f"{_GOVERNANCE}test_an_overshoot_is_told_to_the_worker_and_to_people")),
    "restarted_over_limit": ToldProof((f"{_GOVERNANCE}test_too_much_memory_restarts_the_worker_cleanly",)),
    "sketch_fallback": ToldProof((_SKETCH, "scenario sketch_fallback"), (_SKETCH, "scenario sketch_fallback")),
    "sampler_fallback": ToldProof(
        (f"{_FALLBACKS}test_the_next_source_has_all_the_cpu_of_the_dead",),
        (f"{_FALLBACKS}test_a_capability_that_comes_back_brings_the_records_back",),
    ),
    "router_fallback": ToldProof((_ROUTER,), (_ROUTER,)),
    "capture_below_target": ToldProof((_CAPTURE,), (_CAPTURE,)),
    "segment_abandoned": ToldProof(
        ("tests/integration/test_writer_broken_disk.py::test_a_segment_that_takes_no_more_is_followed_by_a_new_one_at_once",)
    ),
    "gpu_collector_abandoned": ToldProof(
        ("tests/unit/workers/gpu/test_probe.py::test_one_that_never_answers_is_given_up_and_said_once",)
    ),
}


def kinds_to_tell(kinds: Iterable[CataloguedKind]) -> list[CataloguedKind]:
    """The breakers and fallbacks of a catalogue."""
    return [each for each in kinds if NAME.search(each.name) or MEANING.search(each.about)]


def judge_told(
    kinds: Iterable[CataloguedKind],
    proofs: Mapping[str, ToldProof],
    results: Mapping[str, ScenarioResult],
    record: RecordedTests | None,
) -> GoalVerdict:
    """Each kind has a proof of its beginning, and a condition one of its end; no proof that ran says the contrary.

    What else scenarios judge of this goal, such as missing ticks with their reasons, is good too.
    """
    problems: list[str] = []
    shown: list[str] = []
    wanted = kinds_to_tell(kinds)
    for kind in wanted:
        proof = proofs.get(kind.name)
        if proof is None:
            problems.append(f"nothing provokes {kind.name}")
            continue
        phases = {"": proof.begin} | ({", end": proof.end} if kind.form is EventForm.CONDITION else {})
        for phase, names in phases.items():
            outcomes = {name: _outcome(name, f"event {kind.name}", phase, results, record) for name in names}
            problems += [f"{kind.name}{phase}: not by {name}" for name, outcome in outcomes.items() if outcome is False]
            if not any(outcomes.values()) and False not in outcomes.values():
                problems.append(f"{kind.name}{phase}: no run that would tell it is recorded")
            by = next((name for name, outcome in outcomes.items() if outcome), None)
            shown += [f"{kind.name}{phase}: {by}"] if by else []
    judged = [each for result in results.values() for each in result.judgements if each.goal == "G-6"]
    problems += [f"{each.what}: {each.evidence}" for each in judged if not each.is_good and f"{each.what}" not in problems]
    problems += [] if wanted else ["the catalogue has no breaker"]
    real = sum(_BREAKERS in each or "tests/integration" in each or "tests/crash" in each for each in shown)
    seen = f"{len(shown)} beginnings and ends seen, {real} of them in a real agent, now or in the last run of the tests"
    good = f"{len(wanted)} kinds of breakers and fallbacks, {seen}"
    return GoalVerdict("G-6", not problems, listed(problems) if problems else good, [*problems, *shown])


def _outcome(name: str, what: str, phase: str, results: Mapping[str, ScenarioResult], record: RecordedTests | None) -> bool | None:
    if not name.startswith(SCENARIO):
        return outcome_of_test(record, name)
    result = results.get(name.removeprefix(SCENARIO))
    if result is None:
        return None
    meant = [each for each in result.judgements if each.what.split(",")[0].split(" of ")[0] == what]
    found = [each.is_good for each in meant if each.what.endswith(", end") == bool(phase)]
    return all(found) if found else None
