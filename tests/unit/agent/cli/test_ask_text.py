"""An answer of `agentctl ask` as people read it."""

from datetime import UTC
from typing import Any

import pytest
from fakes.router_answers import BEGIN, GRID, WHOLE, answer_of

from agent.cli.ask_text import (
    amount_of,
    answer_table,
    bound_text,
    coverage_lines,
    explain_table,
    key_texts,
    missing_lines,
    rows_table,
    time_of,
)
from agent.model.sketch import Sketch
from agent.router.answer import AnswerLine, Bound, CellCoverage, Newest, RoutedAnswer, TickCoverage
from agent.router.cell import WINDOW_NS
from agent.router.fact import Why
from agent.router.gathered import Group, Slot
from agent.router.interval import Interval, Spread
from agent.router.plan import Leg, Way
from agent.router.question import METRICS, Kind, RoutedQuestion


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 ns"),
        (850, "850 ns"),
        (1_500, "1.5 us"),
        (12_345_678, "12.3 ms"),
        (999e6, "999 ms"),
        (2.5e9, "2.5 s"),
        (9e12, "9000 s"),
    ],
)
def test_a_time_has_the_unit_that_suits_it(value: float, text: str) -> None:
    """Three digits of it are within the error."""
    assert time_of(value) == text


def test_other_units_are_binary() -> None:
    """And absent where there is none."""
    assert (amount_of("bytes", 3 << 20), amount_of("ns", None), amount_of("bytes/s", 2048.0)) == ("3.0 MiB", "-", "2.0 KiB/s")


@pytest.mark.parametrize(
    ("bound", "error", "text"),
    [
        (Bound(20e6, Interval(18e6, 25e6)), 0.0054, "20 ms [18 ms..25 ms]"),
        (Bound(20e6, Interval(19.9e6, 20.1e6)), 0.0054, "20 ms"),
        (Bound(20e6, Interval(19.9e6, 20.1e6)), 0.0, "20 ms [19.9 ms..20.1 ms]"),
        (Bound(5.0, None), 0.0054, "5 ns"),
        (Bound(None, None), 0.0054, "-"),
        (Bound(1, Interval(1, 2)), 0.0054, "1 ns"),
    ],
)
def test_an_interval_is_shown_where_it_says_more_than_the_error(bound: Bound, error: float, text: str) -> None:
    """A bucket of a sketch is within its error; neighbours of small numbers are as good as one."""
    assert bound_text("ns", bound, error) == text


def test_a_number_of_things_has_no_unit() -> None:
    """With its interval where it has one."""
    assert bound_text("", Bound(7, Interval(5, 9))) == "7 [5..9]"
    assert bound_text("", Bound(None, None)) == "-"


def test_the_largest_line_is_first() -> None:
    """Names of pods where they are known; those that share a sketch are in a line of their own."""
    answer = answer_of(
        {
            ("u-web", "nginx"): [0] * 98 + [5_000_000] * 2,
            ("u-db", "post\x1bgres"): [80_000_000],
            (None, "sshd"): [1_000],
            None: [1],
        },
        by=("pod", "command"),
    )
    columns, lines = answer_table(answer, {"u-web": "shop/web"})
    assert [column.title for column in columns] == ["POD", "COMMAND", "VALUES", "WINDOWS", "P50", "P99", "MAX", "ERROR"]
    assert lines == [
        ("u-db", "post\\x1bgres", "1", "1", "80 ms", "80 ms", "80 ms", "0.54 %"),
        ("shop/web", "nginx", "100", "1", "0 ns", "5 ms", "5 ms", "0.54 %"),
        ("no pod", "sshd", "1", "1", "1 us", "1 us", "1 us", "0.54 %"),
        ("further pods and commands, up to 9 at once", "-", "1", "1", "1 ns", "1 ns", "1 ns", "0.54 %"),
    ]


@pytest.mark.parametrize(
    ("kind", "titles", "cells"),
    [
        (Kind.SUM, ["WINDOWS", "VALUES", "SUM"], ("1", "2", "4 us")),
        (Kind.TOP, ["WINDOWS", "VALUES", "SUM"], ("1", "2", "4 us")),
        (Kind.AVG, ["WINDOWS", "VALUES", "AVG"], ("1", "2", "2 us")),
        (Kind.MAX, ["WINDOWS", "VALUES", "MAX"], ("1", "2", "3 us")),
        (Kind.COUNT, ["WINDOWS", "COUNT"], ("1", "2")),
    ],
)
def test_other_questions_have_one_number(kind: Kind, titles: list[str], cells: tuple[str, ...]) -> None:
    """Beside how many values it is made of."""
    columns, lines = answer_table(answer_of({(): [1_000, 3_000]}, kind=kind), {})
    assert ([column.title for column in columns], lines) == (titles, [cells])


