"""Which times of each table a statement may look at, asked of DuckDB's optimizer.

The statement is explained over empty stand-ins of the tables, and the filters that the optimizer pushed into their scans are
read: so joins, views, common table expressions and subqueries bound what they bound in the real run, by the one piece of
software that knows the language. The stand-ins are made and explained in the transaction in which the statement runs later:
`now()` is the same in both. What may not be bounded is said to be everything, and no failure is one of this module.
"""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import reduce

import duckdb

from agent.cli.filter_bounds import bounds_of_filter
from agent.cli.sql_text import COMMENT, NAME, OTHER, quoted
from agent.cli.time_bounds import EVERYTHING, TimeBounds

# Planning takes some milliseconds; a statement that computes for longer before it begins has no bounds.
PLAN_SECONDS = 2.0
# Plans of people's statements have some hundred nodes.
NODES_MAX = 20_000
_SCHEMA = "stand_in"
# What these do follows from the statement alone. All others are off: they may look at the stand-ins' rows, of which there are none.
_OPTIMIZERS = frozenset(
    {
        "expression_rewriter",
        "filter_pullup",
        "filter_pushdown",
        "cte_filter_pusher",
        "cte_inlining",
        "deliminator",
        "in_clause",
        "materialized_cte",
    }
)
# Nodes that read no table.
_HARMLESS_SCANS = frozenset({"CTE_SCAN", "REC_CTE_SCAN", "DELIM_SCAN", "DUMMY_SCAN", "EXPRESSION_SCAN", "COLUMN_DATA_SCAN"})

Columns = Sequence[tuple[str, str]]


def tokens_of(statement: str) -> list[tuple[int, str]]:
    """The words of a statement, as `sql_text.with_quoted_at` takes them."""
    kinds = {duckdb.token_type.keyword: NAME, duckdb.token_type.identifier: NAME, duckdb.token_type.comment: COMMENT}
    return [(offset, kinds.get(kind, OTHER)) for offset, kind in duckdb.tokenize(statement)]


def bounds_of_statement(
    connection: "duckdb.DuckDBPyConnection", statement: str, tables: Mapping[str, Columns], views: Sequence[str]
) -> dict[str, TimeBounds] | None:
    """The times of each table that a statement may look at. None: it could not be planned in time, and the connection is lost.

    *Shape:* every name of `tables` with its range; `tables` are columns with their SQL types by name, `views` statements that
    make more of them. *Range:* never smaller than what the statement looks at. The connection is left in a transaction.
    *Raises:* nothing for anything that a statement can be.
    """
    outcome: list[dict[str, TimeBounds]] = []
    done = threading.Event()

    def plan() -> None:
        with suppress(duckdb.Error, MemoryError, ValueError, RecursionError):
            outcome.append(_planned(connection, statement, tables, views))
        done.set()

    threading.Thread(target=plan, daemon=True).start()
    if not done.wait(PLAN_SECONDS):
        connection.interrupt()
        return None
    return outcome[0] if outcome else None


def _planned(
    connection: "duckdb.DuckDBPyConnection", statement: str, tables: Mapping[str, Columns], views: Sequence[str]
) -> dict[str, TimeBounds]:
    """*Raises:* duckdb.Error for a statement that cannot be planned, ValueError for a plan of another form."""
    found = connection.extract_statements(statement)
    if len(found) != 1 or found[0].type != duckdb.StatementType.SELECT:
        raise ValueError("what is not one SELECT is refused when it is run")
    text = found[0].query.strip().removesuffix(";")
    known = connection.execute("SELECT name FROM duckdb_optimizers()").fetchall()
    off = ",".join(str(name) for (name,) in known if name not in _OPTIMIZERS)
    connection.execute("BEGIN")
    connection.execute(f"CREATE SCHEMA {_SCHEMA}")
    for name, columns in tables.items():
        listed = ", ".join(f"{quoted(column)} {sql_type}" for column, sql_type in columns)
        connection.execute(f"CREATE TABLE {_SCHEMA}.{quoted(name)} ({listed})")
    connection.execute(f"SET schema = '{_SCHEMA}'")
    for view in views:
        connection.execute(view)
    connection.execute(f"SET disabled_optimizers = '{off}'")
    plan = connection.execute(f"EXPLAIN (FORMAT json) {text}").fetchall()
    connection.execute("RESET disabled_optimizers")
    connection.execute("RESET schema")
    connection.execute(f"DROP SCHEMA {_SCHEMA} CASCADE")
    return bounds_of_plan([json.loads(str(text)) for _, text in plan], list(tables))


def bounds_of_plan(plan: object, tables: Sequence[str]) -> dict[str, TimeBounds]:
    """The range of each table over all its scans in a plan as DuckDB's JSON has it; `EVERYTHING` for one that has none.

    *Raises:* ValueError for a plan that reads something that is not understood.
    """
    found: dict[str, list[TimeBounds]] = {}
    for node in _nodes(plan):
        kind, told = node.get("name"), node.get("extra_info")
        if not isinstance(kind, str):
            raise ValueError("a node of the plan has no name")
        if kind.strip() in _HARMLESS_SCANS or "SCAN" not in kind:
            continue
        table = _table_of(told, tables)
        if table is None:
            raise ValueError(f"the plan reads by {kind} what is no table")
        assert isinstance(told, dict)
        found.setdefault(table, []).append(_of_filters(told.get("Filters", [])))
    return {name: reduce(TimeBounds.hull, found[name]) if name in found else EVERYTHING for name in tables}


def _nodes(plan: object) -> Iterator[dict[str, object]]:
    waiting = [plan]
    seen = 0
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
            continue
        seen += 1
        if not isinstance(node, dict) or seen > NODES_MAX:
            raise ValueError("the plan is none")
        yield node
        waiting.append(node.get("children") or [])


def _table_of(told: object, tables: Sequence[str]) -> str | None:
    named = told.get("Table") if isinstance(told, dict) else None
    return next((name for name in tables if named == f"memory.{_SCHEMA}.{name}"), None)


def _of_filters(filters: object) -> TimeBounds:
    """The range that all filters of a scan leave together."""
    texts = filters if isinstance(filters, list) else [filters]
    return reduce(TimeBounds.both, (bounds_of_filter(text) for text in texts if isinstance(text, str)), EVERYTHING)
