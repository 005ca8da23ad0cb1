"""A socket with what a kernel sent, recorded in `tests/fixtures/exits`: the sources of deaths read it as they read the kernel's."""

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from struct import unpack_from
from typing import Any

from workers.framework.netlink import NetlinkSocket

FOLDER = Path(__file__).parents[1] / "fixtures" / "exits"
KERNELS = ("5.10", "6.1", "6.12")


def recorded(kernel: str, source: str) -> list[bytes]:
    """The datagrams of one source, in their order."""
    data = (FOLDER / f"linux-{kernel}.{source}").read_bytes()
    found, place = [], 0
    while place < len(data):
        (length,) = unpack_from("<I", data, place)
        found.append(data[place + 4 : place + 4 + length])
        place += 4 + length
    return found


def facts(kernel: str) -> dict[str, Any]:
    """Which processes ended, and when."""
    said: dict[str, Any] = json.loads((FOLDER / f"linux-{kernel}.json").read_bytes())
    return said


class RecordedSocket(NetlinkSocket):
    """Datagrams are received when `play` has put them there; what is sent is kept by nobody."""

    def __init__(self, datagrams: Sequence[bytes] = ()) -> None:
        self._kernel, self._socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self._sequence = 0
        self._buffer = None
        # Datagrams that found no room, as the kernel counts them.
        self.drops = 0
        self.play(datagrams)

    @property
    def dropped(self) -> int:
        """What the test says."""
        return self.drops

    def play(self, datagrams: Sequence[bytes]) -> None:
        """From now on these wait."""
        for datagram in datagrams:
            self._kernel.send(datagram)

    def close(self) -> None:
        """Close both ends."""
        self._kernel.close()
        super().close()
