"""Lines of OTLP, one stream of metrics and one of log records."""

from collections.abc import Callable, Sequence

from agent.store.batch import StoredBatch
from workers.export.file.file_sink import Pieces
from workers.export.file.rotated import Piece
from workers.export.otlp.conventions_1_44 import CONVENTIONS
from workers.export.otlp.encoder import OtlpEncoder
from workers.export.otlp.json_line import logs_line, metrics_line


class JsonFormat:
    """See `workers.export.file.file_sink.FileFormat`."""

    ending = ".jsonl"
    finish: Callable[[int, str], None] | None = None

    def __init__(self, version: str, tables: frozenset[str], options: frozenset[str]) -> None:
        self._encoder = OtlpEncoder(CONVENTIONS, version, options)
        self._tables = tables

    def take(self, batches: Sequence[StoredBatch]) -> Pieces:
        """See FileFormat."""
        encoded = self._encoder.take(batches, self._tables)
        pieces = []
        if encoded.metrics:
            pieces.append(Piece("metrics", metrics_line(encoded.metrics)))
        if encoded.logs:
            pieces.append(Piece("logs", logs_line(encoded.logs)))
        return Pieces(pieces, encoded.points + encoded.records, encoded.bad_rows)

    def skip(self, batches: Sequence[StoredBatch]) -> None:
        """See FileFormat."""
        self._encoder.skip(batches, self._tables)

    def snapshot(self) -> bytes:
        """See FileFormat."""
        return self._encoder.state.snapshot()

    def restore(self, snapshot: bytes) -> None:
        """See FileFormat."""
        self._encoder.restore(snapshot)
