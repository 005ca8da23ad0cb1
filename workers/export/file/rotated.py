"""Files in one folder that grow, are rotated by size and age, and have each delivery once, whatever was killed when.

What a file had after the last delivery stands in a small record that is replaced and forced to the disk after the data: bytes that
are behind that length belong to a delivery that was not acknowledged, and are cut off before the next one is written.
"""

import errno
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress

import msgspec
from msgspec import Struct

from agent.model.errors import StorageError
from workers.export.sink import Later, Paused

RECORD, RECORD_FORMAT = "delivered.json", 1
FOLDER_MODE, FILE_MODE = 0o750, 0o640
# The ending of a file's name until its first delivery was acknowledged.
UNACKNOWLEDGED = ".tmp"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_IN_THE_WAY = (errno.ELOOP, errno.EISDIR, errno.ENXIO)
_NEEDS_A_PERSON = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENOENT,
    errno.EISDIR,
    errno.ENAMETOOLONG,
)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class OpenedFile(Struct, frozen=True):
    """The file of one stream as the last delivery left it. `key`: of what form its content is; another form begins another file."""

    name: str
    number: int
    length: int
    created_ns: int
    key: str = ""


class DeliveredRecord(Struct, frozen=True):
    """What was delivered: the place behind its last batch, and every stream's file. `owner`: see `FileRules`."""

    format: int = RECORD_FORMAT
    segment: str = ""
    offset: int = 0
    files: dict[str, OpenedFile] = {}
    owner: str = ""


class Piece(Struct, frozen=True):
    """What one delivery adds to one stream. `head`: what a file of this `key` begins with."""

    stream: str
    data: bytes
    head: bytes = b""
    key: str = ""


class FileRules(Struct, frozen=True):
    """Where the files are, what they are called, and when another one begins.

    `finish` is called for each file that nothing more is added to, with the folder's descriptor and its name. `owner`: whose rows
    these are and where they go; what was delivered for another says nothing about them.
    """

    path: str
    prefix: str
    ending: str
    rotate_bytes: int
    rotate_ns: int
    keep_files: int
    finish: Callable[[int, str], None] | None = None
    owner: str = ""


