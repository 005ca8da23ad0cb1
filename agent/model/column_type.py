"""The one map of column types: what a value is in Python, in a Parquet footer and in SQL. PURE."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


class DType(StrEnum):
    """The column types, in the words of a segment's head and of the schema reference."""

    INT64 = "int64"
    FLOAT64 = "float64"
    UTF8 = "utf8"
    BOOL = "bool"
    BYTES = "binary"
    LIST_INT64 = "list<int64>"
    LIST_FLOAT64 = "list<float64>"
    LIST_UTF8 = "list<utf8>"


class ColumnType(Struct, frozen=True):
    """One type elsewhere. `python`: the types of its values; `arrow`, `sql`: the words of Arrow and DuckDB for it.

    `element`: the type of the values of a list; None: it is no list. A list holds no null.
    """

    python: frozenset[type]
    arrow: str
    sql: str
    element: DType | None = None


# A whole number may stand for a fraction: a share of exactly 1. A list may come as either, as msgpack gives them.
_LISTS = frozenset({list, tuple})
COLUMN_TYPES: Mapping[DType, ColumnType] = {
    DType.INT64: ColumnType(frozenset({int}), "int64", "BIGINT"),
    DType.FLOAT64: ColumnType(frozenset({float, int}), "double", "DOUBLE"),
    DType.UTF8: ColumnType(frozenset({str}), "string", "VARCHAR"),
    DType.BOOL: ColumnType(frozenset({bool}), "bool", "BOOLEAN"),
    DType.BYTES: ColumnType(frozenset({bytes}), "binary", "BLOB"),
    DType.LIST_INT64: ColumnType(_LISTS, "list<int64>", "BIGINT[]", DType.INT64),
    DType.LIST_FLOAT64: ColumnType(_LISTS, "list<double>", "DOUBLE[]", DType.FLOAT64),
    DType.LIST_UTF8: ColumnType(_LISTS, "list<string>", "VARCHAR[]", DType.UTF8),
}
