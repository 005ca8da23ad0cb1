"""The kernel's process connector: the end of every process, without its CPU. *Source:* linux/drivers/connector/cn_proc.c."""

import select
import time
from collections.abc import Callable
from errno import EAGAIN, EINVAL, ENOBUFS
from os import strerror

from agent.model.timebase import MS
from workers.framework.netlink import DatagramSlots, NetlinkSocket
from workers.framework.netlink_message import NETLINK_CONNECTOR
from workers.process.exits.connector_event import GROUP, ConnectorExit, acknowledged, pack_listen, parse_exit

SLOTS, SLOT_BYTES = 128, 256
DATAGRAMS_MAX = 400_000
# Measured: one event takes this much of the receive buffer.
BUFFER_BYTES_PER_EVENT = 840
# The kernel acknowledges within the call that orders; one that does not know the order never does.
ACKNOWLEDGED_NS_MAX = 20 * MS
_DATAGRAM_BYTES = 4096


class ConnectorListener:
    """Receives exit events. Without a `connection` one is made.

    *Raises:* OSError where the kernel has no process connector, or not for this user or namespace.
    """

    def __init__(self, *, buffer_bytes: int, may_filter: bool = True, connection: NetlinkSocket | None = None) -> None:
        self._socket = connection or NetlinkSocket(NETLINK_CONNECTOR, groups=GROUP, buffer_bytes=buffer_bytes)
        try:
            if not self._is_accepted():
                # In a pid or user namespace of its own an order is ignored.
                raise OSError(EINVAL, "netlink: the process connector does not answer in this namespace")
            # Never acknowledged: the filter drops that too. Kernels before 6.6 ignore it and go on with all events.
            if may_filter:
                self._socket.send(pack_listen(exits_only=True))
        except OSError:
            self._socket.close()
            raise
        self._slots = DatagramSlots(self._socket, slots=SLOTS, slot_bytes=SLOT_BYTES)
        self._dropped = self._socket.dropped or 0

    def _is_accepted(self) -> bool:
        """Order all events, and see whether the kernel acknowledges. *Raises:* OSError: it refuses."""
        self._socket.send(pack_listen(exits_only=False))
        until_ns = time.monotonic_ns() + ACKNOWLEDGED_NS_MAX
        buffer = memoryview(bytearray(_DATAGRAM_BYTES))
        poller = select.poll()
        poller.register(self._socket.fileno(), select.POLLIN)
        for _ in range(DATAGRAMS_MAX):
            # What lies in the buffer is looked at however late it has become: the answer may have been there for long.
            wait_ms = max(0, (until_ns - time.monotonic_ns()) // MS)
            if not poller.poll(wait_ms):
                if not wait_ms:
                    break
                continue
            try:
                number = acknowledged(buffer[: self._socket.receive_into(buffer)])
            except OSError as failure:
                # Events of others fill the buffer meanwhile.
                if failure.errno not in (EAGAIN, ENOBUFS):
                    raise
                continue
            if number:
                raise OSError(number, f"netlink: {strerror(number)}")
            if number == 0:
                return True
        return False

    @property
    def capacity(self) -> int:
        """About how many events the buffer holds."""
        return max(1, self._socket.buffer_bytes // BUFFER_BYTES_PER_EVENT)

    def drain(self, into: list[ConnectorExit], beat: Callable[[], None] = lambda: None) -> tuple[int, int]:
        """Take over all that waits; how many events came and how many were lost. *Raises:* OSError but for a full buffer."""
        came = 0
        for count in self._slots.batches(datagrams_max=DATAGRAMS_MAX, beat=beat):
            came += count
            for number, length in enumerate(self._slots.lengths(count)):
                place = number * SLOT_BYTES
                if (found := parse_exit(self._slots.data[place : place + length])) is not None:
                    into.append(found)
        dropped = self._socket.dropped
        lost = 0 if dropped is None else (dropped - self._dropped) & 0xFFFFFFFF
        self._dropped = self._dropped if dropped is None else dropped
        return came, lost

    def close(self) -> None:
        """End the subscription."""
        self._slots.data.release()
        self._socket.close()
