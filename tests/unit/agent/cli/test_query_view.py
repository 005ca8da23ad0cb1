"""The statements that make the views of a query."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from agent.cli.query_view import (
    GROUPS_MAX,
    PODS_FROM,
    FileGroup,
    ViewParts,
    containers_statement,
    pods_statement,
    sql_columns,
    sql_type,
    view_statement,
)
from agent.cli.time_bounds import EVERYTHING, NOTHING, TimeBounds
from agent.model.tables import GAP, POD_GROUP

COLUMNS = (("timestamp", "BIGINT"), ("pid", "BIGINT"), ("host", "VARCHAR"))


def rows_of(parts: ViewParts, bounds: TimeBounds, select: str = "*") -> list[tuple[Any, ...]]:
    """What a view shows whose spool has four rows, a second apart."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE TABLE held AS SELECT 1000000000 * range AS timestamp, range AS pid FROM range(4)")
    connection.execute(view_statement('"shown"', parts, bounds))
    return connection.execute(f"SELECT {select} FROM shown ORDER BY ALL").fetchall()


def test_the_time_comes_first_and_declared_columns_are_there_without_data() -> None:
    """`at` is made of `timestamp`; the host that nobody stored is null."""
    parts = ViewParts(COLUMNS, (), "held", has_timestamp=True)
    shown = rows_of(parts, EVERYTHING, "CAST(at AS VARCHAR), timestamp, pid, host".replace("at AS", '"at" AS'))
    assert shown[1] == ("1970-01-01 00:00:01+00", 1_000_000_000, 1, None)
    described = duckdb.connect()
    described.execute(view_statement("shown", ViewParts(COLUMNS, (), None, has_timestamp=True), EVERYTHING))
    assert described.table("shown").columns == ["at", "timestamp", "pid", "host"]


@pytest.mark.parametrize(
    ("bounds", "pids"),
    [
        (EVERYTHING, [0, 1, 2, 3]),
        (TimeBounds(since_ns=1_000_000_000), [1, 2, 3]),
        (TimeBounds(until_ns=1_000_000_000), [0]),
        (TimeBounds(1_000_000_001, 3_000_000_000), [2]),
        (NOTHING, []),
        (TimeBounds(1 << 70, 1 << 71), []),
    ],
)
def test_rows_are_those_within_the_bounds(bounds: TimeBounds, pids: list[int]) -> None:
    """From the first on, before the second; bounds beyond what a column holds are no failure."""
    shown = rows_of(ViewParts(COLUMNS, (), "held", has_timestamp=True), bounds, "pid")
    assert [pid for (pid,) in shown] == pids


def test_a_table_without_times_is_as_it_is() -> None:
    """No column is added and no row is cut; one without any column is empty."""
    assert len(rows_of(ViewParts((), (), "held", has_timestamp=False), NOTHING)) == 4
    assert rows_of(ViewParts((), (), None, has_timestamp=False), EVERYTHING) == []


def test_files_of_equal_columns_are_one_source_and_of_many_columns_one_too() -> None:
    """DuckDB opens each file beforehand only where it has to unite many kinds of columns."""
    groups = tuple(FileGroup(((f"c{number}", "int64"),), (f"/it's/{number}",)) for number in range(GROUPS_MAX + 1))
    few = view_statement("v", ViewParts((), groups[:2], None, has_timestamp=False), EVERYTHING)
    assert few.count("read_parquet") == 2
    assert "'/it''s/0'" in few
    assert "union_by_name" not in few
    many = view_statement("v", ViewParts((), groups, None, has_timestamp=False), EVERYTHING)
    assert (many.count("read_parquet"), many.count("union_by_name = true")) == (1, 1)


def test_files_that_have_all_columns_are_united_with_nothing(tmp_path: Path) -> None:
    """DuckDB counts their rows by their footers; where a column is missing or stands elsewhere, the view shows the same columns."""
    declared = [name for name, _ in COLUMNS]
    connection = duckdb.connect()
    for number, names in enumerate((declared, [*declared, "later"], declared[:2], [*declared[:2], "later", "host"])):
        path = str(tmp_path / f"{number}.parquet")
        values = ", ".join(f"{1 if name in ('timestamp', 'pid') else repr('x')} AS {name}" for name in names)
        connection.execute(f"COPY (SELECT {values}) TO '{path}' (FORMAT parquet)")
        source = FileGroup(tuple((name, "any") for name in names), (path,))
        statement = view_statement(f"v{number}", ViewParts(COLUMNS, (source,), None, has_timestamp=True), EVERYTHING)
        connection.execute(statement)
        assert ("UNION" in statement) == (number >= 2)
        assert connection.table(f"v{number}").columns == ["at", *declared, *(["later"] if "later" in names else [])]
        assert connection.execute(f"SELECT timestamp, pid FROM v{number}").fetchall() == [(1, 1)]
    spooled = view_statement("v", ViewParts(COLUMNS, (source,), "held", has_timestamp=True), EVERYTHING)
    assert spooled.count("UNION ALL BY NAME") == 2


def test_every_stored_table_has_a_host_and_known_types() -> None:
    """Types of later versions are text."""
    assert sql_columns(GAP)[-1] == ("host", "VARCHAR")
    assert [sql_type(word) for word in ("int64", "list<float64>", "binary", "decimal")] == ["BIGINT", "DOUBLE[]", "BLOB", "VARCHAR"]


def test_the_view_of_pods_has_no_time_of_a_row() -> None:
    """An interval has a beginning and an end instead."""
    connection = duckdb.connect()
    columns = sql_columns(POD_GROUP)
    connection.execute(view_statement(PODS_FROM, ViewParts(columns, (), None, has_timestamp=True), EVERYTHING))
    connection.execute(pods_statement(PODS_FROM))
    found = connection.table("pod").columns
    assert found[:4] == ["pod_uid", "name", "valid_from", "valid_until"]
    assert {"at", "timestamp", "told_name"}.isdisjoint(found)


def test_units_of_several_installations_are_told_apart() -> None:
    """Paths of units are alike on all hosts: each has its own interval, whose end is not the beginning of another's."""
    connection = duckdb.connect()
    declared = ", ".join(
        f'"{name}" {kind}' for name, kind in [("at", "TIMESTAMPTZ"), *sql_columns(POD_GROUP), ("install", "VARCHAR")]
    )
    connection.execute(f"CREATE TABLE told ({declared})")
    for number, install in enumerate((None, "a", "b"), start=1):
        values = "timestamp, pod_uid, valid_from, install"
        connection.execute(
            f"INSERT INTO told BY NAME (SELECT * FROM (VALUES ({number}, '/x', {number}, ?)) AS t({values}))", [install]
        )
    connection.execute(pods_statement("told", is_shared=True))
    found = connection.execute("SELECT install, valid_from, valid_until FROM pod ORDER BY valid_from").fetchall()
    assert found == [(None, 1, None), ("a", 2, None), ("b", 3, None)]


def test_a_container_is_shown_once_by_its_last_name() -> None:
    """With the time since which it is known."""
    connection = duckdb.connect()
    connection.execute("CREATE TABLE told (timestamp BIGINT, container_id VARCHAR, name VARCHAR, pod_uid VARCHAR)")
    connection.execute("INSERT INTO told VALUES (2, 'c', 'old', 'p'), (5, 'c', 'new', 'p'), (3, 'd', 'other', NULL)")
    connection.execute(containers_statement("told"))
    assert connection.execute("SELECT * FROM container ORDER BY ALL").fetchall() == [("c", "new", "p", 2), ("d", "other", None, 3)]
