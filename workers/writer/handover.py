"""Opens to the reader group what was stored before there was one, a bounded piece at a time.

A folder of files is opened last, when all that lies in it is: an open one is done with, also after a kill, so that later
starts look at the folders alone. A folder that is made again is opened at once (`workers.writer.folder`).
"""

import os
from collections.abc import Iterator
from contextlib import suppress

from agent import reader_group
from agent.store.layout import DATA_FOLDER, SPOOL_FOLDER
from workers.writer.folder import opened_folder
from workers.writer.readers import ReaderGroup

# One piece takes some milliseconds, so that the writer's other work comes to its turn.
PIECE_ENTRIES = 256
# More than ten tables give in some years.
ENTRIES_MAX = 1_000_000


class Handover:
    """`advance` does the next piece until nothing `is_left`."""

    def __init__(self, state_directory: str, readers: ReaderGroup) -> None:
        self._state_directory = state_directory
        self._readers = readers
        self._steps = self._hand_over() if readers.gid is not None else iter(())
        self._taken = 0
        self.is_left = readers.gid is not None

    def advance(self) -> None:
        """Look at some more entries."""
        for _ in range(PIECE_ENTRIES):
            if self._taken >= ENTRIES_MAX or next(self._steps, self) is self:
                self.close()
                return
            self._taken += 1

    def close(self) -> None:
        """Give the open folders back; what is left is done by the next writer."""
        self.is_left = False
        self._steps = iter(())

    def _hand_over(self) -> Iterator[None]:
        """One step for each entry. Links and files of others are left alone; for the two folders this is reported."""
        spool = os.path.join(self._state_directory, SPOOL_FOLDER)
        yield from self._files(spool, ".spool")
        self._readers.share_folder(spool)
        data = os.path.join(self._state_directory, DATA_FOLDER)
        for table in _names(data):
            for date in _names(os.path.join(data, table)) if not table.startswith(".") else ():
                if date.startswith("date="):
                    yield from self._files(os.path.join(data, table, date), ".parquet")
            if not table.startswith("."):
                self._open(os.path.join(data, table))
        self._readers.share_folder(data)

    def _files(self, folder: str, ending: str) -> Iterator[None]:
        yield
        with suppress(OSError), opened_folder(folder) as descriptor:
            status = os.fstat(descriptor)
            if status.st_uid != os.geteuid() or self._is_open(status):
                return
            for name in os.listdir(descriptor):
                if name.endswith(ending):
                    self._file(name, folder, descriptor)
                yield
        self._open(folder)

    def _file(self, name: str, folder: str, parent: int) -> None:
        # O_NONBLOCK: a named pipe would wait for its other end.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with suppress(OSError):
            descriptor = os.open(name, flags, dir_fd=parent)
            try:
                if reader_group.is_own_file(descriptor):
                    self._readers.share_file(descriptor, os.path.join(folder, name))
            finally:
                os.close(descriptor)

    def _open(self, folder: str) -> None:
        # One that has gone, or is a link or a stranger's, is left alone.
        with suppress(OSError), opened_folder(folder) as descriptor:
            status = os.fstat(descriptor)
            if status.st_uid == os.geteuid() and not self._is_open(status):
                self._readers.share_folder(folder)

    def _is_open(self, status: os.stat_result) -> bool:
        return self._readers.gid is not None and reader_group.is_open_to(status, self._readers.gid, reader_group.FOLDER_MODE)


def _names(folder: str) -> list[str]:
    """What lies in a folder that is no link; nothing in one that is not there."""
    with suppress(OSError), opened_folder(folder) as descriptor:
        return sorted(os.listdir(descriptor), reverse=True)
    return []