class RotatedFiles:
    """The files of one sink. Only one thread may use it at a time."""

    def __init__(self, rules: FileRules, state_folder: str, wall_ns: Callable[[], int], warn: Callable[[str], None]) -> None:
        self._rules = rules
        self._state_folder = state_folder
        self._wall_ns = wall_ns
        self._warn = warn
        self.record = self._read_record()

    def deliver(self, pieces: list[Piece], segment: str, offset: int) -> Later | Paused | None:
        """Add all pieces, or none; `segment`, `offset`: the place behind them. None: they are on the disk."""
        try:
            folder = self._folder()
        except OSError as cause:
            return self._verdict(cause)
        try:
            return self._deliver(folder, pieces, segment, offset)
        finally:
            os.close(folder)

    def probe(self) -> Later | Paused | None:
        """Whether the folder can be used; None: it can."""
        try:
            os.close(self._folder())
        except OSError as cause:
            return self._verdict(cause)
        return None

    def _deliver(self, folder: int, pieces: list[Piece], segment: str, offset: int) -> Later | Paused | None:
        files = dict(self.record.files)
        begun: list[str] = []
        try:
            for piece in pieces:
                files[piece.stream] = self._add(folder, files.get(piece.stream), piece, begun)
            record = DeliveredRecord(RECORD_FORMAT, segment, offset, files, self._rules.owner)
            self._write_record(record)
        except OSError as cause:
            # What was written stays behind the recorded lengths; here it gives its room back at once.
            self._cut_back(folder, begun)
            return self._verdict(cause)
        self.record = record
        try:
            for name in begun:
                os.rename(name + UNACKNOWLEDGED, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
            self._tidy(folder)
        except OSError as cause:
            # The rows are there, and the next delivery finds the file by both names.
            self._warn(f"{self._rules.path} cannot be tidied ({cause.strerror})")
        return None

    def _add(self, folder: int, file: OpenedFile | None, piece: Piece, begun: list[str]) -> OpenedFile:
        """The file after the piece. *Raises:* OSError."""
        if file is not None and (descriptor := self._opened(folder, file)) is not None:
            if not self._is_full(file, piece):
                return self._append(descriptor, file, piece.data)
            try:
                os.ftruncate(descriptor, file.length)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        # A file that a killed delivery has begun is not counted: this one is written over it.
        there = (
            number for stream, number, name in self._listed(folder) if stream == piece.stream and not name.endswith(UNACKNOWLEDGED)
        )
        number = 1 + max(there, default=0)
        return self._begin(folder, piece, max(number, file.number + 1 if file is not None else 0), begun)

    def _append(self, descriptor: int, file: OpenedFile, data: bytes) -> OpenedFile:
        try:
            os.ftruncate(descriptor, file.length)
            _write_at(descriptor, data, file.length)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return OpenedFile(file.name, file.number, file.length + len(data), file.created_ns, file.key)

    def _begin(self, folder: int, piece: Piece, number: int, begun: list[str]) -> OpenedFile:
        rules = self._rules
        name = f"{rules.prefix}-{piece.stream}-{number:08}{rules.ending}"
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(name + UNACKNOWLEDGED, flags, FILE_MODE, dir_fd=folder)
        except OSError as cause:
            raise (OSError(errno.EEXIST, name + UNACKNOWLEDGED) if cause.errno in _IN_THE_WAY else cause) from cause
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EEXIST, name + UNACKNOWLEDGED)
        begun.append(name)
        return self._append(descriptor, OpenedFile(name, number, 0, self._wall_ns(), piece.key), piece.head + piece.data)

    def _opened(self, folder: int, file: OpenedFile) -> int | None:
        """None: it is not what the last delivery left, so that another one is begun."""
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        # The second name: it was begun by this delivery, or the process ended before it had its name.
        for name in (file.name, file.name + UNACKNOWLEDGED):
            try:
                descriptor = os.open(name, flags, dir_fd=folder)
            except FileNotFoundError:
                continue
            found = os.fstat(descriptor)
            if stat.S_ISREG(found.st_mode) and found.st_size >= file.length:
                if name != file.name and file in self.record.files.values():
                    # It was acknowledged, and the process ended before the file had its name.
                    os.rename(name, file.name, src_dir_fd=folder, dst_dir_fd=folder)
                return descriptor
            os.close(descriptor)
            self._warn(f"{name} is shorter than what was delivered: somebody changed it; another file is begun")
            return None
        self._warn(f"{file.name} was removed by somebody before it was rotated; another file is begun")
        return None

    def _is_full(self, file: OpenedFile, piece: Piece) -> bool:
        rules = self._rules
        age_ns = self._wall_ns() - file.created_ns
        # A clock that was set back makes an age negative, which is no reason for another file.
        return file.key != piece.key or file.length + len(piece.data) > rules.rotate_bytes or age_ns >= rules.rotate_ns

    def _cut_back(self, folder: int, begun: list[str]) -> None:
        for name in begun:
            with suppress(OSError):
                os.unlink(name + UNACKNOWLEDGED, dir_fd=folder)
        for file in self.record.files.values():
            with suppress(OSError):
                descriptor = os.open(file.name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
                try:
                    if os.fstat(descriptor).st_size > file.length:
                        os.ftruncate(descriptor, file.length)
                finally:
                    os.close(descriptor)

    def _tidy(self, folder: int) -> None:
        """Finish what nothing is added to any more, and remove the oldest. *Raises:* OSError."""
        for stream, number, name in self._listed(folder):
            newest = self.record.files.get(stream)
            if newest is None:
                continue
            if number <= newest.number - self._rules.keep_files:
                os.unlink(name, dir_fd=folder)
            elif number < newest.number and self._rules.finish is not None and name.endswith(self._rules.ending):
                self._rules.finish(folder, name)

    def _listed(self, folder: int) -> list[tuple[str, int, str]]:
        """Our files: stream, number and name, in the order of the names."""
        ours = re.compile(rf"{re.escape(self._rules.prefix)}-([a-z_]+)-([0-9]{{8}})\.[a-z.]+")
        found = [(match, name) for name in sorted(os.listdir(folder)) if (match := ours.fullmatch(name)) is not None]
        return [(match[1], int(match[2]), name) for match, name in found]

    def _folder(self) -> int:
        """A descriptor of the folder, made where only it is missing. *Raises:* OSError."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(self._rules.path, flags)
        except FileNotFoundError:
            os.mkdir(self._rules.path, FOLDER_MODE)
            return os.open(self._rules.path, flags)

    def _verdict(self, cause: OSError) -> Later | Paused:
        path, code = self._rules.path, cause.errno
        if code in _FULL:
            return Later(f"the disk of {path} is full ({cause.strerror}); make room there, or set keep_files or rotate_bytes lower")
        if code == errno.EEXIST:
            return Paused(f"{path}: {cause.strerror} is in the way and no file; remove it")
        if code in (errno.ENOTDIR, errno.ELOOP):
            return Paused(f"{path} is no folder; name one in `path`, and no symbolic link")
        if code in _NEEDS_A_PERSON:
            return Paused(f"{path} cannot be written ({cause.strerror}); let the agent's user write there, or name another folder")
        return Later(f"{path} cannot be written ({cause.strerror})")

    def _read_record(self) -> DeliveredRecord:
        try:
            with open(os.path.join(self._state_folder, RECORD), "rb") as file:
                found = msgspec.json.decode(file.read(), type=DeliveredRecord)
        except FileNotFoundError:
            return DeliveredRecord(owner=self._rules.owner)
        except (OSError, msgspec.DecodeError) as cause:
            raise StorageError(
                RECORD, f"what was delivered cannot be read ({cause})", "remove it; rows may then be twice"
            ) from cause
        if found.format != RECORD_FORMAT:
            raise StorageError(RECORD, f"format {found.format} is not known to this version", "remove it; rows may then be twice")
        # A folder of state that was copied, or another `path`: places in the spool of there would hide rows of here.
        return found if found.owner == self._rules.owner else DeliveredRecord(owner=self._rules.owner)

    def _write_record(self, record: DeliveredRecord) -> None:
        path = os.path.join(self._state_folder, RECORD)
        descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_at(descriptor, msgspec.json.encode(record), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(f"{path}.new", path)
        folder = os.open(self._state_folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def safe_name(text: str) -> str:
    """A text as a part of a file's name."""
    return _UNSAFE.sub("_", text)[:100].lstrip(".") or "_"


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
