"""A declared table in the SQL of engines that read what many hosts wrote: DuckDB, ClickHouse, Spark and Trino. PURE.

Every table has `host` and `install` behind its own columns there, as files of a fleet have them. Names are always quoted: some of
ours (`group`, `table`, `limit`) are words of SQL in one engine and not in another. ClickHouse's statement is the merger's own.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

from msgspec import Struct

from agent.lake import clickhouse_ddl
from agent.model.column_type import COLUMN_TYPES, DType
from agent.model.errors import MisuseError
from agent.model.table import HOST, INSTALL_COLUMN, Column, Table

INSTALL = Column(
    INSTALL_COLUMN, DType.UTF8, "", "the installation that measured the row; null: not said", "head of the segment", True
)
# In the statement of the merger; a client names its database itself.
_DATABASE = "default"


class SqlEngine(StrEnum):
    """The engines, in the words of the command line."""

    DUCKDB = "duckdb"
    CLICKHOUSE = "clickhouse"
    SPARK = "spark"
    TRINO = "trino"


class SqlDialect(Struct, frozen=True):
    """How an engine writes a table down.

    `column` gives the type of a column and whether it may be null; `end` stands behind the columns, and behind that `located` with
    the folder of the table's files. *Absent:* `located` is empty where a table has no files of others.
    """

    quote: str
    column: Callable[[Column], str]
    end: str = ""
    located: str = ""


_SPARK = {DType.INT64: "BIGINT", DType.FLOAT64: "DOUBLE", DType.UTF8: "STRING", DType.BOOL: "BOOLEAN", DType.BYTES: "BINARY"}
_TRINO = {DType.INT64: "bigint", DType.FLOAT64: "double", DType.UTF8: "varchar", DType.BOOL: "boolean", DType.BYTES: "varbinary"}


def _duckdb(column: Column) -> str:
    return COLUMN_TYPES[column.dtype].sql + ("" if column.nullable else " NOT NULL")


def _spark(column: Column) -> str:
    element = COLUMN_TYPES[column.dtype].element
    return f"ARRAY<{_SPARK[element]}>" if element else _SPARK[column.dtype]


def _trino(column: Column) -> str:
    element = COLUMN_TYPES[column.dtype].element
    return f"array({_TRINO[element]})" if element else _TRINO[column.dtype]


# ClickHouse is not among them.
SQL_DIALECTS: Mapping[SqlEngine, SqlDialect] = {
    SqlEngine.DUCKDB: SqlDialect('"', _duckdb),
    SqlEngine.SPARK: SqlDialect("`", _spark, "\nUSING parquet", " LOCATION '{}'"),
    SqlEngine.TRINO: SqlDialect('"', _trino, "", "\nWITH (format = 'PARQUET', external_location = '{}')"),
}


def create_table(engine: SqlEngine, table: Table, location: str = "") -> str:
    """The statement that makes the table, without a semicolon.

    `location`: the folder below which each table has a folder of its name. *Raises:* MisuseError for an engine without such tables.
    """
    dialect = SQL_DIALECTS.get(engine)
    if location and (dialect is None or not dialect.located or "'" in location):
        remedy = "leave it out, or write the URL of a folder"
        raise MisuseError("--location", f"{location!a} is no folder of tables of {engine}", remedy)
    if dialect is None:
        statement = clickhouse_ddl.create_table(_DATABASE, table.name, clickhouse_ddl.columns_in(table), table.key)
        return statement.replace(f"{clickhouse_ddl.quoted(_DATABASE)}.", "", 1)
    quote = dialect.quote
    columns = [f"{quote}{column.name}{quote} {dialect.column(column)}" for column in (*table.columns, HOST, INSTALL)]
    end = dialect.end + (dialect.located.format(f"{location.rstrip('/')}/{table.name}") if location else "")
    return f"CREATE TABLE IF NOT EXISTS {table.name} (\n    " + ",\n    ".join(columns) + f"\n){end}"
