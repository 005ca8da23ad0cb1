"""What a table is: named, typed, with units and sources. PURE.

A row is a tuple of plain values in the order of `Table.columns`. A table lives beside the code that
fills it; `workers.registry` gathers all of them for the writer, the query and the schema reference.
"""

from enum import StrEnum

from msgspec import Struct

Value = int | float | str | bool | None
Row = tuple[Value, ...]


class DType(StrEnum):
    """The column types; the words are Arrow's."""

    INT64 = "int64"
    FLOAT64 = "float64"
    UTF8 = "utf8"
    BOOL = "bool"


_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1

_PYTHON_TYPES: dict[DType, tuple[type, ...]] = {
    DType.INT64: (int,),
    DType.FLOAT64: (float, int),
    DType.UTF8: (str,),
    DType.BOOL: (bool,),
}


class Column(Struct, frozen=True):
    """One column: its meaning, its unit (`bytes`, `ns`, `1` for a ratio, empty for text) and where it comes from."""

    name: str
    dtype: DType
    unit: str
    about: str
    source: str
    nullable: bool = False


class Table(Struct, frozen=True):
    """One table. `key` names the columns that are unique together; `version` grows with each added column."""

    name: str
    version: int
    about: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    file_prefix: str = ""

    @property
    def prefix(self) -> str:
        """How the file names of this table begin."""
        return self.file_prefix or f"{self.name}-"

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names, in the order of the values of a row."""
        return tuple(column.name for column in self.columns)


def problem_of_row(table: Table, row: Row) -> str | None:
    """What makes a row unfit for its table, or None when nothing does."""
    if len(row) != len(table.columns):
        return f"{len(row)} values for the {len(table.columns)} columns of {table.name}"
    for column, value in zip(table.columns, row, strict=True):
        if value is None:
            if not column.nullable:
                return f"{table.name}.{column.name} is missing and may not be"
        elif type(value) not in _PYTHON_TYPES[column.dtype]:
            return f"{table.name}.{column.name} is {type(value).__name__}, not {column.dtype}"
        elif column.dtype is DType.INT64 and not _INT64_MIN <= value <= _INT64_MAX:  # type: ignore[operator]  # an int here
            return f"{table.name}.{column.name} is {value}, beyond {column.dtype}"
    return None
