"""The runtime names, by which other processes find this agent: checked, and made again where they were removed.

A name is checked by its inode, so that a file of another process in its place is noticed too. A living socket is never taken
away: a process that answers at one of our names, or holds one of our locks, has the folder from then on.
"""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from errno import EAGAIN
from typing import Protocol

from agent.model.errors import BusyError, EvergaugeError
from supervisor.core.effect import RuntimeSeen

FOLDER_MODE = 0o700


class RuntimeName(Protocol):
    """One name in the file system that leads to this process."""

    @property
    def path(self) -> str:
        """The name; empty: there is none now."""

    def is_there(self) -> bool:
        """Whether the name still leads here."""

    def make_again(self) -> None:
        """Make the name again. *Raises:* OSError, EvergaugeError; BusyError when another process has it."""


class RuntimeNames:
    """All names of this agent. The socket at `data_path` is the writer's: it is only checked."""

    def __init__(self, places: Sequence[RuntimeName], *, data_path: str) -> None:
        self._places = places
        self._data_path = data_path

    def look(self) -> RuntimeSeen:
        """What was lost, after what can be was made again. Costs some ten calls of stat(2)."""
        lost = [place for place in self._places if place.path and not place.is_there()]
        names = tuple(os.path.basename(place.path) for place in lost)
        try:
            for place in lost:
                os.makedirs(os.path.dirname(place.path), mode=FOLDER_MODE, exist_ok=True)
                place.make_again()
        except BusyError as taken:
            return RuntimeSeen(names, None, taken.sentence, is_taken=True)
        except EvergaugeError as failure:
            return RuntimeSeen(names, inode_of(self._data_path), failure.sentence)
        except OSError as failure:
            return RuntimeSeen(names, inode_of(self._data_path), f"cannot be made again: {failure}")
        return RuntimeSeen(names, inode_of(self._data_path))


def inode_of(path: str) -> int | None:
    """The inode of a file. *Absent:* there is none."""
    with suppress(OSError):
        return os.lstat(path).st_ino
    return None


def refuse_living(path: str) -> None:
    """Check that no process answers on the socket at this path; never waits. *Raises:* BusyError when one does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as caller:
        problem = caller.connect_ex(path)
    if problem in (0, EAGAIN):
        raise BusyError(path, "another process answers on this socket", "give the agents runtime folders of their own")
