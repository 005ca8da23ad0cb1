"""What a router answers while sketches stop: an interval without the truth is found, and a minute read from the wrong place."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts/bench"))
sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from scenarios.definition import ValidatorChoice
from scenarios.evidence import Evidence
from scenarios.judgement import Judgement
from scenarios.judging import judge
from scenarios.router_evidence import (
    WINDOW_NS,
    AnsweredNumber,
    AskedWindow,
    KnownValues,
    RouterAnswer,
    RouterEvidence,
    answer_of,
    asked_windows,
    is_true,
    judge_answers,
    known_values,
    window_lines,
)
from scenarios.shapes import VALIDATORS

M = WINDOW_NS
ANSWER = RouterAnswer(
    3 * M, 0.1, "percentile", "cpu", 0, 3 * M, [AnsweredNumber("50", 5.0, 4.0, 6.0)], {"sketch": 3}, {0: "sketch"}
)
VALUES = {(0, "cpu"): KnownValues([1, 5, 9]), (0, "rss"): KnownValues([100]), (M, "cpu"): KnownValues([5, 5])}


def test_an_answer_is_read_with_its_intervals_and_where_each_minute_came_from() -> None:
    """Percentiles have names of their own, other questions one number; what nothing bounds has no interval."""
    leg = {"since_ns": 0, "until_ns": 2 * M, "way": "raw", "why": "no_sketch"}
    group = {"percentiles": {"50": 5, "99": 7}, "intervals": {"50": {"low": 4, "high": 6, "is_exact": False}, "99": None}}
    document = {"kind": "percentile", "metric": "cpu", "groups": [group], "sources": {"raw": 2}, "explain": [leg]}
    found = answer_of(document, 9, 0.5, 0, 2 * M)
    assert found.numbers == [AnsweredNumber("50", 5, 4, 6), AnsweredNumber("99", 7, None, None)]
    assert (found.ways, found.whys, found.sources) == ({0: "raw", M: "raw"}, {0: "no_sketch", M: "no_sketch"}, {"raw": 2})
    total = {"value": 25, "interval": {"low": 25, "high": 25, "is_exact": True}}
    leg |= {"why": None, "way": "sketch"}
    found = answer_of(document | {"kind": "sum", "groups": [total], "explain": [leg]}, 9, 0.5, 0, 2 * M)
    assert (found.numbers, found.whys) == ([AnsweredNumber("sum", 25, 25, 25)], {})


def test_values_are_those_of_named_rows_and_of_the_dead_and_bounds_of_the_others() -> None:
    """By minute and metric; what is not known is no value."""
    row: dict[str, Any] = {"timestamp": M + 1, "cpu_ns": 5, "rss_bytes": None}
    tail = {"timestamp": 1, "processes": 3, "cpu_ns": 9, "cpu_largest_ns": 4, "rss_bytes": None, "rss_largest_bytes": None}
    dead = [{"timestamp": 1, "cpu_ns": cpu, "deaths": deaths} for cpu, deaths in ((7, 1), (8, 2), (None, 1))]
    found = known_values({"process": [row], "process_tail": [tail], "process_exit": dead})
    assert found[M, "cpu"] == KnownValues([5])
    assert found[0, "cpu"] == KnownValues([7], [(3, 9, 4), (2, 8, 8)])
    assert (found[0, "rss"], (M, "rss") in found) == (KnownValues([], [(3, 0, 0)]), False)
    assert known_values({}) == {}


def _holds(kind: str, name: str, low: float | None, high: float | None, values: KnownValues) -> bool:
    answer = dataclasses.replace(ANSWER, kind=kind)
    return is_true(answer, AnsweredNumber(name, low, low, high), values)


@pytest.mark.parametrize(
    ("kind", "name", "low", "high", "is_good"),
    [
        ("percentile", "50", 3, 3, True),
        ("percentile", "50", 3.1, 9, False),
        ("percentile", "50", 1, 2.9, False),
        ("percentile", "100", 5, 5, True),
        ("percentile", "50", None, None, True),
        ("sum", "sum", 9, 9, True),
        ("sum", "sum", 10, 20, False),
        ("max", "max", 5, 5, True),
        ("max", "max", 6, 6, False),
    ],
)
def test_an_interval_holds_the_truth_or_not(kind: str, name: str, low: float | None, high: float | None, is_good: bool) -> None:
    """Of 1, 3 and 5."""
    assert _holds(kind, name, low, high, KnownValues([5, 1, 3])) == is_good


def test_what_is_only_known_together_leaves_room_for_what_can_be_true() -> None:
    """Two values of at most 8 beside 1, 3 and 5: the middle one is from 1 to 5, the largest from 5 to 8; the sum is exact."""
    values = KnownValues([5, 1, 3], [(2, 9, 8)])
    assert [_holds("percentile", "50", at, at, values) for at in (0, 1, 5, 6)] == [False, True, True, False]
    assert [_holds("max", "max", at, at, values) for at in (4, 5, 8, 9)] == [False, True, True, False]
    assert [_holds("sum", "sum", at, at, values) for at in (17, 18)] == [False, True]
    assert _holds("percentile", "50", 1, 1, KnownValues())


def test_answers_are_held_against_the_values_of_their_minutes() -> None:
    """Of one metric, and of the time that was asked for."""
    none = dataclasses.replace(ANSWER, numbers=[AnsweredNumber("50", 5.0, None, None)])
    assert judge_answers([ANSWER, none], VALUES) == (2, 1, [])
    first = dataclasses.replace(ANSWER, until_ns=M, numbers=[AnsweredNumber("99.9", 9.0, 9.1, 9.2)])
    judged, unbounded, (untrue,) = judge_answers([first], VALUES)
    assert (judged, unbounded, untrue) == (1, 0, "percentile 99.9 of cpu [9.1, 9.2], true 5 to 5; {'sketch': 3}")


def _asked(at: int, way: str, why: str | None = None) -> RouterAnswer:
    return dataclasses.replace(ANSWER, asked_ns=at, ways={0: way}, whys={} if why is None else {0: why})


def test_a_minute_has_all_that_answers_said_of_it_in_order() -> None:
    """With seconds after its end; whether it has a sketch, and whether what brings it was away when it ended."""
    answers = [
        _asked(M + 9 * 10**9, "sketch"),
        _asked(M + 3 * 10**9, "raw", "not_settled"),
        _asked(M + 4 * 10**9, "raw", "not_settled"),
    ]
    (found,) = asked_windows(answers, [0], [(M, M + 1)])
    assert found == AskedWindow(0, True, True, [(3.0, "raw"), (4.0, "raw"), (9.0, "sketch")], ["not_settled"])
    (line,) = window_lines([found])
    assert line == "router, minute 1: raw after 3.0 s, sketch after 9.0 s; because not_settled; what brings sketches was away"
    (other,) = asked_windows([_asked(M + 1, "unknown")], [], [(0, M)])
    assert (other.has_sketch, other.is_stopped, "without a whole sketch" in window_lines([other])[0]) == (False, False, True)


GOOD = [
    AskedWindow(0, True, False, [(5.0, "sketch")]),
    AskedWindow(M, False, False, [(2.0, "unknown"), (6.0, "raw")]),
    AskedWindow(2 * M, True, True, [(6.0, "raw"), (70.0, "sketch")]),
    AskedWindow(3 * M, True, False, [(6.0, "sketch")]),
]


def _judged(name: str, router: RouterEvidence, **limits: float) -> list[Judgement]:
    values = {key: each.default for key, each in VALIDATORS[name].parameters.items() if each.default is not None} | limits
    return judge([ValidatorChoice(name, None, values)], Evidence(0, 4 * M, 10**9, router=router))


def _bad(name: str, router: RouterEvidence, **limits: float) -> list[str]:
    return [each.what for each in _judged(name, router, **limits) if not each.is_good]


def test_a_router_that_falls_back_and_returns_is_good() -> None:
    """And nothing is where nothing was asked, or nothing lacked sketches."""
    assert _bad("fallback", RouterEvidence(windows=GOOD)) == []
    assert _bad("fallback", RouterEvidence(windows=[GOOD[0]])) == ["fallback"]
    assert _bad("truth", RouterEvidence()) == ["truth in the interval"]


@pytest.mark.parametrize(
    ("number", "ways", "bad"),
    [
        (1, [(2.0, "unknown")], ["windows not answered from raw rows"]),
        (1, [(61.0, "raw")], ["slowest answer from raw rows"]),
        (2, [(6.0, "raw")], ["windows with sketches that are not answered by them in the end"]),
        (
            3,
            [(6.0, "raw")],
            ["windows with sketches that are not answered by them in the end", "later windows answered by sketches again"],
        ),
    ],
)
def test_a_minute_that_is_read_from_the_wrong_place_is_found(number: int, ways: list[tuple[float, str]], bad: list[str]) -> None:
    """Never from raw rows, too late, or never from its sketches again."""
    windows = [dataclasses.replace(each, ways=ways) if at == number else each for at, each in enumerate(GOOD)]
    assert _bad("fallback", RouterEvidence(windows=windows)) == bad


def test_a_minute_that_ended_after_the_run_is_not_judged() -> None:
    """It may still wait for its sketches."""
    later = AskedWindow(4 * M, True, False, [(1.0, "unknown")])
    assert _bad("fallback", RouterEvidence(windows=[*GOOD, later])) == []


def test_an_interval_without_the_truth_is_found() -> None:
    """And too few numbers that have one."""
    held = RouterEvidence([ANSWER], 1, 12, 2)
    assert _bad("truth", held) == []
    assert _bad("truth", held, numbers_least=11.0) == ["numbers with a bound"]
    untrue = ["percentile 50 of cpu [1, 1], true 2 to 2; {'unknown': 1}", "max max of rss [1, 1], true 2 to 2; {'unknown': 0}"]
    found = _judged("truth", dataclasses.replace(held, untrue=untrue))[0]
    assert (found.is_good, found.figure, found.evidence.startswith("1 of them with minutes unknown")) == (False, 2, True)
