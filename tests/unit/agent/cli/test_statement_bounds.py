"""The times that DuckDB's optimizer says a statement looks at."""

import threading
from typing import Any

import duckdb
import pytest

from agent.cli import statement_bounds
from agent.cli.query_view import UTC_MACRO
from agent.cli.statement_bounds import bounds_of_plan, bounds_of_statement
from agent.cli.time_bounds import BEHIND_LAST_NS, EVERYTHING, FIRST_NS, TimeBounds

COLUMNS = [("at", "TIMESTAMP WITH TIME ZONE"), ("timestamp", "BIGINT"), ("pid", "BIGINT"), ("comm", "VARCHAR")]
TABLES = {"process": COLUMNS, "process_tail": COLUMNS}


def bounds(statement: str) -> dict[str, TimeBounds] | None:
    connection = duckdb.connect()
    try:
        return bounds_of_statement(connection, statement, TABLES, [UTC_MACRO])
    finally:
        connection.close()


def since(ns: int) -> TimeBounds:
    return TimeBounds(ns, BEHIND_LAST_NS)


@pytest.mark.parametrize(
    ("statement", "process", "tail"),
    [
        ("SELECT * FROM process WHERE timestamp > 5", since(6), EVERYTHING),
        ("FROM process SELECT pid WHERE timestamp BETWEEN 3 AND 7", TimeBounds(3, 8), EVERYTHING),
        ("WITH a AS (FROM process WHERE timestamp > 5) SELECT count(*) FROM a x JOIN a y USING (pid);", since(6), EVERYTHING),
        ("WITH a AS MATERIALIZED (FROM process) SELECT count(*) FROM a WHERE timestamp > 5", since(6), EVERYTHING),
        ("FROM process p JOIN process_tail t USING (timestamp) WHERE p.timestamp > 5", since(6), since(6)),
        ("FROM process p LEFT JOIN process_tail t ON p.timestamp = t.timestamp AND t.timestamp > 5", EVERYTHING, since(6)),
        ("FROM process WHERE timestamp < 3 UNION ALL FROM process WHERE timestamp = 7", TimeBounds(FIRST_NS, 8), EVERYTHING),
        ("FROM (FROM process UNION ALL BY NAME FROM process_tail) WHERE timestamp > 5", since(6), since(6)),
        ("SELECT (SELECT max(pid) FROM process WHERE timestamp > 5) FROM process_tail WHERE timestamp > 8", since(6), since(9)),
        ("SELECT * FROM process WHERE timestamp + 5 > 10", since(6), EVERYTHING),
        ("SELECT * FROM process WHERE comm = '(timestamp > 5)'", EVERYTHING, EVERYTHING),
        ("SELECT * FROM process WHERE timestamp > (SELECT max(timestamp) FROM process) - 5", EVERYTHING, EVERYTHING),
        ("SELECT * FROM process WHERE timestamp > 5 AND timestamp < 3", EVERYTHING, EVERYTHING),
        ("SELECT * FROM process QUALIFY lag(timestamp) OVER (ORDER BY pid) > 5", EVERYTHING, EVERYTHING),
        ("FROM process TABLESAMPLE 10% WHERE timestamp > 5", EVERYTHING, EVERYTHING),
        ("SELECT utc(timestamp) FROM process", EVERYTHING, EVERYTHING),
    ],
)
def test_each_table_has_the_hull_of_what_its_scans_look_at(statement: str, process: TimeBounds, tail: TimeBounds) -> None:
    """Joins, subqueries, unions and WITH bound what they bound when the statement runs."""
    assert bounds(statement) == {"process": process, "process_tail": tail}


def test_now_is_that_of_the_run() -> None:
    """The statement runs in the transaction in which it was planned."""
    connection = duckdb.connect()
    statement = 'SELECT * FROM process WHERE "at" >= now()'
    found = bounds_of_statement(connection, statement, TABLES, [])
    assert found is not None
    now = connection.execute("SELECT epoch_us(now()) * 1000").fetchall()[0][0]
    assert found["process"] == since(now)
    assert connection.execute("SELECT schema_name FROM duckdb_schemas() WHERE schema_name = 'stand_in'").fetchall() == []


@pytest.mark.parametrize(
    "statement", ["", "SELECT", "SELECT nothing FROM process", "FROM nowhere", "DROP TABLE process", "SELECT 1; SELECT 2"]
)
def test_what_cannot_be_planned_has_no_bounds(statement: str) -> None:
    """Its run says what is wrong with it."""
    assert bounds(statement) is None


def test_planning_that_takes_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement that computes before it begins is not waited for."""
    release = threading.Event()
    monkeypatch.setattr(statement_bounds, "PLAN_SECONDS", 0.01)
    monkeypatch.setattr(statement_bounds, "_planned", lambda *_: release.wait(20) or {})
    connection = duckdb.connect()
    assert bounds_of_statement(connection, "SELECT 1", {}, []) is None
    release.set()


def scan(**told: Any) -> dict[str, Any]:
    return {"name": "SEQ_SCAN ", "extra_info": {"Table": "memory.stand_in.process", **told}, "children": []}


def test_filters_of_a_scan_hold_together_and_scans_apart() -> None:
    """As text or as a list; none is everything; a table that no scan reads is everything."""
    one, other = scan(Filters=["(timestamp > 5)", "(timestamp < 9)"]), scan(Filters="(timestamp = 20)")
    assert bounds_of_plan([one], ["process", "x"]) == {"process": TimeBounds(6, 9), "x": EVERYTHING}
    assert bounds_of_plan({"name": "UNION", "children": [one, other]}, ["process"]) == {"process": TimeBounds(6, 21)}
    assert bounds_of_plan([one, scan()], ["process"]) == {"process": EVERYTHING}
    assert bounds_of_plan([scan(Filters=7)], ["process"]) == {"process": EVERYTHING}


@pytest.mark.parametrize(
    "plan",
    [
        7,
        [{"children": []}],
        [{"name": "INDEX_SCAN", "extra_info": "process"}],
        [{"name": "SEQ_SCAN", "extra_info": {"Table": "memory.main.process"}}],
        [{"name": "READ_PARQUET_SCAN", "extra_info": {}}],
    ],
)
def test_a_plan_that_is_not_understood_is_refused(plan: Any) -> None:
    """A scan of something unknown might be one of a table."""
    with pytest.raises(ValueError, match="plan"):
        bounds_of_plan(plan, ["process"])
