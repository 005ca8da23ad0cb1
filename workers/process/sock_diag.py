"""The kernel's listing of TCP sockets by netlink: the question, and what is taken from each answer. PURE.

*Source:* sock_diag(7), linux/include/uapi/linux/inet_diag.h, linux/include/uapi/linux/tcp.h.
"""

from struct import Struct
from typing import NamedTuple

from workers.framework.netlink_message import first_attribute

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


class TcpSocket(NamedTuple):
    """One connection: its inode, and the bytes that it has sent (acknowledged by the other side) and received."""

    inode: int
    sent_bytes: int
    received_bytes: int


def pack_tcp_query(family: int) -> bytes:
    """The payload that asks for all TCP connections of IPv4 or of IPv6."""
    return _REQUEST.pack(family, _TCP, 1 << (_INFO - 1), 0, _STATES)


def parse_tcp_socket(payload: memoryview) -> TcpSocket | None:
    """One answer. *Absent:* no process has the connection (any more), or the kernel does not tell its bytes."""
    if len(payload) < _HEAD_BYTES:
        return None
    (inode,) = _INODE.unpack_from(payload)
    if inode == 0:
        return None
    info = first_attribute(payload[_HEAD_BYTES:], _INFO)
    if info is None or len(info) < _BYTES.size:
        return None
    sent, received = _BYTES.unpack_from(info)
    return TcpSocket(inode, sent, received)
