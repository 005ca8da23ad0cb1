"""The rows of an answer as Arrow or Parquet: batch by batch, so that the memory does not grow with the answer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow

from agent.cli.answer_text import unique
from agent.model.errors import MisuseError
from agent.store.memory_room import ARROW_CALL_BYTES, import_uncounted, need_room

if TYPE_CHECKING:
    from typing import Any, Protocol

    from agent.cli.statement import QueryAnswer

    class ByteSink(Protocol):
        """Where bytes go."""

        def write(self, data: bytes) -> int:
            """Take bytes."""
            ...


# Readers decode a row group as a whole.
GROUP_ROWS, GROUP_BYTES = 100_000, 16 << 20


def write_arrow_stream(answered: "QueryAnswer", sink: "ByteSink") -> None:
    """Arrow's stream, which is read as it comes."""
    _write_batches(answered, sink, pyarrow.ipc.new_stream)


def write_arrow_file(answered: "QueryAnswer", sink: "ByteSink") -> None:
    """Arrow's file, which is read at any place."""
    _write_batches(answered, sink, pyarrow.ipc.new_file)


def _write_batches(answered: "QueryAnswer", sink: "ByteSink", make: "Callable[..., Any]") -> None:
    schema, batches = _opened(answered)
    with pyarrow.PythonFile(sink, mode="w") as file, make(file, schema) as writer:
        for batch in batches:
            need_room(ARROW_CALL_BYTES + batch.nbytes)
            writer.write_batch(batch)


def write_parquet(answered: "QueryAnswer", sink: "ByteSink") -> None:
    """Parquet with page checksums. *Raises:* MemoryError, EvergaugeError."""
    import_uncounted("pyarrow.parquet")
    from pyarrow import parquet

    schema, batches = _opened(answered)
    with _storable(), pyarrow.PythonFile(sink, mode="w") as file:
        writer = parquet.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True)
        try:
            for table in _groups(batches, schema):
                # For a while its encoded and compressed form is in memory too.
                need_room(ARROW_CALL_BYTES + 2 * table.nbytes)
                writer.write_table(table, row_group_size=GROUP_ROWS)
            writer.close()
        except BaseException:
            # Else it is closed when Python forgets it, finds its file closed, and complains on standard error.
            writer.is_open = False
            raise


@contextmanager
def _storable() -> Iterator[None]:
    try:
        yield
    except pyarrow.ArrowNotImplementedError as cause:
        raise MisuseError("query", f"Parquet has no such type: {cause}", "cast the column, for example to VARCHAR") from cause


def _opened(answered: "QueryAnswer") -> "tuple[Any, Iterator[Any]]":
    """The columns and the batches under names that differ."""
    names = unique(answered.names)
    renamed = pyarrow.schema([field.with_name(name) for field, name in zip(answered.schema, names, strict=True)])
    return renamed, (pyarrow.RecordBatch.from_arrays(batch.columns, schema=renamed) for batch in answered.batches())


def _groups(batches: "Iterator[Any]", schema: "Any") -> "Iterator[Any]":
    waiting: list[Any] = []
    rows = size = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            yield pyarrow.Table.from_batches(waiting, schema=schema)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pyarrow.Table.from_batches(waiting, schema=schema)
