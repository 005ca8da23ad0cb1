"""The open spool: one file that only grows, by whole records, and those before it that wait to be sealed.

A segment of an earlier process is read, sealed or set aside, and never appended to again. Nothing here waits for the
disk: what must be on it is forced there by the `Syncer`, and `is_durable` tells when that is so.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import ELOOP, ENOENT, ENOTDIR, ESTALE
from stat import S_ISREG

from msgspec.structs import replace

from agent.failpoint import failpoint
from agent.model.errors import StorageError
from agent.store.record import SegmentHead, encode_head
from agent.store.segment import SEGMENT_BYTES_MAX, generation_of, id_in, in_order, is_segment_name, segment_name
from workers.writer.folder import is_passing, make_folder, storage_error
from workers.writer.readers import ReaderGroup
from workers.writer.set_aside import SetAside
from workers.writer.syncer import Syncer

_UNFINISHED_SUFFIX = ".new"
# A disk that syncs nothing during this many rotations is broken; the oldest is then left to the kernel's own write-back.
_OWED_MAX = 16
_CHUNK_BYTES = 4 << 20
# The path leads to no file of ours any more, however often it is asked.
_GONE = (ENOENT, ENOTDIR, ESTALE, ELOOP)


class Spool:
    """The folder of segments. `name` and `size_bytes` are those of the open one; '' and 0 when none is open."""

    def __init__(
        self, directory: str, set_aside_directory: str, syncer: Syncer | None = None, readers: ReaderGroup | None = None
    ) -> None:
        self._directory = directory
        self.readers = readers or ReaderGroup()
        self.aside = SetAside(set_aside_directory)
        self._descriptor: int | None = None
        self._is_broken = False
        self._owed: list[int] = []
        self._opened = self._durable = 0
        self._has_unsynced = False
        self._synced_before = 0
        # What a person, a backup or another program has put into the folder, as of the last look: never touched.
        self.foreign: list[str] = []
        # Every segment up to this generation is on the disk in whole.
        self.durable_generation = 0
        # Called between the steps of what takes long.
        self.on_progress: Callable[[], None] = _go_on
        self.syncer = syncer or Syncer()
        self.name = ""
        self.size_bytes = 0
        self.head_bytes = 0

    @property
    def is_open(self) -> bool:
        """A segment is open and can be appended to."""
        return self._descriptor is not None and not self._is_broken

    @property
    def is_empty(self) -> bool:
        """The open segment holds nothing but its head."""
        return self.size_bytes == self.head_bytes

    @property
    def is_durable(self) -> bool:
        """The head of the open segment, with all its marks, and every segment before it are on the disk."""
        return self._durable == self._opened and not self._owed

    @property
    def has_unsynced(self) -> bool:
        """Something was written since the last sync began."""
        return self._has_unsynced or not self.is_durable

    def path(self, name: str) -> str:
        """Where a segment lies."""
        return os.path.join(self._directory, name)

    def size_of(self, name: str) -> int:
        """The bytes of a segment. *Raises:* StorageError."""
        try:
            return os.stat(self.path(name)).st_size
        except OSError as cause:
            raise storage_error(self.path(name), cause) from cause

    def prepare(self) -> list[StorageError]:
        """Make the folders and remove what a killed writer had not yet given its name; what could not be removed, which is
        in nobody's way. *Raises:* StorageError."""
        make_folder(self._directory, self.readers)
        left: list[StorageError] = []
        try:
            make_folder(self.aside.directory)
        except StorageError as failure:
            left.append(failure)
        for name in self._listed():
            if not is_segment_name(name):
                try:
                    self._remove(name)
                except StorageError as failure:
                    left.append(failure)
        return left

    def names(self) -> list[str]:
        """The segments that are not the open one, in the order in which they were opened. *Raises:* StorageError."""
        return in_order(name for name in self._listed() if is_segment_name(name) and name != self.name)

    def has(self, name: str) -> bool:
        """Whether a segment is still there; also when that cannot be told."""
        try:
            os.lstat(self.path(name))
        except OSError as cause:
            return cause.errno not in _GONE
        return True

    def open(self, head: SegmentHead) -> str:
        """Open a new segment and give the name of the one before it ('': none); that one is never written to again.

        The file gets its name once its head is written, so that a listing of the folder shows only whole heads.
        *Raises:* StorageError, and the segment before it stays open.
        """
        previous = self.name
        descriptor, size_bytes, head_bytes = self._make(head, None)
        self._owe(self._descriptor)
        self._take_over(head, descriptor, size_bytes, head_bytes)
        return previous

    def is_lost(self) -> bool:
        """Whether the open segment has lost its name: somebody removed, moved or replaced it, or its folder."""
        if self._descriptor is None:
            return False
        try:
            # Both are asked now: some file systems in user space renumber their files while they are open.
            return not os.path.samestat(os.lstat(self.path(self.name)), os.fstat(self._descriptor))
        except OSError as cause:
            return cause.errno in _GONE

    def save(self, head: SegmentHead) -> bool:
        """Open a new segment in place of one that lost its name, with all of its records; False when they cannot be read, and
        then the new one does not supersede it.

        Whatever stands under the old name is another's file, perhaps a copy of ours: it is set aside, and nothing is
        stored twice. *Raises:* StorageError, and the lost one stays open.
        """
        make_folder(self._directory, self.readers)
        previous, lost = self.name, self._descriptor
        assert lost is not None
        is_saved = True
        try:
            made = self._make(head, lost)
        except _UnreadableError:
            is_saved = False
            made = self._make(replace(head, superseded=head.superseded[:-1]), None)
        os.close(lost)
        self._take_over(head, *made)
        self._has_unsynced = True
        if os.path.lexists(self.path(previous)):
            self.aside.take(self.path(previous))
        return is_saved

    def owe(self, name: str) -> None:
        """Force a segment of an earlier writer to the disk with the next sync: nobody knows what of it is there."""
        with suppress(OSError):
            self._owe(os.open(self.path(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))

    def cut(self, name: str, size_bytes: int, whole_bytes: int) -> bool:
        """Cut the torn tail of a segment of an earlier writer off, if it still has this size; False when that is refused."""
        try:
            descriptor = os.open(self.path(name), os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            if os.fstat(descriptor).st_size == size_bytes:
                os.ftruncate(descriptor, whole_bytes)
                return True
        except OSError:
            pass
        finally:
            os.close(descriptor)
        return False

    def append(self, frames: Sequence[bytes]) -> None:
        """Write whole records. *Raises:* StorageError, and then the file ends where it ended before."""
        data = b"".join(frames)
        if self._descriptor is None or self._is_broken or self.size_bytes + len(data) > SEGMENT_BYTES_MAX:
            raise StorageError(self._directory, "no segment can be appended to", "a new one is opened within a second")
        try:
            failpoint("spool.before_append")
            _write_whole(self._descriptor, data)
            failpoint("spool.appended")
        except OSError as cause:
            self._cut_back()
            self._is_broken = self._is_broken or not is_passing(cause)
            raise storage_error(self._directory, cause) from cause
        self.size_bytes += len(data)
        self._has_unsynced = True

    def sync(self) -> bool:
        """Begin to force everything written so far to the disk; False when a round is under way already."""
        if self._descriptor is None or self.syncer.is_busy:
            return False
        try:
            descriptors = [*self._owed, os.dup(self._descriptor)]
        except OSError:
            return False  # Out of descriptors for a moment; what is unsynced stays so and is tried again.
        folder = None if self._durable == self._opened else self._directory
        self._owed.clear()
        self._has_unsynced = False
        self._synced_before = generation_of(id_in(self.name)) - 1
        self.syncer.start(descriptors, folder, token=self._opened)
        return True

    def take_synced(self) -> StorageError | None:
        """Note the end of a round of the syncer; what went wrong, or None."""
        synced = self.syncer.take()
        if synced is None:
            return None
        if synced.error is not None:
            self._has_unsynced = True
            return storage_error(self._directory, synced.error)
        self._durable = synced.token
        self.durable_generation = max(self.durable_generation, self._synced_before)
        return None

    def set_aside(self, name: str) -> str:
        """Move a damaged segment to where a person finds it and nothing overwrites it; its new path. *Raises:* StorageError."""
        return self.aside.take(self.path(name))

    def remove(self, name: str) -> None:
        """Remove a segment whose rows are in Parquet, or that has none. *Raises:* StorageError."""
        assert name != self.name
        self._remove(name)

    def close(self) -> None:
        """Give every descriptor back; whatever was written stays."""
        self.syncer.close()
        for descriptor in (*self._owed, *(() if self._descriptor is None else (self._descriptor,))):
            os.close(descriptor)
        self._owed.clear()
        self._descriptor = None

    def _make(self, head: SegmentHead, lost: int | None) -> tuple[int, int, int]:
        """A new segment under its name, with the records of the lost one: its descriptor, its size and that of its head."""
        frame = encode_head(head)
        name = segment_name(head)
        unfinished = os.path.join(self._directory, f".{name}{_UNFINISHED_SUFFIX}")
        try:
            descriptor = os.open(unfinished, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _write_whole(descriptor, frame)
                size_bytes = len(frame) + (0 if lost is None else self._copy(lost, descriptor))
                self.readers.share_file(descriptor, self.path(name))
                failpoint("spool.head_written")
                os.rename(unfinished, self.path(name))
                failpoint("spool.segment_named")
            except (OSError, _UnreadableError):
                os.close(descriptor)
                with suppress(OSError):
                    os.unlink(unfinished)
                raise
        except OSError as cause:
            raise storage_error(self._directory, cause) from cause
        return descriptor, size_bytes, len(frame)

    def _take_over(self, head: SegmentHead, descriptor: int, size_bytes: int, head_bytes: int) -> None:
        self._descriptor, self._is_broken = descriptor, False
        self.name, self.size_bytes, self.head_bytes = segment_name(head), size_bytes, head_bytes
        self._opened += 1

    def _copy(self, lost: int, descriptor: int) -> int:
        """Append the records of the open segment to another; how many bytes they have. *Raises:* _UnreadableError, OSError."""
        position = self.head_bytes
        while position < self.size_bytes:
            try:
                data = os.pread(lost, min(_CHUNK_BYTES, self.size_bytes - position), position)
            except OSError as cause:
                raise _UnreadableError from cause
            if not data:
                raise _UnreadableError
            _write_whole(descriptor, data)
            position += len(data)
            self.on_progress()
        return self.size_bytes - self.head_bytes

    def _remove(self, name: str) -> None:
        try:
            failpoint("spool.before_remove")
            os.unlink(self.path(name))
            failpoint("spool.removed")
        except FileNotFoundError:
            pass  # It is what was wanted: a person was faster.
        except OSError as cause:
            raise storage_error(self.path(name), cause) from cause

    def _listed(self) -> list[str]:
        """The segments and the unfinished ones among the files in the folder; everything else is foreign."""
        try:
            names = sorted(os.listdir(self._directory))
        except OSError as cause:
            raise storage_error(self._directory, cause) from cause
        ours = [name for name in names if _is_ours(name) and self._is_file(name)]
        self.foreign = sorted(set(names) - set(ours))
        return ours

    def _is_file(self, name: str) -> bool:
        try:
            return S_ISREG(os.lstat(self.path(name)).st_mode)
        except OSError:
            return False  # It has gone meanwhile.

    def _cut_back(self) -> None:
        assert self._descriptor is not None
        try:
            os.ftruncate(self._descriptor, self.size_bytes)
        except OSError:
            # Its tail is a torn record now. Nothing may follow one, so the next record goes to a new segment.
            self._is_broken = True

    def _owe(self, descriptor: int | None) -> None:
        if descriptor is not None:
            self._owed.append(descriptor)
        if len(self._owed) > _OWED_MAX:
            os.close(self._owed.pop(0))


class _UnreadableError(Exception):
    """What the open segment holds cannot be read back."""


def _go_on() -> None:
    """Nobody wants to know."""


def _is_ours(name: str) -> bool:
    """Whether a segment has this name, or one in the making."""
    unfinished = name.removeprefix(".").removesuffix(_UNFINISHED_SUFFIX)
    return is_segment_name(name) or (is_segment_name(unfinished) and name == f".{unfinished}{_UNFINISHED_SUFFIX}")


def _write_whole(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
