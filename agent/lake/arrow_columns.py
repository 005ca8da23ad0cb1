"""Messages of topics as Arrow. It imports pyarrow: only who merges imports it, and late.

The bytes of a message become buffers of arrays; no value of it is touched by Python. What the message says of itself is believed
only where the bytes agree: sizes, checksum, widths, indexes, lengths of lists, truth values, nulls, times and types. One that does
not fit is refused whole, with a sentence, and costs no other. *Range:* a message becomes at most some 100 MiB; see `agent.topic`.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from agent.lake.known_columns import KnownColumns
from agent.model.column_type import COLUMN_TYPES, DType
from agent.model.errors import FormatError
from agent.model.row_check import INT64_MAX, TIMESTAMP
from agent.model.table import HOST_COLUMN, INSTALL_COLUMN
from agent.store.arrow import arrow_type
from agent.store.origin_form import FormColumn
from agent.topic.column_reading import TEXT_BYTES_MAX, parse_columns
from agent.topic.columns import CELLS_MAX, FLOAT_WIDTH, TopicColumn, TopicRows
from agent.topic.head import WHERE, MessageHead, check_value
from agent.topic.message import VALUE_BYTES_MAX

_WHOLE = {1: pa.int8(), 2: pa.int16(), 4: pa.int32(), 8: pa.int64()}
# One name in a column, and one of some thousands where files have rows of many hosts.
NAME_TYPE = pa.dictionary(pa.int32(), pa.utf8())
# A name of a host that a table of marks, a file's name or a Redis field can have.
NAME_LENGTH_MAX = 255
_WHO = (HOST_COLUMN, INSTALL_COLUMN)
# Columns of so few bytes count with the most that they could have.
_TEXTS_SHORT_BYTES = 64 << 10
# What Arrow raises for values that are none of their type.
_WRONG = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowIndexError, pa.ArrowCapacityError, OverflowError)


class ArrowRows(Struct, frozen=True):
    """The rows of a message. *Shape:* the table's columns that it has, in the order of `KnownColumns`, `host` and `install`.

    *Units:* `first_ns`, `last_ns`: the earliest and the latest `timestamp`. *Absent:* they are None without rows.
    """

    table: str
    batch: pa.RecordBatch
    first_ns: int | None
    last_ns: int | None


def to_arrow(head: MessageHead, value: bytes, known: KnownColumns) -> ArrowRows:
    """The rows of a message. *Raises:* FormatError for one that is damaged, that lies, or whose columns have no place here."""
    if len(value) > VALUE_BYTES_MAX:
        raise FormatError(WHERE, f"its value is longer than {VALUE_BYTES_MAX} bytes")
    check_value(head, value)
    found = parse_columns(value)
    if (found.table, found.version, found.rows) != (head.table, head.version, head.rows):
        raise FormatError(WHERE, "its headers name another table, version or number of rows than its value")
    if not all(0 < len(name) <= NAME_LENGTH_MAX for name in (head.host, head.install, head.worker)):
        raise FormatError(WHERE, f"its host, installation or worker has no name, or one of more than {NAME_LENGTH_MAX} letters")
    if found.rows * max(1, len(found.columns)) > CELLS_MAX:
        raise FormatError(WHERE, f"it says that it has more than {CELLS_MAX} values")
    columns = known.fit(found.table, found.version, [(column.name, column.dtype) for column in found.columns])
    return _rows(head, found, columns)


def _rows(head: MessageHead, found: TopicRows, columns: Sequence[FormColumn]) -> ArrowRows:
    conversion = _Conversion(found)
    arrays = []
    for column in columns:
        array = conversion.array(column.name)
        if array.null_count and not (column.nullable and column.name != TIMESTAMP):
            raise FormatError(WHERE, f"of table {found.table}: column {column.name} has nulls and may have none")
        arrays.append(array)
    names = [column.name for column in columns]
    first_ns = last_ns = None
    if found.rows:
        ends = pc.min_max(arrays[names.index(TIMESTAMP)])
        first_ns, last_ns = ends["min"].as_py(), ends["max"].as_py()
        if first_ns < 0:
            raise FormatError(WHERE, f"of table {found.table}: a row has a time before 1970")
    fields = [pa.field(column.name, arrow_type(DType(column.dtype))) for column in columns]
    fields += [pa.field(name, NAME_TYPE) for name in _WHO]
    arrays += [_repeated(head.host, found.rows), _repeated(head.install, found.rows)]
    batch = pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
    return ArrowRows(found.table, batch, first_ns, last_ns)


class _Conversion:
    """The arrays of one message. *Raises:* FormatError from `array`."""

    def __init__(self, found: TopicRows) -> None:
        self._columns = {column.name: column for column in found.columns}
        # The place of each: a quotient is of a column before it.
        self._places = {column.name: place for place, column in enumerate(found.columns)}
        self._rows = found.rows
        self._text_bytes = self._items = 0

    def array(self, name: str) -> pa.Array:
        """A column of it."""
        column = self._columns[name]
        try:
            return self._array(column, self._rows)
        except _WRONG as cause:
            raise _wrong(column, f"does not fit its type: {cause}") from cause

    def _array(self, column: TopicColumn, rows: int) -> pa.Array:
        valid = _valid(column, rows)
        if column.dividend or column.divisor is not None:
            return self._quotient(column, rows, valid)
        if column.dtype is DType.FLOAT64:
            if column.width != FLOAT_WIDTH and rows:
                raise _wrong(column, "has floating point numbers of another width")
            _check_size(column, rows)
            return pa.Array.from_buffers(pa.float64(), rows, [valid, pa.py_buffer(column.values)])
        numbers = _whole_numbers(column, rows, valid)
        match column.dtype:
            case DType.INT64:
                return numbers
            case DType.BOOL:
                return _truth(column, numbers)
            case DType.UTF8 | DType.BYTES:
                return self._texts(column, numbers)
        return self._list(column, numbers, valid)

    def _quotient(self, column: TopicColumn, rows: int, valid: pa.Buffer | None) -> pa.Array:
        divisor = column.divisor
        dividend = self._columns.get(column.dividend)
        if column.dtype is not DType.FLOAT64 or column.values or column.width:
            raise _wrong(column, "is a quotient and something else too")
        if dividend is None or dividend.dtype is not DType.INT64 or self._places[dividend.name] >= self._places[column.name]:
            raise _wrong(column, "is a quotient of what is not there")
        if divisor is None or divisor.dtype is not DType.INT64 or divisor.valid or divisor.divisor is not None:
            raise _wrong(column, "is a quotient by what is not there")
        by = self._array(divisor, rows)
        if rows and pc.min(by).as_py() < 1:
            raise _wrong(column, "is divided by nothing")
        # The numbers of null rows mean nothing, so their nulls do not matter where the quotient has its own.
        numbers = _whole_numbers(dividend, rows, None)
        whole = pc.divide(numbers.cast(pa.float64(), safe=False), by.cast(pa.float64(), safe=False))
        return _with_valid(whole, valid)

    def _texts(self, column: TopicColumn, numbers: pa.Array) -> pa.Array:
        texts = pa.array(list(column.texts), pa.binary())
        _check_range(column, numbers, 0, len(texts) - 1, "names a text that is not there")
        # Texts that are short in any case are not added up.
        most = max(map(len, column.texts), default=0) * len(numbers)
        if most > _TEXTS_SHORT_BYTES:
            most = pc.sum(pc.binary_length(texts).take(numbers)).as_py() or 0
        self._text_bytes += most
        if self._text_bytes > TEXT_BYTES_MAX:
            raise FormatError(WHERE, f"its texts would need more than {TEXT_BYTES_MAX} bytes")
        # The cast looks whether they are UTF-8.
        typed = texts.cast(pa.utf8()) if column.dtype is DType.UTF8 else texts
        return typed.take(numbers)

    def _list(self, column: TopicColumn, lengths: pa.Array, valid: pa.Buffer | None) -> pa.Array:
        element = column.element
        if element is None or element.dtype is not COLUMN_TYPES[column.dtype].element or element.valid or element.dividend:
            raise _wrong(column, "has no items of its type")
        _check_range(column, lengths, 0, CELLS_MAX, "has a list of no possible length")
        known = pc.fill_null(lengths, 0)
        ends = pc.cumulative_sum_checked(known)
        items = ends[-1].as_py() if len(ends) else 0
        self._items += items
        if self._items > CELLS_MAX:
            raise FormatError(WHERE, f"its lists have more than {CELLS_MAX} items")
        offsets = pa.concat_arrays([pa.array([0], pa.int64()), ends]).cast(pa.int32())
        children = [self._array(element, items)]
        return pa.Array.from_buffers(arrow_type(column.dtype), len(lengths), [valid, offsets.buffers()[1]], children=children)


def _whole_numbers(column: TopicColumn, rows: int, valid: pa.Buffer | None) -> pa.Array:
    _check_size(column, rows)
    if not 1 <= column.factor <= INT64_MAX:
        raise _wrong(column, "counts in multiples of nothing, or of more than 64 bits")
    if not column.width:
        return _with_valid(pa.repeat(pa.scalar(column.base, pa.int64()), rows), valid)
    found = pa.Array.from_buffers(_WHOLE[column.width], rows, [None, pa.py_buffer(column.values)]).cast(pa.int64())
    if column.factor != 1:
        found = pc.multiply_checked(found, pa.scalar(column.factor, pa.int64()))
    if column.base:
        found = pc.add_checked(found, pa.scalar(column.base, pa.int64()))
    return _with_valid(found, valid)


def _check_size(column: TopicColumn, rows: int) -> None:
    """Arrow believes whatever size of a buffer it is given."""
    if column.width not in (0, *_WHOLE) or len(column.values) != rows * column.width:
        raise _wrong(column, "has another number of bytes than its rows need")


def _truth(column: TopicColumn, numbers: pa.Array) -> pa.Array:
    _check_range(column, numbers, 0, 1, "has a truth value that is neither 0 nor 1")
    return numbers.cast(pa.bool_())


def _check_range(column: TopicColumn, numbers: pa.Array, least: int, largest: int, problem: str) -> None:
    """Of the values that are not null."""
    ends = pc.min_max(numbers)
    if ends["min"].is_valid and not least <= ends["min"].as_py() <= ends["max"].as_py() <= largest:
        raise _wrong(column, problem)


def _valid(column: TopicColumn, rows: int) -> pa.Buffer | None:
    if column.valid and len(column.valid) != (rows + 7) // 8:
        raise _wrong(column, "says in another number of bits which rows are null")
    return pa.py_buffer(column.valid) if column.valid else None


def _with_valid(array: pa.Array, valid: pa.Buffer | None) -> pa.Array:
    if valid is None:
        return array
    assert array.offset == 0
    return pa.Array.from_buffers(array.type, len(array), [valid, array.buffers()[1]])


def _repeated(text: str, rows: int) -> pa.DictionaryArray:
    indices = pa.repeat(pa.scalar(0, pa.int32()), rows)
    return pa.DictionaryArray.from_arrays(indices, pa.array([text], pa.utf8()))


def _wrong(column: TopicColumn, problem: str) -> FormatError:
    return FormatError(WHERE, f"a column of {column.dtype} {problem}")
