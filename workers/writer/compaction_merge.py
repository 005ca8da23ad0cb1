"""Merges the sources of a day into one Parquet file, in the order of time and within bounded memory. Imports pyarrow, late."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from workers.writer.compaction_source import TIME, SourceFile, SourceReader, UnfitError, version_of
from workers.writer.compaction_window import BYTES_MAX, ROWS_MAX, Window, halves, is_too_large, whole

if TYPE_CHECKING:
    import pyarrow


def union_schema(files: Sequence[SourceFile]) -> "pyarrow.Schema":
    """The columns of all sources: those of the newest version in its order, then those that only others have.

    *Raises:* UnfitError where two disagree about the type of a column.
    """
    import pyarrow

    newest = max(files, key=version_of)
    fields: dict[str, pyarrow.Field] = {}
    for file in [newest, *files]:
        for field in file.schema:
            known = fields.setdefault(field.name, field)
            if known.type != field.type:
                raise UnfitError(file.name, f"its column {field.name} is {field.type}, not {known.type} as in {newest.name}")
    return pyarrow.schema(list(fields.values()))


def merge(
    sources: SourceReader, schema: "pyarrow.Schema", write: Callable[["pyarrow.Table"], None], on_window: Callable[[], None]
) -> int:
    """Hand the rows of all sources to `write`, in pieces that are in order and follow one another; how many rows.

    `on_window` is called after each piece. *Raises:* UnfitError, and what `write` raises.
    """
    rows = 0
    pending = [whole(sources.groups)] if sources.groups else []
    while pending:
        window = pending.pop()
        piece = None if is_too_large(window, sources.decoded_per_byte) else _read(sources, window, schema)
        if piece is None:
            pending += halves(window)
        elif piece.num_rows:
            write(_in_order(piece))
            rows += piece.num_rows
            on_window()
    return rows


def _read(sources: SourceReader, window: Window, schema: "pyarrow.Schema") -> "pyarrow.Table | None":
    """The rows of a window; None: they are more than was thought, and the window is to be halved."""
    import pyarrow

    parts: list[pyarrow.Table] = []
    rows = size_bytes = 0
    for group in window.groups:
        part = sources.read(group)
        if not window.holds_whole(group):
            part = _within(part, window)
        if part.num_rows:
            parts.append(_as(part, schema))
            rows += part.num_rows
            size_bytes += part.nbytes
        if window.is_divisible and (rows > ROWS_MAX or size_bytes > BYTES_MAX) and rows > 1:
            return None
    return pyarrow.concat_tables(parts) if parts else schema.empty_table()


def _within(part: "pyarrow.Table", window: Window) -> "pyarrow.Table":
    from pyarrow import compute

    times = part.column(TIME)
    is_in = compute.and_(compute.greater_equal(times, window.begin_ns), compute.less(times, window.end_ns))
    return part.filter(is_in)


def _as(part: "pyarrow.Table", schema: "pyarrow.Schema") -> "pyarrow.Table":
    """The same rows with all columns of the schema: nulls where its file had none."""
    import pyarrow

    columns = [
        part.column(field.name) if field.name in part.schema.names else pyarrow.nulls(part.num_rows, field.type) for field in schema
    ]
    return pyarrow.Table.from_arrays(columns, schema=schema)


def _in_order(piece: "pyarrow.Table") -> "pyarrow.Table":
    from pyarrow import compute

    times = piece.column(TIME).combine_chunks()
    last = len(times) - 1
    if last < 1 or compute.all(compute.less_equal(times.slice(0, last), times.slice(1))).as_py():
        return piece
    # Stable: rows of one instant stay in the order in which they were stored.
    return piece.take(compute.sort_indices(times))
