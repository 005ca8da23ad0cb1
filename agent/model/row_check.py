"""Whether rows fit their table, row by row: one that does not is refused alone. PURE.

The same check stands on both sides of the wire: a sampler's outbox checks before it encodes, the conversion to Arrow after it
has decoded. It goes by columns: only a batch with a bad value in it is looked at row by row.
"""

from array import array
from collections.abc import Iterable, Sequence
from typing import TypeGuard, cast

from msgspec import Struct

from agent.model.column_type import COLUMN_TYPES, DType
from agent.model.table import Row, Table, Value

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
# The time of a row stands in the name of its file, which has no time before 1970.
TIMESTAMP = "timestamp"
_NONE = type(None)


class BadRow(Struct, frozen=True):
    """Why a row is refused: the column (empty: the row as a whole) and what is wrong with it, without the value."""

    column: str
    problem: str


class CheckedColumn(Struct, frozen=True):
    """What the check needs of a column."""

    name: str
    dtype: DType
    nullable: bool


class RowCheck:
    """The check of one table. Made once, used for every batch."""

    def __init__(self, columns: Iterable[CheckedColumn]) -> None:
        self._columns = tuple(columns)
        self._accepted = tuple(
            COLUMN_TYPES[column.dtype].python | ({_NONE} if column.nullable else frozenset()) for column in self._columns
        )

    def sift(self, rows: Sequence[Row]) -> tuple[Sequence[Row], list[BadRow]]:
        """The rows that fit, in their order, and why each of the others does not."""
        if not rows or self._all_fit(rows):
            return rows, []
        good: list[Row] = []
        bad: list[BadRow] = []
        for row in rows:
            problem = self.problem(row)
            if problem is None:
                good.append(row)
            else:
                bad.append(problem)
        return good, bad

    def problem(self, row: Row) -> BadRow | None:
        """What makes one row unfit; None: nothing."""
        if len(row) != len(self._columns):
            return BadRow("", f"{len(row)} values for the {len(self._columns)} columns")
        for column, accepted, value in zip(self._columns, self._accepted, row, strict=True):
            if type(value) not in accepted:
                return BadRow(
                    column.name, "missing and may not be" if value is None else f"{type(value).__name__}, not {column.dtype}"
                )
            if not _fits(column, (value,), {type(value)}):
                return BadRow(column.name, _bound_of(column))
        return None

    def _all_fit(self, rows: Sequence[Row]) -> bool:
        if set(map(len, rows)) != {len(self._columns)}:
            return False
        for column, accepted, values in zip(self._columns, self._accepted, zip(*rows, strict=True), strict=True):
            found = set(map(type, values))
            if not found <= accepted or not _fits(column, values, found):
                return False
        return True


def check_of(table: Table) -> RowCheck:
    """The check of a declared table."""
    return RowCheck(CheckedColumn(column.name, column.dtype, column.nullable) for column in table.columns)


def check_of_form(names: Sequence[str], dtypes: Sequence[DType], nullable: Sequence[bool]) -> RowCheck:
    """The check of the columns of a stored table; those that `nullable` does not cover may be null, a time never."""
    declared = (*nullable, *(True,) * (len(names) - len(nullable)))
    is_nullable = (may_be_null and name != TIMESTAMP for name, may_be_null in zip(names, declared, strict=True))
    return RowCheck(CheckedColumn(*column) for column in zip(names, dtypes, is_nullable, strict=True))


def _fits(column: CheckedColumn, values: Sequence[Value], found: set[type]) -> bool:
    """Whether values of accepted types, which are `found`, are within the bounds of their column."""
    element = COLUMN_TYPES[column.dtype].element
    if element is not None:
        return all(value is None or _is_list_of(element, value) for value in values)
    if int not in found:
        return True
    numbers = cast("Sequence[int]", values) if found == {int} else [value for value in values if type(value) is int]
    try:
        # One pass in C: it takes what 64 bits hold.
        array("q", numbers)
    except OverflowError:
        return False
    return column.name != TIMESTAMP or min(numbers) >= 0


def _is_list_of(element: DType, value: Value) -> bool:
    if not _is_list(value) or not COLUMN_TYPES[element].python.issuperset(map(type, value)):
        return False
    if element is DType.INT64:
        try:
            # In C: a sketch has hundreds of buckets.
            array("q", cast("Sequence[int]", value))
        except OverflowError:
            return False
        return True
    return all(INT64_MIN <= number <= INT64_MAX for number in value if isinstance(number, int))


def _is_list(value: Value) -> TypeGuard[Sequence[Value]]:
    return isinstance(value, list | tuple)


def _bound_of(column: CheckedColumn) -> str:
    """What a value of an accepted type that does not fit is."""
    if COLUMN_TYPES[column.dtype].element is not None:
        return f"no {column.dtype}"
    return "before 1970 or beyond int64" if column.name == TIMESTAMP else "beyond int64"
