"""How many bytes processes send and receive over TCP: the counters of the sockets, given to the processes that hold them.

It is done only while the host's interfaces are busy, so that a quiet host pays for one small file a tick.
"""

import os
from collections.abc import Callable, Sequence
from errno import EPROTO
from heapq import nlargest
from typing import Protocol

from msgspec import Struct

from agent.config import PROC_ROOT, Config
from agent.model.absence import Absence
from agent.model.timebase import MS, S
from agent.ports import KernelTree
from agent.setting import Switch, Whole
from agent.side_reader import SideReader, Unanswered
from workers.framework.condition import Conditions
from workers.framework.netlink import DATAGRAM_BYTES, DATAGRAMS_MAX, NetlinkSocket
from workers.framework.netlink_message import DUMP, NETLINK_SOCK_DIAG, REQUEST, pack_message
from workers.host.files import KeptFiles, reason_of
from workers.host.network import NET_DEV_BYTES_MAX, parse_total_bytes
from workers.host.tcp import SOCKSTAT_BYTES_MAX, parse_sockstat
from workers.process.breaker import BreakerLimits, FileBreaker, Metered, ReadOutcome
from workers.process.open_sockets import SocketLister
from workers.process.process_table import ProcessTable
from workers.process.sock_diag import IPV4, IPV6, SOCK_DIAG_BY_FAMILY, TcpListing, TcpSocket, pack_tcp_query
from workers.process.socket_owners import Moved, SocketOwners
from workers.process.tracked_process import TrackedProcess

TCP = Switch("sampler.process.tcp", True, "whether to count the bytes that processes send and receive over TCP")
# One costs 4 us in each tick in which the network is busy.
TCP_SOCKETS = Whole(
    "sampler.process.tcp_sockets_max", 1000, 1, 1_000_000, "connections on the host above which TCP bytes are not counted"
)

# Sent and received by all interfaces together; a host with less is quiet.
QUIET_BYTES_PER_SECOND = 256 << 10
# 32 processes and 8,192 files a tick take some 13 ms.
FD_LIMITS = BreakerLimits(cost_ns_max=60 * MS, unanswered_max=4)
# After a failure nothing is tried for this many ticks.
FAILURE_TICKS = 60
# So many processes that are no winners are named for the bytes that they moved.
OTHERS_MAX = 4


