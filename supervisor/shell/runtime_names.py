"""The names by which others find this agent: looked at, and made again where somebody has removed them.

A name is looked at by its inode, so that a file which somebody else put there is seen too. Nobody's living socket is ever
taken away: a process that answers at one of our names, or holds one of our locks, has the folder from then on.
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
    """One name in the file system that this process stands behind."""

    @property
    def path(self) -> str:
        """The name; empty: there is none now."""

    def is_there(self) -> bool:
        """Whether the name still leads here."""

    def make_again(self) -> None:
        """Give it the name once more. *Raises:* OSError, EvergaugeError; BusyError when it is somebody else's."""


class RuntimeNames:
    """All names of this agent. `data_path` is made by the writer: it is only looked at."""

    def __init__(self, places: Sequence[RuntimeName], *, data_path: str) -> None:
        self._places = places
        self._data_path = data_path

    def look(self) -> RuntimeSeen:
        """What is lost, after everything that can be was made again; some ten calls of stat(2)."""
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
    """Which file this is, None when there is none."""
    with suppress(OSError):
        return os.lstat(path).st_ino
    return None


def refuse_living(path: str) -> None:
    """*Raises:* BusyError when somebody answers on the socket at this path; never waits."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as caller:
        problem = caller.connect_ex(path)
    if problem in (0, EAGAIN):
        raise BusyError(path, "somebody else answers on this socket", "give the agents runtime folders of their own")
