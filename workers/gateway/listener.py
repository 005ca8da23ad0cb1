"""Which socket listens at a port, by the text of `/proc/net/tcp` and `tcp6`. PURE. *Source:* proc_pid_net(5), tcp_ipv4.c."""

import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from msgspec import Struct

_LISTENS = "0A"
_ANY = frozenset({"0" * 8, "0" * 32})
# `sl local_address rem_address st queues timer retransmits uid timeout inode`
_FIELDS_MIN = 10
_WORD_BYTES = 4


class Listener(Struct, frozen=True):
    """A listening socket: the number of its inode and of the user who made it."""

    inode: int
    user: int


def listener_in_place_of(address: str, port: int, *tables: str) -> Listener | None:
    """The first socket in the tables that listens where `address` and `port` would; None: none is seen there.

    A socket at every address is in the way of one at any address, and the other way round.
    *Raises:* ValueError when the address is no IP address.
    """
    wanted = _written(ip_address(address))
    for local, found in _listeners(port, tables):
        if local == wanted or local in _ANY or wanted in _ANY:
            return found
    return None


def _listeners(port: int, tables: tuple[str, ...]) -> Iterator[tuple[str, Listener]]:
    suffix = f":{port:04X}"
    for table in tables:
        for line in table.split("\n"):
            fields = line.split()
            # The last line may be cut, and the first one is a heading.
            if len(fields) < _FIELDS_MIN or fields[3] != _LISTENS or not fields[1].endswith(suffix):
                continue
            user, inode = fields[7], fields[9]
            if user.isdecimal() and inode.isdecimal() and len(user) + len(inode) < 40:
                local = fields[1].removesuffix(suffix)
                yield local.removeprefix(_MAPPED), Listener(int(inode), int(user))


def _written(address: IPv4Address | IPv6Address) -> str:
    """As the kernel writes it: groups of four bytes, each in the byte order of this machine."""
    packed = address.packed
    words = (packed[at : at + _WORD_BYTES] for at in range(0, len(packed), _WORD_BYTES))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words).removeprefix(_MAPPED)


# How ::ffff:0:0/96 begins, the IPv4 addresses as IPv6 has them.
_MAPPED = "0" * 16 + f"{int.from_bytes(bytes((0, 0, 255, 255)), sys.byteorder):08X}"
