"""The real resctrl: a mount point of this host, the kernel's own or an emulated one.

Every path is relative to a directory that is kept open, so that an operation never strikes what is at the same path after
an unmount. That directory also keeps the mount's device number from being given to another mount, so the number tells them
apart. It stays open until `mount_id` is asked and finds that something else is at the path now: ask it regularly.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import suppress

from agent.kernel_file import read_text, read_to_end
from agent.model.mountinfo import BYTES_MAX, NAME, resctrl_at, resctrl_mounts

MOUNTS_PATH = f"/proc/{NAME}"
FILESYSTEMS_PATH = "/proc/filesystems"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_WRITE = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
# What stat(2) answers where nothing is, or where a FUSE server has died.
_NOTHING_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENOTCONN, errno.ECONNABORTED, errno.ESHUTDOWN})
# Device numbers of the kernel have 32 bits; above them it is counted how often another mount was found here.
_GENERATION_SHIFT = 32


class MountedFilesystem:
    """`workers.resctrl.ports.Filesystem` over a mount point. One object serves one thread of one process."""

    def __init__(self, root: str, mounts_path: str = MOUNTS_PATH) -> None:
        self._path = os.path.abspath(root)
        self._mounts_path = mounts_path
        self._descriptor: int | None = None
        self._device = 0
        self._generation = 0
        self._is_emulated = False
        self._lock: int | None = None

    @property
    def root(self) -> str:
        """The absolute path of the mount point."""
        return self._path

    # ---- the mount ---------------------------------------------------------------------------------

    def mount_id(self) -> int | None:
        """The mount's device number; once another mount was found here, a number that never was one. None: nothing is mounted.

        It costs one stat(2) as long as nothing has changed. *Raises:* OSError when nobody may look.
        """
        device = self._device_at_path()
        if self._descriptor is not None and device != self._device:
            self.forget()
        if self._descriptor is None and device is not None:
            self._open_root()
        return None if self._descriptor is None else self._device | self._generation << _GENERATION_SHIFT

    @property
    def is_emulated(self) -> bool:
        """Whether the mount found last is an emulator's."""
        return self._is_emulated

    def forget(self) -> None:
        """Close the directory kept open, so that nothing of ours keeps the mount busy. The next use opens what is there then,
        which may be another mount with the same device number, so it counts as another."""
        self.unlock()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._generation += 1

    def other_mounts(self) -> list[str]:
        """Where else resctrl is mounted, as far as this mount namespace shows."""
        here = os.path.realpath(self._path)
        return [mount.point for mount in resctrl_mounts(self._mounts()) if mount.point != here]

    def mount(self) -> None:
        """Mount resctrl here, without options; the mount point is made where that is possible. *Raises:* OSError."""
        # Needed once in the life of a host, if at all.
        import ctypes

        with suppress(OSError):
            # In sysfs only the kernel makes it, and does so where it knows resctrl: mount(2) has the word.
            os.mkdir(self._path, 0o755)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"resctrl", os.fsencode(self._path), b"resctrl", 0, None) == 0:
            return
        code = ctypes.get_errno()
        if code == errno.ENOENT and not _kernel_knows_resctrl():
            # mount(2) looks for the directory first; what is missing is what would have made the directory.
            code = errno.ENODEV
        raise OSError(code, os.strerror(code), self._path)

    def may_write(self) -> bool:
        """Whether the root's `tasks` opens for writing. *Raises:* OSError when it cannot be opened for another reason."""
        try:
            os.close(os.open("tasks", _WRITE, dir_fd=self._root()))
        except OSError as problem:
            if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                return False
            raise
        return True

    # ---- the lock ----------------------------------------------------------------------------------

    def try_lock(self) -> bool:
        """Take the root directory's flock for changing; False: another program holds it. *Raises:* OSError."""
        assert self._lock is None, "this object holds the lock already"
        # A descriptor of its own: closing it gives the lock back whatever happened to the mount meanwhile.
        descriptor = os.open(".", _DIRECTORY, dir_fd=self._root())
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._lock = descriptor
        return True

    def unlock(self) -> None:
        """Give the lock back; without one nothing happens."""
        descriptor, self._lock = self._lock, None
        if descriptor is not None:
            # Said outright and not left to close(2): a process forked meanwhile would go on holding it.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    # ---- directories and files ---------------------------------------------------------------------

    def mkdir(self, path: str) -> None:
        """Make a group. *Raises:* OSError."""
        self._changing_in_own_directory(path, lambda: os.mkdir(_inner(path), 0o755, dir_fd=self._root()))

    def rmdir(self, path: str) -> None:
        """Remove a group with everything in it. *Raises:* OSError."""
        self._changing_in_own_directory(path, lambda: os.rmdir(_inner(path), dir_fd=self._root()))

    def list_directories(self, path: str) -> list[str]:
        """The names of the sub-directories; symbolic links are none. *Raises:* OSError."""
        descriptor = os.open(_inner(path), _DIRECTORY, dir_fd=self._root())
        try:
            with os.scandir(descriptor) as entries:
                return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        finally:
            os.close(descriptor)

    def read(self, path: str, bytes_max: int = 1 << 20) -> bytes:
        """A whole file, up to `bytes_max`. *Raises:* OSError."""
        descriptor = self.open(path)
        try:
            return read_to_end(descriptor, bytes_max)
        finally:
            os.close(descriptor)

    def write(self, path: str, content: bytes) -> None:
        """One write(2) to an existing file. *Raises:* OSError; EIO when the kernel took a part only."""
        descriptor = os.open(_inner(path), _WRITE, dir_fd=self._root())
        try:
            written = os.write(descriptor, content)
        finally:
            os.close(descriptor)
        if written != len(content):
            raise OSError(errno.EIO, f"{written} of {len(content)} bytes were taken", path)

    def open(self, path: str) -> int:
        """A descriptor to read again and again. *Raises:* OSError."""
        return os.open(_inner(path), _READ, dir_fd=self._root())

    def read_open(self, descriptor: int, bytes_max: int) -> bytes:
        """The content from its beginning: the kernel evaluates it again at offset 0. *Raises:* OSError."""
        return os.pread(descriptor, bytes_max, 0)

    def close(self, descriptor: int) -> None:
        """Give a descriptor back."""
        os.close(descriptor)

    # ---- inside ------------------------------------------------------------------------------------

    def _changing_in_own_directory(self, path: str, change: Callable[[], None]) -> None:
        """Do a change in the directory that holds `path`, which is opened to its owner first if only that stands against it.

        The kernel makes the root and its `mon_groups` with mode 0555, and so even root changes nothing in them without
        CAP_DAC_OVERRIDE, which would open every file of the host. The owner may change the mode without any capability. Nobody
        else gains by it. *Source:* `rdtgroup_setup_root` in linux/fs/resctrl/rdtgroup.c, `kernfs_iop_setattr` in fs/kernfs/inode.c.
        """
        try:
            change()
        except PermissionError as refusal:
            if refusal.errno != errno.EACCES or not self._open_to_owner(os.path.dirname(_inner(path)) or "."):
                raise
            change()

    def _open_to_owner(self, path: str) -> bool:
        """Whether the mode of this directory, which this user owns, kept its owner from writing; it no longer does."""
        try:
            descriptor = os.open(path, _DIRECTORY, dir_fd=self._root())
        except OSError:
            return False
        try:
            found = os.fstat(descriptor)
            if found.st_uid != os.geteuid() or found.st_mode & stat.S_IWUSR:
                return False
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) | stat.S_IWUSR)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _root(self) -> int:
        if self._descriptor is None and self.mount_id() is None:
            raise OSError(errno.ENODEV, "no resctrl is mounted here", self._path)
        assert self._descriptor is not None
        return self._descriptor

    def _open_root(self) -> None:
        mount = resctrl_at(self._mounts(), os.path.realpath(self._path))
        if mount is None:
            return
        try:
            descriptor = os.open(self._path, _DIRECTORY & ~os.O_NOFOLLOW)
        except OSError as problem:
            if problem.errno in _NOTHING_THERE:
                return
            raise
        device = os.fstat(descriptor).st_dev
        if device != os.makedev(mount.major, mount.minor):
            # Unmounted, or covered by another, between the two looks: the next call sees what is there then.
            os.close(descriptor)
            return
        self._descriptor, self._device = descriptor, device
        self._is_emulated = mount.is_emulated

    def _device_at_path(self) -> int | None:
        try:
            return os.stat(self._path).st_dev
        except OSError as problem:
            if problem.errno in _NOTHING_THERE:
                return None
            raise

    def _mounts(self) -> str:
        return read_text(self._mounts_path, BYTES_MAX)


def _inner(path: str) -> str:
    """A path that stays inside. *Raises:* ValueError, for only a bug asks for another."""
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"{path!r} leads out of the mount")
    return path or "."


def _kernel_knows_resctrl() -> bool:
    with open(FILESYSTEMS_PATH, encoding="ascii", errors="replace") as file:
        return any(line.split()[-1:] == ["resctrl"] for line in file)
