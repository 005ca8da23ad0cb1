"""Reads the spool for one sink: ahead for counting, on each of its lines, and once more at a start."""

from collections.abc import Sequence

from agent.model.errors import StorageError
from agent.model.foreign import readable
from agent.store.batch import StoredBatch
from agent.store.keeping import Keeping
from agent.store.keeping_file import read_keeping
from agent.store.place import Place
from agent.store.spool_follower import SpoolFollower
from workers.export.pace import CHUNK_MOST_BYTES
from workers.export.progress import ExportLine, ExportProgress
from workers.export.segment_parts import segment_parts
from workers.export.sink import SinkKind

# What is read again at a start, in one turn of the loop.
AGAIN_BYTES = 64 << 10
SCAN_BYTES = 1 << 20


class SinkReading:
    """*Raises:* PermissionRefused, StorageError."""

    def __init__(self, state_dir: str, kind: SinkKind, tables: Sequence[str], install: str) -> None:
        self._state_dir = state_dir
        read = {*tables, *kind.context_tables}
        again = read if kind.is_ordered else set(kind.context_tables)
        # One descriptor and one window each: they are at different places.
        # Rows of other hosts, which a hub stores, are in the sealed files; other sinks get them from their own hosts.
        shared = kind.by_segment
        self._scanning = SpoolFollower(state_dir, read, install, all_hosts=shared)
        self._lines = {line: SpoolFollower(state_dir, read, install, all_hosts=shared) for line in ExportLine}
        self._again = SpoolFollower(state_dir, again, install)
        self._forcing = SpoolFollower(state_dir, (), install)
        self._keeping = Keeping()
        self._by_segment = kind.by_segment
        self.is_at_end = False
        # What was counted last, as long as it is no more than a delivery: while a sink keeps up nothing is read twice. It has all
        # that follows this place; None: it would be too much.
        self._recent: list[StoredBatch] = []
        self._recent_after: Place | None = None
        # The last `read` gave nothing because what is next is not sealed yet.
        self.is_waiting = False

    def scan(self, progress: ExportProgress) -> bool:
        """Count some of what is new. `is_at_end`: nothing more is there now. True: nothing before another segment is left."""
        found = self._scanning.read(progress.scanned, SCAN_BYTES)
        self._remember(progress.scanned, found)
        progress.scan(found)
        self.is_at_end = sum(len(batch.rows) for batch in found) < SCAN_BYTES
        # Segments in which there is nothing for this sink need not be kept for it.
        return progress.move_on(self._scanning.reached)

    def first(self, progress: ExportProgress, line: ExportLine) -> StoredBatch | None:
        """The next batch on a line; None: there is none yet, or none that can be read."""
        found = self._next(progress, line, 1)
        return found[0] if found else None

    def read(self, progress: ExportProgress, line: ExportLine, bytes_max: int) -> list[StoredBatch]:
        """What is next on a line. A sink that gets whole segments gets the next one that is sealed, as `segment_parts` gives it."""
        self.is_waiting = False
        return self._sealed_segment(progress, line) if self._by_segment else self._next(progress, line, bytes_max)

    def _next(self, progress: ExportProgress, line: ExportLine, bytes_max: int) -> list[StoredBatch]:
        after, until = progress.next_place(line)
        if not after.is_before(until):
            return []
        if line is ExportLine.LIVE and self._recent_after is not None and not after.is_before(self._recent_after):
            self._recent = [batch for batch in self._recent if not batch.place.is_before(after)]
            self._recent_after = after
            return _up_to(self._recent, bytes_max)
        return self._lines[line].read(after, bytes_max, until)

    def _remember(self, after: Place, found: list[StoredBatch]) -> None:
        if self._by_segment:
            return
        if not self._recent:
            self._recent_after = after
        if self._recent_after is not None:
            self._recent += found
            if sum(len(batch.rows) for batch in self._recent) > CHUNK_MOST_BYTES:
                self._recent, self._recent_after = [], None

    def _sealed_segment(self, progress: ExportProgress, line: ExportLine) -> list[StoredBatch]:
        first = self.first(progress, line)
        if first is None:
            return []
        follower, segment = self._lines[line], first.place.segment
        after, until = progress.next_place(line)
        parts = segment_parts(follower.batches(after), segment, until) if follower.is_kept(segment) else None
        # What was appended before it was sealed may not be counted yet.
        self.is_waiting = parts is None
        return parts or []

    def read_again(self, after: Place, until: Place) -> list[StoredBatch]:
        """What later batches build on, and is settled."""
        return self._again.read(after, AGAIN_BYTES, until) if after.is_before(until) else []

    def keep_up(self, progress: ExportProgress) -> None:
        """Pass what the writer had to remove."""
        try:
            keeping = read_keeping(self._state_dir)
        except OSError as cause:
            where = readable(self._state_dir)
            raise StorageError(where, f"what the writer has removed cannot be read ({cause.strerror})", "look there") from cause
        if keeping is not None and keeping != self._keeping:
            # What is still there can be read: it is looked at again the next time.
            present = self._scanning.paths().keys()
            progress.keep_up(keeping, present)
            if not any(each.segment in present for each in keeping.pruned):
                self._keeping = keeping

    def force(self, segments: Sequence[str]) -> None:
        """Have these on the disk. It waits for it."""
        self._forcing.force(segments)

    def close(self) -> None:
        """Give everything back."""
        for each in (self._scanning, self._again, self._forcing, *self._lines.values()):
            each.close()


def _up_to(batches: Sequence[StoredBatch], bytes_max: int) -> list[StoredBatch]:
    """The first of them, up to some bytes of rows, at least one."""
    taken: list[StoredBatch] = []
    held_bytes = 0
    for batch in batches:
        if held_bytes >= bytes_max:
            break
        taken.append(batch)
        held_bytes += len(batch.rows)
    return taken
