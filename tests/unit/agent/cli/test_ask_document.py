"""An answer of `agentctl ask` as JSON."""

from typing import Any

import pytest
from fakes.router_answers import BEGIN, WHOLE, answer_of

from agent.cli.ask_document import document_of, interval_document, key_document, leg_document
from agent.router.answer import Bound, CellCoverage, Newest
from agent.router.cell import WINDOW_NS
from agent.router.fact import Why
from agent.router.interval import Interval
from agent.router.plan import Leg, Way
from agent.router.question import Kind


def groups_of(document: dict[str, object]) -> list[dict[str, Any]]:
    groups = document["groups"]
    assert isinstance(groups, list)
    return groups


def exact(value: int) -> dict[str, object]:
    return {"low": value, "high": value, "is_exact": True}


LEG = Leg("h", BEGIN, BEGIN + WINDOW_NS, Way.RAW, Why.NO_SKETCH)


def test_a_document_says_what_the_answer_is_made_of() -> None:
    """Ways, reasons, the newest windows; each stretch of time only where that is asked for."""
    answer = answer_of(
        {(): [1, 3]},
        coverage=CellCoverage(3, 2, 1),
        reasons={Why.NO_SKETCH: 2},
        newest=Newest(1, {Why.NOT_SETTLED: 1}),
        legs=[LEG],
        damaged=4,
    )
    found = document_of(answer, {}, is_explained=True)
    (group,) = groups_of(found)
    del found["groups"]
    assert found == {
        "kind": "percentile", "metric": "cpu", "unit": "ns", "since_ns": WHOLE.first_ns, "until_ns": WHOLE.behind_ns, "windows": 2,
        "windows_partial": 0, "windows_missing": 0, "windows_shared": 0, "ticks_of_full": 60, "rows_damaged": 4,
        "covered": 5, "total": 6, "sources": {"sketch": 3, "raw": 2, "unknown": 1}, "reasons": {"no_sketch": 2},
        "newest": {"sketch": 1, "reasons": {"not_settled": 1}}, "explain": [leg_document(LEG)],
    }  # fmt: skip
    assert group["intervals"]["99"] == {"low": 1, "high": 1, "is_exact": True}
    assert "explain" not in document_of(answer, {}, is_explained=False)


def test_a_line_has_exact_numbers_beside_estimates() -> None:
    """Uid and name of the pod, and the error."""
    answer = answer_of({("u-web", "nginx"): [0, 7], None: [3]}, by=("pod", "command"))
    first, second = groups_of(document_of(answer, {"u-web": "shop/web"}, is_explained=False))
    further, own = (first, second) if first["is_further"] else (second, first)
    assert own == {
        "pod": "u-web", "pod_name": "shop/web", "command": "nginx", "is_further": False, "values": 2, "windows": 1,
        "percentiles": {"50": 0, "99": 0}, "relative_error": pytest.approx(0.005415, rel=1e-3), "sum": 7, "min": 0, "max": 7,
        "intervals": {"50": exact(0), "99": exact(0)}, "bounds": {"values": exact(2), "sum": exact(7), "max": exact(7)},
    }  # fmt: skip
    assert (further["is_further"], "pod" in further) == (True, False)


def test_other_questions_have_one_number_with_its_interval() -> None:
    """Whatever it is."""
    (line,) = groups_of(document_of(answer_of({(): [2, 4]}, kind=Kind.AVG), {}, is_explained=False))
    assert (line["value"], line["interval"]) == (3, {"low": 3, "high": 3, "is_exact": True})
    assert "percentiles" not in line


def test_what_is_not_bounded_is_null() -> None:
    """And so is a name that nobody knows."""
    assert interval_document(Bound(3, None)) is None
    assert interval_document(Bound(3, Interval(2, 4))) == {"low": 2, "high": 4, "is_exact": False}
    assert key_document((None,), ("pod",), {}) == {"pod": None, "pod_name": None}
    assert key_document(("h",), ("host",), {}) == {"host": "h"}
    assert key_document(None, ("pod",), {}) == {}


def test_whole_sketches_need_no_reason() -> None:
    """It is null."""
    assert leg_document(Leg("h", 0, 2 * WINDOW_NS, Way.SKETCH, None)) == {
        "host": "h", "since_ns": 0, "until_ns": 2 * WINDOW_NS, "windows": 2, "way": "sketch", "why": None,
    }  # fmt: skip
