"""The keeper's folder: a record and an output file for each workload. Records are written whole and synced, or not at all.

Everything is reached from the open folder and through no symbolic link. What is no record of ours is set aside and told.
"""

import fcntl
import os
import stat
from contextlib import suppress
from errno import ELOOP

import msgspec

from agent.failpoint import failpoint
from agent.kernel_file import read_to_end
from agent.model.foreign import readable
from workers.keeper.protocol import LINE_BYTES_MAX, WorkloadRecord
from workers.keeper.refusal import WorkloadRefused
from workers.keeper.spec_check import check_name

RECORD_SUFFIX = ".json"
OUTPUT_SUFFIX = ".out"
_NEW_SUFFIX = ".json.new"
_ASIDE_SUFFIX = ".damaged"
# A record has its order in it, and the kernel's few numbers.
RECORD_BYTES_MAX = LINE_BYTES_MAX + (1 << 20)
# More names than that are no workloads of ours.
NAMES_MAX = 100_000
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


class WorkloadFolder:
    """`<state>/workloads`, made where it is missing. *Raises:* OSError."""

    def __init__(self, path: str) -> None:
        self.path = path
        os.makedirs(path, mode=0o700, exist_ok=True)
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def lock(self) -> bool:
        """Be the only keeper of this folder, until this process ends. The folder itself is locked: no file of it can be removed
        from under the lock."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def is_there(self) -> bool:
        """Whether the path still leads here; if not, another keeper may have another folder of the same name."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.descriptor))
        except OSError:
            return False

    def read_all(self) -> tuple[dict[str, WorkloadRecord], list[str]]:
        """Every record by name, and a sentence on each that was set aside. *Raises:* OSError when the folder cannot be read."""
        records: dict[str, WorkloadRecord] = {}
        notes = []
        for name in sorted(os.listdir(self.descriptor))[:NAMES_MAX]:
            if name.endswith(_NEW_SUFFIX):
                # Of a keeper that was killed while it wrote.
                with suppress(OSError):
                    os.unlink(name, dir_fd=self.descriptor)
            elif name.endswith(RECORD_SUFFIX):
                found = self._read(name)
                if isinstance(found, str):
                    notes.append(self._set_aside(name, found))
                else:
                    records[found.spec.name] = found
        return records, notes

    def write(self, record: WorkloadRecord, *, synced: bool = True) -> None:
        """Put this record in the place of the one before. *Raises:* OSError; then that one is still there."""
        name = record.spec.name
        temporary = name + _NEW_SUFFIX
        try:
            failpoint("keeper.record")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAGS, 0o600, dir_fd=self.descriptor)
            try:
                left = memoryview(msgspec.json.encode(record))
                while left:
                    left = left[os.write(descriptor, left) :]
                if synced:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(temporary, name + RECORD_SUFFIX, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=self.descriptor)
            raise
        if synced:
            os.fsync(self.descriptor)

    def sync(self, name: str) -> None:
        """Sync a record that was written without. *Raises:* OSError."""
        descriptor = os.open(name + RECORD_SUFFIX, os.O_RDONLY | _FLAGS, dir_fd=self.descriptor)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.fsync(self.descriptor)

    def remove(self, name: str) -> None:
        """Remove record and output, those that are there. *Raises:* OSError."""
        for suffix in (OUTPUT_SUFFIX, RECORD_SUFFIX):
            with suppress(FileNotFoundError):
                os.unlink(name + suffix, dir_fd=self.descriptor)

    def output_path(self, name: str) -> str:
        """Where its output is, for people."""
        return os.path.join(self.path, name + OUTPUT_SUFFIX)

    def open_output(self, name: str) -> int:
        """Its output file to append to, made where there is none. *Raises:* OSError; ELOOP for what is no plain file."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | _FLAGS
        descriptor = os.open(name + OUTPUT_SUFFIX, flags, 0o600, dir_fd=self.descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(ELOOP, "it is no plain file", self.output_path(name))
        os.set_blocking(descriptor, True)
        return descriptor

    def _read(self, file: str) -> WorkloadRecord | str:
        """The record, or what is wrong with the file."""
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | _FLAGS, dir_fd=self.descriptor)
        except OSError as cause:
            return "it is a symbolic link" if cause.errno == ELOOP else f"it cannot be read: {cause.strerror}"
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return "it is no plain file"
            if status.st_uid != os.geteuid():
                return f"it is of user {status.st_uid}"
            data = read_to_end(descriptor, RECORD_BYTES_MAX + 1)
        except OSError as cause:
            return f"it cannot be read: {cause.strerror}"
        finally:
            os.close(descriptor)
        return _decoded(data, file.removesuffix(RECORD_SUFFIX))

    def _set_aside(self, file: str, why: str) -> str:
        shown = readable(os.path.join(self.path, file))
        try:
            os.rename(file, file + _ASIDE_SUFFIX, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except OSError as cause:
            return f"{shown} is no record ({why}) and cannot be set aside: {cause.strerror}"
        return f"{shown} is no record ({why}); it is now {readable(file)}{_ASIDE_SUFFIX}"


def _decoded(data: bytes, name: str) -> WorkloadRecord | str:
    if len(data) > RECORD_BYTES_MAX:
        return f"it is larger than {RECORD_BYTES_MAX} bytes"
    try:
        record = msgspec.json.decode(data, type=WorkloadRecord)
        check_name(record.spec.name)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        return readable(str(cause), 200)
    except WorkloadRefused as refused:
        return refused.sentence
    return record if record.spec.name == name else f"it is of workload {record.spec.name}"
