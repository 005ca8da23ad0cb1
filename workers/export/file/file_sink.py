"""The sink of kind `file`: what is added to which file for the batches of one delivery."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from agent.store.batch import StoredBatch
from agent.store.place import Place
from workers.export.file.rotated import FileRules, Piece, RotatedFiles, safe_name
from workers.export.sink import Delivered, Parcel, SinkContext, Verdict


class Pieces(Struct, frozen=True):
    """What batches become. `points`: rows, points or records in it. `bad_rows`: rows that fit no column."""

    pieces: list[Piece]
    points: int
    bad_rows: int = 0


class FileFormat(Protocol):
    """How batches become bytes."""

    ending: str
    finish: "Callable[[int, str], None] | None"

    def take(self, batches: Sequence[StoredBatch]) -> Pieces:
        """What these batches add. *Raises:* FormatError."""
        ...

    def skip(self, batches: Sequence[StoredBatch]) -> None:
        """Learn from what was delivered already."""
        ...

    def snapshot(self) -> bytes:
        """See Sink."""
        ...

    def restore(self, snapshot: bytes) -> None:
        """See Sink."""
        ...


class FileParcel(Struct, frozen=True):
    """See `workers.export.sink.Parcel`. `behind`: the place behind its last batch."""

    pieces: Pieces
    behind: Place

    @property
    def size_bytes(self) -> int:
        """See Parcel."""
        return sum(len(piece.data) for piece in self.pieces.pieces)

    @property
    def points(self) -> int:
        """See Parcel."""
        return self.pieces.points


class FileSinkRules(Struct, frozen=True):
    """The settings of a section that say when files are rotated."""

    path: str
    rotate_bytes: int
    rotate_ns: int
    keep_files: int


class FileSink:
    """See `workers.export.sink.Sink`. It gets everything in the order of the spool, so one place says what it has."""

    def __init__(self, context: SinkContext, rules: FileSinkRules, layout: FileFormat) -> None:
        self._layout = layout
        prefix = f"{safe_name(context.host)}-{safe_name(context.settings.name)}"
        owner = f"{context.install} {layout.ending} {rules.path}"
        of_files = FileRules(
            rules.path, prefix, layout.ending, rules.rotate_bytes, rules.rotate_ns, rules.keep_files, layout.finish, owner
        )
        self._files = RotatedFiles(
            of_files, context.folder, context.wall_ns, lambda sentence: context.note("file_changed", "warning", sentence)
        )
        record = self._files.record
        # What was delivered before this process began, whether the worker knows of it or was killed before it could.
        self._delivered = Place(record.segment, record.offset)

    def take(self, batches: Sequence[StoredBatch]) -> FileParcel | None:
        """See Sink."""
        known = [batch for batch in batches if not self._delivered.is_before(batch.behind)]
        fresh = batches[len(known) :]
        if known:
            self._layout.skip(known)
        if not fresh:
            return None
        pieces = self._layout.take(fresh)
        return FileParcel(pieces, fresh[-1].behind) if pieces.pieces or pieces.bad_rows else None

    def skip(self, batches: Sequence[StoredBatch]) -> None:
        """See Sink."""
        self._layout.skip(batches)

    def snapshot(self) -> bytes:
        """See Sink."""
        return self._layout.snapshot()

    def restore(self, snapshot: bytes) -> None:
        """See Sink."""
        self._layout.restore(snapshot)

    def left_out(self) -> Mapping[str, int]:
        """Nothing."""
        return {}

    def deliver(self, parcel: Parcel) -> Verdict:
        """See Sink."""
        assert isinstance(parcel, FileParcel)
        failure = self._files.deliver(parcel.pieces.pieces, parcel.behind.segment, parcel.behind.offset)
        if failure is not None:
            return failure
        bad = parcel.pieces.bad_rows
        return Delivered(bad, "bad_row", f"{bad} rows do not fit their columns") if bad else Delivered()

    def probe(self) -> Verdict:
        """See Sink."""
        return self._files.probe() or Delivered()

    def close(self) -> None:
        """See Sink."""
