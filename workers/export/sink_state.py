"""What one sink keeps on the disk, loaded and checked: cursor and snapshot. Touches the file system."""

from collections.abc import Callable, Collection
from zlib import crc32

from msgspec import Struct

from agent.store.cursor import Cursor
from agent.store.cursor_file import CursorFile, sink_folder
from agent.store.record import foreign_name
from workers.export.progress import ExportProgress, new_cursor
from workers.export.sink import SinkKind, SinkValues
from workers.export.snapshot_file import SinkSnapshot, read_snapshot, write_snapshot

# Notes what is remarkable: kind, severity, sentence.
Tell = Callable[[str, str, str], None]


class Commit(Struct, frozen=True):
    """What is to be on the disk before more is sent. `snapshot` is as old as the cursor, and is written behind it."""

    cursor: Cursor
    snapshot: SinkSnapshot | None


def identity_of(kind: SinkKind, values: SinkValues) -> str:
    """Which sink a section means: another address under the same name is another sink, which begins by itself."""
    words = [kind.name, *(f"{each.key}={values.values.get(each.key, each.default)}" for each in kind.identity)]
    text = "\n".join(words).encode("utf-8", "surrogateescape")
    # Told apart, not protected: a hash of OpenSSL would cost each exporter 3 MiB.
    return f"{crc32(text):08x}{crc32(text[::-1]):08x}"


class SinkState:
    """The files of one sink. *Raises:* StorageError."""

    def __init__(self, state_dir: str, kind: SinkKind, values: SinkValues, install: str) -> None:
        self.folder = sink_folder(state_dir, values.name)
        self._file = CursorFile(self.folder)
        self._kind, self._name, self._install = kind.name, values.name, install
        self._gets_all_hosts = kind.by_segment
        self.identity = identity_of(kind, values)

    def load(self, tables: Collection[str], tell: Tell) -> tuple[ExportProgress, SinkSnapshot | None]:
        """How far the sink is, and what it builds on. What is damaged or another's is set aside; the sink begins as a new one."""
        found = self._file.read()
        if found is None and self._file.is_damaged():
            path = self._file.set_aside()
            tell("cursor_damaged", "error", f"{path}: no whole cursor is in it; the sink begins with the oldest that the spool has")
        elif found is not None and (reason := self._foreign(found)):
            path = self._file.set_aside()
            tell("cursor_set_aside", "warning", f"{path}: {reason}; the sink begins with the oldest that the spool has")
            found = None
        cursor = found or new_cursor(self._name, self._kind, self.identity, self._install)
        snapshot = None if found is None else read_snapshot(self.folder)
        if snapshot is not None and (snapshot.identity != self.identity or cursor.low.is_before(snapshot.place)):
            snapshot = None
        counted = (*tables, *map(foreign_name, tables)) if self._gets_all_hosts else tables
        return ExportProgress(cursor, counted), snapshot

    def _foreign(self, cursor: Cursor) -> str:
        if cursor.install != self._install:
            return "it is of another installation of the agent"
        return "" if cursor.identity == self.identity else "the sink of this name was another one (its kind or address has changed)"

    def commit(self, commit: Commit) -> None:
        """Write it, and wait for the disk."""
        self._file.write(commit.cursor)
        if commit.snapshot is not None:
            write_snapshot(self.folder, commit.snapshot)

    def close(self) -> None:
        """Give the descriptor back."""
        self._file.close()
