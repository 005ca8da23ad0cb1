"""The one conversion of rows to Arrow. It imports pyarrow: only the sealer and `agentctl query` import it, and late."""

from collections.abc import Iterator

import pyarrow

from agent.model.column_type import DType
from agent.model.errors import FormatError
from agent.model.table import Value
from agent.store.memory_room import need_room
from agent.store.record import TableForm, decode_rows
from agent.store.spool_reader import Part

# So much of the spool, encoded, is decoded at a time; a batch that is larger comes alone.
PORTION_BYTES = 1 << 20
# A value of one byte becomes one of eight, and the portion is copied once to be in one piece.
ROOM_FACTOR = 16
_ARROW_TYPES = {
    DType.INT64: pyarrow.int64(),
    DType.FLOAT64: pyarrow.float64(),
    DType.UTF8: pyarrow.utf8(),
    DType.BOOL: pyarrow.bool_(),
}
_PYTHON_TYPES = {
    DType.INT64: frozenset({int}),
    DType.FLOAT64: frozenset({float, int}),
    DType.UTF8: frozenset({str}),
    DType.BOOL: frozenset({bool}),
}


class Portions:
    """The rows of one table as Arrow tables of bounded size; `unreadable` counts the batches that could not be read.

    What was handed out is forgotten here: encoded, as Arrow and in the database, the rows would need their memory three times.
    """

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts
        self.unreadable = 0

    def schema(self) -> "pyarrow.Schema":
        """All columns of all segments. *Raises:* FormatError where they disagree about a type."""
        try:
            return pyarrow.unify_schemas([schema_of(part.form) for part in self._parts], promote_options="permissive")
        except (pyarrow.ArrowTypeError, pyarrow.ArrowInvalid) as cause:
            remedy = "`agentctl rotate` makes Parquet of it, which is read file by file"
            raise FormatError("spool", f"its segments disagree about a column's type: {cause}", remedy) from cause

    def __iter__(self) -> "Iterator[pyarrow.Table]":
        for part in self._parts:
            part.batches.reverse()
            while part.batches:
                yield self._next(part)

    def _next(self, part: Part) -> "pyarrow.Table":
        need_room(ROOM_FACTOR * max(PORTION_BYTES, len(part.batches[-1])))
        taken: list[pyarrow.RecordBatch] = []
        size = 0
        while part.batches and (size == 0 or size + len(part.batches[-1]) <= PORTION_BYTES):
            rows = part.batches.pop()
            size += len(rows)
            # Batch by batch, so that one that does not fit its columns costs no other.
            try:
                taken.append(record_batch(rows, part.form))
            except FormatError:
                self.unreadable += 1
        # In one piece: DuckDB makes a vector of 2,048 rows of each piece, and a batch has some twenty.
        return pyarrow.Table.from_batches(taken, schema=schema_of(part.form)).combine_chunks()


def schema_of(form: TableForm) -> "pyarrow.Schema":
    """The columns of a table as a segment declares them. *Raises:* FormatError for types that this version does not know."""
    try:
        fields = [(name, _ARROW_TYPES[DType(word)]) for name, word in zip(form.names, form.dtypes, strict=True)]
    except ValueError as cause:
        raise FormatError(
            "spool", f"a segment has columns that this version does not know ({cause})", "upgrade agentctl"
        ) from cause
    return pyarrow.schema(fields)


def record_batch(encoded: bytes, form: TableForm) -> "pyarrow.RecordBatch":
    """One stored batch as columns. *Raises:* FormatError when its rows are not what the form says."""
    rows = decode_rows(encoded)
    if any(len(row) != len(form.names) for row in rows):
        raise FormatError("spool rows", f"a row has not the {len(form.names)} columns of its table")
    columns = zip(*rows, strict=True) if rows else ((),) * len(form.names)
    schema = schema_of(form)
    arrays = [
        _array(list(column), DType(word), field.type) for column, word, field in zip(columns, form.dtypes, schema, strict=True)
    ]
    return pyarrow.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: list[Value], dtype: DType, arrow_type: "pyarrow.DataType") -> "pyarrow.Array":
    found = set(map(type, values)) - {type(None)}
    # Arrow would cut 1.5 to 1 for an integer column and take True for 1.0: the types are compared here.
    if not found <= _PYTHON_TYPES[dtype]:
        raise FormatError("spool rows", f"values of {dtype} are {', '.join(sorted(kind.__name__ for kind in found))}")
    if dtype is DType.FLOAT64 and int in found:
        # Arrow refuses integers that a float does not hold exactly.
        values = [float(value) if isinstance(value, int) else value for value in values]
    try:
        return pyarrow.array(values, type=arrow_type)
    except MemoryError:
        # Arrow's own is one of its exceptions too, and says nothing of the rows.
        raise
    except (pyarrow.ArrowException, ValueError, OverflowError) as cause:
        raise FormatError("spool rows", f"a value does not fit its column: {cause}") from cause
