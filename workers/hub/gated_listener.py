"""A listening socket whose gate can be closed: while it is, the kernel drops all who want to connect, and they try again.

ZeroMQ accepts for as long as somebody connects, and ends its process where it has no descriptor left for that. Its own way to stop
listening, `unbind`, ends every connection that was accepted before. So the socket is made here and lent to it (ZMQ_USE_FD), and
the gate is a filter of the kernel on this socket alone (socket(7), SO_ATTACH_FILTER: one instruction, which takes no packet).
Connections that are there are not touched by it.
"""

import ctypes
import socket
from struct import pack

from agent.model.host import parse_host

# Of linux/include/uapi/asm-generic/socket.h; Python has no names for them.
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
# BPF_RET | BPF_K with 0: so many bytes of each packet are taken.
_TAKE_NOTHING = pack("HBBI", 0x06, 0, 0, 0)


class GatedListener:
    """It listens from its making on. *Raises:* OSError where it cannot (gaierror for a name that is no address)."""

    def __init__(self, endpoint: str, backlog: int) -> None:
        """`endpoint`: tcp://ADDRESS:PORT."""
        authority = endpoint.removeprefix("tcp://")
        host, port = parse_host(authority) or "", int(authority.rpartition(":")[2])
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        self.is_open = True
        self._socket = socket.socket(family, kind, protocol)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # `[::]` is every address of both families.
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            self._socket.setblocking(False)
            self._socket.bind(where)
            self._socket.listen(backlog)
        except OSError:
            self._socket.close()
            raise

    def lend(self) -> int:
        """A descriptor of the socket for ZeroMQ, which closes it."""
        return self._socket.dup().detach()

    def close_gate(self) -> None:
        """Let nobody in. *Raises:* OSError where the kernel refuses filters."""
        code = ctypes.create_string_buffer(_TAKE_NOTHING, len(_TAKE_NOTHING))
        # struct sock_fprog: how many instructions, where they are.
        program = pack("HxxxxxxP", 1, ctypes.addressof(code))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        self.is_open = False

    def open_gate(self) -> None:
        """Let everybody in again. *Raises:* OSError."""
        self._socket.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        self.is_open = True

    def close(self) -> None:
        """Give this end back; ZeroMQ has its own."""
        self._socket.close()
