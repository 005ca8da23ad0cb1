"""The one conversion of rows to Arrow. It imports pyarrow: only the sealer and `agentctl query` import it, and late."""

from collections.abc import Container, Iterator, Sequence

import pyarrow
from msgspec import Struct

from agent.model.column_type import COLUMN_TYPES, DType
from agent.model.errors import FormatError
from agent.model.row_check import TIMESTAMP, BadRow
from agent.model.table import HOST_COLUMN, Value
from agent.store.memory_room import need_room
from agent.store.record import TableForm
from agent.store.row_decoder import RowDecoder, dtypes_of
from agent.store.spool_reader import Part

# So much of the spool, encoded, is decoded at a time; a batch that is larger comes alone.
PORTION_BYTES = 1 << 20
# A value of one byte becomes one of eight, and the portion is copied once to be in one piece.
ROOM_FACTOR = 16
# One host in a file, and one of some tens where files of many are put together.
_HOST_TYPE = pyarrow.dictionary(pyarrow.int32(), pyarrow.utf8())


class Converted(Struct, frozen=True):
    """One batch as columns.

    *Shape:* `batch` has the rows that fit, in their order, with the columns of the table and `host` behind them. `bad` says of
    each other row why it does not. *Units:* `first_wall_ns` and `last_wall_ns`: the earliest and the latest `timestamp`, in
    nanoseconds of unix time. *Absent:* they are None without rows, or without such a column.
    """

    batch: pyarrow.RecordBatch
    bad: Sequence[BadRow]
    first_wall_ns: int | None
    last_wall_ns: int | None


class Conversion:
    """How rows of one table in one segment become columns. Made once for a segment and table.

    *Raises:* FormatError at its making, for types that this version does not know.
    """

    def __init__(self, form: TableForm, host: str, wanted: Container[str] | None = None) -> None:
        """*Absent:* `wanted` None: all columns, else only those, in the table's order."""
        whole = schema_of(form)
        self._kept = [place for place, name in enumerate(form.names) if wanted is None or name in wanted]
        self.schema = pyarrow.schema([*(whole.field(place) for place in self._kept), whole.field(HOST_COLUMN)])
        self._decoder = RowDecoder(form)
        self._hosts = pyarrow.array([host], pyarrow.utf8())
        is_timed = TIMESTAMP in form.names and form.dtypes[form.names.index(TIMESTAMP)] == DType.INT64
        self._time_at = form.names.index(TIMESTAMP) if is_timed else None

    def convert(self, encoded: bytes) -> Converted:
        """One stored batch. *Raises:* FormatError when the bytes are no rows at all; MemoryError."""
        rows, bad = self._decoder.decode(encoded)
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(self._decoder.dtypes)
        typed = zip(self._kept, self.schema.types[:-1], strict=True)
        arrays = [_array(columns[place], self._decoder.dtypes[place], arrow_type) for place, arrow_type in typed]
        indices = pyarrow.repeat(pyarrow.scalar(0, pyarrow.int32()), len(rows))
        arrays.append(pyarrow.DictionaryArray.from_arrays(indices, self._hosts))
        batch = pyarrow.RecordBatch.from_arrays(arrays, schema=self.schema)
        times = [] if self._time_at is None else [time for time in columns[self._time_at] if isinstance(time, int)]
        return Converted(batch, bad, min(times, default=None), max(times, default=None))


def schema_of(form: TableForm) -> pyarrow.Schema:
    """The columns of a table as a segment declares them, and `host`. *Raises:* FormatError for types not known to this version."""
    fields = [(name, arrow_type(dtype)) for name, dtype in zip(form.names, dtypes_of(form), strict=True)]
    return pyarrow.schema([*fields, (HOST_COLUMN, _HOST_TYPE)])


def arrow_type(dtype: DType) -> pyarrow.DataType:
    """The Arrow type of a column type."""
    known = COLUMN_TYPES[dtype]
    return pyarrow.type_for_alias(known.arrow) if known.element is None else pyarrow.list_(arrow_type(known.element))


class Portions:
    """The rows of one table as Arrow tables of bounded size.

    `unreadable` counts the batches that could not be read, `bad_rows` the rows that do not fit their columns: neither are given.
    What was handed out is forgotten here: encoded, as Arrow and in the database, the rows would need their memory three times.
    """

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts
        self.unreadable = self.bad_rows = 0

    def schema(self) -> pyarrow.Schema:
        """All columns of all segments. *Raises:* FormatError where they disagree about a type."""
        try:
            unified = pyarrow.unify_schemas([schema_of(part.form) for part in self._parts], promote_options="permissive")
        except (pyarrow.ArrowTypeError, pyarrow.ArrowInvalid) as cause:
            remedy = "`agentctl rotate` makes Parquet of it, which is read file by file"
            raise FormatError("spool", f"its segments disagree about a column's type: {cause}", remedy) from cause
        # Columns that only a later segment has come behind those of the first; `host` stays the last of all.
        return pyarrow.schema([*(field for field in unified if field.name != HOST_COLUMN), unified.field(HOST_COLUMN)])

    def __iter__(self) -> Iterator[pyarrow.Table]:
        for part in self._parts:
            conversion = Conversion(part.form, part.host)
            part.batches.reverse()
            while part.batches:
                yield self._next(part, conversion)

    def _next(self, part: Part, conversion: Conversion) -> pyarrow.Table:
        need_room(ROOM_FACTOR * max(PORTION_BYTES, len(part.batches[-1])))
        taken: list[pyarrow.RecordBatch] = []
        size = 0
        while part.batches and (size == 0 or size + len(part.batches[-1]) <= PORTION_BYTES):
            rows = part.batches.pop()
            size += len(rows)
            # Batch by batch, so that one that cannot be read costs no other.
            try:
                converted = conversion.convert(rows)
            except FormatError:
                self.unreadable += 1
            else:
                taken.append(converted.batch)
                self.bad_rows += len(converted.bad)
        # In one piece: DuckDB makes a vector of 2,048 rows of each piece, and a batch has some twenty.
        return pyarrow.Table.from_batches(taken, schema=conversion.schema).combine_chunks()


def _array(values: Sequence[Value], dtype: DType, of_type: pyarrow.DataType) -> pyarrow.Array:
    try:
        return pyarrow.array(_exact(values, dtype), type=of_type)
    except MemoryError:
        # Arrow's own is one of its exceptions too, and says nothing of the rows.
        raise
    except (pyarrow.ArrowException, ValueError, OverflowError) as cause:
        raise FormatError("spool rows", f"a value does not fit {dtype}: {cause}") from cause


def _exact(values: Sequence[Value], dtype: DType) -> Sequence[Value]:
    """The values as Arrow takes them: it refuses whole numbers that a float does not hold exactly."""
    if dtype is DType.FLOAT64 and int in set(map(type, values)):
        return [float(value) if isinstance(value, int) else value for value in values]
    if dtype is DType.LIST_FLOAT64:
        return [value if value is None else [float(number) for number in value] for value in values]  # type: ignore[union-attr]  # lists of numbers, as checked
    return values
