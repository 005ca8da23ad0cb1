"""All pairs, the matrix that is made of them, and the report's table."""

import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts/bench"))
sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from scenarios.judgement import Judgement, ScenarioResult, coverage, from_document
from scenarios.matrix import FAILURES, is_allowed, plan, scenario_of
from scenarios.pairs import all_pairs, each_once, pairs_of, wanted_pairs
from scenarios.report import coverage_table, line, markdown

FACTORS = st.lists(st.integers(1, 5), min_size=2, max_size=4).map(
    lambda sizes: {f"f{number}": [f"v{value}" for value in range(size)] for number, size in enumerate(sizes)}
)


@given(FACTORS)
def test_every_pair_meets_and_rows_are_few(factors: dict[str, list[str]]) -> None:
    """No pair is missing; and there are at most as many rows as pairs, and never more than all combinations."""
    rows = all_pairs(factors)
    met = set().union(*map(pairs_of, rows))
    assert met == wanted_pairs(factors)
    most = 1
    for values in factors.values():
        most *= len(values)
    assert len(rows) <= most
    assert len({tuple(row.items()) for row in rows}) == len(rows)


@given(FACTORS)
def test_the_quick_look_has_each_value(factors: dict[str, list[str]]) -> None:
    """With as few rows as the largest factor has values, where everything is allowed."""
    rows = each_once(factors)
    assert {(name, value) for row in rows for name, value in row.items()} == {
        (n, v) for n, values in factors.items() for v in values
    }
    assert len(rows) == max(map(len, factors.values()))


def test_a_pair_that_may_not_meet_does_not() -> None:
    """And all others do."""
    factors = {"a": ["1", "2", "3"], "b": ["1", "2"], "c": ["1", "2"]}

    def differs(row: object) -> bool:
        assert isinstance(row, dict)
        return not (row.get("a") == "1" and row.get("b") == "1")

    rows = all_pairs(factors, differs)
    assert all(map(differs, rows))
    assert set().union(*map(pairs_of, rows)) >= wanted_pairs(factors, differs)


def test_each_row_of_the_matrix_is_a_scenario() -> None:
    """With and without guests; the clock is set in guests only."""
    for quick in (True, False):
        for guests in (True, False):
            rows = plan(quick=quick, guests=guests)
            assert rows
            assert all(map(is_allowed, rows))
            assert all(scenario_of(row).validators for row in rows)
    assert {row["failure"] for row in plan(quick=False, guests=False)} == set(FAILURES) - {"clock_step"}


def _result(scenario: str, platform: str, **verdicts: bool) -> ScenarioResult:
    judgements = [Judgement("v", goal.replace("_", "-"), "what", good, "seen", 1.5, 2.0, "%") for goal, good in verdicts.items()]
    return ScenarioResult(scenario, "About it.", platform, judgements=judgements)


def test_the_table_has_goal_by_scenario_and_platform() -> None:
    """Of two runs of one scenario both must hold; what was not judged stays empty."""
    results = [_result("a", "host", G_2=True, G_3=True), _result("a", "host", G_2=False), _result("b", "guest-6.1", G_3=True)]
    assert coverage(results) == {("G-2", "a", "host"): False, ("G-3", "a", "host"): True, ("G-3", "b", "guest-6.1"): True}
    table = coverage_table(results)
    assert table[0] == "| goal | a (host) | b (guest-6.1) |"
    assert table[3:5] == ["| G-2 | FAIL |  |", "| G-3 | pass | pass |"]


def test_a_line_has_goal_verdict_figure_limit_and_evidence() -> None:
    """As `scripts/verify` prints it."""
    (judgement,) = _result("a", "host", G_2=True).judgements
    assert line(judgement) == "G-2  pass what 1.5 % (<= 2 %): seen"


def test_a_result_comes_back_from_json() -> None:
    """A guest's does."""
    result = _result("a", "host", G_2=True)
    assert from_document(result.document()) == result
    assert result.document()["goals"] == {"G-2": True}


def test_a_run_that_judged_nothing_or_failed_has_not_passed() -> None:
    """Silence is no success."""
    assert not ScenarioResult("a", "", "host").has_passed
    broken = _result("a", "host", G_2=True)
    broken.failures.append("OSError: lost")
    assert (broken.has_passed, broken.of_goal("G-2"), broken.of_goal("G-3")) == (False, False, None)
    assert "**Failed:** OSError: lost" in markdown([broken], {})
