"""The folder of damaged segments: kept for a person to examine, within limits, and always reported."""

import os
from stat import S_ISREG

from msgspec import Struct

from agent.model.errors import StorageError
from agent.model.foreign import readable
from agent.model.message import Note
from agent.ports import Bus
from agent.setting import MIB
from agent.store.segment import in_order, is_set_aside_name
from workers.framework.condition import Conditions
from workers.writer.folder import make_folder, storage_error

# A disk that damages a segment every hour is known after some days of them.
FILES_MAX = 100
BYTES_MAX = 256 * MIB
# Of the storage quota, damaged files take no more than this part: measured data is worth more.
QUOTA_PART = 4
_SAME_NAMES_MAX = 1000
_KIND = "set_aside"


class AsideFile(Struct, frozen=True):
    """One file that the writer set aside."""

    name: str
    size_bytes: int


def surplus(files: list[AsideFile], bytes_max: int, files_max: int = FILES_MAX) -> list[AsideFile]:
    """The oldest, of `files` in their order, that go so that the rest is within both limits; the newest always stays."""
    held = sum(file.size_bytes for file in files)
    gone: list[AsideFile] = []
    for file in files[:-1]:
        if held <= bytes_max and len(files) - len(gone) <= files_max:
            break
        gone.append(file)
        held -= file.size_bytes
    return gone


class SetAside:
    """The folder itself."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def take(self, path: str) -> str:
        """Move a file to where a person finds it and nothing overwrites it; its new path. *Raises:* StorageError."""
        # Somebody may have cleared the folder away.
        make_folder(self.directory)
        name = os.path.basename(path)
        for attempt in range(_SAME_NAMES_MAX):
            target = os.path.join(self.directory, name if attempt == 0 else f"{name}.{attempt}")
            if os.path.lexists(target):
                continue
            try:
                os.rename(path, target)
            except OSError as cause:
                raise storage_error(path, cause) from cause
            return target
        raise StorageError(self.directory, f"holds {_SAME_NAMES_MAX} files named {readable(name)}", "remove some of them")

    def files(self) -> list[AsideFile]:
        """What the writer set aside, the oldest first; other names and kinds of files are none of it. *Raises:* StorageError."""
        sizes: dict[str, int] = {}
        try:
            with os.scandir(self.directory) as entries:
                for entry in entries:
                    if is_set_aside_name(entry.name) and S_ISREG((found := entry.stat(follow_symlinks=False)).st_mode):
                        sizes[entry.name] = found.st_size
        except FileNotFoundError:
            pass  # Somebody cleared it away, all of it or one of its files meanwhile.
        except OSError as cause:
            raise storage_error(self.directory, cause) from cause
        return [AsideFile(name, sizes[name]) for name in in_order(sizes)]

    def remove(self, name: str) -> None:
        """*Raises:* StorageError."""
        path = os.path.join(self.directory, name)
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as cause:
            raise storage_error(path, cause) from cause


class AsideKeeper:
    """Keeps the folder within its limits, and reports its content as long as it is not empty."""

    def __init__(self, folder: SetAside, bus: Bus, limit_bytes: int) -> None:
        self._folder = folder
        self._bus = bus
        self._bytes_max = min(BYTES_MAX, limit_bytes // QUOTA_PART) if limit_bytes else BYTES_MAX
        self._files = self._bytes = self._removed = 0
        self._conditions = Conditions(bus)

    @property
    def is_holding(self) -> bool:
        """Whether the folder holds something, or cannot be read."""
        return _KIND in self._conditions

    def stats(self) -> dict[str, int]:
        """The content of the folder, and how many files were removed because there were too many."""
        return {"set_aside_files": self._files, "set_aside_bytes": self._bytes, "set_aside_removed_files": self._removed}

    def keep(self) -> None:
        """Look, remove what is too much, and tell."""
        problem = ""
        files: list[AsideFile] = []
        try:
            files = self._folder.files()
            files = self._without_surplus(files)
        except StorageError as failure:
            problem = f"; {failure.sentence}"
        self._files, self._bytes = len(files), sum(file.size_bytes for file in files)
        detail = ""
        if files:
            what = "damaged spool file lies" if len(files) == 1 else "damaged spool files lie"
            detail = (
                f"{self._folder.directory}: {len(files)} {what} there ({self._bytes / MIB:.1f}MiB), whose whole records are in the "
                "sealed data; keep a copy for a report if you like, then remove them"
            )
        self._conditions.tell(_KIND, detail + problem if detail else problem.removeprefix("; "))

    def _without_surplus(self, files: list[AsideFile]) -> list[AsideFile]:
        gone = surplus(files, self._bytes_max)
        for file in gone:
            self._folder.remove(file.name)
            self._removed += 1
            fields: dict[str, str | int | float | bool | None] = {"file": file.name, "bytes": file.size_bytes}
            self._bus.note(Note(kind="set_aside_removed", severity="warning", fields=fields))
        return files[len(gone) :]
