"""The keeper's socket: handed over by systemd, or made in its folder. Clients come in as many as are bearable."""

import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from agent.failpoint import failpoint

SOCKET_NAME = "keeper.sock"
_NEW_NAME = "keeper.sock.new"
BACKLOG = 16
CLIENTS_MAX = 32
# sd_listen_fds(3): the first descriptor that is handed over.
_LISTEN_FDS_START = 3
_CREDENTIALS = struct.Struct("=iII")


def inherited_listener(environment: "dict[str, str] | os._Environ[str]") -> socket.socket | None:
    """The socket that systemd listens on for us. *Absent:* it is not our starter, or hands over something else."""
    if environment.get("LISTEN_PID") != str(os.getpid()) or environment.get("LISTEN_FDS") != "1":
        return None
    with suppress(OSError):
        listener = socket.socket(fileno=_LISTEN_FDS_START)
        if listener.family == socket.AF_UNIX:
            os.set_inheritable(_LISTEN_FDS_START, False)
            return listener
        listener.detach()
    return None


def make_listener(folder: int) -> socket.socket:
    """A socket in this open folder, in the place of one that a killed keeper left. *Raises:* OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            os.unlink(_NEW_NAME, dir_fd=folder)
        # By the descriptor, since the folder's own path may be longer than a socket's address.
        listener.bind(f"/proc/self/fd/{folder}/{_NEW_NAME}")
        os.chmod(_NEW_NAME, 0o600, dir_fd=folder)
        listener.listen(BACKLOG)
        failpoint("keeper.listening")
        # A client that finds the name finds a listener.
        os.rename(_NEW_NAME, SOCKET_NAME, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        listener.close()
        raise
    return listener


def accept(listener: socket.socket, on_peer: Callable[[socket.socket], None], clients: int) -> None:
    """Take those that wait; root and this user only. *Raises:* OSError when there is no descriptor left."""
    for _ in range(BACKLOG):
        try:
            peer, _address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        _pid, uid, _gid = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid not in (0, os.geteuid()) or clients >= CLIENTS_MAX:
            peer.close()
            continue
        clients += 1
        on_peer(peer)
