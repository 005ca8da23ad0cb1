"""Rows as columns, as the value of a message has them, and their encoding. PURE: no Arrow, and no package of protobuf.

A column of whole numbers is kept as small differences from a base, in multiples of a factor, so that zstd finds little to do and a
reader with Arrow takes the bytes as they are. *Source:* docs/sinks/kafka.md has the protobuf text.
"""

from collections.abc import Sequence
from math import copysign, gcd, isfinite
from struct import pack, unpack
from typing import cast

from msgspec import Struct

from agent.model.column_type import COLUMN_TYPES, DType
from agent.model.protobuf import delimited, signed, text, whole
from agent.model.row_check import INT64_MAX
from agent.model.table import Row, Value

# Numbers of fields in Rows and in Column.
TABLE, VERSION, ROWS, COLUMNS = 1, 2, 3, 4
NAME, TYPE, VALID, BASE, WIDTH, VALUES, TEXTS, ELEMENT, FACTOR, DIVIDEND, DIVISOR = range(1, 12)
CODES = {1: "b", 2: "h", 4: "i", 8: "q"}
FLOAT_WIDTH = 8
_BYTE_MAX = 127
# A message that says in few bytes that it has more is refused: rows times columns, and items of lists.
CELLS_MAX = 2 << 20
COLUMNS_MAX = 1024
# A share of something that changed more often is no share of it.
_DIVISOR_CHANGE_ROWS = 8
# Fewer rows are shorter as they are.
_QUOTIENT_ROWS_LEAST = 4
# Up to there a float64 is a whole number exactly.
_DIVISOR_MAX = 1 << 53


class TopicColumn(Struct, frozen=True):
    """One column of a message.

    *Shape:* `valid` has a bit for each row, the lowest of a byte first, 0 for null; b"": none is null. `values` has `width` bytes
    for each row, little endian; null has 0.
    - int64 and bool: `base + factor * value`, value signed; `width` 0: all are `base`.
    - float64: as they are, width 8; or, where `dividend` names an earlier column of int64, its value divided by that of
      `divisor` (a column of int64 without a name), both as float64.
    - utf8 and binary: the numbers, as int64, of `texts`.
    - lists: their lengths, as int64; `element` has the items of all, one after another.
    """

    name: str
    dtype: DType
    valid: bytes = b""
    base: int = 0
    width: int = 0
    values: bytes = b""
    texts: tuple[bytes, ...] = ()
    element: "TopicColumn | None" = None
    factor: int = 1
    dividend: str = ""
    divisor: "TopicColumn | None" = None


class TopicRows(Struct, frozen=True):
    """The rows of one message: so many, of one version of one table."""

    table: str
    version: int
    rows: int
    columns: tuple[TopicColumn, ...]


def columns_of(table: str, version: int, names: Sequence[str], dtypes: Sequence[DType], rows: Sequence[Row]) -> TopicRows:
    """Rows that fit their columns (`agent.store.row_decoder`) as columns; the same rows give the same columns."""
    by_column = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    whole_numbers: dict[str, Sequence[Value]] = {}
    columns = []
    for name, dtype, values in zip(names, dtypes, by_column, strict=True):
        quotient = _quotient(name, values, whole_numbers) if dtype is DType.FLOAT64 else None
        columns.append(quotient or _column(name, dtype, values))
        if dtype is DType.INT64:
            whole_numbers[name] = values
    return TopicRows(table, version, len(rows), tuple(columns))


def cells_of(found: TopicRows) -> int:
    """How many values a reader makes of a message: rows times columns, and the items of lists."""
    lists = [column for column in found.columns if column.element is not None]
    return found.rows * len(found.columns) + sum(sum(whole_numbers(column, found.rows)) for column in lists)


def whole_numbers(column: TopicColumn, rows: int) -> Sequence[int]:
    """The whole numbers of a column, of whatever they are; those of null rows mean nothing."""
    if not column.width:
        return [column.base] * rows
    found = unpack(f"<{rows}{CODES[column.width]}", column.values)
    base, factor = column.base, column.factor
    return [base + factor * value for value in found] if base or factor != 1 else found


def encode_columns(found: TopicRows) -> bytes:
    """The value of a message."""
    head = text(TABLE, found.table) + whole(VERSION, found.version) + whole(ROWS, found.rows)
    return head + b"".join([delimited(COLUMNS, _encoded(column)) for column in found.columns])


def _encoded(column: TopicColumn) -> bytes:
    parts = [
        text(NAME, column.name) if column.name else b"",
        text(TYPE, column.dtype),
        delimited(VALID, column.valid) if column.valid else b"",
        signed(BASE, column.base),
        whole(WIDTH, column.width),
        delimited(VALUES, column.values) if column.values else b"",
        *[delimited(TEXTS, each) for each in column.texts],
        b"" if column.element is None else delimited(ELEMENT, _encoded(column.element)),
        whole(FACTOR, column.factor if column.factor != 1 else 0),
        text(DIVIDEND, column.dividend) if column.dividend else b"",
        b"" if column.divisor is None else delimited(DIVISOR, _encoded(column.divisor)),
    ]
    return b"".join(parts)


