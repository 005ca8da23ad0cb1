"""The one conversion of rows to Arrow. It imports pyarrow: only the sealer and `agentctl query` import it, and late."""

from collections.abc import Container, Iterator, Sequence

import pyarrow
from msgspec import Struct

from agent.model.column_type import COLUMN_TYPES, DType
from agent.model.errors import FormatError
from agent.model.row_check import TIMESTAMP, BadRow
from agent.model.table import HOST_COLUMN, INSTALL_COLUMN, Value
from agent.store.memory_room import need_room
from agent.store.record import TableForm
from agent.store.row_decoder import RowDecoder, dtypes_of
from agent.store.spool_reader import OtherHost, Part

# So much of the spool, encoded, is decoded at a time; a batch that is larger comes alone.
PORTION_BYTES = 1 << 20
# A value of one byte becomes one of eight, and the portion is copied once to be in one piece.
ROOM_FACTOR = 16
# One host in a file, and one of some thousands where a hub stores the rows of its nodes.
_HOST_TYPE = pyarrow.dictionary(pyarrow.int32(), pyarrow.utf8())


class Converted(Struct, frozen=True):
    """One batch as columns.

    *Shape:* `batch` has the rows that fit, in their order, with the columns of the table, `host` behind them, and `install` where
    rows of other hosts are among them. `bad` says of each other row why it does not fit.
    *Units:* `first_wall_ns` and `last_wall_ns`: the earliest and the latest `timestamp`, in
    nanoseconds of unix time. *Absent:* they are None without rows, or without such a column.
    """

    batch: pyarrow.RecordBatch
    bad: Sequence[BadRow]
    first_wall_ns: int | None
    last_wall_ns: int | None

    def in_schema(self, schema: pyarrow.Schema) -> pyarrow.RecordBatch:
        """The rows with all columns of a schema, which has those of the batch: null where they have none."""
        batch = self.batch
        if batch.schema.equals(schema):
            return batch
        names = set(batch.schema.names)
        arrays = [batch.column(field.name) if field.name in names else pyarrow.nulls(len(batch), field.type) for field in schema]
        return pyarrow.RecordBatch.from_arrays(arrays, schema=schema)


class Conversion:
    """How rows of one table in one segment become columns. Made once for a segment and table.

    `host` is that of the segment. `is_shared`: rows of other hosts are among them, and so is column `install`.
    *Raises:* FormatError at its making, for types that this version does not know.
    """

    def __init__(self, form: TableForm, host: str, wanted: Container[str] | None = None, *, is_shared: bool = False) -> None:
        """*Absent:* `wanted` None: all columns, else only those, in the table's order."""
        whole = schema_of(form, is_shared=is_shared)
        self._kept = [place for place, name in enumerate(form.names) if wanted is None or name in wanted]
        self.schema = pyarrow.schema([*map(whole.field, self._kept), *list(whole)[len(form.names) :]])
        self._decoder = RowDecoder(form)
        self._host = host
        self._is_shared = is_shared
        is_timed = TIMESTAMP in form.names and form.dtypes[form.names.index(TIMESTAMP)] == DType.INT64
        self._time_at = form.names.index(TIMESTAMP) if is_timed else None

    def convert(self, encoded: bytes, other: OtherHost | None = None) -> Converted:
        """One stored batch, of the segment's own host or of another. *Raises:* FormatError when the bytes are no rows at all;
        MemoryError."""
        assert other is None or self._is_shared
        rows, bad = self._decoder.decode(encoded)
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(self._decoder.dtypes)
        typed = zip(self._kept, self.schema.types[: len(self._kept)], strict=True)
        arrays = [_array(columns[place], self._decoder.dtypes[place], arrow_type) for place, arrow_type in typed]
        arrays.append(_repeated(self._host if other is None else other.host, len(rows)))
        if self._is_shared:
            arrays.append(_repeated(None if other is None else other.install, len(rows)))
        batch = pyarrow.RecordBatch.from_arrays(arrays, schema=self.schema)
        times = [] if self._time_at is None else [time for time in columns[self._time_at] if isinstance(time, int)]
        return Converted(batch, bad, min(times, default=None), max(times, default=None))


def schema_of(form: TableForm, *, is_shared: bool = False) -> pyarrow.Schema:
    """The columns of a table as a segment declares them, `host`, and `install` where it has rows of other hosts.

    *Raises:* FormatError for types not known to this version.
    """
    fields = [(name, arrow_type(dtype)) for name, dtype in zip(form.names, dtypes_of(form), strict=True)]
    return pyarrow.schema([*fields, (HOST_COLUMN, _HOST_TYPE), *([(INSTALL_COLUMN, _HOST_TYPE)] if is_shared else ())])


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
            schemas = [schema_of(part.form, is_shared=part.is_shared) for part in self._parts]
            unified = pyarrow.unify_schemas(schemas, promote_options="permissive")
        except (pyarrow.ArrowTypeError, pyarrow.ArrowInvalid) as cause:
            remedy = "`agentctl rotate` makes Parquet of it, which is read file by file"
            raise FormatError("spool", f"its segments disagree about a column's type: {cause}", remedy) from cause
        # Columns that only a later segment has come behind those of the first; `host` and `install` stay the last of all.
        added = [name for name in (HOST_COLUMN, INSTALL_COLUMN) if name in unified.names]
        return pyarrow.schema([*(field for field in unified if field.name not in added), *map(unified.field, added)])

    def __iter__(self) -> Iterator[pyarrow.Table]:
        for part in self._parts:
            conversion = Conversion(part.form, part.host, is_shared=part.is_shared)
            part.batches.reverse()
            while part.batches:
                yield self._next(part, conversion)

    def _next(self, part: Part, conversion: Conversion) -> pyarrow.Table:
        need_room(ROOM_FACTOR * max(PORTION_BYTES, len(part.batches[-1].rows)))
        taken: list[pyarrow.RecordBatch] = []
        size = 0
        while part.batches and (size == 0 or size + len(part.batches[-1].rows) <= PORTION_BYTES):
            rows, other = part.batches.pop()
            size += len(rows)
            # Batch by batch, so that one that cannot be read costs no other.
            try:
                converted = conversion.convert(rows, other)
            except FormatError:
                self.unreadable += 1
            else:
                taken.append(converted.batch)
                self.bad_rows += len(converted.bad)
        # In one piece: DuckDB makes a vector of 2,048 rows of each piece, and a batch has some twenty.
        return pyarrow.Table.from_batches(taken, schema=conversion.schema).combine_chunks()


def _repeated(text: str | None, times: int) -> pyarrow.DictionaryArray:
    """One text in each row; None: none in any."""
    if text is None:
        return pyarrow.nulls(times, _HOST_TYPE)
    indices = pyarrow.repeat(pyarrow.scalar(0, pyarrow.int32()), times)
    return pyarrow.DictionaryArray.from_arrays(indices, pyarrow.array([text], pyarrow.utf8()))


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
