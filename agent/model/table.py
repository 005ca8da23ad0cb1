"""What a table is: named, typed, with units and sources. PURE.

A row is a tuple of plain values in the order of `Table.columns`. A table lives beside the code that
fills it; `workers.registry` gathers all of them for the writer, the query and the schema reference.
"""

from collections.abc import Sequence

from msgspec import Struct

from agent.model.column_type import DType

Value = int | float | str | bool | bytes | Sequence[int] | Sequence[float] | Sequence[str] | None
Row = tuple[Value, ...]

# Every table has this column in Parquet and in queries, behind its own. It stands in no row: the head of a segment says it.
HOST_COLUMN = "host"


class Column(Struct, frozen=True):
    """One column: its meaning, its unit (`bytes`, `ns`, `1` for a ratio, empty for text) and where it comes from."""

    name: str
    dtype: DType
    unit: str
    about: str
    source: str
    nullable: bool = False


# Files and answers with rows of other hosts have this one behind `host`: two hosts may have one name.
INSTALL_COLUMN = "install"

HOST = Column(HOST_COLUMN, DType.UTF8, "", "the host whose agent wrote the row, by the name it had then", "head of the segment")


class Table(Struct, frozen=True):
    """One table. `key` names the columns that are unique together on one host; `version` grows with each added column.

    *Shape:* over several hosts a row is unique by `host` and `key` together. `columns` are those of a row; Parquet files and
    queries have `host` behind them.
    """

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
