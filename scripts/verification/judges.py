"""The judges of G-1 to G-5 and G-8 to G-10 over what was gathered. PURE."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from scenarios.judgement import Judgement, ScenarioResult

from verification.runbook_page import Remedy
from verification.test_record import PASSED, RecordedTests
from verification.verdict import GoalVerdict

SHOWN = 3
SKETCH_ERROR_OURS = 0.55
LAW = "tests/architecture/"
SCENARIO = "scenario "


def listed(sentences: Sequence[str]) -> str:
    """The first of them, and how many more."""
    more = len(sentences) - SHOWN
    return "; ".join(sentences[:SHOWN]) + (f"; and {more} more" if more > 0 else "")


@dataclass(frozen=True, slots=True)
class GatheredSchema:
    """`refused`: differences from `base` that are no additions; `mutations`: by name, whether the gate refused it; `passes`:
    whether it let an addition through."""

    base: str
    tables: int
    messages: int
    refused: Sequence[str]
    mutations: Mapping[str, bool]
    passes: bool


def judge_schema(found: GatheredSchema) -> GoalVerdict:
    """Only additions since the newest release; the gate refuses what is none, or its word is worth nothing."""
    let_through = [name for name, is_refused in found.mutations.items() if not is_refused]
    problems = [*found.refused, *(f"the gate let through: {name}" for name in let_through)]
    problems += [] if found.mutations else ["the gate was not tried"]
    problems += [] if found.passes else ["the gate refused an addition"]
    good = f"only additions since {found.base}: {found.tables} tables, {found.messages} messages; "
    tried = f"the gate refused {len(found.mutations) - len(let_through)} of {len(found.mutations)} mutations"
    return GoalVerdict("G-1", not problems, listed(problems) if problems else good + tried, problems)


def judge_measured(goal: str, results: Iterable[ScenarioResult]) -> GoalVerdict:
    """What scenarios say of a goal: all of it must be good, in runs that came to their end."""
    found = list(results)
    judged = [each for result in found for each in result.judgements if each.goal == goal]
    broken = [f"scenario {result.scenario} did not end: {failure}" for result in found for failure in result.failures]
    if not judged:
        broken.append("no scenario judged it")
    # What fails is read first.
    ordered = sorted(judged, key=lambda each: each.is_good)
    words = [*broken, *(f"{_figure(each)}{_ours(each)} [{each.evidence}]" for each in ordered)]
    return GoalVerdict(goal, not broken and all(each.is_good for each in judged), "; ".join(words), broken)


def _figure(judgement: Judgement) -> str:
    mark = "" if judgement.is_good else "NOT "
    if judgement.figure is None or judgement.limit is None:
        return f"{mark}{judgement.what}"
    unit = f" {judgement.unit}" if judgement.unit else ""
    return f"{mark}{judgement.what} {judgement.figure:.4g}{unit} ({'>=' if judgement.at_least else '<='} {judgement.limit:g}{unit})"


def _ours(judgement: Judgement) -> str:
    if judgement.validator != "sketch_error" or judgement.figure is None:
        return ""
    return f", {'within' if judgement.figure <= SKETCH_ERROR_OURS else 'NOT within'} our own {SKETCH_ERROR_OURS:g} %"


def judge_tests(record: RecordedTests | None, sources: str) -> GoalVerdict:
    """The last whole run: of these sources, and green."""
    if record is None:
        return GoalVerdict("G-8", False, "no whole run of the tests is recorded: scripts/test")
    failed = record.failed()
    problems = [f"it is of other sources than the present ones ({record.sources}, now {sources}): scripts/test"]
    problems = problems if record.sources != sources else []
    problems += [f"exit code {record.code}"] if record.code else []
    problems += [] if record.outcomes else ["nothing ran"]
    problems += [f"failed: {name}" for name in failed]
    counts = (
        f"{record.count(PASSED)} passed, {len(failed)} failed, {record.count('skipped')} skipped in {record.took_seconds:.0f} s"
    )
    about = f"{counts}, commit {record.commit or 'unknown'}, sources {record.sources}"
    return GoalVerdict("G-8", not problems, f"{listed(problems)}; {about}" if problems else about, problems)


def judge_law(code: int, output: str, record: RecordedTests | None) -> GoalVerdict:
    """lint-imports now, and the tests of the architecture in the last whole run."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    kept = next((line for line in lines if line.startswith("Contracts:")), "")
    problems = [] if code == 0 else [f"lint-imports ends with {code}: {' / '.join(lines[-SHOWN:])}"]
    law = {name: outcome for name, outcome in (record.outcomes if record else {}).items() if name.startswith(LAW)}
    problems += [f"{name}: {outcome}" for name, outcome in law.items() if outcome != PASSED]
    problems += [] if law else [f"no run of {LAW} is recorded: scripts/test"]
    good = f"lint-imports: {kept.removeprefix('Contracts: ')}; {len(law)} tests of the architecture passed"
    return GoalVerdict("G-9", not problems, listed(problems) if problems else good, problems)


def judge_runbook(problems: Sequence[str], counts: Mapping[str, int]) -> GoalVerdict:
    """Everything of the program stands in a section."""
    good = ", ".join(f"{number} {name}" for name, number in counts.items())
    return GoalVerdict("G-7", not problems, listed(problems) if problems else f"in the runbook: {good}", list(problems))


def outcome_of_test(record: RecordedTests | None, name: str) -> bool | None:
    """Whether a test passed, with all its parameters. *Absent:* None where it did not run."""
    outcomes = record.outcomes if record else {}
    found = [outcome for key, outcome in outcomes.items() if key == name or key.startswith(f"{name}[")]
    return all(outcome == PASSED for outcome in found) if found else None


def judge_remedies(
    remedies: Sequence[Remedy],
    missing: Sequence[str],
    record: RecordedTests | None,
    scenario: Callable[[str], bool | None],
    *,
    needs_scenarios: bool,
) -> GoalVerdict:
    """Every remedy names what exists and passed. `scenario`: whether one passed last, None where it did not run;
    `needs_scenarios`: it must have."""
    problems, tests, scenarios, not_run = list(missing), 0, 0, 0
    for proof in dict.fromkeys(proof for remedy in remedies for proof in remedy.proofs):
        is_scenario = proof.startswith(SCENARIO)
        outcome = scenario(proof.removeprefix(SCENARIO)) if is_scenario else outcome_of_test(record, proof)
        if outcome is None and is_scenario and not needs_scenarios:
            not_run += 1
        elif outcome is None:
            problems.append(f"{proof} did not run")
        elif not outcome:
            problems.append(f"{proof} failed")
        scenarios, tests = scenarios + is_scenario, tests + (not is_scenario)
    problems += [f"nothing proves: {each.symptom}" for each in remedies if not each.proofs]
    problems += [] if remedies else ["there are no remedies"]
    left = f", {not_run} of which are left to the whole run" if not_run else ""
    good = f"{len(remedies)} remedies, proven by {tests} tests and {scenarios} scenarios{left}"
    return GoalVerdict("G-10", not problems, listed(problems) if problems else good, problems)
