"""A resctrl tree of plain files in a folder of the test, with failures by script and the kernel's word on removed files."""

import errno
import os
import shutil
from pathlib import Path

VALUES = {"llc_occupancy": 123, "mbm_total_bytes": 1000, "mbm_local_bytes": 600}


class ResctrlFolder:
    """`workers.resctrl.ports.Filesystem` as far as readers use it; `mount` is what `mount_id` tells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mount: int | None = 1
        self.descriptors: dict[int, str] = {}
        self.descriptors_max = 1 << 30
        self.calls: list[tuple[str, str]] = []
        self._failures: dict[str, int] = {}
        (folder / "mon_data").mkdir(parents=True)
        self.emulated = False

    # ---- for the test ------------------------------------------------------------------------------

    @property
    def root(self) -> str:
        """The absolute path."""
        return str(self.folder)

    def make_group(self, path: str, domains: tuple[int, ...] = (0, 1), **values: int) -> str:
        """A group with the usual files; gives its absolute path."""
        for domain in domains:
            self.put(f"{path}/mon_data/mon_L3_{domain:02d}", **{**VALUES, **values})
        return f"{self.root}/{path}"

    def put(self, directory: str, **values: int | str | bytes) -> None:
        """Event files of one domain, as the kernel writes numbers and words; bytes as they are."""
        (self.folder / directory).mkdir(parents=True, exist_ok=True)
        for event, value in values.items():
            (self.folder / directory / event).write_bytes(value if isinstance(value, bytes) else f"{value}\n".encode())

    def remove(self, path: str) -> None:
        """A directory, or one file."""
        if (self.folder / path).is_dir():
            shutil.rmtree(self.folder / path)
        else:
            (self.folder / path).unlink()

    def fail(self, path: str, code: int | None) -> None:
        """From now on opening, reading and listing of exactly this path answers with this errno; None: it works again."""
        if code is None:
            self._failures.pop(path, None)
        else:
            self._failures[path] = code

    # ---- the port ----------------------------------------------------------------------------------

    @property
    def is_emulated(self) -> bool:
        """As the test says."""
        return self.emulated

    def mount_id(self) -> int | None:
        return self.mount

    def list_directories(self, path: str) -> list[str]:
        self._check("list_directories", path)
        return [entry.name for entry in os.scandir(self.folder / path) if entry.is_dir()]

    def open(self, path: str) -> int:
        self._check("open", path)
        if len(self.descriptors) >= self.descriptors_max:
            raise _error(errno.EMFILE, path)
        descriptor = os.open(self.folder / path, os.O_RDONLY | os.O_CLOEXEC)
        self.descriptors[descriptor] = path
        return descriptor

    def read_open(self, descriptor: int, bytes_max: int) -> bytes:
        path = self.descriptors[descriptor]
        self._check("read_open", path)
        if os.fstat(descriptor).st_nlink == 0:
            raise _error(errno.ENODEV, path)
        return os.pread(descriptor, bytes_max, 0)

    def close(self, descriptor: int) -> None:
        del self.descriptors[descriptor]
        os.close(descriptor)

    def read(self, path: str, bytes_max: int = 1 << 20) -> bytes:
        # One more than may be kept is needed for a moment.
        descriptor = self.open(path)
        try:
            return self.read_open(descriptor, bytes_max)
        finally:
            self.close(descriptor)

    def _check(self, call: str, path: str) -> None:
        self.calls.append((call, path))
        if path in self._failures:
            raise _error(self._failures[path], path)


def _error(code: int, path: str) -> OSError:
    return OSError(code, os.strerror(code), path)
