"""Gives the reader group access to the agent's own files and folders: members may read, and change nothing.

Each file is opened once, without following a link, and changed through its descriptor. Files that belong to another user, or
that the group can read already, stay unchanged. Group and mode are set here and not by setgid folders, because a hardened
systemd unit forbids those (RestrictSUIDSGID).
"""

import os
import stat

from agent.model.errors import ConfigError
from agent.model.foreign import readable

# Members may list and read data folders, but only pass through the runtime folder, to the control socket.
FOLDER_MODE = 0o750
PASSAGE_MODE = 0o710
FILE_MODE = 0o640
SOCKET_MODE = 0o660
# The largest group id of Linux; the next number means "do not change" in chown(2).
_GID_MAX = (1 << 32) - 2


def group_number(key: str, name: str) -> int | None:
    """The id of the group that a setting names by name or number.

    *Absent:* None for an empty name. *Range:* 0 to 2^32 - 2. *Raises:* ConfigError when there is no such group.
    """
    if not name:
        return None
    shown = repr(readable(name, 80))
    if name.isascii() and name.isdecimal():
        if int(name) > _GID_MAX:
            raise ConfigError(key, f"{shown} is not a group id", f"write a name, or a number up to {_GID_MAX}")
        return int(name)
    # Imported here: only an agent with a reader group needs it.
    import grp

    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError, UnicodeEncodeError) as cause:
        remedy = "create it (`groupadd --system NAME`), or name one that `getent group` lists"
        raise ConfigError(key, f"there is no group {shown}", remedy) from cause


def check_may_share(folder: str, gid: int, key: str) -> None:
    """Tries to share a temporary file in the folder: the kernel, a system call filter or the file system may refuse.

    *Raises:* ConfigError when sharing is refused; OSError when the file cannot be made.
    """
    probe = os.path.join(folder, f".probe-{os.getpid()}")
    descriptor = os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        share_open(descriptor, gid, FILE_MODE)
    except OSError as cause:
        raise refusal(folder, gid, key, cause) from cause
    finally:
        os.close(descriptor)
        os.unlink(probe)


def refusal(path: str, gid: int, key: str, cause: OSError) -> ConfigError:
    """The error for a reader group that cannot be used at this path."""
    problem = f"{readable(path)} cannot be given to group {gid} by user {os.geteuid()} ({cause.strerror})"
    remedy = (
        "the agent's user must be a member of the group and must own the folder: make it a member (in a unit: Group=), "
        f"or leave {key} empty"
    )
    return ConfigError(key, problem, remedy)


def share_folder(path: str, gid: int, mode: int = FOLDER_MODE) -> None:
    """Opens a folder to the group. *Raises:* OSError: a link, not ours, or the group is refused."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        share_open(descriptor, gid, mode)
    finally:
        os.close(descriptor)


def share_open(descriptor: int, gid: int, mode: int = FILE_MODE) -> None:
    """Opens a file or folder to the group by its descriptor. *Raises:* OSError as `share_folder`."""
    status = os.fstat(descriptor)
    if is_open_to(status, gid, mode):
        return
    if status.st_uid != os.geteuid():
        raise PermissionError(1, f"it belongs to user {status.st_uid}")
    if status.st_gid != gid:
        # Closed to every group first, so that this group never gets the rights that another group had.
        os.fchmod(descriptor, mode & stat.S_IRWXU)
        os.fchown(descriptor, -1, gid)
    os.fchmod(descriptor, mode)


def share_socket(path: str, gid: int) -> None:
    """Opens a socket to the group, before it listens. *Raises:* OSError."""
    if os.lstat(path).st_gid != gid:
        os.chown(path, -1, gid, follow_symlinks=False)
    os.chmod(path, SOCKET_MODE)


def is_own_file(descriptor: int) -> bool:
    """Whether this is a regular file of this process's user. *Raises:* OSError."""
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def is_open_to(status: os.stat_result, gid: int, mode: int) -> bool:
    """Whether the group has at least the access that `mode` gives it, as the file's group or like everybody else."""
    wanted = mode & stat.S_IRWXG
    everybody = wanted >> 3
    is_for_all = status.st_mode & everybody == everybody
    return is_for_all if status.st_gid != gid else status.st_mode & wanted == wanted
