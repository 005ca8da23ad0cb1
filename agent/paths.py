"""Default places of the agent's folders. Imports nothing heavy, because every agentctl loads it."""

import os
from errno import EBADF, EINVAL, ENOSYS, ENOTSUP

import agent

# sockaddr_un.sun_path holds 108 bytes including the final zero byte (unix(7)); libzmq has the same limit.
SOCKET_PATH_BYTES_MAX = 107
# Errors by which network and user-space file systems say that they cannot sync a folder (fsync(2)).
NO_FOLDER_SYNC = (EINVAL, ENOTSUP, ENOSYS, EBADF)
# Folder for the sockets of the system's own agent, which root runs.
SYSTEM_RUNTIME_DIR = "/run/evergauge"
# Folder for its data, which the reader group can read, if there is one.
SYSTEM_STATE_DIR = "/var/lib/evergauge"


def checkout() -> str | None:
    """The root of the source checkout that this code runs from. *Absent:* None when it is installed."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(agent.__file__)))
    return root if os.path.exists(os.path.join(root, "pyproject.toml")) else None


def default_state_dir(environment: "os._Environ[str] | dict[str, str]") -> str:
    """EVERGAUGE_STATE_DIR, else `.evergauge/` of a checkout, else /var/lib/evergauge or, without root, the user's state folder."""
    return environment.get("EVERGAUGE_STATE_DIR") or _default(environment, SYSTEM_STATE_DIR, "XDG_STATE_HOME", "~/.local/state")


def default_runtime_dir(environment: "os._Environ[str] | dict[str, str]") -> str:
    """EVERGAUGE_RUNTIME_DIR, else `.evergauge/` of a checkout, else /run/evergauge or, without root, the user's runtime folder."""
    return environment.get("EVERGAUGE_RUNTIME_DIR") or _default(
        environment, SYSTEM_RUNTIME_DIR, "XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"
    )


def fork_server_dir(runtime_dir: str) -> str:
    """The folder of the fork server's socket. Package `multiprocess` chooses the socket's name."""
    return os.path.join(runtime_dir, "fork")


def takeover_record(runtime_dir: str) -> str:
    """The file by which a supervisor finds what a dead one left behind."""
    return os.path.join(fork_server_dir(runtime_dir), "takeover-record")


def sync_folder(path: str) -> None:
    """Force the names in a folder to the disk, where its file system can do that. *Raises:* OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as cause:
        if cause.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def _default(environment: "os._Environ[str] | dict[str, str]", system: str, variable: str, otherwise: str) -> str:
    root = checkout()
    if root is not None:
        return os.path.join(root, ".evergauge")
    if os.geteuid() == 0:
        return system
    return os.path.join(environment.get(variable) or os.path.expanduser(otherwise), "evergauge")
