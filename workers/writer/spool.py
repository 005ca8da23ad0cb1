"""The open spool: one file that only grows, by whole records, and those before it that wait to be sealed.

A segment of an earlier process is read, sealed or set aside, and never written to again. Nothing here waits for the
disk: what must be on it is forced there by the `Syncer`, and `is_durable` tells when that is so.
"""

import os
from collections.abc import Sequence

from agent.failpoint import failpoint
from agent.model.errors import StorageError
from agent.model.timebase import compact_utc
from workers.writer.folder import make_folder, storage_error
from workers.writer.record import SegmentHead, encode_head
from workers.writer.syncer import Syncer

SUFFIX = ".spool"
_UNFINISHED_SUFFIX = ".new"
# The largest `writer.seal_bytes` and one full drain above it; beyond that only a spool that cannot be rotated grows.
SEGMENT_BYTES_MAX = 640 << 20
# A disk that syncs nothing for so many rotations is broken; the oldest is then left to the kernel's own write-back.
_OWED_MAX = 16
_SAME_NAMES_MAX = 1000


def segment_name(head: SegmentHead) -> str:
    """The file name of a segment."""
    return f"{compact_utc(head.created_wall_ns)}-{head.segment}{SUFFIX}"


class Spool:
    """The folder of segments. `name` and `size_bytes` are those of the open one; '' and 0 when none is open."""

    def __init__(self, directory: str, set_aside_directory: str) -> None:
        self._directory = directory
        self._set_aside_directory = set_aside_directory
        self._descriptor: int | None = None
        self._is_broken = False
        self._owed: list[int] = []
        self._opened = self._durable = 0
        self._has_unsynced = False
        self.syncer = Syncer()
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

    def prepare(self) -> None:
        """Make the folders and remove what a killed writer had not yet given its name. *Raises:* StorageError."""
        make_folder(self._directory)
        make_folder(self._set_aside_directory)
        for name in self._listed(_UNFINISHED_SUFFIX):
            self._remove(name)

    def names(self) -> list[str]:
        """The segments that are not the open one, in the order in which they were opened. *Raises:* StorageError."""
        return [name for name in self._listed(SUFFIX) if name != self.name]

    def open(self, head: SegmentHead) -> str:
        """Open a new segment and give the name of the one before it ('': none); that one is never written to again.

        The file gets its name once its head is written, so that whoever lists the folder finds only whole heads.
        *Raises:* StorageError, and the segment before it stays open.
        """
        name, frame = segment_name(head), encode_head(head)
        path = self.path(name)
        unfinished = os.path.join(self._directory, f".{name}{_UNFINISHED_SUFFIX}")
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _write_whole(descriptor, frame)
                failpoint("spool.head_written")
                os.rename(unfinished, path)
                failpoint("spool.segment_named")
            except OSError:
                os.close(descriptor)
                os.unlink(unfinished)
                raise
        except OSError as cause:
            raise storage_error(self._directory, cause) from cause
        former = self.name
        self._owe(self._descriptor)
        self._descriptor, self._is_broken = descriptor, False
        self.name, self.size_bytes, self.head_bytes = name, len(frame), len(frame)
        self._opened += 1
        return former

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
        return None

    def set_aside(self, name: str) -> str:
        """Move a damaged segment to where a person finds it and nothing overwrites it; its new path. *Raises:* StorageError."""
        for attempt in range(_SAME_NAMES_MAX):
            target = os.path.join(self._set_aside_directory, name if attempt == 0 else f"{name}.{attempt}")
            if os.path.lexists(target):
                continue
            try:
                os.rename(self.path(name), target)
            except OSError as cause:
                raise storage_error(target, cause) from cause
            return target
        raise StorageError(self._set_aside_directory, f"holds {_SAME_NAMES_MAX} files named {name}", "remove some of them")

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

    def _remove(self, name: str) -> None:
        try:
            failpoint("spool.before_remove")
            os.unlink(self.path(name))
            failpoint("spool.removed")
        except FileNotFoundError:
            pass  # It is what was wanted: a person was faster.
        except OSError as cause:
            raise storage_error(self.path(name), cause) from cause

    def _listed(self, suffix: str) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self._directory) if name.endswith(suffix))
        except OSError as cause:
            raise storage_error(self._directory, cause) from cause

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


def _write_whole(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
