"""Processes and their TCP connections in memory, and a reader that measures them tick by tick."""

from collections.abc import Hashable, Sequence

from fakes.bus import RecordingBus
from fakes.tracked import CountedCpu

from agent.model.absence import Absence
from agent.model.proc_stat import Stat
from agent.model.timebase import S
from agent.side_reader import SideReader, Unanswered
from workers.framework.condition import Conditions
from workers.process.breaker import FileBreaker, Metered
from workers.process.open_sockets import SocketLister
from workers.process.sock_diag import TcpSocket
from workers.process.socket_owners import SocketOwners
from workers.process.tcp import FD_LIMITS, TcpReader
from workers.process.tracked_process import Totals, TrackedProcess
from workers.process.unit_command import UnitCommand

MB = 1_000_000
Answer = frozenset[int] | Absence | OSError | Unanswered


def tracked(pid: int, *, start_ticks: int | None = None, cpu_ns: int | None = 5, is_kernel_thread: bool = False) -> TrackedProcess:
    """A process as the table has it; it used some CPU in this tick."""
    stat = Stat("S", 1, 0, 1, pid if start_ticks is None else start_ticks, 10, is_kernel_thread)
    key = UnitCommand(None, "busy")
    return TrackedProcess(str(pid), pid, stat, b"", "busy", key, Totals(), interval_cpu_ns=cpu_ns)


class _ScriptedReader(SideReader[frozenset[int] | Absence]):
    """Answers what the world says, and keeps who was asked."""

    def __init__(self, world: "TcpWorld") -> None:
        super().__init__(lambda _name: frozenset())
        self._world = world
        self.asked: list[list[int]] = []

    def read_all(self, asks: Sequence[tuple[Hashable, str]]) -> dict[Hashable, Answer]:
        """See `SideReader`."""
        self.asked.append([int(name) for _, name in asks])
        return {key: self._world.holders.get(int(name), frozenset()) for key, name in asks}


class TcpWorld:
    """The network port and the open files, as the test says."""

    def __init__(self, *, sockets_max: int = 100) -> None:
        self.processes: dict[str, TrackedProcess] = {}
        self.holders: dict[int, Answer] = {}
        self.counters: dict[int, TcpSocket] = {}
        self.total: int | Absence = 0
        self.connection_count: int | Absence | None = None
        self.failure: OSError | None = None
        self.listings = 0
        self.is_closed = False
        self.side = _ScriptedReader(self)
        self.owners = SocketOwners(self.processes)
        lister = SocketLister("/nonexistent")
        self.bus, self.cpu = RecordingBus(), CountedCpu()
        listings = Metered(FileBreaker("fd", FD_LIMITS, Conditions(self.bus)), self.cpu)
        self.reader = TcpReader(self, lister, self.owners, sockets_max=sockets_max, listings=listings, reader=self.side)

    def start(self, pid: int, *inodes: int, cpu_ns: int | None = 5, is_kernel_thread: bool = False) -> TrackedProcess:
        """A process that holds these sockets."""
        process = self.processes[str(pid)] = tracked(pid, cpu_ns=cpu_ns, is_kernel_thread=is_kernel_thread)
        self.holders[pid] = frozenset(inodes)
        for inode in inodes:
            self.counters.setdefault(inode, TcpSocket(0, 0))
        return process

    def move(self, inode: int, sent: int, received: int = 0) -> None:
        """A connection carries bytes, and so does an interface."""
        before = self.counters[inode]
        self.counters[inode] = TcpSocket(before.sent_bytes + sent, before.received_bytes + received)
        assert isinstance(self.total, int)
        self.total += sent + received

    def tick(self, winners: Sequence[TrackedProcess], ran: Sequence[TrackedProcess] = ()) -> list[TrackedProcess]:
        """One second later: the reader measures; gives those that it names beside the winners."""
        return self.reader.read(winners, [*winners, *ran], S)

    # ---- the port ----------------------------------------------------------------------------------

    def moved_bytes(self) -> int | Absence:
        """What the test says."""
        return self.total

    def connections(self) -> int | Absence:
        """What the test says, or how many there are."""
        return len(self.counters) if self.connection_count is None else self.connection_count

    def sockets(self) -> dict[int, TcpSocket]:
        """The counters now."""
        self.listings += 1
        if self.failure is not None:
            raise self.failure
        return dict(self.counters)

    def close(self) -> None:
        """Note it."""
        self.is_closed = True
