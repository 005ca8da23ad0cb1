"""Which process holds which socket, as far as it was read, and whose open files are worth reading next. PURE."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from agent.model.absence import Absence
from workers.process.tracked_process import TrackedProcess

# Reading the open files of a usual process costs some 30 us.
LISTINGS_MAX = 32
# A process that is a winner is read again once in this many ticks: it may have given sockets away, or share them by now.
PERIOD_TICKS = 16
# A socket without a known owner (the kernel's own, or a hidden process's) is looked for in this many ticks, and then given up for
# as many.
TRIES_MAX, GIVEN_UP_TICKS = 8, 64
OWNERS_MAX = 4096
# A socket with a smaller part of all bytes, or with fewer, is not looked for.
SMALL_PART, SMALL_BYTES = 64, 4096

Moved = Mapping[int, tuple[int, int]]


class Holding(Struct, frozen=True):
    """The sockets of one process when it was read. *Absent:* the reason why they are not known."""

    process: TrackedProcess
    inodes: frozenset[int]
    tick: int
    reason: Absence | None = None


class SocketOwners:
    """What is known, by process. `processes` are all that live now, by name."""

    def __init__(self, processes: Mapping[str, TrackedProcess]) -> None:
        self._processes = processes
        self._holdings: dict[str, Holding] = {}
        self._holders: dict[int, list[TrackedProcess]] = {}
        # The tick in which a socket was looked for first, while its owner is not known.
        self._sought_since: dict[int, int] = {}
        self._tick = 0

    def begin_tick(self) -> None:
        """Forget the processes that are gone."""
        self._tick += 1
        for holding in [each for each in self._holdings.values() if not self._is_alive(each.process)]:
            self._drop(holding)

    def holding(self, process: TrackedProcess) -> Holding | None:
        """What is known of a process. *Absent:* it was not read yet."""
        found = self._holdings.get(process.name)
        return found if found is not None and found.process is process else None

    def is_read_now(self, process: TrackedProcess) -> bool:
        """Whether the open files of a process were read in this tick."""
        return self._read_at(process) == self._tick

    def unresolved(self, moved: Moved) -> list[int]:
        """The sockets with a part of the bytes that is worth it and no known owner."""
        least = max(SMALL_BYTES, sum(sent + received for sent, received in moved.values()) // SMALL_PART)
        return [inode for inode, (sent, received) in moved.items() if sent + received >= least and inode not in self._holders]

    def candidates(
        self, winners: Iterable[TrackedProcess], ran: Iterable[TrackedProcess], unresolved: Iterable[int]
    ) -> list[TrackedProcess]:
        """Whose open files to read now: winners whose turn it is, and while a socket is looked for, all that ran, in rotation."""
        # What did not run has sent nothing.
        due = [process for process in winners if process.interval_cpu_ns != 0 and self._is_due(process)]
        if self._seek(unresolved):
            due += winners
            due += ran
        # What was read longest ago comes first, then what used the most CPU: sending costs CPU.
        unique = [process for process in dict.fromkeys(due) if not process.stat.is_kernel_thread and not process.has_died]
        unique.sort(key=lambda process: (self._read_at(process), -(process.interval_cpu_ns or 0)))
        return unique[:LISTINGS_MAX]

    def take(self, process: TrackedProcess, inodes: frozenset[int], reason: Absence | None = None) -> None:
        """The sockets of a process as they were read now, in place of those known before."""
        if (before := self._holdings.get(process.name)) is not None:
            self._drop(before)
        while len(self._holdings) >= OWNERS_MAX:
            self._drop(next(iter(self._holdings.values())))
        self._holdings[process.name] = Holding(process, inodes, self._tick, reason)
        for inode in inodes:
            self._holders.setdefault(inode, []).append(process)
            self._sought_since.pop(inode, None)

    def bytes_by_process(self, moved: Moved) -> dict[TrackedProcess, tuple[int, int]]:
        """What moved, by process. A socket that several hold counts for the one that used the most CPU, then for the oldest."""
        found: dict[TrackedProcess, tuple[int, int]] = {}
        for inode, (sent, received) in moved.items():
            if holders := self._holders.get(inode):
                owner = max(holders, key=lambda each: (each.interval_cpu_ns or 0, -each.start_ticks, -each.pid))
                sent_before, received_before = found.get(owner, (0, 0))
                found[owner] = sent_before + sent, received_before + received
        return found

    def _seek(self, unresolved: Iterable[int]) -> bool:
        """Whether there is a socket to look for that was not given up."""
        since = {inode: self._sought_since.get(inode, self._tick) for inode in unresolved}
        self._sought_since = {
            inode: first if self._tick - first < TRIES_MAX + GIVEN_UP_TICKS else self._tick for inode, first in since.items()
        }
        return any(self._tick - first < TRIES_MAX for first in self._sought_since.values())

    def _is_due(self, process: TrackedProcess) -> bool:
        holding = self.holding(process)
        return holding is None or self._tick - holding.tick >= PERIOD_TICKS + process.pid % PERIOD_TICKS

    def _read_at(self, process: TrackedProcess) -> int:
        holding = self.holding(process)
        return -1 if holding is None else holding.tick

    def _is_alive(self, process: TrackedProcess) -> bool:
        return self._processes.get(process.name) is process

    def _drop(self, holding: Holding) -> None:
        del self._holdings[holding.process.name]
        for inode in holding.inodes:
            holders = self._holders[inode]
            holders.remove(holding.process)
            if not holders:
                del self._holders[inode]
