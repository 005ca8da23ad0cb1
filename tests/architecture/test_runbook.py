"""docs/runbook.md has everything of the program, and every remedy names what proves it; each gap is found."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from verification.remedy_proof import unlike_marks
from verification.runbook import PAGE, main, page_problems, proof_problems
from verification.runbook_facts import code_facts
from verification.runbook_page import CodeFacts, parse_runbook, problems_of, rewritten

TEXT = PAGE.read_text()
FACTS = code_facts()


def test_the_page_has_every_feature_setting_metric_and_event() -> None:
    """Each once, with tables as the code says. After a change of the code: scripts/runbook --write."""
    assert page_problems(TEXT) == []


def test_every_remedy_names_a_test_or_scenario_that_exists_and_names_its_section() -> None:
    """One that was renamed takes the page along, and who changes one sees which remedy relies on it."""
    assert proof_problems(TEXT) == []


def test_writing_it_again_changes_nothing() -> None:
    """The tables are current, and what is normal of a metric is kept."""
    assert rewritten(TEXT, FACTS) == TEXT


@pytest.mark.parametrize(
    ("kind", "name", "sentence"),
    [
        ("settings", "gateway.speed", "setting gateway.speed is in no section"),
        ("metrics", "evergauge_unheard_of", "metric evergauge_unheard_of is in no section"),
        ("events", "unheard_of", "event unheard_of is in no section"),
    ],
)
def test_what_is_not_documented_is_found(kind: str, name: str, sentence: str) -> None:
    """A setting, a metric, an event that came to the code alone; and one that has left it."""
    every = {each: dict(FACTS.of(each)) for each in ("settings", "metrics", "events")}
    every[kind][name] = ("", "", "")
    more = CodeFacts(**every, features=FACTS.features)
    assert problems_of(parse_runbook(TEXT), more) == [sentence]
    known = next(iter(FACTS.of(kind)))
    del every[kind][name], every[kind][known]
    less = CodeFacts(**every, features=FACTS.features)
    assert problems_of(parse_runbook(TEXT), less) == [f"{sentence.split()[0]} {known} is not in the code: scripts/runbook --write"]


def test_a_feature_without_a_section_is_found() -> None:
    """Such as a sampler that somebody has added."""
    more = CodeFacts(FACTS.settings, FACTS.metrics, FACTS.events, FACTS.features | {"worker sampler/new"})
    assert problems_of(parse_runbook(TEXT), more) == ["no section covers worker sampler/new"]


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("from 0 to 65535", "from 0 to 70000", "setting gateway.port is not as the code says: scripts/runbook --write"),
        ("| 1; no sample while a worker sleeps |", "| ? |", "metric evergauge_worker_up says nothing of what is normal"),
        ("\nGoals: G-2, G-6\n", "\n", "section Service and folders: it has no line `Goals: …`"),
        ("<!-- features: nri -->", "", "no section covers nri"),
    ],
)
def test_what_was_changed_on_the_page_alone_is_found(before: str, after: str, sentence: str) -> None:
    """A range, a normal value, the goals, a feature."""
    assert before in TEXT
    assert sentence in page_problems(TEXT.replace(before, after, 1))


def test_a_remedy_without_a_proof_is_found() -> None:
    """It names nothing, or a test that there is not."""
    proof = re.search(r"`tests/[^`]*::test_[^`]*`", TEXT)
    assert proof is not None
    assert any("nothing proves the remedy" in each for each in page_problems(TEXT.replace(proof[0], "", 1)))
    assert any("there is no test" in each for each in proof_problems(TEXT.replace(proof[0], "`tests/unit/x.py::test_y`", 1)))
    assert any("there is no scenario" in each for each in proof_problems(TEXT.replace(proof[0], "`scenario unheard_of`", 1)))


@pytest.mark.parametrize(
    ("wanted", "found", "sentence"),
    [
        (["Governor"], [], 'section Governor: tests/x.py::test_y does not name it: @pytest.mark.runbook("Governor")'),
        ([], ["Governor"], "tests/x.py::test_y names section Governor, of which no remedy names it"),
    ],
)
def test_a_proof_that_names_another_section_is_found(wanted: list[str], found: list[str], sentence: str) -> None:
    """The page and the tests say the same of each other."""
    proof = "tests/x.py::test_y"
    assert unlike_marks({proof: frozenset(wanted)}, {proof: frozenset(found)}) == [sentence]
    scenario = unlike_marks({"scenario breakers": frozenset({"Governor"})}, {})
    assert scenario == ["section Governor: scenario breakers does not name it: runbook: [Governor]"]


def test_tests_and_scenarios_are_asked_for_the_sections_they_name() -> None:
    """A remedy that goes from the page leaves a mark that nothing wants."""
    without = TEXT.replace("`scenario breakers`", "").replace(
        "test_agentctl_diag.py::test_filters_choose`", "test_agentctl_diag.py`"
    )
    problems = proof_problems(without.replace("`tests/integration/test_agentctl_diag.py`, ", ""))
    assert sorted(problems) == [
        "scenario breakers names section Governor, of which no remedy names it",
        "tests/integration/test_agentctl_diag.py::test_filters_choose names section Status and events, of which no remedy names it",
    ]


def test_a_section_names_what_to_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Its tests and scenarios, one a line; an unknown section is a sentence with those that are near."""
    assert main(["--proofs", "Governor"]) == 0
    assert "scenario breakers" in capsys.readouterr().out.splitlines()
    with pytest.raises(SystemExit) as ended:
        main(["--proofs", "Govenor"])
    assert ended.value.code == 64
    assert "did you mean Governor?" in capsys.readouterr().err
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("runbook: ")
