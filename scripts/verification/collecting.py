"""Gathers what the judges need: runs scenarios and programs, reads records; and has each goal judged."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from scenarios.judgement import ScenarioResult
from scenarios.running import load_scenario, run
from schema_gate.compare import refusals
from schema_gate.declared import declared
from schema_gate.kept import base_of

from agent.model.event_catalogue import KINDS
from verification.judges import (
    SCENARIO,
    GatheredSchema,
    judge_law,
    judge_measured,
    judge_remedies,
    judge_runbook,
    judge_schema,
    judge_tests,
)
from verification.milestones import MILESTONES
from verification.mutations import allowed_mutation, refused_mutations
from verification.runbook import PAGE, page_problems, proof_problems
from verification.runbook_facts import code_facts
from verification.runbook_page import parse_runbook
from verification.scenario_record import keep_results, read_scenario_record
from verification.sources import FOLDER_VARIABLE, ROOT, results_folder, source_digest
from verification.test_record import RecordedTests, read_record, record_path
from verification.told import PROOFS, judge_told
from verification.verdict import GoalVerdict

MEASURED, BREAKERS = "standard", "breakers"
MEASURED_GOALS = ("G-2", "G-3", "G-4", "G-5")
# Programs that this one runs or reads by itself.
LEFT_OUT = frozenset({"all_tests", "architecture_check", "runbook_scenarios", "proto_evolution"})
Say = Callable[[str], None]


@dataclass(slots=True)
class Collector:
    """Judges goals one after the other. `is_short`: reads what was recorded of tests and long scenarios instead of running them.

    *Raises:* NotPossible where something needed is missing.
    """

    is_short: bool
    say: Say
    results: dict[str, ScenarioResult] = field(default_factory=dict)
    _tests: RecordedTests | None = None

    def judge(self, goals: tuple[str, ...]) -> list[GoalVerdict]:
        """These goals, in their order; the measured ones first, so that nothing else disturbs them."""
        found: dict[str, GoalVerdict] = {}
        if not self.is_short and set(goals) & {"G-6", "G-8", "G-9", "G-10"}:
            self._run_tests()
        for goal in sorted(goals, key=lambda each: (each not in MEASURED_GOALS, goals.index(each))):
            begun = time.monotonic()
            self.say(f"{goal}: gathering")
            found[goal] = self._judge_one(goal)
            found[goal].took_seconds = round(time.monotonic() - begun, 1)
        return [found[goal] for goal in goals]

    def _judge_one(self, goal: str) -> GoalVerdict:
        if goal in MEASURED_GOALS:
            return judge_measured(goal, [self._scenario(MEASURED)])
        judges: Mapping[str, Callable[[], GoalVerdict]] = {
            "G-1": self._schema,
            "G-6": self._told,
            "G-7": self._runbook,
            "G-8": lambda: judge_tests(self._record(), source_digest()),
            "G-9": self._law,
            "G-10": self._remedies,
        }
        return judges[goal]()

    def _scenario(self, name: str) -> ScenarioResult:
        if name not in self.results:
            self.results[name] = run(load_scenario(name), say=lambda text: self.say(f"{name}: {text}"))
            keep_results([self.results[name]])
        return self.results[name]

    def _record(self) -> RecordedTests | None:
        if self._tests is None:
            self._tests = read_record(record_path())
        return self._tests

    def _run_tests(self) -> None:
        self.say("all tests: scripts/test, more than half an hour")
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {FOLDER_VARIABLE: str(results_folder())}
        subprocess.run([ROOT / "scripts/test"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=environment, check=False)

    def _schema(self) -> GoalVerdict:
        what, before = base_of(None)
        now = declared()
        mutations = {name: bool(refusals(now, each)) for name, each in refused_mutations(now).items()}
        passes = not refusals(now, allowed_mutation(now))
        return judge_schema(GatheredSchema(what, len(now.tables), len(now.messages), refusals(before, now), mutations, passes))

    def _told(self) -> GoalVerdict:
        self._scenario(BREAKERS)
        if not self.is_short:
            self._run_named()
        return judge_told(KINDS.values(), PROOFS, self.results, self._record())

    def _run_named(self) -> None:
        """Every scenario that a proof, a remedy or a milestone names."""
        named = [name for proof in PROOFS.values() for name in (*proof.begin, *proof.end)]
        named += [name for section in parse_runbook(PAGE.read_text()) for each in section.remedies for name in each.proofs]
        named += [name for each in MILESTONES for name in each.proofs]
        for name in dict.fromkeys(each.removeprefix(SCENARIO) for each in named if each.startswith(SCENARIO)):
            if name not in LEFT_OUT:
                self._scenario(name)

    def _runbook(self) -> GoalVerdict:
        text, facts = PAGE.read_text(), code_facts()
        counts = {
            "features": len(facts.features),
            "settings": len(facts.settings),
            "metrics": len(facts.metrics),
            "kinds of events": len(facts.events),
        }
        return judge_runbook(page_problems(text), {"sections": len(parse_runbook(text))} | counts)

    def _law(self) -> GoalVerdict:
        code, output = lint_imports()
        return judge_law(code, output, self._record())

    def _remedies(self) -> GoalVerdict:
        if not self.is_short:
            self._run_named()
        text = PAGE.read_text()
        remedies = [each for section in parse_runbook(text) for each in section.remedies]
        return judge_remedies(remedies, proof_problems(text), self._record(), self._outcome, needs_scenarios=not self.is_short)

    def _outcome(self, name: str) -> bool | None:
        """Of this run, or the last one of the same sources."""
        if name in self.results:
            return self.results[name].has_passed
        kept = read_scenario_record(name)
        return kept.result.has_passed if kept is not None and kept.sources == source_digest() else None


def lint_imports() -> tuple[int, str]:
    """The law of imports, by import-linter itself: exit code and output."""
    command = [os.path.join(os.path.dirname(sys.executable), "lint-imports"), "--config", "setup.cfg"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    return done.returncode, done.stdout + done.stderr
