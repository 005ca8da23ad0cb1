"""Filters as DuckDB writes them, and the times that they leave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.filter_bounds import DEPTH_MAX, TEXT_CHARACTERS_MAX, bounds_of_filter
from agent.cli.time_bounds import BEHIND_LAST_NS, EVERYTHING, FIRST_NS, TimeBounds

# One second before 2024, as DuckDB writes it, and in nanoseconds.
STAMP = "'2023-12-31 23:59:59.000001+00'::TIMESTAMP WITH TIME ZONE"
STAMP_NS = 1_704_067_199_000_001_000


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("(timestamp > 5)", 6, None),
        ("(timestamp >= 5)", 5, None),
        ("(timestamp < 5)", None, 5),
        ("(timestamp <= 5)", None, 6),
        ("(timestamp = 5)", 5, 6),
        ("(timestamp > -7)", -6, None),
        ("(5 < timestamp)", 6, None),
        ("(optional: (timestamp > 5))", 6, None),
        ("((optional: (timestamp > 5)) AND (timestamp < 9))", 6, 9),
        ("(5 >= timestamp)", None, 6),
        ("((timestamp > 5) AND (timestamp <= 100))", 6, 101),
        ("((timestamp = 2) OR ((timestamp > 5) AND (timestamp < 9)))", 2, 9),
        ("((timestamp = 1) OR (timestamp = 50) OR (timestamp = 9))", 1, 51),
        ("optional: (timestamp IN (1, 50, 9))", 1, 51),
        ("((timestamp > -7) AND optional: (timestamp IN (1, 50)))", 1, 51),
        ("((timestamp > 5) AND (pid = 3))", 6, None),
        ("((timestamp > 5) AND (comm = 'it''s OR (timestamp < 3)'))", 6, None),
        ("(CAST(timestamp AS DOUBLE) > 1.5e+3)", 1_501 - 1_000_000, None),
        ("(CAST(timestamp AS DECIMAL(20,1)) <= 5.5)", None, 6 + 1_000_000),
        (f"(at > {STAMP})", STAMP_NS + 1_000, None),
        (f"(at = {STAMP})", STAMP_NS, STAMP_NS + 1_000),
        (f"(at < {STAMP})", None, STAMP_NS),
        (f"(at <= {STAMP})", None, STAMP_NS + 1_000),
        ("(at > '1970-01-01 00:00:00+00'::TIMESTAMP WITH TIME ZONE)", 0, None),
    ],
)
def test_what_bounds_the_time_is_read(text: str, since: int | None, until: int | None) -> None:
    """Comparisons with constants, lists, conjunctions and disjunctions, of both columns and from both sides."""
    bounds = bounds_of_filter(text)
    assert bounds == TimeBounds(FIRST_NS if since is None else since, BEHIND_LAST_NS if until is None else until)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(pid = 3)",
        "(comm = '(timestamp > 5)')",
        "((timestamp > 5) OR (pid = 3))",
        "(NOT (timestamp > 5))",
        ")timestamp > 5(",
        "(timestamp != 5)",
        "(timestamp IS NULL)",
        "(timestamp IS DISTINCT FROM 5)",
        "((timestamp // 1000000000) > 5)",
        "(timestamp - pid > 5)",
        "(timestamp > pid)",
        "(timestamp > 5 AND pid = 3 OR pid = 4)",
        "(timestamp BETWEEN 3 AND 5)",
        "(CASE WHEN (pid = 3) THEN (timestamp > 5) ELSE true END)",
        "(COALESCE(timestamp, 0) > 5)",
        "(CAST(timestamp AS FLOAT) > 3.5)",
        "(timestamp > 99999999999999999999)",
        "(CAST(timestamp AS DOUBLE) > 1e300)",
        "optional: Dynamic Filter (timestamp)",
        "(at > 'infinity'::TIMESTAMP WITH TIME ZONE)",
        "(at > '0044-03-15 (BC) 00:00:00+00'::TIMESTAMP WITH TIME ZONE)",
        "(at > '2023-02-31 00:00:00+00'::TIMESTAMP WITH TIME ZONE)",
        "(at > '2023-02-03 00:00:00+01'::TIMESTAMP WITH TIME ZONE)",
        "(at > '2023-02-03 00:00:00+00'::VARCHAR)",
        "(at > 5)",
        "(timestamp > 5",
        "timestamp > 5)",
        "(timestamp > 'x)",
        "(timestamp > 5) ⚠",
        "(" * (DEPTH_MAX + 2) + "(timestamp > 5) AND (pid = 3)" + ") AND (pid = 1)" * (DEPTH_MAX + 2),
        "(timestamp > 5) AND (comm = '" + "x" * TEXT_CHARACTERS_MAX + "')",
    ],
)
def test_what_is_not_understood_bounds_nothing(text: str) -> None:
    """Other columns, other operators, texts, functions, other zones, broken texts: no time is excluded."""
    assert bounds_of_filter(text) == EVERYTHING


@given(st.text(alphabet="timestamp at(5<>=)ANDORoptional:'IN,. ", max_size=60))
def test_any_text_is_read_without_failure(text: str) -> None:
    """Whatever a later version writes."""
    assert isinstance(bounds_of_filter(text), TimeBounds)
