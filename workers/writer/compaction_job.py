"""The working folder of one compaction, its exchange with the day's folder, and what a killed one left.

    <state>/compacting/<table>@date=YYYY-MM-DD/day/           the folder that takes the place of the day's folder
    <state>/compacting/<table>@date=YYYY-MM-DD/sources.json   written before the exchange: what may be removed after it

It lies outside the data folder, so that no pattern over the data meets it. Before the exchange `day` holds the new file and
the sources are where they were; after it the new file is in its place and `day` holds the sources. So a job that was killed
at any step is undone or finished by looking which of the two `day` holds.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from stat import S_IMODE, S_ISDIR

import msgspec
from msgspec import Struct

from agent.exchange import exchange, why_impossible
from agent.failpoint import failpoint
from agent.model.errors import StorageError
from agent.model.foreign import readable
from agent.store.layout import COMPACTING_FOLDER, DATA_FOLDER, parse_date_folder
from workers.writer.folder import make_folder, opened_folder, storage_error, sync_folder
from workers.writer.readers import ReaderGroup

_DAY = "day"
_LIST = "sources.json"
# 20,000 names of some 100 bytes.
_LIST_BYTES_MAX = 8 << 20
# A program that has opened the day's folder and not listed it yet would find nothing once the sources have gone, and take that for
# a day without rows. No program is known that waits in between; so long it may be kept from the processor. The pauses are many
# and short, so that a moment in which the whole machine stands still ends one of them and not all.
LISTING_PAUSES = 20
LISTING_PAUSE_SECONDS = 0.05
# A killed writer leaves one job; more come from hands.
JOBS_MAX = 64


class SourceList(Struct, frozen=True):
    """What an exchange leaves in the working folder: the name of the new file, and those that it was made of."""

    compacted: str
    names: tuple[str, ...]


class Job:
    """The working folder of one date of a table."""

    def __init__(self, state_directory: str, table: str, folder: str, pause: Callable[[float], None] = time.sleep) -> None:
        self._pause = pause
        self.root = os.path.join(state_directory, COMPACTING_FOLDER)
        self.path = os.path.join(self.root, f"{table}@{folder}")
        self.day = os.path.join(self.path, _DAY)
        self.live = os.path.join(state_directory, DATA_FOLDER, table, folder)

    def prepare(self, readers: ReaderGroup) -> None:
        """Make the working folder, empty. *Raises:* StorageError, also where an exchange can never work."""
        make_folder(self.root)
        make_folder(self.path)
        self._check_exchange()
        try:
            os.mkdir(self.day, 0o700)
        except FileExistsError as cause:
            # What an earlier one could not remove would come into the day's place beside the new file, and so would what a link
            # leads to.
            raise StorageError(readable(self.day), "what an earlier compaction left cannot be removed", "remove it") from cause
        except OSError as cause:
            raise storage_error(self.day, cause) from cause
        with suppress(OSError):
            # As it was, where somebody has opened it to others than the reader group.
            found = os.stat(self.live)
            os.chown(self.day, -1, found.st_gid)
            os.chmod(self.day, S_IMODE(found.st_mode))
        readers.share_folder(self.day)

    def _check_exchange(self) -> None:
        """Try it on two empty folders, before any work is done for nothing."""
        probes = [os.path.join(self.path, name) for name in ("probe-1", "probe-2")]
        try:
            for probe in probes:
                os.mkdir(probe, 0o700)
            exchange(*probes)
            is_elsewhere = os.stat(self.root).st_dev != os.stat(os.path.dirname(self.live)).st_dev
        except OSError as cause:
            raise self._failure(cause) from cause
        finally:
            for probe in probes:
                with suppress(FileNotFoundError):
                    os.rmdir(probe)
        if is_elsewhere:
            raise _impossible(self.root, "it lies on another file system than the data")

    def take_place(self, sources: SourceList) -> None:
        """Put the new folder in the day's place, in one step. *Raises:* StorageError, and then nothing is different."""
        try:
            sync_folder(self.day)
            self._write_list(sources)
            if sorted(os.listdir(self.live)) != sorted(sources.names):
                raise StorageError(readable(self.live), "its files have changed meanwhile", "it is compacted later")
            failpoint("compactor.before_exchange")
            exchange(self.day, self.live)
        except OSError as cause:
            raise self._failure(cause) from cause
        failpoint("compactor.exchanged")

    def finish(self) -> list[StorageError]:
        """After the exchange, also one by a process that was killed: remove the sources; what could not be removed.

        Whatever else lies beside them came between the last look and the exchange: it goes back to where it was put.
        *Raises:* StorageError when it is not certain that the exchange is on the disk; then nothing is removed.
        """
        sources = self._read_list()
        assert sources is not None
        try:
            sync_folder(os.path.dirname(self.live))
            sync_folder(self.path)
        except OSError as cause:
            raise storage_error(self.live, cause) from cause
        failpoint("compactor.synced")
        for _ in range(LISTING_PAUSES):
            self._pause(LISTING_PAUSE_SECONDS)
        left: list[StorageError] = []
        ours = {*sources.names, sources.compacted}
        for name in _names(self.day):
            path = os.path.join(self.day, name)
            with _gathering(path, left):
                if name in ours:
                    os.unlink(path)
                    failpoint("compactor.source_removed")
                else:
                    _move_back(path, os.path.join(self.live, name))
        left += self._remove_folders()
        return left

    def undo(self) -> list[StorageError]:
        """Before the exchange: remove what was made; what could not be removed."""
        left: list[StorageError] = []
        for name in _names(self.day):
            with _gathering(os.path.join(self.day, name), left):
                os.unlink(os.path.join(self.day, name))
        return left + self._remove_folders()

    def clean(self) -> list[StorageError]:
        """Finish or undo what another process began; what could not be removed. *Raises:* StorageError."""
        return self.finish() if self.is_exchanged else self.undo()

    @property
    def is_exchanged(self) -> bool:
        """Whether the working folder holds the sources: the exchange took place."""
        sources = self._read_list()
        return sources is not None and sources.compacted not in _names(self.day)

    def _remove_folders(self) -> list[StorageError]:
        left: list[StorageError] = []
        # The list goes after the sources: as long as one is left it says what may be removed.
        with _gathering(self.path, left):
            if os.path.isdir(self.day):
                os.rmdir(self.day)
            failpoint("compactor.folder_removed")
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(self.path, _LIST))
            for name in _names(self.path):
                # The two probes and an unfinished list.
                path = os.path.join(self.path, name)
                os.rmdir(path) if os.path.isdir(path) else os.unlink(path)
            os.rmdir(self.path)
        return left

    def _write_list(self, sources: SourceList) -> None:
        path = os.path.join(self.path, _LIST)
        unfinished = f"{path}.new"
        with open(unfinished, "wb") as file:
            file.write(msgspec.json.encode(sources))
            file.flush()
            os.fsync(file.fileno())
        os.rename(unfinished, path)
        sync_folder(self.path)
        failpoint("compactor.listed")

    def _read_list(self) -> SourceList | None:
        try:
            with open(os.path.join(self.path, _LIST), "rb") as file:
                return msgspec.json.decode(file.read(_LIST_BYTES_MAX), type=SourceList)
        except (OSError, msgspec.DecodeError):
            # It gets its name when it is whole: without one there was no exchange.
            return None

    def _failure(self, cause: OSError) -> StorageError:
        reason = why_impossible(cause)
        return storage_error(self.path, cause) if reason is None else _impossible(self.root, reason)


