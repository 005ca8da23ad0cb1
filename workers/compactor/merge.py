"""Brings the rows of many sources into one order within bounded memory. Imports pyarrow, late.

Row groups are read in the order of their first rows. What is before the first row of the next can be handed on at once: so it is
with files of one host each. Where files reach across each other, as the merger's of all hosts do, sorted runs are written aside and
merged at the end, a small piece of each at a time.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pyarrow
from pyarrow import ipc

from workers.compactor.source import LakePiece, LakeSource, open_parquet
from workers.compactor.working_rows import Key, Keys, WorkingRows, in_order

# How a run is written: so many pieces that a piece of each of many runs has room.
_PIECES_PER_RUN = 128
_OPEN_MAX = 32


class Merge:
    """One merge. `memory_bytes`: how much rows may take, and sorting holds them twice. `emit` gets the rows in order."""

    def __init__(
        self,
        sources: Sequence[LakeSource],
        rows: WorkingRows,
        folder: str,
        memory_bytes: int,
        emit: Callable[[pyarrow.Table], None],
    ) -> None:
        self._sources = {piece.source: source for source in sources for piece in source.pieces}
        self._rows = rows
        self._folder = folder
        self._run_bytes = memory_bytes // 4
        self._emit = emit
        self._runs: list[str] = []

    def run(self) -> None:
        """Hand on all rows. *Raises:* UnfitSource, OSError, and what `emit` raises."""
        pieces = sorted(
            (piece for source in self._sources.values() for piece in source.pieces),
            key=lambda piece: (self._rows.first_key(piece), piece.source, piece.index),
        )
        if not pieces:
            return
        bounds: list[Key | None] = [*map(self._rows.first_key, pieces[1:]), None]
        buffer: list[pyarrow.Table] = []
        size = 0
        for rows, bound in zip(self._read(pieces), bounds, strict=True):
            buffer.append(rows)
            size += rows.nbytes
            if size >= self._run_bytes or bound is None:
                buffer = self._settle(buffer, bound)
                size = sum(part.nbytes for part in buffer)
        assert not buffer
        if self._runs:
            self._merge_runs()

    def _read(self, pieces: Sequence[LakePiece]) -> Iterator[pyarrow.Table]:
        """The rows of each; files stay open while others are read, a bounded number of them."""
        opened: dict[int, pyarrow.parquet.ParquetFile] = {}
        try:
            for piece in pieces:
                source = self._sources[piece.source]
                file = opened.pop(piece.source, None) or open_parquet(source.local)
                opened[piece.source] = file
                if len(opened) > _OPEN_MAX:
                    opened.pop(next(iter(opened))).close()
                yield self._rows.read(file, source, piece)
        finally:
            for file in opened.values():
                file.close()

    def _settle(self, buffer: list[pyarrow.Table], bound: Key | None) -> list[pyarrow.Table]:
        """Hand on what no later row precedes, or write it aside; what is left."""
        rows = in_order(buffer)
        if self._runs:
            self._write_run(rows)
            return []
        ready = rows.num_rows if bound is None else Keys(rows).before(bound)
        left = rows.slice(ready)
        if left.nbytes > self._run_bytes // 2:
            self._write_run(rows)
            return []
        if ready:
            self._emit(rows.slice(0, ready))
        # Copied, so that the whole of it need not stay for a part.
        return [left.take(pyarrow.array(range(left.num_rows), pyarrow.int64()))] if left.num_rows else []

    def _write_run(self, rows: pyarrow.Table) -> None:
        path = os.path.join(self._folder, f"run-{len(self._runs)}")
        piece_rows = max(1, rows.num_rows // _PIECES_PER_RUN)
        with pyarrow.OSFile(path, "wb") as sink, ipc.new_file(sink, rows.schema, options=_OPTIONS) as writer:
            writer.write_table(rows, max_chunksize=piece_rows)
        self._runs.append(path)

    def _merge_runs(self) -> None:
        with ExitStack() as stack:
            runs = [_Run(stack.enter_context(pyarrow.OSFile(path, "rb"))) for path in self._runs]
            while runs := [run for run in runs if run.has_rows()]:
                # Every row up to the smallest of the last rows at hand is at hand.
                bound = min(run.last() for run in runs)
                self._emit(in_order(part for run in runs if (part := run.take(bound)) is not None))


_OPTIONS = ipc.IpcWriteOptions(compression="lz4")


class _Run:
    """One run, a piece at a time."""

    def __init__(self, file: pyarrow.NativeFile) -> None:
        self._reader = ipc.open_file(file)
        self._next = 0
        self._rows: pyarrow.Table | None = None
        self._keys: Keys | None = None

    def has_rows(self) -> bool:
        """Whether there are any left; then some are at hand."""
        while self._rows is None and self._next < self._reader.num_record_batches:
            rows = pyarrow.Table.from_batches([self._reader.get_batch(self._next)])
            self._next += 1
            if rows.num_rows:
                self._rows, self._keys = rows, Keys(rows)
        return self._rows is not None

    def last(self) -> Key:
        """The key of the last row at hand."""
        assert self._keys is not None
        return self._keys[-1]

    def take(self, bound: Key) -> pyarrow.Table | None:
        """The rows at hand up to a key; None: there is none."""
        assert self._rows is not None
        assert self._keys is not None
        count = self._keys.up_to(bound)
        taken = self._rows.slice(0, count)
        if count == self._rows.num_rows:
            self._rows = self._keys = None
        elif count:
            self._rows = self._rows.slice(count)
            self._keys = Keys(self._rows)
        return taken if count else None
