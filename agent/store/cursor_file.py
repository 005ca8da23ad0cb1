"""The file of a sink's cursor: read by the writer, which keeps what a sink still needs; written by its exporter alone."""

import os

from agent.failpoint import failpoint
from agent.model.errors import StorageError
from agent.model.foreign import readable
from agent.paths import sync_folder
from agent.store.cursor import HEAD_BYTES, SLOT_BYTES, SLOTS, Cursor, decode_slot, encode_slot, slot_bytes
from agent.store.layout import SINKS_FOLDER
from agent.store.state_file import write_at

NAME = "cursor"


def sink_folder(state_dir: str, sink: str) -> str:
    """What a sink keeps lies there."""
    return os.path.join(state_dir, SINKS_FOLDER, sink)


def read_cursor(path: str) -> Cursor | None:
    """The newest whole cursor of a file. *Absent:* None where there is no file, or nothing whole in it. *Raises:* OSError."""
    found = _newest(path)
    return None if found is None else found[1]


def _newest(path: str) -> tuple[int, Cursor, int] | None:
    """Its number, the cursor and its slot."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        slots = [decode_slot(_read_slot(descriptor, slot)) for slot in range(SLOTS)]
    finally:
        os.close(descriptor)
    found = [(*decoded, slot) for slot, decoded in enumerate(slots) if decoded is not None]
    return max(found, key=lambda each: each[0], default=None)


def _read_slot(descriptor: int, slot: int) -> bytes:
    size = slot_bytes(os.pread(descriptor, HEAD_BYTES, slot * SLOT_BYTES))
    return os.pread(descriptor, size, slot * SLOT_BYTES) if size else b""


class CursorFile:
    """The cursor of one sink, forced to the disk with each write. *Raises:* StorageError."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, NAME)
        self._folder = folder
        self._descriptor: int | None = None
        self._number = 0
        self._slot = 0

    def read(self) -> Cursor | None:
        """The newest whole cursor; None: there is none."""
        try:
            found = _newest(self.path)
        except OSError as cause:
            raise self._error(cause) from cause
        if found is None:
            return None
        self._number, cursor, slot = found
        self._slot = 1 - slot
        return cursor

    def is_damaged(self) -> bool:
        """Whether there is a file, with something in it, that holds no whole cursor."""
        try:
            return os.path.getsize(self.path) > 0 and _newest(self.path) is None
        except FileNotFoundError:
            return False
        except OSError as cause:
            raise self._error(cause) from cause

    def set_aside(self) -> str:
        """Give the file another name, for a person; the new path."""
        aside = f"{self.path}.set-aside"
        try:
            os.replace(self.path, aside)
        except OSError as cause:
            raise self._error(cause) from cause
        self.close()
        self._number = self._slot = 0
        return aside

    def write(self, cursor: Cursor) -> None:
        """Write it, and wait until it is on the disk."""
        try:
            if self._descriptor is None:
                self._descriptor = self._opened()
            data = encode_slot(cursor, self._number + 1)
            failpoint("cursor.before_write")
            write_at(self._descriptor, data, self._slot * SLOT_BYTES)
            failpoint("cursor.written")
            os.fdatasync(self._descriptor)
        except OSError as cause:
            raise self._error(cause) from cause
        self._number += 1
        self._slot = 1 - self._slot

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        is_new = not os.path.lexists(self.path)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        if is_new:
            for folder in (self._folder, os.path.dirname(self._folder)):
                sync_folder(folder)
        return descriptor

    def _error(self, cause: OSError) -> StorageError:
        problem = f"the cursor of this sink cannot be kept ({cause.strerror})"
        return StorageError(readable(self.path), problem, "free space there, or let the agent's user write there")
