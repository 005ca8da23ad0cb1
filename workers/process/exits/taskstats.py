"""The kernel's taskstats: exit records drained in bulk.

*Source:* linux/Documentation/accounting/taskstats.rst. Needs CAP_NET_ADMIN, the first network and the first pid namespace.
"""

from collections.abc import Callable

from workers.framework.netlink import DatagramSlots, NetlinkSocket, family_id, generic_socket
from workers.framework.netlink_message import pack_attribute, pack_generic
from workers.process.exits.taskstats_record import (
    COMMAND_GET,
    FAMILY,
    REGISTER_CPUMASK,
    ExitRecords,
    SlotFormat,
    is_usual,
    parse_datagram,
)

# 128 KiB of room, filled by one call. A record of a process with several threads has some 1,200 bytes, 1,500 in newer kernels.
SLOTS, SLOT_BYTES = 64, 2048
# What one drain takes over at most: more than the largest buffer holds.
DATAGRAMS_MAX = 400_000
# The kernel's own bookkeeping counts: measured, one record takes this much of the receive buffer.
BUFFER_BYTES_PER_RECORD = 1_400


class TaskstatsListener:
    """Receives the exit record of every thread of the host, on all CPUs that there can be. *Raises:* OSError where it cannot."""

    def __init__(self, cpus: str, *, buffer_bytes: int, connection: NetlinkSocket | None = None) -> None:
        """`cpus` is the kernel's list of possible CPUs, such as `0-63`; without a `connection` one is made."""
        self._socket = connection or generic_socket(buffer_bytes=buffer_bytes)
        try:
            self._family = family_id(self._socket, FAMILY)
            order = pack_generic(COMMAND_GET, pack_attribute(REGISTER_CPUMASK, cpus.encode() + b"\0"))
            self._socket.order(self._family, order)
        except OSError:
            self._socket.close()
            raise
        self._slots = DatagramSlots(self._socket, slots=SLOTS, slot_bytes=SLOT_BYTES)
        self._format: SlotFormat | None = None
        self._dropped = self._socket.dropped or 0

    @property
    def capacity(self) -> int:
        """About how many records the buffer holds."""
        return max(1, self._socket.buffer_bytes // BUFFER_BYTES_PER_RECORD)

    def drain(self, into: ExitRecords, beat: Callable[[], None] = lambda: None) -> None:
        """Take over all that waits. *Raises:* OSError for anything but a full buffer."""
        for count in self._slots.batches(datagrams_max=DATAGRAMS_MAX, beat=beat):
            self._take(count, into)
        dropped = self._socket.dropped
        if dropped is not None:
            into.lost += (dropped - self._dropped) & 0xFFFFFFFF
            self._dropped = dropped

    def _take(self, count: int, into: ExitRecords) -> None:
        data, size, form = self._slots.data, SLOT_BYTES, self._format
        lengths = self._slots.lengths(count)
        if form is None:
            for number, length in enumerate(lengths):
                self._take_one(data[number * size : number * size + length], into)
            return
        expected, usual = form.expected, form.length
        add = into.threads.append
        for number, values in enumerate(form.unpack.iter_unpack(data[: count * size])):
            if values[:4] == expected and lengths[number] == usual:
                add(values[4:])  # type: ignore[arg-type]  # a plain tuple in the record's order: a named one costs 0.4 us more
            else:
                self._take_one(data[number * size : number * size + lengths[number]], into)

    def _take_one(self, datagram: memoryview, into: ExitRecords) -> None:
        parsed = parse_datagram(datagram, self._family)
        if parsed is None or parsed.thread is None:
            into.malformed += 1
            return
        if parsed.group is not None:
            into.groups[len(into.threads)] = parsed.group
        into.threads.append(parsed.thread)
        if self._format is None and is_usual(datagram, parsed):
            self._format = SlotFormat(bytes(datagram), SLOT_BYTES)

    def close(self) -> None:
        """End the subscription."""
        self._slots.data.release()
        self._socket.close()
