"""The tables of a ClickHouse database as statements: those of rows, made of the declared tables, and the merger's own. PURE.

Rows: a part for each day of UTC, ordered by host and time. A list is an Array, which is empty where a row has none. Names are words
of SQL, checked where they come in and quoted where they stand.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from agent.model.column_type import DType
from agent.model.row_check import TIMESTAMP
from agent.model.table import HOST_COLUMN, INSTALL_COLUMN, Table

# Of so many inserts in a table the tokens are remembered. A merger gives a commit up long before as many others are done.
TOKENS_REMEMBERED = 10_000
# Tables of rows have other names.
OWN_PREFIX = "evergauge_"
INTENT, OFFSET, MARK = f"{OWN_PREFIX}intent", f"{OWN_PREFIX}offset", f"{OWN_PREFIX}mark"

_SCALARS = {
    DType.INT64: "Int64",
    DType.FLOAT64: "Float64",
    DType.UTF8: "String",
    DType.BYTES: "String",
    DType.BOOL: "Bool",
}
_LISTS = {DType.LIST_INT64: "Array(Int64)", DType.LIST_FLOAT64: "Array(Float64)", DType.LIST_UTF8: "Array(String)"}
_DTYPES = {kind: dtype for dtype, kind in reversed((*_SCALARS.items(), *_LISTS.items()))}
_WHO = "LowCardinality(String)"


class ClickHouseColumn(Struct, frozen=True):
    """One column of a table of rows."""

    name: str
    dtype: DType
    nullable: bool


def columns_in(table: Table) -> tuple[ClickHouseColumn, ...]:
    """Those of a declared table, without host and installation."""
    return tuple(ClickHouseColumn(column.name, column.dtype, column.nullable) for column in table.columns)


def column_type(dtype: DType, *, nullable: bool) -> str:
    """The type of a column. Lists are never null."""
    if dtype in _LISTS:
        return _LISTS[dtype]
    return f"Nullable({_SCALARS[dtype]})" if nullable else _SCALARS[dtype]


def dtype_of(kind: str) -> DType | None:
    """The type of a column that the server calls so. *Absent:* None: no table of ours has such a one."""
    for wrapper in ("LowCardinality", "Nullable"):
        if kind.startswith(f"{wrapper}("):
            kind = kind.removeprefix(f"{wrapper}(").removesuffix(")")
    return _DTYPES.get(kind)


def quoted(name: str) -> str:
    """A name as it stands in a statement. *Range:* words of SQL alone; anything else is a bug of the caller."""
    assert name.isascii(), name
    assert name.replace("_", "a").isalnum(), name
    return f"`{name}`"


def text(value: str) -> str:
    """A text as it stands in a statement, whatever it has."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def create_database(database: str) -> str:
    """The statement that makes the database, where it is not there."""
    return f"CREATE DATABASE IF NOT EXISTS {quoted(database)}"


def create_table(database: str, name: str, columns: Sequence[ClickHouseColumn], key: Iterable[str] = ()) -> str:
    """The statement that makes a table of rows, where it is not there. `key`: the table's own, as far as it may be null."""
    # Nobody sends a row without a time, and parts are made by it.
    may_be_null = {column.name: column.nullable and column.name != TIMESTAMP for column in columns}
    lines = [f"  {quoted(column.name)} {column_type(column.dtype, nullable=may_be_null[column.name])}" for column in columns]
    lines += [f"  {quoted(who)} {_WHO}" for who in (HOST_COLUMN, INSTALL_COLUMN)]
    never_null = {column.name for column in columns if not may_be_null[column.name] and column.dtype in _SCALARS}
    order = dict.fromkeys((HOST_COLUMN, TIMESTAMP, *(name for name in key if name in never_null)))
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(database)}.{quoted(name)}\n(\n"
        + ",\n".join(lines)
        + f"\n)\nENGINE = MergeTree\nPARTITION BY toDate(fromUnixTimestamp64Nano({TIMESTAMP}, 'UTC'))\n"
        + f"ORDER BY ({', '.join(map(quoted, order))})\n{_remembered()}"
    )


def create_declared(database: str, tables: Iterable[Table]) -> list[str]:
    """The statements that make the tables of these declarations."""
    return [create_table(database, table.name, columns_in(table), table.key) for table in tables]


def add_column(database: str, table: str, column: ClickHouseColumn) -> str:
    """The statement that adds a column which a later version has; in rows before it is null or empty."""
    added = column_type(column.dtype, nullable=True)
    return f"ALTER TABLE {quoted(database)}.{quoted(table)} ADD COLUMN IF NOT EXISTS {quoted(column.name)} {added}"


def create_own(database: str) -> list[str]:
    """The statements that make the merger's own tables: of each partition, or host and table, the highest offset counts."""
    where = f"{quoted(database)}."
    return [
        f"CREATE TABLE IF NOT EXISTS {where}{quoted(INTENT)}\n"
        "(\n  partition String,\n  base UInt64,\n  next UInt64,\n  by String,\n  at DateTime64(3, 'UTC') DEFAULT now64(3)\n)\n"
        f"ENGINE = ReplacingMergeTree(base)\nORDER BY partition\n{_remembered()}",
        f"CREATE TABLE IF NOT EXISTS {where}{quoted(OFFSET)}\n"
        "(\n  partition String,\n  next UInt64,\n  by String,\n  at DateTime64(3, 'UTC') DEFAULT now64(3)\n)\n"
        "ENGINE = ReplacingMergeTree(next)\nORDER BY partition",
        f"CREATE TABLE IF NOT EXISTS {where}{quoted(MARK)}\n"
        "(\n  table String,\n  host String,\n  offset UInt64,\n  low_ns Int64,\n"
        "  seq UInt64,\n  worker String,\n  epoch UInt64\n)\n"
        "ENGINE = ReplacingMergeTree(offset)\nORDER BY (table, host)",
    ]


def _remembered() -> str:
    return f"SETTINGS non_replicated_deduplication_window = {TOKENS_REMEMBERED}"
