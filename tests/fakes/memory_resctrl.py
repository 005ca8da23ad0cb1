"""A resctrl in memory: the emulator's rules behind `workers.resctrl.ports.Filesystem`, without FUSE and without a mount."""

import errno
import os
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from fakes.clock import FakeClock

from workers.resctrl.emulator.emulation import Emulation
from workers.resctrl.emulator.ports import Caller, OpenFile, Threads
from workers.resctrl.emulator.profile import PROFILES, Profile

ROOT = "/sys/fs/resctrl"
WRITE_BITS_OF_OTHERS = 0o002


_Method = TypeVar("_Method", bound=Callable[..., Any])


def _in_kernel_words(method: _Method) -> _Method:
    """The emulation raises bare numbers; programs see them with the C library's words."""

    @wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return method(*arguments, **named)
        except OSError as problem:
            raise OSError(problem.errno, os.strerror(problem.errno or 0)) from None

    return call  # type: ignore[return-value]


class MemoryResctrl:
    """One user's view of one mount. `view` gives another program's: the same groups, its own lock and its own user."""

    def __init__(self, threads: Threads, clock: FakeClock, profile: Profile | str = "tiny", *, uid: int = 0) -> None:
        self.host = _Host(PROFILES[profile] if isinstance(profile, str) else profile, threads, clock)
        self._init(uid)

    def view(self, *, uid: int = 0) -> "MemoryResctrl":
        """Another program on the same host."""
        other = object.__new__(MemoryResctrl)
        other.host = self.host
        other._init(uid)
        return other

    def _init(self, uid: int) -> None:
        self.caller = Caller(1, uid, uid)
        self._open: dict[int, OpenFile] = {}
        self._next_descriptor = 1000

    # ---- the port ----------------------------------------------------------------------------------

    @property
    def root(self) -> str:
        """Where it would be mounted."""
        return ROOT

    @property
    def open_descriptors(self) -> int:
        """How many descriptors were not given back."""
        return len(self._open)

    def mount_id(self) -> int | None:
        """The number of the mount since the host began; None when nothing is mounted."""
        return self.host.mount_number if self.host.emulation is not None else None

    @property
    def is_emulated(self) -> bool:
        """The emulator's rules, in memory."""
        return True

    def mount(self) -> None:
        """A new resctrl, with no groups; or what the kernel says to it."""
        if self.caller.uid:
            raise _error(errno.EPERM, ROOT)
        if self.host.mount_errno:
            raise _error(self.host.mount_errno, ROOT)
        if self.host.mount_takes_effect:
            self.host.mount()

    def other_mounts(self) -> list[str]:
        """Where the test says."""
        return list(self.host.elsewhere)

    def may_write(self) -> bool:
        """Whether the mount and the root's `tasks` let this user."""
        try:
            self._check_writable("tasks")
        except PermissionError:
            return False
        except OSError as problem:
            if problem.errno == errno.EROFS:
                return False
            raise
        return True

    def try_lock(self) -> bool:
        """One view at a time has it."""
        self._check_mounted()
        if self.host.lock_holder not in (None, self):
            return False
        assert self.host.lock_holder is None, "this view holds the lock already"
        self.host.lock_holder = self
        return True

    def unlock(self) -> None:
        """Without the lock nothing happens."""
        if self.host.lock_holder is self:
            self.host.lock_holder = None

    @_in_kernel_words
    def mkdir(self, path: str) -> None:
        """Make a group."""
        self._check_writable(path.rpartition("/")[0])
        self.emulation.mkdir(path, 0o755, self.caller, self.host.clock.now_ns())

    @_in_kernel_words
    def rmdir(self, path: str) -> None:
        """Remove a group."""
        self._check_writable(path.rpartition("/")[0])
        self.emulation.rmdir(path, self.caller, self.host.clock.now_ns())

    @_in_kernel_words
    def list_directories(self, path: str) -> list[str]:
        """The sub-directories."""
        return [name for name, is_directory in self.emulation.list(path) if is_directory]

    @_in_kernel_words
    def read(self, path: str, bytes_max: int = 1 << 20) -> bytes:
        """A file, evaluated now."""
        return self.emulation.open(path).read(self.host.clock.now_ns())[:bytes_max]

    @_in_kernel_words
    def write(self, path: str, content: bytes) -> None:
        """One command."""
        self._check_writable(path)
        self.emulation.open(path).write(content, self.caller, self.host.clock.now_ns())

    @_in_kernel_words
    def open(self, path: str) -> int:
        """A descriptor that stays with the file."""
        self._next_descriptor += 1
        self._open[self._next_descriptor] = self.emulation.open(path)
        return self._next_descriptor

    @_in_kernel_words
    def read_open(self, descriptor: int, bytes_max: int) -> bytes:
        """The file, evaluated now; ENODEV when its group is gone."""
        return self._open[descriptor].read(self.host.clock.now_ns())[:bytes_max]

    def close(self, descriptor: int) -> None:
        """Give a descriptor back; twice is an error."""
        del self._open[descriptor]

    # ---- inside ------------------------------------------------------------------------------------

    @property
    def emulation(self) -> Emulation:
        """The rules behind the mount. *Raises:* OSError, as every operation does, when nothing is mounted."""
        if self.host.emulation is None:
            raise _error(errno.ENODEV, ROOT)
        return self.host.emulation

    def _check_mounted(self) -> None:
        assert self.emulation is not None

    def _check_writable(self, path: str) -> None:
        """What is judged by modes, before the file system hears of it."""
        mode = self.emulation.attributes(path).mode
        if self.host.is_read_only:
            raise _error(errno.EROFS, path)
        if self.caller.uid and not mode & WRITE_BITS_OF_OTHERS:
            raise _error(errno.EACCES, path)


class _Host:
    """What all views share."""

    def __init__(self, profile: Profile, threads: Threads, clock: FakeClock) -> None:
        self.profile = profile
        self.threads = threads
        self.clock = clock
        self.emulation: Emulation | None = None
        self.mount_number = 0
        self.lock_holder: MemoryResctrl | None = None
        self.is_read_only = False
        self.mount_errno = 0
        self.mount_takes_effect = True
        self.elsewhere: list[str] = []
        self.mount()

    def mount(self) -> None:
        """Every mount begins with all threads in the default group."""
        self.emulation = Emulation(self.profile, self.threads, self.clock.now_ns(), self.clock.wall_ns())
        self.mount_number += 1

    def unmount(self) -> None:
        """All groups are gone."""
        self.emulation = None
        self.lock_holder = None


def _error(code: int, path: str) -> OSError:
    return OSError(code, os.strerror(code), path)
