"""The mount point of the emulator: check it, mount, unmount. *Source:* mount(2), linux/fs.h, fuse(4)."""

import ctypes
import os
from errno import EACCES, EBUSY, EINVAL, ENODEV, ENOENT, ENOTCONN, EPERM

from agent.kernel_file import read_text
from agent.model.errors import MisuseError, PermissionRefused, StorageError, UnavailableError
from agent.model.mountinfo import BYTES_MAX, NAME, Mount, mount_at

DEVICE = "/dev/fuse"
# The type in /proc/mounts; FUSE does not allow plain `resctrl`.
TYPE = "fuse.resctrl"
SOURCE = "evergauge"
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_RELATIME = 2, 4, 8, 1 << 21
_MNT_DETACH = 2
_MOUNTINFO = f"/proc/{NAME}"
_LIBC = ctypes.CDLL(None, use_errno=True)


def open_device() -> int:
    """/dev/fuse, non-blocking. *Raises:* EvergaugeError with the remedy."""
    try:
        return os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as cause:
        if cause.errno in (ENOENT, ENODEV):
            raise UnavailableError(DEVICE, "this kernel has no FUSE here", "run `modprobe fuse` as root") from cause
        if cause.errno in (EACCES, EPERM):
            raise PermissionRefused(DEVICE, "it cannot be opened", "run as root, in a container with this device") from cause
        raise StorageError(DEVICE, f"it cannot be opened: {cause.strerror}") from cause


def prepare_mount_point(path: str) -> bool:
    """Checks that one can mount here; True: it has removed the dead mount of a killed emulator.

    *Raises:* MisuseError, PermissionRefused.
    """
    cleared = _clear_dead_mount(path)
    try:
        names = os.listdir(path)
    except OSError as cause:
        if cause.errno == ENOENT:
            raise MisuseError(path, "there is no such directory", f"make it: mkdir -p {path}") from cause
        raise MisuseError(path, f"one cannot mount here: {cause.strerror}", "name an empty directory") from cause
    mounted = mount_at(_mounts(), os.path.realpath(path))
    if mounted is not None and mounted.is_resctrl:
        raise MisuseError(path, f"a file system of type {mounted.type} is mounted here already", "name another directory")
    if names:
        raise MisuseError(path, f"the directory is not empty ({names[0]!r} is in it)", "name an empty directory")
    return cleared


def mount(path: str, device: int) -> None:
    """Mounts the device's file system. All users have access; the kernel itself checks the modes of files.

    *Raises:* EvergaugeError.
    """
    options = f"fd={device},rootmode=40755,user_id=0,group_id=0,default_permissions,allow_other"
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC | _MS_RELATIME
    if _LIBC.mount(SOURCE.encode(), os.fsencode(path), TYPE.encode(), ctypes.c_ulong(flags), options.encode()) == 0:
        return
    number = ctypes.get_errno()
    if number in (EPERM, EACCES):
        raise PermissionRefused(path, "this user may not mount", "run as root (in a container: with CAP_SYS_ADMIN)")
    raise StorageError(path, f"mounting failed: {os.strerror(number)}")


def device_at(path: str) -> tuple[int, int] | None:
    """The device of the last mount at this place, without touching the mount, which may be dead. *Absent:* None without a mount."""
    found = mount_at(_mounts(), os.path.realpath(os.path.dirname(path)) + "/" + os.path.basename(path))
    return None if found is None else (found.major, found.minor)


def unmount(path: str) -> bool:
    """Unmounts, lazily if the mount is in use; False: it was already unmounted.

    *Raises:* OSError.
    """
    number = _umount(path, 0)
    if number == EBUSY:
        number = _umount(path, _MNT_DETACH)
    if number in (EINVAL, ENOENT):
        return False
    if number:
        raise OSError(number, os.strerror(number), path)
    return True


def _umount(path: str, flags: int) -> int:
    return 0 if _LIBC.umount2(os.fsencode(path), flags) == 0 else ctypes.get_errno()


def _clear_dead_mount(path: str) -> bool:
    cleared = False
    # Of dead mounts only the emulator's own are removed. There may be several on one point.
    while _is_dead(path) and _is_own(mount_at(_mounts(), os.path.realpath(path))):
        try:
            cleared = unmount(path)
        except OSError as cause:
            remedy = f"run as root, or: umount --lazy {path}"
            raise PermissionRefused(path, f"a dead mount cannot be taken away: {cause.strerror}", remedy) from cause
    return cleared


def _is_dead(path: str) -> bool:
    try:
        os.stat(path)
    except OSError as failure:
        return failure.errno == ENOTCONN
    return False


def _is_own(mount: Mount | None) -> bool:
    return mount is not None and mount.type == TYPE


def _mounts() -> str:
    return read_text(_MOUNTINFO, BYTES_MAX)
