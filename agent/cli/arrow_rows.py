"""Rows of the spool as Arrow tables, for DuckDB. It imports pyarrow; only `agentctl query` imports it."""

import pyarrow

from agent.cli.spool_reader import Part
from agent.model.errors import FormatError
from agent.model.table import DType
from workers.writer.record import TableForm, decode_rows

_ARROW_TYPES = {
    DType.INT64: pyarrow.int64(),
    DType.FLOAT64: pyarrow.float64(),
    DType.UTF8: pyarrow.utf8(),
    DType.BOOL: pyarrow.bool_(),
}


def arrow_table(parts: list[Part]) -> "tuple[pyarrow.Table | None, int]":
    """All rows of one table, columns that older segments lack filled with nulls, and how many batches are unreadable.

    *Absent:* None when no batch could be read.
    """
    tables = []
    unreadable = 0
    for part in parts:
        batches = []
        for rows in part.batches:
            # Batch by batch, so that one that does not fit its columns costs no other.
            try:
                batches.append(record_batch(rows, part.form))
            except FormatError:
                unreadable += 1
        if batches:
            tables.append(pyarrow.Table.from_batches(batches))
    if not tables:
        return None, unreadable
    try:
        # A spool holds hundreds of small batches of each table; joins over them cost twice as much as over one.
        return pyarrow.concat_tables(tables, promote_options="permissive").combine_chunks(), unreadable
    except pyarrow.ArrowException as cause:
        remedy = "`agentctl rotate` makes Parquet of it, which is read file by file"
        raise FormatError("spool", f"its segments disagree about a column's type: {cause}", remedy) from cause


def record_batch(encoded: bytes, form: TableForm) -> "pyarrow.RecordBatch":
    """One stored batch as columns. *Raises:* FormatError when its rows are not what the form says."""
    rows = decode_rows(encoded)
    if any(len(row) != len(form.names) for row in rows):
        raise FormatError("spool rows", f"a row has not the {len(form.names)} columns of its table")
    columns = zip(*rows, strict=True) if rows else ((),) * len(form.names)
    try:
        types = [_ARROW_TYPES[DType(word)] for word in form.dtypes]
        arrays = [pyarrow.array(column, dtype) for column, dtype in zip(columns, types, strict=True)]
    except (pyarrow.ArrowException, ValueError, TypeError, OverflowError) as cause:
        raise FormatError("spool rows", f"a value does not fit its column: {cause}") from cause
    return pyarrow.record_batch(arrays, names=list(form.names))
