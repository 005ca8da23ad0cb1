"""Follows the spool from a place on, batch by batch: the open segment, those that wait to be sealed, those that are kept for sinks.

Nothing is locked, changed or waited for. What the writer removed before a reader had read it is not guessed at: that stands in its
`agent.store.keeping` record. Touches the file system, only to read.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence

from agent.model.errors import FormatError, StorageError
from agent.model.foreign import readable
from agent.store.batch import StoredBatch
from agent.store.file_bytes import FileBytes
from agent.store.foreign_file import open_regular
from agent.store.install import is_other
from agent.store.layout import KEPT_FOLDER, SPOOL_FOLDER
from agent.store.left_out import LeftOut
from agent.store.origin_form import form_in, own_entry
from agent.store.place import BEGINNING, Place
from agent.store.record import Damage, Record, SegmentHead, foreign_name, parse_head, parse_records, table_word
from agent.store.segment import SEGMENT_BYTES_MAX, generation_of, id_in, is_segment_name
from agent.store.spool_reader import refusal

# In the order in which the writer moves a segment: one that is moved between two looks is found in the later folder.
FOLDERS = (SPOOL_FOLDER, KEPT_FOLDER)
# A tick of all tables is smaller; it bounds the memory of a reader.
WINDOW_BYTES = 128 << 10


class _OpenSegment:
    """A segment that is read."""

    def __init__(self, descriptor: int, head: SegmentHead, head_bytes: int) -> None:
        self.descriptor = descriptor
        self.head = head
        self.head_bytes = head_bytes
        self.superseded = frozenset(id_in(name) for name in head.superseded)


class SpoolFollower:
    """The batches of some tables (None: all) after a place. The segment that was read last is kept open.

    `install`: segments of other installations are passed over. Rows that a hub has stored of other hosts are passed over unless
    `all_hosts`: who reads them has to look at `host` and `install` of each batch. `reads_removed`: the segment that is kept open is
    read to its end also when the writer has removed it meanwhile; a sink must not do that, because the writer counts it as pruned.
    *Raises:* PermissionRefused, StorageError.
    """

    def __init__(
        self,
        state_dir: str,
        tables: Collection[str] | None,
        install: str = "",
        *,
        reads_removed: bool = False,
        all_hosts: bool = False,
    ) -> None:
        self._state_dir = state_dir
        self._tables = None if tables is None else frozenset(tables)
        self._words = None if self._tables is None else _words_of(self._tables, all_hosts=all_hosts)
        self._install = install
        self._reads_removed = reads_removed
        self._all_hosts = all_hosts
        self._open: _OpenSegment | None = None
        # Segments of another installation or format, and what only has the name of one.
        self._passed_over: set[str] = set()
        # Behind the last place that the last `read` has looked at, as far as whole segments go: nothing before it is left.
        self.reached = BEGINNING
        # Bytes that were no record, for statistics.
        self.damaged_bytes = 0

    def paths(self) -> Mapping[str, str]:
        """Where each segment lies, by its id, the oldest first."""
        found: dict[str, str] = {}
        for folder in FOLDERS:
            directory = os.path.join(self._state_dir, folder)
            try:
                names = os.listdir(directory)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as cause:
                raise refusal(directory, cause) from cause
            found |= {id_in(name): os.path.join(directory, name) for name in names if is_segment_name(name)}
        kept = found.keys() - self._passed_over
        self._passed_over &= found.keys()
        return {segment: found[segment] for segment in sorted(kept, key=_age)}

    def read(self, after: Place, bytes_max: int, until: Place | None = None) -> list[StoredBatch]:
        """What follows a place, in order: up to some bytes of rows, at least one batch where there is one, and nothing from `until`
        on.

        Where the segment of `after` is gone, the next one that is there follows. Nothing: there is nothing yet.
        """
        found: list[StoredBatch] = []
        held_bytes = 0
        for batch in self.batches(after):
            if until is not None and not batch.place.is_before(until):
                break
            found.append(batch)
            held_bytes += len(batch.rows)
            if held_bytes >= bytes_max:
                break
        return found

    def is_kept(self, segment: str) -> bool:
        """Whether it is sealed, and kept for those who have not read it: then it is whole."""
        return os.path.basename(os.path.dirname(self.paths().get(segment, ""))) == KEPT_FOLDER

    def force(self, segments: Sequence[str]) -> None:
        """Force segments to the disk, so that no sink has what a power failure takes from here. It waits for the disk."""
        paths = self.paths()
        for segment in dict.fromkeys(segments):
            # One that is gone is in Parquet, which was forced to the disk before.
            if segment in paths and (descriptor := _opened(paths[segment])) is not None:
                try:
                    os.fdatasync(descriptor)
                except OSError as cause:
                    problem = f"it cannot be forced to the disk ({cause.strerror})"
                    raise StorageError(readable(paths[segment]), problem, "look at the disk and the kernel's log") from cause
                finally:
                    os.close(descriptor)

    def holds(self, segment: str) -> bool:
        """Whether it is the one that is kept open."""
        return self._open is not None and self._open.head.segment == segment

    def close(self) -> None:
        """Give the descriptor back."""
        if self._open is not None:
            os.close(self._open.descriptor)
            self._open = None

    def batches(self, after: Place) -> Iterator[StoredBatch]:
        """What follows a place, one batch after the other, as far as it is there now."""
        # The sizes are taken after the listing: a segment takes no more once a later one is listed. So the last one of the listing
        # is the only one whose end may be torn.
        paths = self.paths()
        self.reached = after
        if after.segment in paths or (self._reads_removed and self.holds(after.segment)):
            yield from self._records(after, paths.get(after.segment, ""))
        for segment, path in paths.items():
            if _age(segment) > _age(after.segment):
                begin = Place(segment, self._begin_in(segment, path, after))
                self.reached = begin
                yield from self._records(begin, path)

    def _begin_in(self, segment: str, path: str, after: Place) -> int:
        """How much of a later segment is behind a place already: the writer wrote a segment again that somebody had removed."""
        opened = self._segment(segment, path)
        return after.offset if opened is not None and after.segment in opened.superseded else 0

    def _records(self, begin: Place, path: str) -> Iterator[StoredBatch]:
        opened = self._segment(begin.segment, path)
        if opened is None:
            return
        try:
            size = min(os.fstat(opened.descriptor).st_size, SEGMENT_BYTES_MAX)
            source = FileBytes(opened.descriptor, size, window_bytes=WINDOW_BYTES)
            for record in parse_records(source, opened.head_bytes + begin.offset, self._words):
                if isinstance(record, Damage):
                    self.damaged_bytes += 0 if record.torn else record.length
                elif record.entry.rows > 0 and (found := self._batch(begin.segment, opened, record)) is not None:
                    yield found
        except OSError as cause:
            raise refusal(path, cause) from cause

    def _batch(self, segment: str, opened: _OpenSegment, record: Record) -> StoredBatch | None:
        """*Absent:* None for what is not wanted."""
        entry, head = record.entry, opened.head
        if not self._wants(entry.measured_table) or (entry.origin is not None and not self._all_hosts):
            return None
        form = form_in(head, entry)
        if form is None:
            return None
        host, install = (head.host, head.install) if entry.origin is None else (entry.origin.host, entry.origin.install)
        return StoredBatch(
            place=Place(segment, record.offset - opened.head_bytes),
            behind=Place(segment, record.end - opened.head_bytes),
            entry=entry if entry.origin is None else own_entry(entry, entry.origin),
            form=form,
            host=host,
            install=install,
            rows=record.rows,
            spool_host="" if entry.origin is None else head.host,
        )

    def _wants(self, table: str) -> bool:
        # Two names of tables may share one word.
        return self._tables is None or table in self._tables

    def _segment(self, segment: str, path: str) -> _OpenSegment | None:
        """The open segment of this id; None: it is gone, or is none of ours."""
        if self._open is not None and self.holds(segment):
            return self._open
        descriptor = _opened(path)
        if descriptor is None:
            # Moved since it was listed.
            moved = self.paths().get(segment)
            descriptor = None if moved is None else _opened(moved)
        if descriptor is None:
            return None
        try:
            head, head_bytes = parse_head(FileBytes(descriptor, os.fstat(descriptor).st_size, window_bytes=WINDOW_BYTES))
        except FormatError:
            head = None
        except OSError as cause:
            os.close(descriptor)
            raise refusal(path, cause) from cause
        if head is None or is_other(head.install, self._install) or head.segment != segment:
            self._passed_over.add(segment)
            os.close(descriptor)
            return None
        self.close()
        self._open = _OpenSegment(descriptor, head, head_bytes)
        return self._open


def _words_of(tables: Collection[str], *, all_hosts: bool) -> frozenset[int]:
    return frozenset(map(table_word, (*tables, *(map(foreign_name, tables) if all_hosts else ()))))


def _age(segment: str) -> tuple[int, str]:
    return (generation_of(segment), segment)


def _opened(path: str) -> int | None:
    """*Absent:* None where it is gone, or is no regular file. *Raises:* PermissionRefused."""
    try:
        found = open_regular(path)
    except FileNotFoundError:
        return None
    if isinstance(found, LeftOut):
        if found.refused:
            raise refusal(path, PermissionError(0, found.reason))
        return None
    return found
