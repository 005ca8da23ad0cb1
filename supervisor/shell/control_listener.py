"""The listening end of the control socket: its name in the runtime folder, its mode, and connections as they come.

May import socket and os; decides nothing about clients.
"""

import os
import socket
from errno import EMFILE, ENFILE
from typing import NamedTuple

from agent import reader_group
from agent.failpoint import failpoint
from supervisor.shell.runtime_names import inode_of, refuse_living

BACKLOG_CONNECTIONS = 256


class Readers(NamedTuple):
    """The group that may read, and the folder of the socket where that is the agent's own ('': it is not)."""

    gid: int
    folder: str


class OutOfDescriptors(Exception):
    """A connection came, and there was no descriptor for it: it has been ended."""


class ControlListener:
    """Listens at `path` from its construction on. *Raises:* OSError naming the path where it cannot."""

    def __init__(self, path: str, readers: Readers | None) -> None:
        self.path = path
        self._readers = readers
        # Given up for a moment when descriptors run out: a connection that cannot even be refused would wake the loop for ever.
        self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._socket, self._inode = self._listen()
        except OSError:
            os.close(self._reserve)
            raise

    @property
    def descriptor(self) -> int:
        """Readable when connections wait; another one after `replace`."""
        return self._socket.fileno()

    def is_there(self) -> bool:
        """Whether connections to the path come here."""
        return inode_of(self.path) == self._inode

    def replace(self) -> socket.socket:
        """Listen at the name once more, because it has been removed. *Raises:* BusyError, OSError; nothing is changed then.

        Gives the socket that listened before, which the caller closes when nothing waits for it any more.
        """
        refuse_living(self.path)
        lost = self._socket
        self._socket, self._inode = self._listen()
        return lost

    def accept(self) -> socket.socket | None:
        """The next connection, non-blocking. *Absent:* None where none waits (any more). *Raises:* OutOfDescriptors, OSError."""
        try:
            stream, _address = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return None
        except OSError as full:
            if full.errno not in (EMFILE, ENFILE):
                raise
            self._refuse_first()
            raise OutOfDescriptors from full
        stream.setblocking(False)
        return stream

    def close(self) -> None:
        """Stop listening and remove the name, unless another socket has it now."""
        self._socket.close()
        os.close(self._reserve)
        if self.is_there():
            os.unlink(self.path)

    def _listen(self) -> tuple[socket.socket, int]:
        # Under a temporary name, then renamed: the socket's own name exists only when it answers, and a dead agent's is replaced.
        temporary = f"{self.path}.new"
        if os.path.lexists(temporary):
            os.unlink(temporary)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            listener.bind(temporary)
            # Before it listens, so that no other user ever reaches it, whatever the umask.
            os.chmod(temporary, 0o600)
            if self._readers is not None:
                reader_group.share_socket(temporary, self._readers.gid)
                if self._readers.folder:
                    reader_group.share_folder(os.path.realpath(self._readers.folder), self._readers.gid, reader_group.PASSAGE_MODE)
            listener.listen(BACKLOG_CONNECTIONS)
            inode = os.lstat(temporary).st_ino
            failpoint("control.listening")
            os.rename(temporary, self.path)
        except OSError as cause:
            # The kernel's answer to bind names no file.
            cause.filename = cause.filename or temporary
            listener.close()
            raise
        failpoint("control.named")
        return listener, inode

    def _refuse_first(self) -> None:
        """Take the first connection in line with the reserved descriptor, and end it."""
        os.close(self._reserve)
        try:
            self._socket.accept()[0].close()
        except OSError:
            # It has gone by itself, or another process took the descriptor first; then the loop comes back here.
            pass
        finally:
            self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
