"""What the library needs of the world. PURE protocols; `filesystem` has the real one, tests have others."""

from typing import Protocol


class RootLock(Protocol):
    """The flock of a mount's root directory, which those who change groups hold."""

    @property
    def root(self) -> str:
        """The absolute path of the mount point, as it stands in rows and sentences."""
        ...

    def try_lock(self) -> bool:
        """Take the lock for changing (LOCK_EX, without waiting); False: another program holds it. *Raises:* OSError."""
        ...

    def unlock(self) -> None:
        """Give the lock back; without one nothing happens."""
        ...


class FileReader(Protocol):
    """The reading half of a mount. Paths are relative to its root (`""` is the root itself) and never leave it.

    *Raises:* every method OSError with the kernel's errno, untranslated.
    """

    @property
    def root(self) -> str:
        """The absolute path of the mount point, as it stands in rows and sentences."""
        ...

    def mount_id(self) -> int | None:
        """What tells one mount from another mounted here later; None: nothing of type resctrl is mounted here."""
        ...

    @property
    def is_emulated(self) -> bool:
        """Whether the mount found last is an emulator's, whose values are no hardware's."""
        ...

    def list_directories(self, path: str) -> list[str]:
        """The names of the sub-directories, in no order."""
        ...

    def read(self, path: str, bytes_max: int = 1 << 20) -> bytes:
        """A whole file, up to `bytes_max`."""
        ...

    def open(self, path: str) -> int:
        """A descriptor to read again and again."""
        ...

    def read_open(self, descriptor: int, bytes_max: int) -> bytes:
        """The content from its beginning; the kernel evaluates the file again."""
        ...

    def close(self, descriptor: int) -> None:
        """Give a descriptor back."""
        ...


class Filesystem(RootLock, FileReader, Protocol):
    """One resctrl mount, with all that may be done to it.

    *Raises:* every method OSError with the kernel's errno, untranslated.
    """

    def mount(self) -> None:
        """Mount resctrl here, without options; the mount point is made where that is possible."""
        ...

    def other_mounts(self) -> list[str]:
        """Where else resctrl is mounted, as far as this process can see: only one mount can be."""
        ...

    def may_write(self) -> bool:
        """Whether this user may change things: the root's `tasks` opens for writing."""
        ...

    def mkdir(self, path: str) -> None:
        """Make a group."""
        ...

    def rmdir(self, path: str) -> None:
        """Remove a group with everything in it; its threads go to the group above."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """One write(2) to an existing file, opened write-only; never creates one."""
        ...


class ThreadSource(Protocol):
    """Which threads belong into a group."""

    def threads(self) -> frozenset[int]:
        """All thread ids now; empty where nothing runs yet. *Raises:* OSError when they cannot be listed."""
        ...
