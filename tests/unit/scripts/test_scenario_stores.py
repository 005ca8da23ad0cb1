"""Topics and stores against what is stored here: a row too few, too many or another one is found, and sketches of other values."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts/bench"))
sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from scenarios.definition import ValidatorChoice
from scenarios.evidence import Evidence
from scenarios.judgement import Judgement
from scenarios.judging import judge
from scenarios.rebinning import WindowMatch, apart, bucket_above, matches
from scenarios.shapes import VALIDATORS
from scenarios.store_evidence import RowAccount, StoreEvidence, WireCost

from agent.model.sketch import Sketch, bucket_of

S, MINUTE = 10**9, 60 * 10**9
GOOD = WindowMatch("topics", 0, "cpu", 60, 60, 6_000, 5_000, 9, 0, 0, 0, 0)
WHOLE = [RowAccount("topics", "process", 100, 0, 0, 0), RowAccount("topics", "process_sketch", 10, 0, 0, 0)]
COSTS = [WireCost("otlp", 3_400, 100.0), WireCost("kafka", 1_000, 100.0)]


def _judged(name: str, stores: StoreEvidence, **limits: float) -> list[Judgement]:
    values = {key: each.default for key, each in VALIDATORS[name].parameters.items() if each.default is not None} | limits
    return judge([ValidatorChoice(name, None, values)], Evidence(0, S, S, stores=stores))


def _bad(name: str, stores: StoreEvidence, **limits: float) -> list[str]:
    return [each.what for each in _judged(name, stores, **limits) if not each.is_good]


@pytest.mark.parametrize("name", ["same_rows", "rebinned", "wire_cost"])
def test_each_passes_where_its_goal_holds_and_not_where_nothing_was_gathered(name: str) -> None:
    """What was not measured is no success."""
    assert _bad(name, StoreEvidence(WHOLE, [GOOD], COSTS)) == []
    (found,) = _judged(name, StoreEvidence())
    assert (found.is_good, "not measured" in found.evidence) == (False, True)


@pytest.mark.parametrize("word", ["missing", "doubled", "strange"])
def test_a_row_that_is_missing_doubled_or_another_one_is_found(word: str) -> None:
    """At the place where it is, and in the table."""
    bad = RowAccount("topics", "process_sketch", 10, *(int(word == each) for each in ("missing", "doubled", "strange")))
    lake = [dataclasses.replace(each, where="lake") for each in WHOLE]
    assert _bad("same_rows", StoreEvidence([WHOLE[0], bad, *lake])) == [f"rows {word} at topics"]


def test_a_comparison_without_raw_rows_or_sketches_is_none() -> None:
    """Zero of zero are not all."""
    assert _bad("same_rows", StoreEvidence([WHOLE[0], dataclasses.replace(WHOLE[1], stored=0)])) == ["rows at topics"]


@pytest.mark.parametrize(
    ("changed", "bad"),
    [
        ({"buckets_off": 1}, ["values in other buckets, topics"]),
        ({"count_off": 2, "unsure": 2}, []),
        ({"count_off": 3, "unsure": 2}, ["values more or fewer, topics"]),
        ({"sum_off": 1}, ["sums off, topics"]),
        ({"raw_ticks": 59}, ["ticks more or fewer, topics"]),
        ({"compared": 999}, ["values compared, topics"]),
    ],
)
def test_a_sketch_that_is_not_that_of_its_raw_rows_is_found(changed: dict[str, Any], bad: list[str]) -> None:
    """By one value, one bucket, one tick."""
    assert _bad("rebinned", StoreEvidence(windows=[dataclasses.replace(GOOD, **changed)])) == bad
    assert dataclasses.replace(GOOD, **changed).is_equal == (not bad or "compared" in changed or "raw_ticks" in changed)


def test_bytes_are_stated_and_judged_where_there_is_a_limit() -> None:
    """The ratio is to the first place; without a process there is no figure."""
    otlp, kafka = _judged("wire_cost", StoreEvidence(costs=COSTS), kafka=10.0)
    assert (otlp.figure, kafka.figure, kafka.is_good, "ratio 3.40 against otlp" in kafka.evidence) == (None, 10.0, True, True)
    assert _bad("wire_cost", StoreEvidence(costs=COSTS), kafka=9.9) == ["bytes per process-second, kafka"]
    assert _bad("wire_cost", StoreEvidence(costs=[WireCost("otlp", 1, 0.0)])) == ["bytes per process-second, otlp"]
    assert _bad("wire_cost", StoreEvidence(costs=[COSTS[0], WireCost("kafka", 0, 10.0)])) == []


def test_rows_are_compared_in_whole() -> None:
    """A row may be there as often as it is here, and no more."""
    assert apart([(1, "a"), (1, "a"), (2, "b")], [(1, "a"), (2, "b"), (1, "a")]) == (0, 0, 0)
    assert apart([(1, "a"), (1, "a"), (2, "b")], [(1, "a"), (2, "b"), (2, "b"), (3, None)]) == (1, 1, 1)


@given(st.integers(1, 2**63 - 1) | st.integers(0, 62).map(lambda power: 2**power) | st.integers(1, 5_000))
def test_the_bucket_of_a_value_is_the_agents_though_nothing_is_shared(value: int) -> None:
    """At powers of two and beside them too."""
    assert bucket_above(value) == bucket_of(value)


def _sketch(metric: str, values: list[int], window: int = 0, ticks: int = 2) -> dict[str, Any]:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    columns = sketch.to_columns()
    names = ("scale", "zero_count", "count", "sum", "first_bucket", "counts")
    return {"window_start": window, "metric": metric, "ticks": ticks} | {name: getattr(columns, name) for name in names}


def _world(cpu: list[int], rss: list[int], **more: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Two ticks of one window. Both have two named processes, one of which has no CPU yet, and a tail of three."""
    named = [(5, 1_000), (None, 2_000), (7_000, 1_000), (0, 2_000)]
    return {
        "process_scan": [{"timestamp": S}, {"timestamp": 2 * S}],
        "process": [{"timestamp": (1 + at // 2) * S, "cpu_ns": cpu, "rss_bytes": rss} for at, (cpu, rss) in enumerate(named)],
        "process_tail": [
            {"timestamp": S, "processes": 3, "cpu_ns": None, "cpu_largest_ns": None, "rss_bytes": 60, "rss_largest_bytes": 40}
            | {"absent": "new"},
            {"timestamp": 2 * S, "processes": 3, "cpu_ns": 9, "cpu_largest_ns": 6, "rss_bytes": 60, "rss_largest_bytes": 40}
            | {"absent": None},
        ],
        "process_exit": [
            {"timestamp": 2 * S, "cpu_ns": 300, "deaths": 1},
            {"timestamp": 2 * S, "cpu_ns": 20, "deaths": 3},
            {"timestamp": 2 * S, "cpu_ns": None, "deaths": 1},
        ],
        "process_sketch": [_sketch("cpu", cpu), _sketch("rss", rss)],
        **more,
    }


CPU = [5, 7_000, 0, 3, 6, 0, 300, 10, 5, 5]
RSS = [1_000, 2_000, 1_000, 2_000, 10, 40, 10, 10, 40, 10]


def test_raw_rows_are_the_sketches_of_their_window() -> None:
    """Above the largest value of a sum each bucket, below it count and sum; where a tail lacks values, as many are unsure."""
    cpu, rss = matches("topics", _world(CPU, RSS), MINUTE)
    assert (cpu.is_equal, cpu.values, cpu.compared, cpu.largest, cpu.count_off, cpu.unsure) == (True, 10, 2, 20, 3, 3)
    assert (rss.is_equal, rss.values, rss.compared, rss.largest, rss.ticks, rss.raw_ticks) == (True, 10, 4, 40, 2, 2)


@pytest.mark.parametrize(
    ("cpu", "off"),
    [
        ([*CPU[:1], 7_200, *CPU[2:]], (2, 200)),
        ([*CPU[:1], 7_001, *CPU[2:]], (0, 1)),
        ([*CPU, 900], (1, 900)),
    ],
)
def test_other_values_are_found(cpu: list[int], off: tuple[int, int]) -> None:
    """In another bucket, in the same one by the sum, and one too many."""
    found, _ = matches("topics", _world(cpu, RSS), MINUTE)
    assert ((found.buckets_off, found.sum_off), found.is_equal) == (off, False)


def test_raw_values_that_no_sketch_could_take_count_beside_it() -> None:
    """Table process_raw has them with how often they were."""
    raw = [{"window_start": 0, "metric": "cpu", "value": 5, "times": 3}]
    found, _ = matches("topics", _world([each for each in CPU if each != 5], RSS, process_raw=raw), MINUTE)
    assert found.is_equal


def test_without_a_tail_every_value_is_compared() -> None:
    """Zeros too; a window whose raw rows are in none of the tables is all off."""
    world = _world([5, 7_000, 0, 300], RSS[:4], process_tail=[], process_exit=[{"timestamp": S, "cpu_ns": 300, "deaths": 1}])
    assert [(each.is_equal, each.compared) for each in matches("t", world, MINUTE)] == [(True, 4), (True, 4)]
    lost = world | {"process_sketch": [_sketch("cpu", [0, 0, 7], window=MINUTE)]}
    (found,) = matches("t", lost, MINUTE)
    assert (found.buckets_off, found.raw_ticks, found.is_equal) == (3, 0, False)
