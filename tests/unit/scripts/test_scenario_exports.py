"""What a fault of a sink costs: each validator passes within its limit, fails just beyond it, and where nothing was measured."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts/bench"))
sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from scenarios.definition import ValidatorChoice
from scenarios.evidence import Evidence
from scenarios.export_evidence import Arrival, ExportEvidence, Recovery, Trouble, arrival, lateness, percentile
from scenarios.judgement import Judgement
from scenarios.judging import judge
from scenarios.shapes import VALIDATORS

S, MS, MIB = 10**9, 10**6, 1 << 20
TICK = 100 * MS
BEGIN, END = 1_000 * S, 1_060 * S
CUT = Trouble("cut", ("there",), BEGIN + 20 * S, BEGIN + 30 * S, BEGIN + 35 * S)
LEDGER = {"produced": 10, "delivered": 7, "rejected": 1, "pruned": 1, "pending": 1}
WHOLE = Arrival("there", "collector", 600, 0, 0, 0, 0, 1, LEDGER)
NAMES = ("lateness", "sink_memory", "delivery", "recovery", "catch_up")


def _moments(late_ns: int = 0, inside: Trouble = CUT) -> list[int]:
    """A tick each 100 ms; each tenth one while something is wrong is late."""
    grid = range(BEGIN, END, TICK)
    return [at + late_ns * (inside.begin_ns <= at <= inside.end_ns and at // TICK % 10 == 0) for at in grid]


def _world(**changed: Any) -> Evidence:
    """A sink that was cut off for ten seconds, and is well again after five."""
    exports = ExportEvidence(
        begin_ns=BEGIN,
        end_ns=END,
        interval_ns=TICK,
        troubles=[CUT],
        recoveries=[Recovery("cut", "there", 1.0, 2.0, 5.0)],
        arrivals=[WHOLE],
        moments={"host": _moments()},
        pss={"there": [(BEGIN + second * S, 12 * MIB) for second in range(60)]},
        woken=_moments(),
    )
    return Evidence(BEGIN, END, TICK, exports=dataclasses.replace(exports, **changed))


def _judged(name: str, world: Evidence, **limits: float) -> list[Judgement]:
    values = {key: each.default for key, each in VALIDATORS[name].parameters.items() if each.default is not None} | limits
    return judge([ValidatorChoice(name, None, values)], world)


def _bad(name: str, world: Evidence, **limits: float) -> list[str]:
    return [each.what for each in _judged(name, world, **limits) if not each.is_good]


@pytest.mark.parametrize("name", NAMES)
def test_each_passes_where_its_limit_holds(name: str) -> None:
    """And it says something."""
    assert _judged(name, _world())
    assert _bad(name, _world()) == []


@pytest.mark.parametrize("name", NAMES)
def test_none_passes_where_nothing_was_gathered(name: str) -> None:
    """What was not measured is no success."""
    (found,) = _judged(name, Evidence(BEGIN, END, TICK))
    assert (found.is_good, "not measured" in found.evidence) == (False, True)


@pytest.mark.parametrize(("late_ms", "is_good"), [(1, True), (2, False)])
def test_late_ticks_while_something_is_wrong_are_found(late_ms: int, is_good: bool) -> None:
    """One in ten ticks is late, so both sides of it are; p99 has it. A process that only sleeps was not."""
    (found,) = _judged("lateness", _world(moments={"host": _moments(late_ms * MS)}))
    assert (found.is_good, found.figure) == (is_good, late_ms)
    assert "a process that only sleeps: p50 and p99 0.00 and 0.00 ms" in found.evidence


def test_lateness_in_calm_is_no_fault_of_the_sinks() -> None:
    """What is as late before and after is not counted."""
    everywhere = Trouble("", (), BEGIN, END, END)
    (found,) = _judged("lateness", _world(moments={"host": _moments(5 * MS, everywhere)}, woken=()))
    assert (found.is_good, found.figure, "sleeps" in found.evidence) == (True, 0, False)


def test_too_few_ticks_are_no_measurement() -> None:
    """Of ten seconds there are at most a hundred."""
    assert _bad("lateness", _world(), ticks_least=101) == ["ticks of host later than in calm, cut, p99"]


def test_calm_is_what_no_trouble_and_no_catching_up_is_in() -> None:
    """Troubles within others hide nothing, and one that never ended leaves no calm after it."""
    inner = dataclasses.replace(CUT, begin_ns=BEGIN + 22 * S, end_ns=BEGIN + 23 * S, settled_ns=BEGIN + 24 * S)
    assert _world(troubles=[inner, CUT]).exports.calm() == [(BEGIN, BEGIN + 20 * S), (BEGIN + 35 * S, END)]
    never = dataclasses.replace(CUT, settled_ns=None)
    assert _world(troubles=[never]).exports.calm() == [(BEGIN, BEGIN + 20 * S)]
    at_once = dataclasses.replace(CUT, begin_ns=BEGIN)
    assert _world(troubles=[at_once]).exports.calm() == [(BEGIN + 35 * S, END)]


def test_a_tick_that_is_missing_is_not_late() -> None:
    """It is judged by table gap; here the next one is on time, two intervals later."""
    assert lateness([0, TICK, 3 * TICK, 4 * TICK + MS], TICK, [(0, S)]) == [0, 0, MS]
    assert lateness([0, TICK, 3 * TICK], TICK, [(TICK, S)]) == [0]


def test_a_percentile_is_one_of_the_values() -> None:
    """With a hundred of them p99 is the largest but none."""
    assert [percentile(range(100), part) for part in (0.0, 0.5, 0.99, 1.0)] == [0, 50, 99, 99]


@pytest.mark.parametrize(("most_mib", "is_good"), [(20, True), (21, False)])
def test_memory_that_grows_is_found(most_mib: int, is_good: bool) -> None:
    """Beyond what it was before the first fault, whenever that is; and what was wrong then is named."""
    during = [(BEGIN + second * S, (most_mib if second == 25 else 12) * MIB) for second in range(60)]
    (found,) = _judged("sink_memory", _world(pss={"there": during}))
    assert (found.is_good, found.figure, "(cut)" in found.evidence) == (is_good, most_mib - 12, True)
    later = [(BEGIN + second * S, (40 if second == 50 else 12) * MIB) for second in range(60)]
    (found,) = _judged("sink_memory", _world(pss={"there": later}))
    assert (found.is_good, "20 s after: cut" in found.evidence) == (False, True)


def test_memory_that_was_read_on_one_side_only_is_no_measurement() -> None:
    """Before the first fault, or after it."""
    for readings in ([(BEGIN, MIB)], [(END, MIB)]):
        assert _bad("sink_memory", _world(pss={"there": readings})) == ["PSS of exporter there, growth"]


@pytest.mark.parametrize(
    ("changed", "bad"),
    [
        ({"lost": 1}, ["ticks lost at there"]),
        ({"repeated": 1}, []),
        ({"repeated": 2}, ["deliveries repeated at there"]),
        ({"repeats_most": 0, "doubled": 1}, ["ticks doubled at there"]),
        ({"repeats_most": 0, "refused": 5}, []),
        ({"stored": 0}, ["ticks lost at there"]),
        ({"ledger": LEDGER | {"pending": 2}}, ["account of there: rows without a place"]),
        ({"ledger": {}}, ["account of there: rows without a place"]),
    ],
)
def test_what_is_lost_doubled_or_not_accounted_for_is_found(changed: dict[str, Any], bad: list[str]) -> None:
    """A sink that cannot tell may have one delivery twice for each break; what was refused is not lost."""
    assert _bad("delivery", _world(arrivals=[dataclasses.replace(WHOLE, **changed)])) == bad


def _back(*seconds: float | None) -> Evidence:
    return _world(recoveries=[Recovery("cut", "there", 1.0, 2.0, 5.0), Recovery("cut", "there", *seconds)])


@pytest.mark.parametrize(
    ("seconds", "name", "bad"),
    [
        ((5.0, 5.0, 120.0), "recovery", []),
        ((5.1, 5.0, 120.0), "recovery", ["first new delivery to there, cut"]),
        ((None, None, None), "recovery", ["first new delivery to there, cut"]),
        ((5.0, 5.0, 120.0), "catch_up", []),
        ((1.0, 5.1, 120.0), "catch_up", ["new rows at there, cut"]),
        ((1.0, 5.0, 121.0), "catch_up", ["all missed rows at there, cut"]),
        ((1.0, None, None), "catch_up", ["new rows at there, cut", "all missed rows at there, cut"]),
    ],
)
def test_a_sink_that_is_late_or_never_back_is_found(seconds: Sequence[float | None], name: str, bad: list[str]) -> None:
    """Of several times the slowest counts."""
    assert _bad(name, _back(*seconds)) == bad


def test_our_own_goal_is_said_beside_the_limit() -> None:
    """Two seconds, where five are allowed."""
    assert "; within our own 2 s" in _judged("recovery", _world())[0].evidence
    assert "NOT within our own 2 s" in _judged("recovery", _back(2.1, 3.0, 4.0))[0].evidence


def _arrived(deliveries: list[list[tuple[int, int]]], *troubles: Trouble, repeats: int = 0) -> tuple[int, ...]:
    stored = [(at, 7) for at in range(10)]
    found = arrival("there", "kind", (stored, deliveries), troubles, repeats=repeats, ledger={})
    return found.stored, found.refused, found.lost, found.doubled, found.repeated, found.repeats_most


def test_ticks_are_compared_by_their_time_and_their_figure() -> None:
    """One that is missing, or has another figure, is lost; one that is there twice is doubled, and so is its delivery."""
    every = [(at, 7) for at in range(10)]
    assert _arrived([every]) == (10, 0, 0, 0, 0, 0)
    assert _arrived([every[:9]]) == (10, 0, 1, 0, 0, 0)
    assert _arrived([[*every[:9], (9, 8)]]) == (10, 0, 1, 0, 0, 0)
    assert _arrived([every[:5], every[3:]]) == (10, 0, 0, 2, 1, 0)


def test_what_was_refused_for_good_is_not_lost_and_each_break_may_repeat_a_delivery() -> None:
    """Only by a sink that was concerned, and around the time of its refusal."""
    final = Trouble("answers 400", ("there",), 0, 5_000 * MS, 5_000 * MS, is_final=True)
    elsewhere = dataclasses.replace(final, sinks=("other",))
    long_ago = dataclasses.replace(final, begin_ns=-100 * S, end_ns=-50 * S)
    assert _arrived([[]], final, repeats=1) == (10, 10, 0, 0, 0, 1)
    assert _arrived([[]], elsewhere, dataclasses.replace(final, is_final=False), repeats=1) == (10, 0, 10, 0, 0, 1)
    assert _arrived([[]], long_ago) == (10, 0, 10, 0, 0, 0)
