"""Every process of the host, followed from tick to tick, and the sums per unit and command. PURE.

A process that did not run is not read, except once in a while. Sums are carried along by differences, so they are exact:
they are those over every process that was read. Nothing here reads a file that takes another process's memory lock.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from errno import EACCES, ENOENT, EPERM, ESRCH
from typing import TypeVar

from agent.model.absence import Absence
from agent.model.command_family import command_of
from agent.model.errors import KernelFormatError
from agent.model.proc_stat import Stat, parse_comm, parse_stat
from workers.process.breaker import Metered
from workers.process.counting import begin, count_interval, count_switches, count_whole, end
from workers.process.cpu_clock import ClockWatch, cpu_clock_of, has_clocks
from workers.process.cpu_time import parse_slices
from workers.process.files import FILES_PER_BEAT, ProcFiles
from workers.process.placement import Placements
from workers.process.reclaim import ReclaimWatch
from workers.process.thread_memory import ThreadMemory
from workers.process.tracked_process import ProcessIdentity, ProcessIo, Scan, Totals, TrackedProcess
from workers.process.unit_command import UnitCommand

__all__ = ["ProcessIdentity", "ProcessIo", "ProcessTable", "Scan", "Totals", "TrackedProcess"]

ItemT = TypeVar("ItemT")

CGROUP_BYTES_MAX, STATM_BYTES_MAX = 16 << 10, 256
# A process that sleeps is read in full once in this many ticks: the kernel may have taken memory from it, or its parent has ended.
ROTATION_TICKS = 16
# The same while the host takes memory from processes.
RECLAIM_ROTATION_TICKS = 4
# A process that has just begun is read in full at these ages too, in ticks: after its start the kernel's quick count lags most.
AGES_READ = (1, 2, 4, 8)
# A process can be moved to another cgroup after its start; each one is checked again once in this many ticks.
CGROUP_PERIOD_TICKS = 4 * ROTATION_TICKS


class ProcessTable:
    """All processes below one proc root.

    A process is watched by its CPU clock, and read when it ran. Where there are no clocks it is polled: its `stat` is read at every
    scan. `own_pid` is this process's number, by which the table finds out whether clocks belong to this root; None: they do not.

    `boot_ns` is the clock from which the kernel takes the starts of processes, CLOCK_BOOTTIME. `/proc/uptime` is not it
    where LXCFS shows a container's own, and is missing from a mount with `subset=pid`. `beat` is called every few hundred
    processes.
    """

    def __init__(
        self,
        files: ProcFiles,
        *,
        boot_ns: Callable[[], int],
        ns_per_tick: int,
        page_bytes: int,
        beat: Callable[[], None],
        own_pid: int | None = None,
        thread_listings: Metered | None = None,
    ) -> None:
        self._files = files
        self._boot_ns = boot_ns
        self._ns_per_tick = ns_per_tick
        self._page_bytes = page_bytes
        self._own_pid = own_pid
        self._beat = beat
        self._watch = ClockWatch(files.tree, beat=beat, clocks_per_beat=FILES_PER_BEAT)
        self._reclaim = ReclaimWatch(files.tree)
        self._thread_memory = ThreadMemory(files.read, files.tree.list_names, thread_listings)
        self._is_reclaiming = False
        self._placements = Placements()
        self.processes: dict[str, TrackedProcess] = {}
        self.totals: defaultdict[UnitCommand, Totals] = defaultdict(Totals)
        self.unreadable = 0
        # Processes that refused to be read at the last scan.
        self.refused = 0
        # A process that lives was not followed after the last scan: it must be found by listing again.
        self.has_missed = False
        # Whether clocks say which processes ran; None: not asked yet.
        self.has_clocks: bool | None = None
        self._polled: dict[str, TrackedProcess] = {}
        # The watched ones, by the ticks at which they are read though they sleep.
        self._turns: list[dict[str, TrackedProcess]] = [{} for _ in range(ROTATION_TICKS)]
        # Those that have just begun, by the ticks at which they are read.
        self._young: list[list[TrackedProcess]] = [[] for _ in range(ROTATION_TICKS)]
        self._last_boot_ticks: int | None = None
        self._tick = 0

    @property
    def unkept(self) -> int:
        """How many processes are opened for each reading."""
        return sum(not self._files.is_kept(name) for name in self._polled)

    def boot_ticks(self) -> int:
        """The time since boot as starts are counted."""
        return self._boot_ns() // self._ns_per_tick

    def scan(self, names: Iterable[str], boot_ticks: int) -> Scan:
        """Bring every process up to date.

        `boot_ticks` is the time at which the listing of the names began: a process that starts meanwhile belongs to the next scan.
        """
        if self.has_clocks is None:
            self.has_clocks = self._own_pid is not None and has_clocks(self._files.tree, self._own_pid)
        found = set(names)
        known = self.processes.keys()
        return self._scan(known - found, found - known, boot_ticks)

    def scan_numbers(self, numbers: range, boot_ticks: int) -> Scan:
        """As `scan`, where only processes with these numbers can be new. Asked only where there are clocks."""
        times = self._files.tree.read_clocks([cpu_clock_of(number) for number in numbers])
        living = {str(number) for number, time_ns in zip(numbers, times, strict=True) if time_ns is not None}
        return self._scan((), living - self.processes.keys(), boot_ticks)

    def _scan(self, gone: Iterable[str], new: Iterable[str], boot_ticks: int) -> Scan:
        known, unreadable = self.processes, self.unreadable
        self.refused = 0
        self._thread_memory.begin_tick()
        scan = Scan()
        for name in self._beating(gone):
            scan.gone.append(self._forget(name))
        # Before the new ones are met: one that is given up here is met again at the next scan, not twice in this one.
        for name, clock_ns in self._beating(self._watch.changed()):
            self._read_again(known[name], clock_ns, scan)
        for process in self._beating(list(self._polled.values())):
            self._read_again(process, None, scan)
        for process in self._beating(self._due()):
            self._read_whole(process, scan)
        for name in self._beating(new):
            self._begin_following(name, scan)
        self.has_missed = self.unreadable > unreadable or bool(scan.lost)
        self._thread_memory.end_tick()
        self._last_boot_ticks = boot_ticks
        self._tick += 1
        return scan

    def end_interval(self, scan: Scan) -> None:
        """What the processes did in this interval is written down; the next one begins."""
        for process in scan.touched:
            end(process)
        for process in scan.io_read:
            if (io := process.io) is not None:
                io.interval_read = io.interval_write = 0
        for key in [key for key, total in self.totals.items() if not total.processes]:
            del self.totals[key]
        for total in self.totals.values():
            total.cpu_ns = total.read_bytes = total.write_bytes = 0

    def _due(self) -> list[TrackedProcess]:
        """The watched processes that are read in this tick whether they ran or not."""
        if self._tick % RECLAIM_ROTATION_TICKS == 0:
            self._is_reclaiming = self._reclaim.has_moved()
        step = RECLAIM_ROTATION_TICKS if self._is_reclaiming else ROTATION_TICKS
        due = [process for turn in self._turns[self._tick % step :: step] for process in turn.values()]
        young, self._young[self._tick % ROTATION_TICKS] = self._young[self._tick % ROTATION_TICKS], []
        due += [process for process in young if self.processes.get(process.name) is process]
        # Those that are polled are read at every tick; only `statm` has its turn.
        due += [process for process in self._polled.values() if (self._tick + process.pid) % step == 0]
        return list(dict.fromkeys(due))

    def _read_whole(self, process: TrackedProcess, scan: Scan) -> None:
        """Read a process whose turn it is, unless it ran and was read already, and compare its memory with the exact count.

        In this order: the difference belongs to the line that was read last. Reclaim changes the memory of one that sleeps.
        """
        if process.read_at == self._tick:
            self._correct_memory(process)
            return
        self._read_again(process, None, scan)
        if self.processes.get(process.name) is not process:
            return
        is_told = bool(scan.touched) and scan.touched[-1] is process
        if self._correct_memory(process) and not is_told:
            scan.touched.append(process)

    def _correct_memory(self, process: TrackedProcess) -> bool:
        """Take over how much more memory `statm` has than `stat`; whether that is another number than before.

        Since Linux 6.16 `statm` adds up what each CPU has counted, and `stat` does not: for each CPU it is up to 32 pages off, more
        on large hosts. *Source:* proc_pid_statm(5), `get_mm_counter_sum` of linux/include/linux/mm.h.
        """
        pages = process.stat.rss_pages
        if not pages or process.stat.is_first_thread_ended:
            return False
        try:
            words = self._files.read(f"{process.name}/statm", STATM_BYTES_MAX).split()
        except OSError:
            # It is ending, or has a memory that nobody may see: what was read before stands.
            return False
        if len(words) < 2 or not words[1].isdigit() or not 0 < (exact := int(words[1])) < 1 << 52:
            return False
        if exact - pages == process.more_pages:
            return False
        process.more_pages = exact - pages
        self._set_memory(process, process.stat)
        return True

    def _beating(self, items: Iterable[ItemT]) -> Iterator[ItemT]:
        for number, item in enumerate(items, start=1):
            yield item
            if number % FILES_PER_BEAT == 0:
                self._beat()

    def _read_again(self, process: TrackedProcess, clock_ns: int | None, scan: Scan) -> None:
        """Read a process that is polled, whose turn it is, or that ran: then `clock_ns` is its clock."""
        process.read_at = self._tick
        if clock_ns is not None or process.name in self._polled:
            process.ran_at = self._tick
        try:
            line = self._files.keep_and_read_stat(process.name)
        except OSError as gone:
            self._lose(process, gone, scan)
            return
        if line != process.line or clock_ns is not None:
            self._update(process, line, clock_ns, scan)
            return
        key = process.key
        if (self._tick + process.pid) % CGROUP_PERIOD_TICKS == 0:
            self._place(process)
        if process.thread is not None:
            # Its line says nothing of the threads that go on.
            self._set_memory(process, process.stat)
        if process.thread is not None or process.key is not key:
            scan.touched.append(process)

    def _lose(self, process: TrackedProcess, gone: OSError, scan: Scan) -> None:
        self._forget(process.name)
        if gone.errno not in (ESRCH, ENOENT):
            self._count(gone)
            scan.lost.append(process)
            return
        scan.gone.append(process)
        # The number may already be another process's.
        self._begin_following(process.name, scan)

    def _update(self, process: TrackedProcess, line: bytes, clock_ns: int | None, scan: Scan) -> None:
        try:
            stat = parse_stat(line)
        except KernelFormatError as failure:
            self._count(failure)
            scan.lost.append(self._forget(process.name))
            return
        before = process.stat
        if stat.start_ticks != before.start_ticks:
            # Only where no descriptor was kept: the number is another process's now.
            scan.gone.append(self._forget(process.name))
            self._begin_following(process.name, scan)
            return
        is_renamed = not _has_same_name(line, process.line)
        process.line = line
        if before.threads == stat.threads == 1 and (before.rss_pages, before.cpu_ticks is None) == (
            stat.rss_pages,
            stat.cpu_ticks is None,
        ):
            # Nothing that stands in the sums is another.
            process.stat = stat
        else:
            self._set_memory(process, stat)
        if clock_ns is not None or process.name in self._polled:
            count_interval(process, before, clock_ns, self._ns_per_tick)
            # Only rows show them: they are counted from a process's first row on.
            if process.identity is not None:
                count_switches(process, self._slices(process))
        scan.touched.append(process)
        if process.interval_cpu_ns != 0:
            scan.active.append(process)
        if is_renamed:
            process.comm = parse_comm(line)
        if is_renamed or (self._tick + process.pid) % CGROUP_PERIOD_TICKS == 0:
            self._place(process)

    def _slices(self, process: TrackedProcess) -> int | None:
        """How often it was given a CPU; None: not known of all its threads."""
        if process.stat.threads == 1:
            with suppress(OSError):
                return parse_slices(self._files.read_schedstat(process.name))
        return None

    def _begin_following(self, name: str, scan: Scan) -> None:
        """Begin to follow a process that was not there at the last tick."""
        try:
            if not self.has_clocks:
                self._files.keep(name)
            line = self._files.read_stat(name)
            stat = parse_stat(line)
        except (OSError, KernelFormatError) as failure:
            self._count(failure)
            self._files.give_back(name)
            return
        comm = parse_comm(line)
        key = UnitCommand(None, command_of(comm, is_kernel_thread=stat.is_kernel_thread))
        process = TrackedProcess(name, int(name), stat, line, comm, key, self.totals[key], ran_at=self._tick, read_at=self._tick)
        self.processes[name] = process
        process.totals.move(process, 1)
        self._set_memory(process, stat)
        self._correct_memory(process)
        begin(process, self._watch_or_poll(process), self._ns_per_tick)
        # Started since the last tick: all its CPU is of this interval. Otherwise only what it uses from now on is.
        if self._last_boot_ticks is not None and stat.start_ticks >= self._last_boot_ticks:
            scan.started.append(process)
            count_whole(process)
            for age in AGES_READ:
                self._young[(self._tick + age) % ROTATION_TICKS].append(process)
        if process.interval_cpu_ns != 0:
            scan.active.append(process)
        scan.touched.append(process)
        self._place(process)

    def _watch_or_poll(self, process: TrackedProcess) -> int | None:
        """Follow a process by its clock, and give that; without one by its `stat`."""
        clock_ns = self._watch.add(process.name) if self.has_clocks else None
        if clock_ns is None:
            self._polled[process.name] = process
        else:
            self._turns[-process.pid % ROTATION_TICKS][process.name] = process
        return clock_ns

    def _count(self, failure: OSError | KernelFormatError) -> None:
        """A process that ended while it was read is no failure."""
        number = failure.errno if isinstance(failure, OSError) else None
        self.unreadable += number not in (ESRCH, ENOENT)
        self.refused += number in (EACCES, EPERM)

    def _forget(self, name: str) -> TrackedProcess:
        process = self.processes.pop(name)
        self._polled.pop(name, None)
        self._turns[-process.pid % ROTATION_TICKS].pop(name, None)
        self._watch.remove(name)
        self._files.give_back(name)
        process.totals.move(process, -1)
        return process

    def _set_memory(self, process: TrackedProcess, stat: Stat) -> None:
        """Take over a line with its memory and threads; if the first thread has ended, another thread's line has the memory."""
        process.totals.move(process, -1)
        process.stat = stat
        pages, reason = stat.rss_pages, Absence.OUT_OF_RANGE
        if stat.is_first_thread_ended:
            pages, reason = self._thread_memory.pages_of(process)
        else:
            process.thread = None
            if pages:
                pages = max(0, pages + process.more_pages)
        process.rss_bytes = (pages or 0) * self._page_bytes
        process.why_no_rss = reason.value if pages is None else None
        process.threads = stat.threads or 0
        process.totals.move(process, 1)

    def _place(self, process: TrackedProcess) -> None:
        """Look in which unit the process is, and move its part of the sums when that or its name changed."""
        pod_uid = process.key.pod_uid
        # While it is ending there is no text: what it did belongs where it was seen last.
        with suppress(OSError):
            text = self._files.read(f"{process.name}/cgroup", CGROUP_BYTES_MAX)
            process.cgroup, pod_uid, process.container, process.unit_kind = self._placements.of(text)
        key = UnitCommand(pod_uid, command_of(process.comm, is_kernel_thread=process.stat.is_kernel_thread))
        if key != process.key:
            for totals, sign in ((process.totals, -1), (self.totals[key], 1)):
                totals.move(process, sign)
                totals.move_interval(process, sign)
            process.key, process.totals = key, self.totals[key]


def _has_same_name(line: bytes, before: bytes) -> bool:
    """Whether two lines of one process have the same name, without reading it."""
    end = line.rfind(b")")
    return before.rfind(b")") == end and before[:end] == line[:end]