def _column(name: str, dtype: DType, values: Sequence[Value]) -> TopicColumn:
    valid = _valid(values)
    element = COLUMN_TYPES[dtype].element
    if dtype is DType.FLOAT64:
        numbers = [0.0 if value is None else float(cast("float", value)) for value in values]
        return TopicColumn(name, dtype, valid, 0, FLOAT_WIDTH, pack(f"<{len(numbers)}d", *numbers))
    if dtype in (DType.UTF8, DType.BYTES):
        return _text_column(name, dtype, valid, values)
    if element is not None:
        lists = [() if value is None else cast("Sequence[Value]", value) for value in values]
        items = _column("", element, [item for each in lists for item in each])
        return _whole_column(name, dtype, valid, [len(each) for each in lists], element=items)
    return _whole_column(name, dtype, valid, cast("Sequence[int | None]", values))


def _text_column(name: str, dtype: DType, valid: bytes, values: Sequence[Value]) -> TopicColumn:
    numbers: dict[Value, int] = {}
    indexes = [None if value is None else numbers.setdefault(value, len(numbers)) for value in values]
    texts = tuple(each.encode() if isinstance(each, str) else cast("bytes", each) for each in numbers)
    return _whole_column(name, dtype, valid, indexes, texts=texts)


def _whole_column(
    name: str,
    dtype: DType,
    valid: bytes,
    values: Sequence[int | None],
    *,
    texts: tuple[bytes, ...] = (),
    element: TopicColumn | None = None,
) -> TopicColumn:
    known = cast("Sequence[int]", [value for value in values if value is not None] if valid else values)
    least, largest = (min(known), max(known)) if known else (0, 0)
    if least == largest:
        return TopicColumn(name, dtype, valid, int(least), 0, b"", texts, element)
    base, factor, largest = _counted(known, int(least), int(largest))
    code, width = _code(largest)
    numbers = [0 if value is None else (value - base) // factor for value in values]
    return TopicColumn(name, dtype, valid, base, width, pack(f"<{len(numbers)}{code}", *numbers), texts, element, factor)


def _counted(known: Sequence[int], least: int, largest: int) -> tuple[int, int, int]:
    """From what they are counted, in what, and up to how many: sizes are whole pages, times whole ticks of a clock."""
    span = largest - least
    if span > INT64_MAX:
        return 0, 1, INT64_MAX
    factor = gcd(*[value - least for value in known]) if span > _BYTE_MAX else 1
    return least, factor, span // factor


def _code(largest: int) -> tuple[str, int]:
    """How numbers from 0 up to this one are packed."""
    return next((code, width) for width, code in CODES.items() if largest < 1 << 8 * width - 1)


def _valid(values: Sequence[Value]) -> bytes:
    if None not in values:
        return b""
    # The first row is the lowest bit of the first byte.
    bits = "".join(["0" if value is None else "1" for value in reversed(values)])
    return int(bits, 2).to_bytes((len(values) + 7) // 8, "little")


def _quotient(name: str, values: Sequence[Value], whole_numbers: dict[str, Sequence[Value]]) -> TopicColumn | None:
    """The column as one of whole numbers divided by a few numbers: shares of elapsed time are no news beside the times."""
    if len(values) < _QUOTIENT_ROWS_LEAST:
        return None
    for dividend, numbers in whole_numbers.items():
        divisors = _divisors(values, numbers)
        if divisors is not None:
            divisor = _whole_column("", DType.INT64, b"", divisors)
            return TopicColumn(name, DType.FLOAT64, _valid(values), dividend=dividend, divisor=divisor)
    return None


def _divisors(values: Sequence[Value], numbers: Sequence[Value]) -> list[int] | None:
    """By what each number is to be divided for the value of its row; None: there is nothing such, or it changes often."""
    found: list[int] = []
    # Of nothing any part is nothing: what comes first decides for the rows before it too.
    first = divisor = changes = 0
    for value, number in zip(values, numbers, strict=True):
        if value is not None:
            if number is None:
                return None
            share, amount = float(cast("float", value)), float(cast("int", number))
            is_nothing = not amount and not share and copysign(1.0, share) > 0
            if not is_nothing and (not divisor or amount / divisor != share):
                divisor, changes = _divisor(share, amount), changes + 1
                first = first or divisor
                if not divisor or changes * _DIVISOR_CHANGE_ROWS > len(values) + _DIVISOR_CHANGE_ROWS:
                    return None
        found.append(divisor)
    return [each or first for each in found] if first else None


def _divisor(share: float, amount: float) -> int:
    """The whole number by which the amount gives exactly this share; 0: there is none."""
    if not share or not isfinite(share) or not isfinite(amount / share):
        return 0
    found = round(amount / share)
    return found if 0 < found <= _DIVISOR_MAX and amount / found == share else 0
