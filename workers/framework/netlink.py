"""A netlink socket: bounded questions to the kernel, and datagrams that the kernel sends by itself. Messages: `netlink_message`."""

import ctypes
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from errno import EAGAIN, EINTR, ENOBUFS, ENOENT, EPROTO
from struct import Struct, unpack_from

from agent.model.timebase import MS
from workers.framework.netlink_message import (
    ACKNOWLEDGE,
    CONTROLLER,
    DONE,
    DUMP,
    ERROR,
    MULTIPART,
    NETLINK_GENERIC,
    REQUEST,
    NetlinkMessage,
    error_number,
    messages,
    pack_family_query,
    pack_message,
    parse_family_id,
)

# asm-generic/socket.h; Python names neither.
SO_RCVBUFFORCE, SO_MEMINFO = 33, 55
# linux/sock_diag.h: the place of the count of datagrams that found no room, among nine numbers.
_MEMINFO_DROPS, _MEMINFO_BYTES = 8, 36
# The kernel answers a question at once; a dump of a page takes microseconds.
ANSWER_NS_MAX = 200 * MS
# A dump of more datagrams is an endless one.
DATAGRAMS_MAX = 65_536
# The largest datagram of a dump (linux/netlink.h, NLMSG_GOODSIZE, is at most 8 KiB; dumps use up to 32 KiB).
DATAGRAM_BYTES = 32 << 10
# A batch of slots takes some hundred microseconds.
BATCHES_PER_BEAT = 8