def test_the_time_that_is_covered_is_said() -> None:
    """In full, nothing else is."""
    assert coverage_lines(answer_of({(): [1]}), UTC) == [
        "CPU time of a process in a tick; 2 windows from 2023-11-14 22:14:00 to 2023-11-14 22:16:00"
    ]


def test_what_is_missing_is_said() -> None:
    """Windows with fewer ticks, without rows, with shared sketches where something is chosen; what was read otherwise, and why."""
    ticks = TickCoverage(2, 1, 2, 60, BEGIN, BEGIN + 4 * WINDOW_NS, shared=1)
    changes: dict[str, Any] = {
        "metric": "rss", "asked": {"pods": frozenset({"u"})}, "ticks": ticks, "coverage": CellCoverage(1, 1, 2),
        "reasons": {Why.NO_SKETCH: 1, Why.TICKS_MISSING: 2},
    }  # fmt: skip
    lines = coverage_lines(answer_of({(): [1]}, **changes), UTC)
    assert lines[0].startswith("resident memory of a process at a tick; 2 windows from ")
    assert lines[1:] == [
        "1 window has fewer ticks than the fullest, which has 60",
        "2 windows in between without rows: the agent or the sampler did not run",
        "in 1 window some units and commands share a sketch: values of the chosen ones may be missing there",
        "2 of 4 minutes of hosts covered: 1 by sketches, 1 by raw rows; --explain says which",
        "1 minute: no sketch of the window is stored",
        "2 minutes: no rows, or ticks are missing: the host was off or cut off, or its rows have not come",
    ]
    assert missing_lines(TickCoverage(2, 2, 0, 60, 0, 1)) == ["2 windows have fewer ticks than the fullest, which has 60"]


def test_an_answer_without_any_window_still_says_what_it_would_be() -> None:
    """Its ends are not known."""
    assert coverage_lines(answer_of({}, ticks=TickCoverage(0, 0, 0, 0, None, None)), UTC) == ["CPU time of a process in a tick"]


def test_an_explanation_names_hosts_and_times() -> None:
    """Each stretch with its way and the reason."""
    legs = [
        Leg("node-1", BEGIN, BEGIN + 2 * WINDOW_NS, Way.SKETCH, None),
        Leg("node-1", BEGIN + 2 * WINDOW_NS, BEGIN + 3 * WINDOW_NS, Way.RAW, Why.FEWER_TICKS),
    ]
    columns, lines = explain_table(legs, UTC)
    assert [column.title for column in columns] == ["HOST", "FROM", "TO", "MINUTES", "WAY", "WHY"]
    assert lines == [
        ("node-1", "2023-11-14 22:14:00", "2023-11-14 22:16:00", "2", "sketch", "whole sketches"),
        ("node-1", "2023-11-14 22:16:00", "2023-11-14 22:17:00", "1", "raw", "the sketch covers fewer ticks than were taken"),
    ]


def test_a_process_of_no_pod_has_no_namespace() -> None:
    """An unknown command is a dash, which is another thing."""
    assert key_texts((None, None, None), ("namespace", "pod", "command"), {}, 0) == ("no namespace", "no pod", "-")
    assert key_texts(("shop", "u", "x"), ("namespace", "pod", "command"), {"u": "shop/web"}, 0) == ("shop", "shop/web", "x")


def test_stored_rows_are_a_table() -> None:
    """Of processes with their command and number, of pods without."""
    row = {"timestamp": BEGIN, "host": "h", "pod_uid": "u", "comm": "nginx", "pid": 7, "cpu_ns": 1500, "llc_occupancy_bytes": 2048}
    columns, lines = rows_table(RoutedQuestion(Kind.ROWS, METRICS["cpu"], 0, 1), [row], {"u": "shop/web"}, UTC)
    assert [column.title for column in columns] == ["TIME", "HOST", "POD", "COMMAND", "PID", "CPU"]
    assert lines == [("2023-11-14 22:14:00", "h", "shop/web", "nginx", "7", "1.5 us")]
    columns, lines = rows_table(RoutedQuestion(Kind.ROWS, METRICS["llc"], 0, 1), [row], {}, UTC)
    assert lines == [("2023-11-14 22:14:00", "h", "u", "2.0 KiB")]


def test_a_line_can_be_made_by_hand() -> None:
    """Parts of it are what the text shows, and nothing else of the group."""
    group = Group(Spread(), Sketch(), {1, 2})
    line = AnswerLine((), {"max": Bound(1, None)}, group, Bound(0, None), Bound(0, None), Bound(1, None))
    answer = answer_of({}, kind=Kind.MAX)
    assert answer_table(RoutedAnswer(answer.question, GRID, [line], CellCoverage(0, 0, 0), {}, [], WHOLE, Newest()), {})[1] == [
        ("2", "0", "1 ns")
    ]
    assert Slot((), True).is_sure
