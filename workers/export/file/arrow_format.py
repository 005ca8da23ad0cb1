"""Copies of the rows, one stream for each table: a growing stream of Arrow, or Parquet made of it when the file is rotated.

It imports pyarrow, and only a sink that asks for it imports this.
"""

import os
from collections.abc import Callable, Sequence
from zlib import crc32

import msgspec
import pyarrow
import pyarrow.ipc
import pyarrow.parquet
from msgspec import Struct

from agent.store.arrow import Conversion
from agent.store.batch import StoredBatch
from agent.store.record import TableForm
from workers.export.file.file_sink import Pieces
from workers.export.file.rotated import Piece

STAGED, STREAM, PARQUET = ".parquet.arrows", ".arrows", ".parquet"
# The end of a stream, which a reader does not need: it stands behind the last delivery of a file that is finished only.
_END_BYTES = 8


class _Known(Struct, frozen=True):
    conversion: Conversion
    head: bytes
    key: str


class ArrowFormat:
    """See `workers.export.file.file_sink.FileFormat`."""

    def __init__(self, tables: frozenset[str], *, is_parquet: bool) -> None:
        self.ending = STAGED if is_parquet else STREAM
        self.finish: Callable[[int, str], None] | None = _to_parquet if is_parquet else None
        self._tables = tables
        self._known: dict[tuple[object, str], _Known] = {}

    def take(self, batches: Sequence[StoredBatch]) -> Pieces:
        """See FileFormat."""
        # In the order of the batches; where the columns of a table change in between, another file begins with them.
        parts: dict[tuple[str, str], tuple[_Known, list[pyarrow.RecordBatch]]] = {}
        rows = bad = 0
        for batch in batches:
            if batch.table not in self._tables or not batch.entry.rows:
                continue
            known = self._of(batch)
            converted = known.conversion.convert(batch.rows)
            bad += len(converted.bad)
            rows += converted.batch.num_rows
            parts.setdefault((batch.table, known.key), (known, []))[1].append(converted.batch)
        return Pieces([_piece(table, known, found) for (table, _), (known, found) in parts.items()], rows, bad)

    def skip(self, batches: Sequence[StoredBatch]) -> None:
        """See FileFormat. Each batch stands for itself."""

    def snapshot(self) -> bytes:
        """See FileFormat."""
        return b""

    def restore(self, snapshot: bytes) -> None:
        """See FileFormat."""

    def _of(self, batch: StoredBatch) -> _Known:
        key = (batch.form, batch.host)
        if key not in self._known:
            if len(self._known) > 256:
                self._known.clear()
            conversion = Conversion(batch.form, batch.host)
            self._known[key] = _Known(conversion, conversion.schema.serialize().to_pybytes(), _key_of(batch.form))
        return self._known[key]


def _key_of(form: TableForm) -> str:
    """Another one for other columns."""
    return f"{crc32(msgspec.json.encode((form.names, form.dtypes))):08x}"


def _piece(table: str, known: _Known, batches: list[pyarrow.RecordBatch]) -> Piece:
    whole = pyarrow.Table.from_batches(batches, schema=known.conversion.schema).combine_chunks()
    written = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(written, known.conversion.schema) as stream:
        stream.write_table(whole)
    data = written.getvalue().to_pybytes()
    return Piece(table, data[len(known.head) : -_END_BYTES], known.head, known.key)


def _to_parquet(folder: int, name: str) -> None:
    """The file with Parquet beside it; then the stream is gone. *Raises:* OSError."""
    final = name.removesuffix(STAGED) + PARQUET
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as source:
        reader = pyarrow.ipc.open_stream(source)
        target = os.open(f"{final}.new", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640, dir_fd=folder)
        with os.fdopen(target, "wb") as file:
            with pyarrow.parquet.ParquetWriter(file, reader.schema, compression="zstd") as writer:
                for batch in reader:
                    writer.write_batch(batch)
            file.flush()
            os.fsync(file.fileno())
    os.rename(f"{final}.new", final, src_dir_fd=folder, dst_dir_fd=folder)
    os.unlink(name, dir_fd=folder)