def left_jobs(state_directory: str) -> Iterator[Job]:
    """The jobs that a killed process has left, some of them where there are many."""
    root = os.path.join(state_directory, COMPACTING_FOLDER)
    for name in _names(root)[:JOBS_MAX]:
        table, _, folder = name.rpartition("@")
        with suppress(OSError):
            if table and parse_date_folder(folder) is not None and S_ISDIR(os.lstat(os.path.join(root, name)).st_mode):
                yield Job(state_directory, table, folder)


def clean_left_jobs(state_directory: str) -> list[StorageError]:
    """Finish or undo what a killed process has left; what could not be removed, which is in nobody's way. *Raises:* nothing."""
    left: list[StorageError] = []
    for job in left_jobs(state_directory):
        try:
            left += job.clean()
        except StorageError as failure:
            left.append(failure)
    return left


def _impossible(path: str, reason: str) -> StorageError:
    return ImpossibleError(readable(path), reason, "let it and the data be on one file system that can (ext4, XFS, Btrfs, tmpfs)")


class ImpossibleError(StorageError):
    """Nothing can be compacted here, however often it is tried."""


def _names(path: str) -> Sequence[str]:
    """What lies in a folder that is no link; nothing where there is none."""
    with suppress(OSError), opened_folder(path) as descriptor:
        return sorted(os.listdir(descriptor))
    return ()


def _move_back(path: str, target: str) -> None:
    """Give a file its place again, unless something has taken it. *Raises:* OSError."""
    # The quota may have taken the whole day away.
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    if os.path.lexists(target):
        raise FileExistsError(17, "a file of the same name is there", target)
    os.rename(path, target)


@contextmanager
def _gathering(path: str, left: list[StorageError]) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        return
    except OSError as cause:
        left.append(storage_error(path, cause))
