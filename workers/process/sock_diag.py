"""The kernel's listing of TCP sockets by netlink: the question, and what is taken from each answer. PURE.

*Source:* sock_diag(7), linux/include/uapi/linux/inet_diag.h, linux/include/uapi/linux/tcp.h.
"""

from struct import Struct
from typing import NamedTuple

from workers.framework.netlink_message import ATTRIBUTE_HEAD, DONE, ERROR, MESSAGE_HEAD, MESSAGES_MAX, aligned

SOCK_DIAG_BY_FAMILY = 20
IPV4, IPV6 = 2, 10
_TCP = 6
_INFO = 2
# Connections: established, both FIN waits, close wait, last ACK, closing (linux/tcp_states.h). Listeners carry no bytes, and
# what is in time wait belongs to no process any more.
_STATES = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11
# family, protocol, extensions, padding, states; then the socket's addresses, which are not asked for.
_REQUEST = Struct("=BBBBI48x")
# `inet_diag_msg`: behind family, state, timer, retransmits and addresses come expires, rqueue, wqueue, uid and inode.
_HEAD_BYTES = 72
_INODE = Struct("=68xI")
# `tcp_info` grew with the kernel. These two are in it since Linux 4.1.
_BYTES = Struct("=120xQQ")
_ERRNO = Struct("=i")
# Six are usual.
_ATTRIBUTES_MAX = 64


class TcpSocket(NamedTuple):
    """The bytes that a connection has sent (acknowledged by the other side) and received."""

    sent_bytes: int
    received_bytes: int


def pack_tcp_query(family: int) -> bytes:
    """The payload that asks for all TCP connections of IPv4 or of IPv6."""
    return _REQUEST.pack(family, _TCP, 1 << (_INFO - 1), 0, _STATES)


class TcpListing:
    """Takes the datagrams of one listing, of IPv4 and then of IPv6, into `sockets`."""

    def __init__(self) -> None:
        self.sockets: dict[int, TcpSocket] = {}
        # Where `tcp_info` begins in a message. It is at the same place in nearly all of them.
        self._place = MESSAGE_HEAD.size + _HEAD_BYTES

    def take(self, datagram: memoryview, sequence: int) -> int | None:
        """Take one datagram. *Absent:* others follow; otherwise an errno, 0 at the end. Wrong lengths end the datagram.

        A connection that no process has (any more), and one without byte counts (before Linux 4.1), is left out.
        """
        place, end = 0, len(datagram)
        for _ in range(MESSAGES_MAX):
            if end - place < MESSAGE_HEAD.size:
                break
            length, kind, _flags, number, _port = MESSAGE_HEAD.unpack_from(datagram, place)
            if not MESSAGE_HEAD.size <= length <= end - place:
                break
            if number == sequence:
                if kind == SOCK_DIAG_BY_FAMILY:
                    self._take_message(datagram, place, place + length)
                elif kind == DONE:
                    return 0
                elif kind == ERROR and length >= MESSAGE_HEAD.size + _ERRNO.size:
                    return abs(int(_ERRNO.unpack_from(datagram, place + MESSAGE_HEAD.size)[0]))
            place += aligned(length)
        return None

    def _take_message(self, datagram: memoryview, start: int, end: int) -> None:
        if end - start < MESSAGE_HEAD.size + _HEAD_BYTES:
            return
        (inode,) = _INODE.unpack_from(datagram, start + MESSAGE_HEAD.size)
        if inode == 0:
            return
        info = start + self._place
        if not _is_info(datagram, info, end):
            info = start + MESSAGE_HEAD.size + _HEAD_BYTES
            for _ in range(_ATTRIBUTES_MAX):
                if end - info < ATTRIBUTE_HEAD.size or _is_info(datagram, info, end):
                    break
                # A length of less than its own head would be an endless loop.
                info += max(ATTRIBUTE_HEAD.size, aligned(ATTRIBUTE_HEAD.unpack_from(datagram, info)[0]))
            if not _is_info(datagram, info, end):
                return
            self._place = info - start
        sent, received = _BYTES.unpack_from(datagram, info + ATTRIBUTE_HEAD.size)
        self.sockets[inode] = TcpSocket(sent, received)


def _is_info(datagram: memoryview, place: int, end: int) -> bool:
    """Whether a `tcp_info` that is long enough begins here."""
    if end - place < ATTRIBUTE_HEAD.size + _BYTES.size:
        return False
    length, kind = ATTRIBUTE_HEAD.unpack_from(datagram, place)
    return bool(kind == _INFO and ATTRIBUTE_HEAD.size + _BYTES.size <= length <= end - place)
