"""The path of a runtime's NRI socket: what is there, and a connection to it that does not wait."""

import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from errno import ENOENT, ENOTDIR, ENOTSOCK

from agent.model.runtime_socket import CRI_SOCKETS
from workers.control_plane.nri.reconnect import SocketIdentity
from workers.control_plane.nri.sentence import absent_sentence, connect_sentence, path_sentence

# *Source:* unix(7), sun_path with its closing NUL.
ADDRESS_BYTES_MAX = 107
# Stands for what may not be looked at: connecting tells why.
_HIDDEN: SocketIdentity = (0, 0, 0)


class RuntimeSocket:
    """One path. `find_runtime` gives the name of a container runtime of this host, empty where there is none."""

    def __init__(self, path: str, find_runtime: Callable[[], str] | None = None) -> None:
        self.path = path
        self._find_runtime = find_runtime or installed_runtime

    def look(self) -> SocketIdentity | None:
        """What is at the path now. *Absent:* None where nothing is."""
        try:
            found = os.stat(self.path)
        except ValueError:
            return _HIDDEN
        except OSError as problem:
            return None if problem.errno in (ENOENT, ENOTDIR) else _HIDDEN
        return found.st_dev, found.st_ino, found.st_ctime_ns

    def absent_sentence(self, before: str = "") -> str:
        """Why nothing is there, as far as that can be known; `before` is the runtime that was connected earlier."""
        return absent_sentence(self.path, self._find_runtime(), before)

    def connect(self) -> socket.socket | str:
        """A connected stream, or a sentence that says why there is none."""
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            # Without waiting: a runtime that accepts nobody answers EAGAIN once its queue is full.
            self._connect(stream)
        except ValueError:
            stream.close()
            return path_sentence(self.path)
        except OSError as problem:
            stream.close()
            return connect_sentence(self.path, self._as_no_socket(problem))
        return stream

    def _connect(self, stream: socket.socket) -> None:
        if len(os.fsencode(self.path)) <= ADDRESS_BYTES_MAX:
            stream.connect(self.path)
            return
        # Below its folder's descriptor a long path has a short address.
        folder, name = os.path.split(self.path)
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            stream.connect(f"/proc/self/fd/{descriptor}/{name}")
        finally:
            os.close(descriptor)

    def _as_no_socket(self, problem: OSError) -> OSError:
        # The kernel answers ECONNREFUSED for a plain file too.
        with suppress(OSError, ValueError):
            if not stat.S_ISSOCK(os.stat(self.path).st_mode):
                return OSError(ENOTSOCK, os.strerror(ENOTSOCK), self.path)
        return problem


def installed_runtime() -> str:
    """The first container runtime whose own socket is here, `containerd` or `CRI-O`; empty: none is."""
    return next((name for name, path in CRI_SOCKETS if os.path.exists(path)), "")
