"""A tree of kernel files in memory, with errors by script and descriptors that are counted."""

import errno
import os
from collections.abc import Callable, Mapping, Sequence


class MemoryTree:
    """`agent.ports.KernelTree` over `{path: content}`; a path that ends in `/` is an empty directory.

    Directories are there as long as something lies in them. A descriptor stays with the file it was opened on: once that
    is removed, reading it answers ESRCH as `/proc` does, also when a new file has taken the path.
    """

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self._files: dict[str, _File] = {}
        self._directories: set[str] = set()
        self._failures: dict[str, int] = {}
        self._open: dict[int, tuple[str, _File]] = {}
        self._next_descriptor = 1000
        self.owners: dict[str, int] = {}
        # By the directories on which another file system is mounted; everything else is device 0.
        self.devices: dict[str, int] = {}
        # What clock_gettime(2) would give, by clock, in ns.
        self.clocks: dict[int, int] = {}
        self.calls: list[tuple[str, str]] = []
        # What `list_names` gives, where looking for it among very many files would take too long.
        self.listed: list[str] | None = None
        # Called when names have been listed and before they are given.
        self.on_listed: Callable[[], None] = lambda: None
        for path, content in (files or {}).items():
            self.put(path, content)

    # ---- for the test ------------------------------------------------------------------------------

    def put(self, path: str, content: bytes = b"") -> None:
        """Make a file, or change what is in it; a path that ends in `/` makes a directory."""
        name = _normal(path)
        if path.endswith("/"):
            self._directories.add(name)
        elif name in self._files:
            self._files[name].content = content
        else:
            self._files[name] = _File(content)

    def remove(self, path: str) -> None:
        """Remove a file, or a directory with everything in it."""
        name = _normal(path)
        for inner in [inner for inner in self._files if inner == name or inner.startswith(f"{name}/")]:
            self._files.pop(inner).is_gone = True
        self._directories = {inner for inner in self._directories if inner != name and not inner.startswith(f"{name}/")}

    def fail(self, path: str, code: int | None) -> None:
        """From now on everything on exactly this path answers with this errno; None: it works again."""
        if code is None:
            self._failures.pop(_normal(path), None)
        else:
            self._failures[_normal(path)] = code

    @property
    def open_descriptors(self) -> int:
        """How many descriptors were not given back."""
        return len(self._open)

    def path_of(self, word: str) -> str:
        """The path that a word of a side reader stands for: itself, or that of an open descriptor."""
        return self._opened(int(word))[0] if word.isdecimal() else word

    # ---- the port ----------------------------------------------------------------------------------

    def list_names(self, path: str = ".") -> list[str]:
        """The names in a directory."""
        names = list(self._children(path, "list_names") if self.listed is None else self.listed)
        self.on_listed()
        return names

    def list_directories(self, path: str = ".") -> list[str]:
        """The names of its sub-directories."""
        return [name for name, is_directory in self._children(path, "list_directories").items() if is_directory]

    def open(self, path: str) -> int:
        """A descriptor on a file."""
        name = self._checked(path, "open")
        if name not in self._files:
            raise _error(errno.EISDIR if self._is_directory(name) else errno.ENOENT, path)
        self._next_descriptor += 1
        self._open[self._next_descriptor] = name, self._files[name]
        return self._next_descriptor

    def read_open(self, descriptor: int, bytes_max: int, offset: int = 0) -> bytes:
        """The content from its beginning or from an offset."""
        path, file = self._opened(descriptor)
        self.calls.append(("read_open", path))
        if path in self._failures:
            raise _error(self._failures[path], path)
        if file.is_gone:
            raise _error(errno.ESRCH, path)
        return file.content[offset : offset + bytes_max]

    def read_clocks(self, clocks: Sequence[int]) -> list[int | None]:
        """The times set in `clocks`."""
        return [self.clocks.get(clock) for clock in clocks]

    def close(self, descriptor: int) -> None:
        """Give a descriptor back; twice is an error."""
        self._opened(descriptor)
        del self._open[descriptor]

    def read(self, path: str, bytes_max: int) -> bytes:
        """Open, read once, close."""
        descriptor = self.open(path)
        try:
            return self.read_open(descriptor, bytes_max)
        finally:
            self.close(descriptor)

    def owner(self, path: str) -> int:
        """The user id set in `owners`, 0 where none is; of a file or directory that is there."""
        self._check_is_there(path)
        return self.owners.get(path, 0)

    def device(self, path: str = ".") -> int:
        """The number set in `devices` for the path or the nearest directory above it."""
        self._check_is_there(path)
        parts = _normal(path).split("/")
        above = ("/".join(parts[:count]) for count in range(len(parts), 0, -1))
        return next((self.devices[name] for name in above if name in self.devices), 0)

    def _check_is_there(self, path: str) -> None:
        name = _normal(path)
        if (
            name
            and name not in self._directories
            and not any(known == name or known.startswith(f"{name}/") for known in self._files)
        ):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    # ---- inside ------------------------------------------------------------------------------------

    def _opened(self, descriptor: int) -> tuple[str, "_File"]:
        if descriptor not in self._open:
            raise _error(errno.EBADF, str(descriptor))
        return self._open[descriptor]

    def _checked(self, path: str, call: str) -> str:
        name = _normal(path)
        self.calls.append((call, name))
        if name in self._failures:
            raise _error(self._failures[name], path)
        return name

    def _is_directory(self, name: str) -> bool:
        return name in ("", *self._directories) or any(inner.startswith(f"{name}/") for inner in (*self._files, *self._directories))

    def _children(self, path: str, call: str) -> dict[str, bool]:
        """The names in a directory, and whether each is a directory itself."""
        name = self._checked(path, call)
        if not self._is_directory(name):
            raise _error(errno.ENOTDIR if name in self._files else errno.ENOENT, path)
        prefix = f"{name}/" if name else ""
        found: dict[str, bool] = {}
        for inner in (*self._files, *self._directories):
            if inner.startswith(prefix) and inner != name:
                child, slash, _ = inner[len(prefix) :].partition("/")
                found[child] = found.get(child, False) or bool(slash) or inner in self._directories
        return found


class _File:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.is_gone = False


def _normal(path: str) -> str:
    assert not path.startswith("/"), f"{path}: paths are relative to the root of the tree"
    parts = [part for part in path.split("/") if part not in ("", ".")]
    assert ".." not in parts, f"{path}: paths never leave the tree"
    return "/".join(parts)


def _error(code: int, path: str) -> OSError:
    return OSError(code, os.strerror(code), path)
