"""Merges the sources of a day into one Parquet file, in the order of time and within bounded memory. Imports pyarrow, late."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from workers.writer.compaction_row_order import in_order, within
from workers.writer.compaction_source import SourceFile, SourceReader, UnfitError, version_of
from workers.writer.compaction_window import BYTES_MAX, ROWS_MAX, RowGroup, Window, halves, is_too_large, whole

if TYPE_CHECKING:
    import pyarrow

# Row groups that are kept from one window to the next, as the sealer makes them.
KEPT_MAX = 4
KEPT_BYTES_MAX = 4 << 20


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
    kept: dict[RowGroup, pyarrow.Table] = {}
    while pending:
        window = pending.pop()
        piece = None if is_too_large(window, sources.decoded_per_byte) else _read(sources, window, schema, kept)
        if piece is None:
            pending += halves(window)
        elif piece.num_rows:
            write(in_order(piece, sources.rows))
            rows += piece.num_rows
            on_window()
    return rows


def _read(
    sources: SourceReader, window: Window, schema: "pyarrow.Schema", kept: dict[RowGroup, "pyarrow.Table"]
) -> "pyarrow.Table | None":
    """The rows of a window; None: they are more than was thought, and the window is to be halved.

    `kept`: row groups that reach into the next window too, which need not be read again.
    """
    import pyarrow

    parts: list[pyarrow.Table] = []
    rows = size_bytes = 0
    for group in window.groups:
        found = kept.pop(group, None)
        part = sources.read(group) if found is None else found
        # Arrow walks through all buffers for it: 70 us for 26 columns.
        part_bytes = part.nbytes
        if group.last_ns >= window.end_ns and part_bytes <= KEPT_BYTES_MAX and len(kept) < KEPT_MAX:
            kept[group] = part
        if not window.holds_whole(group):
            part = within(part, window, sources.rows)
            part_bytes = part.nbytes
        if part.num_rows:
            parts.append(_as(part, schema))
            rows += part.num_rows
            size_bytes += part_bytes
        if window.is_divisible and (rows > ROWS_MAX or size_bytes > BYTES_MAX) and rows > 1:
            return None
    return pyarrow.concat_tables(parts) if parts else schema.empty_table()


def _as(part: "pyarrow.Table", schema: "pyarrow.Schema") -> "pyarrow.Table":
    """The same rows with all columns of the schema: nulls where its file had none."""
    import pyarrow

    if part.schema.equals(schema):
        return part
    columns = [
        part.column(field.name) if field.name in part.schema.names else pyarrow.nulls(part.num_rows, field.type) for field in schema
    ]
    return pyarrow.Table.from_arrays(columns, schema=schema)