class TcpNetwork(Protocol):
    """What the kernel says of TCP in the agent's network namespace."""

    def moved_bytes(self) -> int | Absence:
        """What all interfaces have sent and received so far."""
        ...

    def connections(self) -> int | Absence:
        """How many TCP sockets there are."""
        ...

    def sockets(self) -> dict[int, TcpSocket]:
        """Every connection, by inode. *Raises:* OSError."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class TcpReader:
    """Tells TCP bytes, tick by tick. `processes` are all that live now, by name."""

    def __init__(
        self,
        network: TcpNetwork,
        lister: SocketLister,
        owners: SocketOwners,
        *,
        sockets_max: int,
        listings: Metered,
        reader: SideReader[frozenset[int] | Absence] | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._network = network
        self._lister = lister
        self._reader = reader or SideReader(lister.read, beat=beat)
        self._owners = owners
        self._sockets_max = sockets_max
        self._breaker, self._cpu_ns = listings.breaker, listings.cpu_ns
        self._moved_bytes: int | None = None
        # The counters of the last tick, by inode; None: they were not read then.
        self._sockets: dict[int, TcpSocket] | None = None
        self._failure: Absence | None = None
        self._ticks_to_try = 0
        self.connections = 0
        self.listings = 0

    def read(
        self, winners: Sequence[TrackedProcess], ran: Sequence[TrackedProcess], elapsed_ns: int | None
    ) -> list[TrackedProcess]:
        """Set `tcp_sent`, `tcp_received` and `why_no_tcp` of each winner for this tick. `ran` are all that used CPU in it.

        Gives those that ran, are no winners, and moved the most bytes, at most OTHERS_MAX: they are worth a row. Theirs are set
        too. *Absent:* `quiet_network` and others for all, or for a process `incomplete` and why its open files are not known; with
        `incomplete` a number is the least that it was.
        """
        moved = self._measure(elapsed_ns)
        if isinstance(moved, Absence):
            for process in winners:
                process.tcp_sent, process.tcp_received, process.why_no_tcp = None, None, moved.value
            return []
        self._find_owners(moved, winners, ran)
        found = self._owners.bytes_by_process(moved)
        others = found.keys() - set(winners)
        named = nlargest(OTHERS_MAX, others, key=lambda process: (sum(found[process]), process.pid))
        is_complete = not self._owners.unresolved(moved)
        for process in (*winners, *named):
            self._set(process, found.get(process, (0, 0)), is_complete)
        return named

    def stats(self) -> dict[str, int]:
        """Connections when they were counted last, processes whose open files were read so far, those that do not answer now."""
        return {"connections": self.connections, "listings": self.listings, "stuck": self._reader.stuck}

    @property
    def is_breaker_open(self) -> bool:
        """Whether no open files are listed for now."""
        return self._breaker.is_open

    def hold(self, *, is_held: bool) -> None:
        """Whether no open files are listed, whatever it costs."""
        self._breaker.is_held = is_held

    def close(self) -> None:
        """Give everything back."""
        self._reader.close()
        self._network.close()

    def _measure(self, elapsed_ns: int | None) -> Moved | Absence:
        """What each socket moved since the last tick, or why nobody knows."""
        before, self._sockets = self._sockets, None
        total, before_total = self._network.moved_bytes(), self._moved_bytes
        self._moved_bytes = None if isinstance(total, Absence) else total
        if isinstance(total, Absence):
            return total
        if before_total is None or elapsed_ns is None:
            return Absence.FIRST_TICK
        if total - before_total < QUIET_BYTES_PER_SECOND * elapsed_ns // S:
            return Absence.QUIET_NETWORK
        now = self._read_sockets()
        if isinstance(now, Absence):
            return now
        self._sockets = now
        return Absence.FIRST_TICK if before is None else _moved(before, now)

    def _read_sockets(self) -> dict[int, TcpSocket] | Absence:
        if self._ticks_to_try > 0 and self._failure is not None:
            self._ticks_to_try -= 1
            return self._failure
        connections = self._network.connections()
        if isinstance(connections, Absence):
            return connections
        self.connections = connections
        if connections > self._sockets_max:
            return Absence.TOO_MANY
        try:
            return self._network.sockets()
        except OSError as failure:
            self._failure, self._ticks_to_try = reason_of(failure), FAILURE_TICKS
            return self._failure

    def _find_owners(self, moved: Moved, winners: Sequence[TrackedProcess], ran: Sequence[TrackedProcess]) -> None:
        self._owners.begin_tick()
        self._lister.begin_tick()
        asked = self._owners.candidates(winners, ran, self._owners.unresolved(moved))
        count = self._breaker.begin_tick(len(asked))
        # What is known of a process is believed meanwhile.
        for process in asked[count:]:
            if self._owners.holding(process) is None:
                self._owners.take(process, frozenset(), Absence.BREAKER_OPEN)
        if asked := asked[:count]:
            self._list_sockets(asked)

    def _list_sockets(self, asked: Sequence[TrackedProcess]) -> None:
        self.listings += len(asked)
        begun_ns = self._cpu_ns()
        answers = self._reader.read_all([((process.name, process.start_ticks), process.name) for process in asked])
        for process in asked:
            answer = answers[process.name, process.start_ticks]
            if isinstance(answer, frozenset):
                self._owners.take(process, answer)
            elif answer is not Absence.INCOMPLETE:
                self._owners.take(process, frozenset(), _reason(answer))
        refused = sum(answer is Absence.NO_PERMISSION for answer in answers.values())
        unanswered = sum(isinstance(answer, Unanswered) for answer in answers.values())
        self._breaker.end_tick(ReadOutcome(len(asked), refused, unanswered, self._cpu_ns() - begun_ns))

    def _set(self, process: TrackedProcess, moved: tuple[int, int], is_complete: bool) -> None:
        holding = self._owners.holding(process)
        process.tcp_sent = process.tcp_received = None
        process.why_no_tcp = None
        if process.stat.is_kernel_thread:
            process.why_no_tcp = Absence.KERNEL_THREAD.value
        elif holding is not None and holding.reason is not None:
            process.why_no_tcp = holding.reason.value
        elif holding is None and not is_complete:
            process.why_no_tcp = Absence.INCOMPLETE.value
        else:
            process.tcp_sent, process.tcp_received = moved
            if not is_complete and not self._owners.is_read_now(process):
                process.why_no_tcp = Absence.INCOMPLETE.value


def _moved(before: dict[int, TcpSocket], now: dict[int, TcpSocket]) -> Moved:
    """Sockets that moved anything. One that was not there at the last tick began since, so all its bytes are of this one."""
    found: dict[int, tuple[int, int]] = {}
    for inode, socket in now.items():
        old = before.get(inode)
        if old is None or socket.sent_bytes < old.sent_bytes or socket.received_bytes < old.received_bytes:
            old = TcpSocket(0, 0)
        sent, received = socket.sent_bytes - old.sent_bytes, socket.received_bytes - old.received_bytes
        if sent or received:
            found[inode] = sent, received
    return found


def _reason(answer: OSError | Unanswered | Absence) -> Absence:
    if isinstance(answer, Absence):
        return answer
    if isinstance(answer, OSError):
        return reason_of(answer)
    return Absence.NOT_ANSWERED if answer is Unanswered.STUCK else Absence.READERS_STUCK


class KernelTcpNetwork:
    """The kernel's own answers (`TcpNetwork`)."""

    def __init__(self, tree: KernelTree) -> None:
        self._files = KeptFiles(tree)
        self._connection: NetlinkSocket | None = None
        self._buffer = memoryview(bytearray(DATAGRAM_BYTES))
        self._sequence = 0

    def moved_bytes(self) -> int | Absence:
        """What all interfaces have sent and received so far."""
        return self._files.parsed("self/net/dev", NET_DEV_BYTES_MAX, parse_total_bytes)

    def connections(self) -> int | Absence:
        """How many TCP sockets there are."""
        first = self._files.parsed("self/net/sockstat", SOCKSTAT_BYTES_MAX, lambda text: parse_sockstat(text, b"TCP"))
        second = self._files.parsed("self/net/sockstat6", SOCKSTAT_BYTES_MAX, lambda text: parse_sockstat(text, b"TCP6"))
        # Without IPv6 there is no second file.
        return first if isinstance(first, Absence) else first + (0 if isinstance(second, Absence) else second)

    def sockets(self) -> dict[int, TcpSocket]:
        """Every connection, by inode. *Raises:* OSError. *Source:* sock_diag(7)."""
        connection = self._connection = self._connection or NetlinkSocket(NETLINK_SOCK_DIAG)
        listing = TcpListing()
        for family in (IPV4, IPV6):
            self._sequence = (self._sequence + 1) & 0xFFFFFFFF
            query = pack_tcp_query(family)
            connection.send(pack_message(SOCK_DIAG_BY_FAMILY, query, flags=REQUEST | DUMP, sequence=self._sequence))
            self._receive(connection, listing)
        return listing.sockets

    def _receive(self, connection: NetlinkSocket, listing: TcpListing) -> None:
        """The kernel writes each datagram when the one before it is read, so there is nothing to wait for."""
        for _ in range(DATAGRAMS_MAX):
            length = connection.receive_into(self._buffer)
            number = listing.take(self._buffer[:length], self._sequence)
            if number:
                raise OSError(number, f"netlink: {os.strerror(number)}")
            if number == 0:
                return
        raise OSError(EPROTO, "netlink: a listing without end")

    def close(self) -> None:
        """Close every descriptor."""
        self._files.close()
        if self._connection is not None:
            self._connection.close()


class TcpAround(Struct, frozen=True):
    """What the reader shares with the rest of its sampler."""

    table: ProcessTable
    conditions: Conditions
    beat: Callable[[], None]
    cpu_ns: Callable[[], int]


def open_tcp_reader(config: Config, tree: KernelTree, around: TcpAround) -> TcpReader | None:
    """The reader of a process sampler. *Absent:* it is switched off."""
    if not config.of(TCP):
        return None
    owners, lister = SocketOwners(around.table.processes), SocketLister(config.of(PROC_ROOT))
    listings = Metered(FileBreaker("fd", FD_LIMITS, around.conditions), around.cpu_ns)
    network = KernelTcpNetwork(tree)
    return TcpReader(network, lister, owners, sockets_max=config.of(TCP_SOCKETS), listings=listings, beat=around.beat)
