"""Columns of a message that somebody else sent: checked in whole, and as rows. PURE.

A reader with Arrow takes `decode_columns` and makes its arrays of the bytes; tests and small readers take `rows_of`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from struct import unpack

from agent.model.column_type import COLUMN_TYPES, DType
from agent.model.errors import FormatError
from agent.model.row_check import INT64_MAX, INT64_MIN
from agent.model.table import Row, Value
from agent.topic import columns as wire
from agent.topic.columns import CELLS_MAX, CODES, COLUMNS_MAX, FLOAT_WIDTH, TopicColumn, TopicRows, whole_numbers
from agent.topic.field_reading import WHERE, fields, signed_of

# What the texts of a message become where each row has its own copy.
TEXT_BYTES_MAX = 64 << 20
_NESTED_MAX = 1
_NOTHING = memoryview(b"")


def decode_columns(value: bytes) -> TopicRows:
    """The columns of a message.

    *Raises:* FormatError where it is none, is damaged, or would need much more memory than it has bytes.
    """
    found = parse_columns(value)
    _check(found)
    return found


def parse_columns(value: bytes) -> TopicRows:
    """The columns of a message as it says them, for a reader that checks their values itself. *Raises:* FormatError."""
    table, version, rows = "", 0, 0
    columns: list[TopicColumn] = []
    for number, content in fields(memoryview(value)):
        if number == wire.TABLE:
            table = _text(content)
        elif number == wire.VERSION:
            version = _number(content)
        elif number == wire.ROWS:
            rows = _number(content)
        elif number == wire.COLUMNS:
            if len(columns) >= COLUMNS_MAX:
                raise FormatError(WHERE, f"it has more than {COLUMNS_MAX} columns")
            columns.append(_column(_bytes(content), 0))
    return TopicRows(table, version, rows, tuple(columns))


def rows_of(found: TopicRows) -> list[Row]:
    """The rows of a message that was checked."""
    by_name = values_of(found)
    return list(zip(*by_name.values(), strict=True)) if by_name else [()] * found.rows


def values_of(found: TopicRows) -> dict[str, Sequence[Value]]:
    """The values of each column, null where they are null."""
    values: dict[str, Sequence[Value]] = {}
    for column in found.columns:
        plain = _values(column, found)
        values[column.name] = _with_nulls(plain, column.valid) if column.valid else plain
    return values


def _column(data: memoryview, depth: int) -> TopicColumn:
    if depth > _NESTED_MAX:
        raise FormatError(WHERE, "a column within a column within a column")
    texts: list[bytes] = []
    last: dict[int, int | memoryview] = {}
    for number, content in fields(data):
        if number == wire.TEXTS:
            texts.append(bytes(_bytes(content)))
        else:
            last[number] = content
    try:
        dtype = DType(_text(last.get(wire.TYPE, _NOTHING)))
    except ValueError as cause:
        raise FormatError(WHERE, "a column has a type that this version does not know", "upgrade the reader") from cause
    element, divisor = last.get(wire.ELEMENT), last.get(wire.DIVISOR)
    return TopicColumn(
        name=_text(last.get(wire.NAME, _NOTHING)),
        dtype=dtype,
        valid=bytes(_bytes(last.get(wire.VALID, _NOTHING))),
        base=signed_of(_number(last.get(wire.BASE, 0))),
        width=_number(last.get(wire.WIDTH, 0)),
        values=bytes(_bytes(last.get(wire.VALUES, _NOTHING))),
        texts=tuple(texts),
        element=None if element is None else _column(_bytes(element), depth + 1),
        factor=_number(last.get(wire.FACTOR, 1)),
        dividend=_text(last.get(wire.DIVIDEND, _NOTHING)),
        divisor=None if divisor is None else _column(_bytes(divisor), depth + 1),
    )


def _check(found: TopicRows) -> None:
    """*Raises:* FormatError."""
    if found.rows * len(found.columns) > CELLS_MAX or found.rows > CELLS_MAX:
        raise FormatError(WHERE, f"it says that it has more than {CELLS_MAX} values")
    names = Counter(column.name for column in found.columns)
    if len(names) != len(found.columns):
        raise FormatError(WHERE, "two of its columns have one name")
    dividends: set[str] = set()
    text_bytes = 0
    for column in found.columns:
        text_bytes += _check_column(column, found.rows, dividends)
        if text_bytes > TEXT_BYTES_MAX:
            raise FormatError(WHERE, f"its texts would need more than {TEXT_BYTES_MAX} bytes")
        if column.dtype is DType.INT64:
            dividends.add(column.name)


def _check_column(column: TopicColumn, rows: int, dividends: Iterable[str]) -> int:
    """How many bytes its texts have as rows. *Raises:* FormatError."""
    if column.valid and len(column.valid) != (rows + 7) // 8:
        raise _wrong(column, "says in another number of bits which rows are null")
    if column.dividend or column.divisor is not None:
        _check_quotient(column, rows, dividends)
        return 0
    if column.width not in (0, *CODES) or len(column.values) != rows * column.width:
        raise _wrong(column, "has another number of bytes than its rows need")
    if column.dtype is DType.FLOAT64:
        if column.width != FLOAT_WIDTH and rows:
            raise _wrong(column, "has floating point numbers of another width")
        return 0
    numbers = _checked_numbers(column, rows)
    if column.dtype in (DType.UTF8, DType.BYTES):
        return _check_texts(column, rows, numbers)
    if COLUMN_TYPES[column.dtype].element is not None:
        return _check_list(column, numbers)
    if column.dtype is DType.BOOL and not {0, 1}.issuperset(numbers):
        raise _wrong(column, "has a truth value that is neither 0 nor 1")
    return 0


def _checked_numbers(column: TopicColumn, rows: int) -> Sequence[int]:
    if not 1 <= column.factor <= INT64_MAX:
        raise _wrong(column, "counts in multiples of nothing, or of more than 64 bits")
    numbers = whole_numbers(column, rows)
    if numbers and (min(numbers) < INT64_MIN or max(numbers) > INT64_MAX):
        raise _wrong(column, "has a number of more than 64 bits")
    return numbers


def _check_quotient(column: TopicColumn, rows: int, dividends: Iterable[str]) -> None:
    divisor = column.divisor
    if column.dtype is not DType.FLOAT64 or column.values or column.width:
        raise _wrong(column, "is a quotient and something else too")
    if divisor is None or divisor.dtype is not DType.INT64 or divisor.valid or column.dividend not in dividends:
        raise _wrong(column, "is a quotient of what is not there")
    _check_column(divisor, rows, ())
    if min(whole_numbers(divisor, rows), default=1) < 1:
        raise _wrong(column, "is divided by nothing")


def _check_texts(column: TopicColumn, rows: int, numbers: Sequence[int]) -> int:
    texts = column.texts
    if column.dtype is DType.UTF8:
        try:
            b"\0".join(texts).decode()
        except UnicodeDecodeError as cause:
            raise _wrong(column, "has a text that is no UTF-8") from cause
    if not texts and not any(column.valid) and (column.valid or not rows):
        return 0
    if numbers and (min(numbers) < 0 or max(numbers) >= len(texts)):
        raise _wrong(column, "names a text that is not there")
    return sum(len(texts[number]) * times for number, times in Counter(numbers).items())


def _check_list(column: TopicColumn, lengths: Sequence[int]) -> int:
    element = column.element
    if element is None or element.dtype is not COLUMN_TYPES[column.dtype].element or element.valid or element.dividend:
        raise _wrong(column, "has no items of its type")
    if lengths and min(lengths) < 0:
        raise _wrong(column, "has a list of less than nothing")
    items = sum(lengths)
    if items > CELLS_MAX:
        raise _wrong(column, f"has more than {CELLS_MAX} items")
    return _check_column(element, items, ())


def _values(column: TopicColumn, found: TopicRows) -> Sequence[Value]:
    if column.divisor is not None:
        dividend = next(each for each in found.columns if each.name == column.dividend)
        pairs = zip(whole_numbers(dividend, found.rows), whole_numbers(column.divisor, found.rows), strict=True)
        return [float(number) / float(by) for number, by in pairs]
    return _plain_values(column, found.rows)


def _plain_values(column: TopicColumn, rows: int) -> Sequence[Value]:
    if column.dtype is DType.FLOAT64:
        return unpack(f"<{rows}d", column.values)
    numbers = whole_numbers(column, rows)
    if column.dtype in (DType.UTF8, DType.BYTES):
        texts: list[Value] = [each.decode() for each in column.texts] if column.dtype is DType.UTF8 else list(column.texts)
        return [texts[number] for number in numbers] if texts else [None] * rows
    if column.element is not None:
        items, lists, at = _plain_values(column.element, sum(numbers)), [], 0
        for length in numbers:
            lists.append(list(items[at : at + length]))
            at += length
        return lists  # type: ignore[return-value]  # lists of one type each, as the column says
    return [bool(number) for number in numbers] if column.dtype is DType.BOOL else numbers


def _with_nulls(values: Sequence[Value], valid: bytes) -> Sequence[Value]:
    bits = f"{int.from_bytes(valid, 'little'):0{8 * len(valid)}b}"[::-1]
    return [value if bit == "1" else None for value, bit in zip(values, bits, strict=False)]


def _wrong(column: TopicColumn, problem: str) -> FormatError:
    return FormatError(WHERE, f"a column of {column.dtype} {problem}")


def _number(content: int | memoryview) -> int:
    if not isinstance(content, int):
        raise FormatError(WHERE, "a number is no number")
    return content


def _bytes(content: int | memoryview) -> memoryview:
    if isinstance(content, int):
        raise FormatError(WHERE, "a number where bytes belong")
    return content


def _text(content: int | memoryview) -> str:
    try:
        return bytes(_bytes(content)).decode()
    except UnicodeDecodeError as cause:
        raise FormatError(WHERE, "a name that is no UTF-8") from cause
