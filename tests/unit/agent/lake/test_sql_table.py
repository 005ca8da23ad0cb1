"""The SQL of tables in other engines: types, nulls, quotes, the folder of their files."""

import re

import pytest

from agent.lake.clickhouse_ddl import create_declared
from agent.lake.sql_table import SqlEngine, create_table
from agent.model.column_type import DType
from agent.model.errors import MisuseError
from agent.model.table import Column, Table
from agent.model.tables import GAP

EVERY = Table(
    "t",
    1,
    "A table.",
    ("timestamp",),
    (
        Column("timestamp", DType.INT64, "ns", "", ""),
        Column("group", DType.UTF8, "", "", "", nullable=True),
        Column("share", DType.FLOAT64, "1", "", "", nullable=True),
        Column("is_final", DType.BOOL, "", "", ""),
        Column("data", DType.BYTES, "", "", "", nullable=True),
        Column("counts", DType.LIST_INT64, "1", "", "", nullable=True),
        Column("shares", DType.LIST_FLOAT64, "1", "", ""),
        Column("names", DType.LIST_UTF8, "", "", ""),
    ),
)


def columns_in(statement: str) -> list[str]:
    return [line.strip().rstrip(",") for line in statement.splitlines() if line.strip().startswith(("`", '"'))]


def test_columns_of_duckdb_say_what_is_never_null() -> None:
    """As `agentctl query` has them."""
    assert columns_in(create_table(SqlEngine.DUCKDB, EVERY)) == [
        '"timestamp" BIGINT NOT NULL', '"group" VARCHAR', '"share" DOUBLE', '"is_final" BOOLEAN NOT NULL', '"data" BLOB',
        '"counts" BIGINT[]', '"shares" DOUBLE[] NOT NULL', '"names" VARCHAR[] NOT NULL', '"host" VARCHAR NOT NULL',
        '"install" VARCHAR',
    ]  # fmt: skip


def test_columns_of_spark_and_trino_have_their_types() -> None:
    """Neither says nulls."""
    assert columns_in(create_table(SqlEngine.SPARK, EVERY)) == [
        "`timestamp` BIGINT", "`group` STRING", "`share` DOUBLE", "`is_final` BOOLEAN", "`data` BINARY", "`counts` ARRAY<BIGINT>",
        "`shares` ARRAY<DOUBLE>", "`names` ARRAY<STRING>", "`host` STRING", "`install` STRING",
    ]  # fmt: skip
    assert columns_in(create_table(SqlEngine.TRINO, EVERY)) == [
        '"timestamp" bigint', '"group" varchar', '"share" double', '"is_final" boolean', '"data" varbinary',
        '"counts" array(bigint)', '"shares" array(double)', '"names" array(varchar)', '"host" varchar', '"install" varchar',
    ]  # fmt: skip


def test_clickhouse_has_the_tables_of_the_merger() -> None:
    """In the database of the client that makes them."""
    (of_merger,) = create_declared("default", [EVERY])
    statement = create_table(SqlEngine.CLICKHOUSE, EVERY)
    assert statement == of_merger.replace("`default`.`t`", "`t`")
    assert "`host` LowCardinality(String)" in columns_in(statement)


@pytest.mark.parametrize("engine", SqlEngine)
def test_a_statement_has_all_columns(engine: SqlEngine) -> None:
    """In the order of the table, with host and install behind."""
    statement = create_table(engine, GAP)
    assert re.match(r"CREATE TABLE IF NOT EXISTS `?gap`?\s", statement)
    names = [re.split(r'[`"]', line)[1] for line in columns_in(statement)]
    assert names == [*GAP.column_names, "host", "install"]


def test_a_table_may_stand_over_files() -> None:
    """Each has a folder of its name."""
    assert create_table(SqlEngine.SPARK, GAP, "s3a://b/lake/").endswith("USING parquet LOCATION 's3a://b/lake/gap'")
    assert create_table(SqlEngine.TRINO, GAP, "s3://b").endswith("WITH (format = 'PARQUET', external_location = 's3://b/gap')")


@pytest.mark.parametrize(("engine", "location"), [("duckdb", "/x"), ("clickhouse", "/x"), ("trino", "/a'b")])
def test_a_place_that_no_table_can_have_is_refused(engine: str, location: str) -> None:
    """Where the engine has no such tables, and where it would not be one text."""
    with pytest.raises(MisuseError, match="leave it out"):
        create_table(SqlEngine(engine), GAP, location)
