"""Where the agent's folders are, when nobody says. Imports nothing heavy: agentctl starts with it."""

import os
from errno import EBADF, EINVAL, ENOSYS, ENOTSUP

import agent

# sockaddr_un.sun_path holds 108 bytes with the closing zero byte (unix(7)); libzmq wants the same.
SOCKET_PATH_BYTES_MAX = 107
# What network and user-space file systems answer to the sync of a folder when they have none (fsync(2)).
NO_FOLDER_SYNC = (EINVAL, ENOTSUP, ENOSYS, EBADF)
# Where the system's own agent, run by root, has its sockets.
SYSTEM_RUNTIME_DIR = "/run/evergauge"
# And its data, readable for others where it has a reader group.
SYSTEM_STATE_DIR = "/var/lib/evergauge"


def checkout() -> str | None:
    """The root of the source checkout that this code runs from, None when it is installed elsewhere."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(agent.__file__)))
    return root if os.path.exists(os.path.join(root, "pyproject.toml")) else None


def default_state_dir(environment: "os._Environ[str] | dict[str, str]") -> str:
    """`.evergauge/` of a checkout; else /var/lib/evergauge, or the user's own state folder without root."""
    return environment.get("EVERGAUGE_STATE_DIR") or _default(environment, SYSTEM_STATE_DIR, "XDG_STATE_HOME", "~/.local/state")


def default_runtime_dir(environment: "os._Environ[str] | dict[str, str]") -> str:
    """`.evergauge/` of a checkout; else /run/evergauge, or the user's own runtime folder without root."""
    return environment.get("EVERGAUGE_RUNTIME_DIR") or _default(
        environment, SYSTEM_RUNTIME_DIR, "XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"
    )


def fork_server_dir(runtime_dir: str) -> str:
    """The folder of the fork server's socket, whose name the package that makes it chooses, by version."""
    return os.path.join(runtime_dir, "fork")


def takeover_record(runtime_dir: str) -> str:
    """The file by which a supervisor finds what a dead one left behind."""
    return os.path.join(fork_server_dir(runtime_dir), "takeover-record")


def _default(environment: "os._Environ[str] | dict[str, str]", system: str, variable: str, otherwise: str) -> str:
    root = checkout()
    if root is not None:
        return os.path.join(root, ".evergauge")
    if os.geteuid() == 0:
        return system
    return os.path.join(environment.get(variable) or os.path.expanduser(otherwise), "evergauge")