class NetlinkSocket:
    """One socket of a netlink protocol, never blocking longer than an answer takes.

    `groups` is the mask of multicast groups to join. *Raises:* OSError where the protocol or the permission lacks.
    """

    def __init__(self, protocol: int, *, groups: int = 0, buffer_bytes: int | None = None) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, protocol)
        self._sequence = 0
        self._buffer: memoryview | None = None
        try:
            if buffer_bytes is not None:
                self._set_buffer(buffer_bytes)
            self._socket.bind((0, groups))
        except OSError:
            self._socket.close()
            raise

    def _set_buffer(self, size: int) -> None:
        """The kernel doubles the number. Without CAP_NET_ADMIN it grants at most net.core.rmem_max."""
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
        except OSError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    @property
    def buffer_bytes(self) -> int:
        """What the kernel grants, its own bookkeeping included."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    @property
    def dropped(self) -> int | None:
        """Datagrams that found no room since the socket was made, modulo 2^32. *Absent:* the kernel does not tell (before 4.12).

        *Source:* linux/sock_diag.h, SK_MEMINFO_DROPS.
        """
        try:
            numbers = self._socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMINFO_BYTES)
        except OSError:
            return None
        return int(unpack_from("=I", numbers, 4 * _MEMINFO_DROPS)[0]) if len(numbers) == _MEMINFO_BYTES else None

    def fileno(self) -> int:
        """The descriptor."""
        return self._socket.fileno()

    def send(self, message: bytes) -> None:
        """Send to the kernel. *Raises:* OSError."""
        self._socket.send(message)

    def receive_into(self, buffer: bytearray | memoryview) -> int:
        """The length of the next datagram, now in `buffer`. *Raises:* BlockingIOError: there is none; OSError (ENOBUFS: lost)."""
        return self._socket.recv_into(buffer)

    def request(self, kind: int, payload: bytes) -> NetlinkMessage:
        """The answer to one question, valid until the next one. *Raises:* OSError: refused, or no answer in time."""
        for message in self._answers(kind, payload, REQUEST):
            return message
        raise OSError(EPROTO, "netlink: an answer without content")

    def order(self, kind: int, payload: bytes) -> None:
        """Have something done. *Raises:* OSError: refused, or no answer in time."""
        for _acknowledgement in self._answers(kind, payload, REQUEST | ACKNOWLEDGE):
            return

    def dump(self, kind: int, payload: bytes) -> Iterator[NetlinkMessage]:
        """The messages of a listing. *Raises:* OSError: refused, interrupted, or no answer in time."""
        return self._answers(kind, payload, REQUEST | DUMP)

    def _answers(self, kind: int, payload: bytes, flags: int) -> Iterator[NetlinkMessage]:
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        self._socket.send(pack_message(kind, payload, flags=flags, sequence=self._sequence))
        until_ns = time.monotonic_ns() + ANSWER_NS_MAX
        self._buffer = buffer = self._buffer or memoryview(bytearray(DATAGRAM_BYTES))
        for _ in range(DATAGRAMS_MAX):
            length = self._wait_datagram(buffer, until_ns)
            for message in messages(buffer[:length]):
                # What is left of a question that was given up, or an event.
                if message.sequence != self._sequence:
                    continue
                if number := error_number(message):
                    raise OSError(number, f"netlink: {os.strerror(number)}")
                if message.kind == DONE:
                    return
                yield message
                # An acknowledgement, or an answer that no other follows.
                if flags & DUMP != DUMP and (message.kind == ERROR or not message.flags & MULTIPART):
                    return
        raise OSError(EPROTO, "netlink: an answer without end")

    def _wait_datagram(self, buffer: memoryview, until_ns: int) -> int:
        # The answer to most questions is there when `send` returns.
        with suppress(BlockingIOError):
            return self._socket.recv_into(buffer)
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        # However late it has become: what has come meanwhile is an answer.
        if not poller.poll(max(0, (until_ns - time.monotonic_ns()) // MS)):
            raise OSError(EAGAIN, "netlink: the kernel does not answer")
        return self._socket.recv_into(buffer)

    def close(self) -> None:
        """Give the socket back; the kernel forgets what it subscribed to."""
        self._socket.close()


def family_id(connection: NetlinkSocket, name: str) -> int:
    """The message type of a generic netlink family, asked on a generic socket. *Raises:* OSError (ENOENT: it is not here)."""
    number = parse_family_id(connection.request(CONTROLLER, pack_family_query(name)).payload)
    if number is None:
        raise OSError(ENOENT, f"netlink: no family {name}")
    return number


def generic_socket(*, buffer_bytes: int | None = None) -> NetlinkSocket:
    """A socket for generic netlink. *Raises:* OSError."""
    return NetlinkSocket(NETLINK_GENERIC, buffer_bytes=buffer_bytes)


class _Part(ctypes.Structure):
    """struct iovec. *Source:* readv(2)."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Head(ctypes.Structure):
    """struct msghdr. *Source:* recvmsg(2)."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_bytes", ctypes.c_uint32),
        ("parts", ctypes.c_void_p),
        ("parts_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_bytes", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Slot(ctypes.Structure):
    """struct mmsghdr. *Source:* recvmmsg(2)."""

    _fields_ = (("head", _Head), ("received", ctypes.c_uint32))


class DatagramSlots:
    """Room for many datagrams that one system call fills: a call per datagram costs more than all that is done with it."""

    def __init__(self, connection: NetlinkSocket, *, slots: int, slot_bytes: int) -> None:
        self.slots = slots
        self.slot_bytes = slot_bytes
        self._descriptor = connection.fileno()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._room = (ctypes.c_char * (slots * slot_bytes))()
        base = ctypes.addressof(self._room)
        self._parts = (_Part * slots)(*(_Part(base + number * slot_bytes, slot_bytes) for number in range(slots)))
        part = ctypes.addressof(self._parts)
        step = ctypes.sizeof(_Part)
        self._heads = (_Slot * slots)(*(_Slot(_Head(parts=part + i * step, parts_count=1)) for i in range(slots)))
        self.data = memoryview(self._room).cast("B")
        before = _Slot.received.offset
        behind = ctypes.sizeof(_Slot) - before - 4
        self._length = Struct(f"={before}xI{behind}x")
        self._head_view = memoryview(self._heads).cast("B")

    def receive(self) -> int:
        """How many datagrams lie in the slots now, from the first. 0: none waits. *Raises:* OSError (ENOBUFS: some were lost)."""
        count = int(self._libc.recvmmsg(self._descriptor, self._heads, self.slots, socket.MSG_DONTWAIT, None))
        if count >= 0:
            return count
        number = ctypes.get_errno()
        if number in (EAGAIN, EINTR):
            return 0
        raise OSError(number, f"netlink: {os.strerror(number)}")

    def batches(self, *, datagrams_max: int, beat: Callable[[], None]) -> Iterator[int]:
        """How many datagrams lie in the slots, filled again and again until none waits or so many were asked for.

        That a full buffer lost some is no end: `NetlinkSocket.dropped` counts them. *Raises:* OSError for anything else.
        """
        for turn in range(1, datagrams_max // self.slots + 1):
            try:
                count = self.receive()
            except OSError as failure:
                if failure.errno != ENOBUFS:
                    raise
                continue
            if not count:
                return
            yield count
            if turn % BATCHES_PER_BEAT == 0:
                beat()

    def lengths(self, count: int) -> list[int]:
        """The length of each of the first `count` datagrams; one that was longer than its slot is cut."""
        return [length for (length,) in self._length.iter_unpack(self._head_view[: count * self._length.size])]
