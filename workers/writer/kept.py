"""Keeps sealed segments for the sinks that have not read them, and is the only one that removes them.

A sealed segment moves from the spool to the folder `kept`, unless every sink is behind it. Where the sinks are, their cursors say;
what goes, `workers.writer.kept_plan` decides. What a sink loses is written down (`agent.store.keeping`) before it goes.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from agent.failpoint import failpoint
from agent.model.errors import FormatError, StorageError
from agent.model.message import Note
from agent.model.timebase import S
from agent.ports import Bus
from agent.store.cursor_file import NAME as CURSOR_NAME
from agent.store.cursor_file import read_cursor, sink_folder
from agent.store.file_bytes import FileBytes
from agent.store.keeping import Keeping, PrunedSegment
from agent.store.keeping_file import read_keeping, write_keeping
from agent.store.layout import KEPT_FOLDER
from agent.store.place import Place
from agent.store.record import Record, foreign_name, parse_head, parse_records
from agent.store.segment import SEGMENT_BYTES_MAX, generation_of, id_in, in_order, is_segment_name
from workers.framework.condition import Conditions
from workers.writer.folder import make_folder, storage_error
from workers.writer.kept_plan import QUOTA_PART, KeptFile, Removal, SinkNeed, removals

LOOK_NS = 2 * S
# After so many it is looked again what still has to go: a sink may have caught up meanwhile.
GOING_MAX = 16
_KIND = "kept_segments"


class KeptSegments:
    """The folder, for sinks with these quotas by name. Without sinks it empties what an earlier configuration has left.

    `limit_bytes` is the storage quota, 0 for none; `on_progress` is called in the middle of what takes long.
    """

    def __init__(
        self, state_dir: str, sinks: Mapping[str, int], limit_bytes: int, bus: Bus, on_progress: Callable[[], None]
    ) -> None:
        self._state_dir = state_dir
        self._directory = os.path.join(state_dir, KEPT_FOLDER)
        self._sinks = sinks
        self._cap_bytes = limit_bytes // QUOTA_PART
        self._bus = bus
        self._conditions = Conditions(bus)
        self._on_progress = on_progress
        self._keeping = Keeping()
        # Before it was read nothing is removed that some sink needs: it would be written over.
        self._is_known = False
        self._spooled: Sequence[str] = ()
        self._going: deque[Removal] = deque()
        self._has_more = False
        # As of the last look; None: there was none yet.
        self._files: list[KeptFile] | None = None
        self._look_at_ns = 0
        self.pruned_segments = 0

    @property
    def bytes(self) -> int:
        """What they take, as of the last look."""
        return sum(file.size_bytes for file in self._files or ())

    def stats(self) -> dict[str, int]:
        """Numbers for `status` and /metrics."""
        return {"kept_segments": len(self._files or ()), "kept_bytes": self.bytes, "pruned_segments": self.pruned_segments}

    def prepare(self, spooled: Sequence[str]) -> None:
        """At the start, with the names of the segments in the spool: note since when everything is kept for each sink.

        What fails is a condition, and is tried again with the next look: storing does not wait for sinks.
        """
        self._spooled = spooled
        with self._telling():
            self._learn()

    def _learn(self) -> None:
        """*Raises:* OSError, StorageError."""
        self._is_known = False
        if self._sinks:
            make_folder(self._directory)
        before = read_keeping(self._state_dir)
        self._keeping = before or Keeping()
        # What has gone since an earlier look is noticed by the next one.
        self._files = self._listed() if self._files is None else self._files
        oldest = min((generation_of(id_in(name)) for name in [*self._spooled, *(file.name for file in self._files)]), default=1)
        since = {sink: self._keeping.since.get(sink, oldest) for sink in self._sinks}
        if since != self._keeping.since and (since or before is not None):
            self._write(Keeping(since, self._keeping.pruned if since else ()))
        self._is_known = True

    def take(self, path: str) -> bool:
        """Keep a sealed segment of the spool, if some sink needs it; False: nobody does, and it can go. *Raises:* StorageError."""
        segment = id_in(os.path.basename(path))
        if not any(need.needs(segment) for need in self._needs()):
            return False
        try:
            make_folder(self._directory)
            failpoint("kept.before_move")
            os.rename(path, os.path.join(self._directory, os.path.basename(path)))
            failpoint("kept.moved")
        except FileNotFoundError:
            self.note_removed(os.path.basename(path))
            return True
        except OSError as cause:
            raise storage_error(path, cause) from cause
        self._look_at_ns = 0
        return True

    def take_damaged(self, path: str) -> None:
        """Keep a damaged segment too, which is set aside next: sinks get what is whole in it. It has two names then.

        *Raises:* StorageError.
        """
        name = os.path.basename(path)
        if not any(need.needs(id_in(name)) for need in self._needs()):
            return
        try:
            make_folder(self._directory)
            os.link(path, os.path.join(self._directory, name), follow_symlinks=False)
            failpoint("kept.linked")
        except FileExistsError:
            pass  # A writer that was killed before it had set it aside.
        except OSError:
            # It is gone, or the file system has no second names.
            self.note_removed(name)
        self._look_at_ns = 0

    def note_removed(self, name: str) -> None:
        """Somebody removed a segment that some sink may not have read. *Raises:* StorageError."""
        segment = id_in(name)
        try:
            is_told = self._is_told(segment)
        except OSError as cause:
            raise storage_error(self._directory, cause) from cause
        if not is_told and any(need.needs(segment) for need in self._needs()):
            self._prune(PrunedSegment(segment, None, 0, None, None, "removed"))

    def next_deadline_ns(self) -> int | None:
        """When `advance` wants to be called."""
        return self._look_at_ns if self._files or not self._is_known else None

    def advance(self, now_ns: int) -> None:
        """Look whether something can go, and let a little of it go: senders' batches come first."""
        if now_ns < self._look_at_ns or (self._is_known and not self._files and not self._sinks):
            return
        self._look_at_ns = now_ns + LOOK_NS
        with self._telling():
            if not self._is_known:
                self._learn()
            if not self._going:
                self._look()
            self._let_go()
            if self._going or self._has_more:
                self._look_at_ns = now_ns

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (StorageError, OSError) as cause:
            self._going.clear()
            self._has_more = False
            failure = cause if isinstance(cause, StorageError) else storage_error(self._directory, cause)
            self._conditions.begin(_KIND, f"segments that are kept for sinks cannot be looked after: {failure.sentence}")
        else:
            self._conditions.end(_KIND)

    def _let_go(self) -> None:
        """One segment that a sink loses, or all before it that nobody needs. *Raises:* StorageError."""
        while self._going:
            removal = self._going.popleft()
            self._remove(removal)
            if self._files is not None:
                self._files.remove(removal.file)
            if removal.reason:
                break

    def _look(self) -> None:
        """*Raises:* OSError, StorageError."""
        files = self._listed()
        names = {file.name for file in files}
        for file in self._files or ():
            if file.name not in names:
                self.note_removed(file.name)
        self._files = files
        needs = self._needs()
        found = removals(files, needs, self._cap_bytes)
        self._going.extend(found[:GOING_MAX])
        self._has_more = len(found) > GOING_MAX
        self._forget_passed(needs)

    def _needs(self) -> list[SinkNeed]:
        return [SinkNeed(sink, quota, self._place_of(sink)) for sink, quota in self._sinks.items()]

    def _place_of(self, sink: str) -> Place | None:
        try:
            cursor = read_cursor(os.path.join(sink_folder(self._state_dir, sink), CURSOR_NAME))
        except OSError:
            # Who cannot be asked needs everything.
            return None
        return None if cursor is None else cursor.needs

    def _listed(self) -> list[KeptFile]:
        try:
            names = os.listdir(self._directory)
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = []
        for name in in_order(name for name in names if is_segment_name(name)):
            try:
                size_bytes = os.lstat(os.path.join(self._directory, name)).st_size
            except FileNotFoundError:
                continue
            found.append(KeptFile(name, id_in(name), size_bytes))
        return found

    def _remove(self, removal: Removal) -> None:
        path = os.path.join(self._directory, removal.file.name)
        if removal.reason and not self._is_told(removal.file.segment):
            self._prune(_account(path, removal, self._on_progress))
        try:
            failpoint("kept.before_remove")
            os.unlink(path)
        except FileNotFoundError:
            pass  # A person was faster.
        except OSError as cause:
            raise storage_error(path, cause) from cause

    def _is_told(self, segment: str) -> bool:
        """Whether it was written down already: told twice, its rows would be lost twice. *Raises:* OSError, StorageError."""
        if not self._is_known:
            self._learn()
        return any(each.segment == segment for each in self._keeping.pruned)

    def _prune(self, pruned: PrunedSegment) -> None:
        self.pruned_segments += 1
        self._write(self._keeping.with_pruned(pruned))
        rows = None if pruned.rows is None else sum(pruned.rows.values())
        fields: dict[str, str | int | float | bool | None] = {"segment": pruned.segment, "reason": pruned.reason, "rows": rows}
        self._bus.note(Note("kept_segment_removed", "error", fields))

    def _forget_passed(self, needs: Sequence[SinkNeed]) -> None:
        """What every sink has passed need not be told any more."""
        told = tuple(each for each in self._keeping.pruned if any(need.needs(each.segment) for need in needs))
        if told != self._keeping.pruned:
            self._write(Keeping(self._keeping.since, told))

    def _write(self, keeping: Keeping) -> None:
        try:
            write_keeping(self._state_dir, keeping)
        except OSError as cause:
            raise storage_error(self._directory, cause) from cause
        self._keeping = keeping


def _account(path: str, removal: Removal, on_progress: Callable[[], None]) -> PrunedSegment:
    """What is in a segment that goes, by table. Rows of damaged records are in no sink's account: nobody could read them."""
    rows: dict[str, int] = {}
    first = last = None
    segment, size_bytes = removal.file.segment, removal.file.size_bytes
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            source = FileBytes(descriptor, min(os.fstat(descriptor).st_size, SEGMENT_BYTES_MAX))
            for number, record in enumerate(parse_records(source, parse_head(source)[1])):
                if isinstance(record, Record) and record.entry.rows > 0:
                    entry = record.entry
                    table = entry.table if entry.origin is None else foreign_name(entry.origin.table)
                    rows[table] = rows.get(table, 0) + entry.rows
                    first = entry.stamp_wall_ns if first is None else first
                    last = entry.stamp_wall_ns
                if number % 256 == 0:
                    on_progress()
        finally:
            os.close(descriptor)
    except (OSError, FormatError):
        return PrunedSegment(segment, None, size_bytes, None, None, removal.reason)
    return PrunedSegment(segment, rows, size_bytes, first, last, removal.reason)
