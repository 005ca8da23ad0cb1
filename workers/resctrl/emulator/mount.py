"""The mount point of the emulator: what is there before, mounting, unmounting. *Source:* mount(2), linux/fs.h, fuse(4)."""

import ctypes
import os
from collections.abc import Iterator
from errno import EACCES, EBUSY, EINVAL, ENODEV, ENOENT, ENOTCONN, EPERM

from agent.model.errors import MisuseError, PermissionRefused, StorageError, UnavailableError
from workers.resctrl.mountinfo import Mount, parse_mountinfo

DEVICE = "/dev/fuse"
# The subtype stands in /proc/mounts; FUSE lets nobody call itself `resctrl` alone.
TYPE = "fuse.resctrl"
SOURCE = "evergauge"
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_RELATIME = 2, 4, 8, 1 << 21
_MNT_DETACH = 2
_MOUNTINFO = "/proc/self/mountinfo"
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
    """Make sure that one can mount here; True: a dead mount of an emulator that was killed has been taken away.

    *Raises:* MisuseError, PermissionRefused.
    """
    cleared = _clear_dead_mount(path)
    try:
        names = os.listdir(path)
    except OSError as cause:
        if cause.errno == ENOENT:
            raise MisuseError(path, "there is no such directory", f"make it: mkdir -p {path}") from cause
        raise MisuseError(path, f"one cannot mount here: {cause.strerror}", "name an empty directory") from cause
    mounted = next((mount for mount in _mounts() if mount.point == os.path.realpath(path)), None)
    if mounted is not None and mounted.is_resctrl:
        raise MisuseError(path, f"a file system of type {mounted.type} is mounted here already", "name another directory")
    if names:
        raise MisuseError(path, f"the directory is not empty ({names[0]!r} is in it)", "name an empty directory")
    return cleared


def mount(path: str, device: int) -> None:
    """Mount the device's file system. Every user may look; the kernel itself judges by the modes of files.

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
    """The device of the last mount at this place, without asking the file system itself, which nobody may serve now."""
    here = os.path.realpath(os.path.dirname(path)) + "/" + os.path.basename(path)
    return next(((each.major, each.minor) for each in reversed(list(_mounts())) if each.point == here), None)


def unmount(path: str) -> bool:
    """Take the mount away, from sight at least where somebody still uses it; False: it was gone already.

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
    # Of what cannot be looked at, only the emulator's own is taken away. Several may lie upon each other.
    while _is_dead(path) and any(each.type == TYPE and each.point == os.path.realpath(path) for each in _mounts()):
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


def _mounts() -> Iterator[Mount]:
    with open(_MOUNTINFO, encoding="utf-8", errors="surrogateescape") as lines:
        yield from parse_mountinfo(lines.read())
