"""Columns of rows as Arrow arrays of known types, whatever a file has in their place. It imports pyarrow."""

from collections.abc import Callable
from typing import Any

import pyarrow
from pyarrow import compute

# Arrow has no types that a checker reads.
Array = Any
Batch = Any

# Absent texts are told apart by this one, which no name of a host, unit or command is.
_NO_TEXT = "\x00"


def whole_numbers(batch: Batch, name: str) -> Array:
    """A column as whole numbers. *Absent:* null where the file has none, or something else."""
    return _cast(batch, name, pyarrow.int64())


def texts(batch: Batch, name: str) -> Array:
    """A column as texts. *Absent:* null where the file has none, or something else."""
    return _cast(batch, name, pyarrow.utf8())


def _cast(batch: Batch, name: str, kind: Any) -> Array:
    if name not in batch.schema.names:
        return pyarrow.nulls(len(batch), kind)
    column = batch.column(name)
    if column.type.equals(kind):
        return column
    try:
        return column.cast(kind)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError):
        return pyarrow.nulls(len(batch), kind)


def with_columns(batch: Batch, more: dict[str, Array]) -> Batch:
    """A batch with further columns."""
    arrays = [*batch.columns, *more.values()]
    return pyarrow.RecordBatch.from_arrays(arrays, names=[*batch.schema.names, *more])


def floats(values: Array) -> Array:
    """Whole numbers as floating-point ones, the nearest where they are too large to be exact."""
    return values.cast(pyarrow.float64(), safe=False)


def ones(length: int) -> Array:
    """As many times 1."""
    return pyarrow.repeat(pyarrow.scalar(1, pyarrow.int64()), length)


def counting(length: int) -> Array:
    """0, 1, 2 and so on."""
    return compute.subtract(compute.cumulative_sum(ones(length)), 1)


def coded(columns: "list[Array]", code_of: Callable[[tuple[str | None, ...]], int]) -> Array:
    """For each row the number that `code_of` gives to its texts. It is asked once for each combination in the batch."""
    length = len(columns[0])
    if not length:
        return pyarrow.array([], pyarrow.int64())
    combined, dictionaries = None, []
    for column in columns:
        encoded = compute.fill_null(column, _NO_TEXT).dictionary_encode()
        indices = encoded.indices.cast(pyarrow.int64())
        dictionaries.append([None if text == _NO_TEXT else text for text in encoded.dictionary.to_pylist()])
        combined = indices if combined is None else compute.add(compute.multiply(combined, len(dictionaries[-1])), indices)
    found = compute.unique(combined)
    codes = []
    for number in found.to_pylist():
        parts: list[str | None] = []
        for dictionary in reversed(dictionaries):
            number, place = divmod(number, len(dictionary))
            parts.append(dictionary[place])
        codes.append(code_of(tuple(reversed(parts))))
    return compute.take(pyarrow.array(codes, pyarrow.int64()), compute.index_in(combined, value_set=found))


def window_numbers(times: Array, window_ns: int) -> Array:
    """The minute of each time, counted from 1970. *Range:* times before that are in minute 0, in which nothing was measured."""
    return compute.divide(compute.max_element_wise(compute.fill_null(times, 0), 0), window_ns)


def summed(table: Any, keys: list[str], sums: list[str], largest: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """The rows of a table by these keys, with sums as Python's numbers, `rows`, and the largest of some columns."""
    for name in sums:
        # Sums of foreign numbers must not run over.
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table.column(name).cast(pyarrow.decimal128(38, 0)))
    aggregates: list[tuple[Any, ...]] = [([], "count_all"), *((name, "sum") for name in sums), *((name, "max") for name in largest)]
    found = table.group_by(keys, use_threads=False).aggregate(aggregates).to_pylist()
    return [
        {
            "rows": row["count_all"],
            **{key: row[key] for key in keys},
            **{name: int(row[f"{name}_sum"] or 0) for name in sums},
            **{name: row[f"{name}_max"] for name in largest},
        }
        for row in found
    ]


def weighted_sum(values: Array, times: Array) -> int:
    """The exact sum of values that come so often. *Range:* values from 0 to 2^63 - 1, times below 2^31."""
    half = 31
    found = 0
    for part, shift in ((compute.shift_right(values, half), half), (compute.bit_wise_and(values, (1 << half) - 1), 0)):
        product = compute.multiply(part, times).cast(pyarrow.decimal128(38, 0))
        found += int(compute.sum(product).as_py() or 0) << shift
    return found
