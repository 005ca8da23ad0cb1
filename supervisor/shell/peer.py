"""The process at the other end of a Unix stream, as the kernel reports it. *Source:* unix(7), socket(7)."""

import ctypes
import os
import socket
import struct
from errno import ERANGE

from supervisor.core.access_rule import Peer

# asm-generic/socket.h; Linux 4.13. Python has no name for it.
_SO_PEERGROUPS = 59
# As many bytes as Python's getsockopt takes: 256 groups. Hardly any user has more.
_USUAL_BYTES = 1024
# NGROUPS_MAX groups.
_GROUPS_BYTES_MAX = 4 * 65536
_CREDENTIALS = struct.Struct("3i")


def peer_of(stream: socket.socket) -> Peer:
    """User and groups at the time it connected; it cannot choose them. *Raises:* OSError."""
    _pid, uid, gid = _CREDENTIALS.unpack(stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    # The kernel's numbers have no sign.
    return Peer(uid & 0xFFFFFFFF, frozenset((gid & 0xFFFFFFFF, *_groups(stream))))


def _groups(stream: socket.socket) -> tuple[int, ...]:
    try:
        data = stream.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _USUAL_BYTES)
    except OSError as cause:
        if cause.errno != ERANGE:
            # A kernel or sandbox that does not report them: the primary group is all that is known.
            return ()
        data = _many_groups(stream)
    return struct.unpack(f"{len(data) // 4}I", data)


def _many_groups(stream: socket.socket) -> bytes:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer, size = ctypes.create_string_buffer(_GROUPS_BYTES_MAX), ctypes.c_uint(_GROUPS_BYTES_MAX)
    if libc.getsockopt(stream.fileno(), socket.SOL_SOCKET, _SO_PEERGROUPS, buffer, ctypes.byref(size)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "SO_PEERGROUPS")
    return buffer.raw[: size.value]
