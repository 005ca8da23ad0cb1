"""Hands our own files and folders to the reader group: its members may look, and change nothing.

Nothing is followed and nothing is found by name twice: each thing is opened without a link and changed through its
descriptor. What is not ours, or is open to the group already, stays as it is. Group and mode are set here and not by
setgid folders, which a hardened unit forbids (RestrictSUIDSGID).
"""

import os
import stat

from agent.model.errors import ConfigError
from agent.model.foreign import readable

# Listing and reading for members; the runtime folder they may only pass through, to the control socket.
FOLDER_MODE = 0o750
PASSAGE_MODE = 0o710
FILE_MODE = 0o640
SOCKET_MODE = 0o660
# Linux has no larger one; the number above it means «leave it as it is» in chown(2).
_GID_MAX = (1 << 32) - 2


def group_number(key: str, name: str) -> int | None:
    """The number of a group that a setting names, by its name or number; None: it names none. *Raises:* ConfigError."""
    if not name:
        return None
    shown = repr(readable(name, 80))
    if name.isascii() and name.isdecimal():
        if int(name) > _GID_MAX:
            raise ConfigError(key, f"{shown} is no number of a group", f"write a name, or a number up to {_GID_MAX}")
        return int(name)
    # An import that only an agent with readers pays for.
    import grp

    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError, UnicodeEncodeError) as cause:
        remedy = "make it (`groupadd --system NAME`), or name one that `getent group` lists"
        raise ConfigError(key, f"there is no group {shown}", remedy) from cause


def check_may_share(folder: str, gid: int, key: str) -> None:
    """Try it once on a file that goes again: the kernel, a filter of system calls or the file system may refuse.

    *Raises:* ConfigError, OSError when there can be no file.
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
    """A reader group that cannot be used at this path, in words."""
    problem = f"{readable(path)} cannot be handed to group {gid} by user {os.geteuid()} ({cause.strerror})"
    remedy = (
        "only a group that the agent's user is in can be used, and only for folders of its own: make it a member (a unit: Group=), "
        f"or leave {key} empty"
    )
    return ConfigError(key, problem, remedy)


def share_folder(path: str, gid: int, mode: int = FOLDER_MODE) -> None:
    """Open a folder to the group. *Raises:* OSError: it is a link, is not ours, or the group may not be given."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        share_open(descriptor, gid, mode)
    finally:
        os.close(descriptor)


def share_open(descriptor: int, gid: int, mode: int = FILE_MODE) -> None:
    """Open a file or folder to the group by its descriptor. *Raises:* OSError."""
    status = os.fstat(descriptor)
    if is_open_to(status, gid, mode):
        return
    if status.st_uid != os.geteuid():
        raise PermissionError(1, f"it belongs to user {status.st_uid}")
    if status.st_gid != gid:
        # For a moment open to nobody: what another group was allowed must not become this one's.
        os.fchmod(descriptor, mode & stat.S_IRWXU)
        os.fchown(descriptor, -1, gid)
    os.fchmod(descriptor, mode)


def share_socket(path: str, gid: int) -> None:
    """Open a socket that does not listen yet to the group. *Raises:* OSError."""
    if os.lstat(path).st_gid != gid:
        os.chown(path, -1, gid, follow_symlinks=False)
    os.chmod(path, SOCKET_MODE)


def is_own_file(descriptor: int) -> bool:
    """Whether this is a regular file of our own user."""
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def is_open_to(status: os.stat_result, gid: int, mode: int) -> bool:
    """Whether the group has at least what `mode` gives it: as the group of the thing, or as everybody."""
    wanted = mode & stat.S_IRWXG
    everybody = wanted >> 3
    is_for_all = status.st_mode & everybody == everybody
    return is_for_all if status.st_gid != gid else status.st_mode & wanted == wanted
