"""Every process of the host, followed from tick to tick, and the sums per unit and command. PURE.

A process whose `stat` did not change by a byte is not even parsed. Sums are carried along by differences, so they are exact:
they are those over every process that was read. Nothing here reads a file that takes another process's memory lock.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from errno import EACCES, ENOENT, EPERM, ESRCH
from typing import TypeVar

from agent.model.absence import Absence
from agent.model.cgroup_path import parse_proc_cgroup, unit_of
from agent.model.errors import KernelFormatError
from agent.model.proc_stat import STAT_BYTES_MAX, Stat, parse_comm, parse_stat
from workers.process.files import FILES_PER_BEAT, ProcFiles
from workers.process.tracked_process import ProcessIdentity, ProcessIo, Scan, Totals, TrackedProcess
from workers.process.unit_command import UnitCommand, command_of

__all__ = ["ProcessIdentity", "ProcessIo", "ProcessTable", "Scan", "Totals", "TrackedProcess"]

ItemT = TypeVar("ItemT")

CGROUP_BYTES_MAX = 16 << 10
# A process can be moved to another cgroup after its start; each one is checked again once in this many ticks.
CGROUP_PERIOD_TICKS = 60
# All threads of a process share its memory, so the first that still has it tells. Those that have ended are passed over.
THREADS_TRIED_MAX = 16


class ProcessTable:
    """All processes below one proc root. One look costs one listing and one read per process.

    `boot_ns` is the clock from which the kernel takes the starts of processes, CLOCK_BOOTTIME. `/proc/uptime` is not it
    where LXCFS shows a container's own, and is missing from a mount with `subset=pid`. `beat` is called every few hundred
    processes.
    """

    def __init__(
        self, files: ProcFiles, *, boot_ns: Callable[[], int], ns_per_tick: int, page_bytes: int, beat: Callable[[], None]
    ) -> None:
        self._files = files
        self._boot_ns = boot_ns
        self._ns_per_tick = ns_per_tick
        self._page_bytes = page_bytes
        self._beat = beat
        self.processes: dict[str, TrackedProcess] = {}
        self.totals: defaultdict[UnitCommand, Totals] = defaultdict(Totals)
        self.unreadable = 0
        # Processes that refused to be read at the last look.
        self.refused = 0
        self._last_boot_ticks: int | None = None
        self._tick = 0

    def boot_ticks(self) -> int:
        """The time since boot as starts are counted."""
        return self._boot_ns() // self._ns_per_tick

    def look(self, names: Iterable[str], boot_ticks: int) -> Scan:
        """Bring every process up to date.

        `boot_ticks` is the time at which the listing of the names began: a process that starts meanwhile belongs to the next look.
        """
        found = set(names)
        known = self.processes
        self.refused = 0
        scan = Scan()
        for name in self._beating(known.keys() - found):
            scan.gone.append(self._forget(name))
        # Before the known ones are read: one that is given up then is met again at the next tick, not twice in this one.
        new = found - known.keys()
        for name, process in self._beating(list(known.items())):
            self._refresh(name, process, scan)
        for name in self._beating(new):
            self._begin_following(name, scan)
        self._last_boot_ticks = boot_ticks
        self._tick += 1
        return scan

    def end_interval(self, scan: Scan) -> None:
        """What the processes did in this interval is written down; the next one begins."""
        for process in scan.touched:
            process.interval_cpu_ns = process.interval_user_ns = process.interval_system_ns = None if process.cpu_ns is None else 0
            process.interval_reaped_ns = 0
            process.interval_minor_faults = None if process.stat.minor_faults is None else 0
            process.interval_major_faults = None if process.stat.major_faults is None else 0
            process.why_no_cpu = None
        for key in [key for key, total in self.totals.items() if not total.processes]:
            del self.totals[key]
        for total in self.totals.values():
            total.cpu_ns = total.read_bytes = total.write_bytes = 0

    def _beating(self, items: Iterable[ItemT]) -> Iterator[ItemT]:
        for number, item in enumerate(items, start=1):
            yield item
            if number % FILES_PER_BEAT == 0:
                self._beat()

    def _refresh(self, name: str, process: TrackedProcess, scan: Scan) -> None:
        try:
            line = self._files.read_stat(name)
        except OSError as gone:
            self._lose(process, gone, scan)
            return
        if line != process.line:
            self._update(process, line, scan)
            return
        if (self._tick + process.pid) % CGROUP_PERIOD_TICKS == 0:
            self._place(process)
        if process.thread is not None:
            # Its line says nothing of the threads that go on.
            self._set_memory(process, process.stat)
            scan.touched.append(process)

    def _lose(self, process: TrackedProcess, gone: OSError, scan: Scan) -> None:
        self._forget(process.name)
        if gone.errno not in (ESRCH, ENOENT):
            self._count(gone)
            return
        scan.gone.append(process)
        # The number may already be another process's.
        self._begin_following(process.name, scan)

    def _update(self, process: TrackedProcess, line: bytes, scan: Scan) -> None:
        try:
            stat = parse_stat(line)
        except KernelFormatError as failure:
            self._count(failure)
            self._forget(process.name)
            return
        before = process.stat
        if stat.start_ticks != before.start_ticks:
            # Only where the descriptor could not be kept: the number is another process's now.
            scan.gone.append(self._forget(process.name))
            self._begin_following(process.name, scan)
            return
        process.line = line
        self._set_memory(process, stat)
        self._count_cpu(process, before)
        self._count_faults(process, before)
        scan.touched.append(process)
        if process.interval_cpu_ns != 0:
            scan.active.append(process)
        comm = parse_comm(line)
        if comm != process.comm or (self._tick + process.pid) % CGROUP_PERIOD_TICKS == 0:
            process.comm = comm
            self._place(process)

    def _count_cpu(self, process: TrackedProcess, before: Stat) -> None:
        stat = process.stat
        if stat.cpu_ticks is None or before.cpu_ticks is None or process.cpu_ns is None:
            process.cpu_ns = None if stat.cpu_ticks is None else stat.cpu_ticks * self._ns_per_tick
            process.interval_cpu_ns = process.interval_user_ns = process.interval_system_ns = None
            return
        used = max(0, stat.cpu_ticks - before.cpu_ticks) * self._ns_per_tick
        process.cpu_ns += used
        process.interval_cpu_ns = used
        process.interval_system_ns = min(used, max(0, stat.system_ticks - before.system_ticks) * self._ns_per_tick)
        process.interval_user_ns = used - process.interval_system_ns
        process.totals.cpu_ns += used

    def _count_faults(self, process: TrackedProcess, before: Stat) -> None:
        stat = process.stat
        process.interval_minor_faults = _difference(stat.minor_faults, before.minor_faults)
        process.interval_major_faults = _difference(stat.major_faults, before.major_faults)
        reaped_ns = (stat.reaped_ticks or 0) * self._ns_per_tick
        process.interval_reaped_ns = max(0, reaped_ns - process.reaped_ns)
        process.reaped_ns = reaped_ns

    def _begin_following(self, name: str, scan: Scan) -> None:
        """Begin to follow a process that was not there at the last tick."""
        try:
            self._files.keep(name)
            line = self._files.read_stat(name)
            stat = parse_stat(line)
        except (OSError, KernelFormatError) as failure:
            self._count(failure)
            self._files.give_back(name)
            return
        comm = parse_comm(line)
        key = UnitCommand(None, command_of(comm, is_kernel_thread=stat.is_kernel_thread))
        process = self.processes[name] = TrackedProcess(name, int(name), stat, line, comm, key, self.totals[key])
        process.totals.move(process, 1)
        self._set_memory(process, stat)
        process.reaped_ns = (stat.reaped_ticks or 0) * self._ns_per_tick
        process.cpu_ns = None if stat.cpu_ticks is None else stat.cpu_ticks * self._ns_per_tick
        # Started since the last tick: all its CPU is of this interval. Otherwise only what it uses from now on is.
        if self._last_boot_ticks is not None and stat.start_ticks >= self._last_boot_ticks:
            scan.started.append(process)
            self._count_whole(process)
        if process.interval_cpu_ns != 0:
            scan.active.append(process)
        scan.touched.append(process)
        self._place(process)

    def _count_whole(self, process: TrackedProcess) -> None:
        """Everything that it ever did was in this interval."""
        stat = process.stat
        process.interval_minor_faults, process.interval_major_faults = stat.minor_faults, stat.major_faults
        process.interval_reaped_ns = process.reaped_ns
        if process.cpu_ns is not None:
            process.interval_cpu_ns = process.cpu_ns
            process.interval_system_ns = stat.system_ticks * self._ns_per_tick
            process.interval_user_ns = process.cpu_ns - process.interval_system_ns
            process.totals.cpu_ns += process.cpu_ns

    def _count(self, failure: OSError | KernelFormatError) -> None:
        """A process that ended while it was read is no failure."""
        number = failure.errno if isinstance(failure, OSError) else None
        self.unreadable += number not in (ESRCH, ENOENT)
        self.refused += number in (EACCES, EPERM)

    def _forget(self, name: str) -> TrackedProcess:
        process = self.processes.pop(name)
        self._files.give_back(name)
        process.totals.move(process, -1)
        return process

    def _set_memory(self, process: TrackedProcess, stat: Stat) -> None:
        """Take over a line with its memory and threads; if the first thread has ended, another thread's line has the memory."""
        process.totals.move(process, -1)
        process.stat = stat
        pages, reason = stat.rss_pages, Absence.OUT_OF_RANGE.value
        if stat.is_first_thread_ended:
            pages, reason = self._memory_of_threads(process), Absence.UNREADABLE.value
        else:
            process.thread = None
        process.rss_bytes = (pages or 0) * self._page_bytes
        process.why_no_rss = reason if pages is None else None
        process.threads = stat.threads or 0
        process.totals.move(process, 1)

    def _memory_of_threads(self, process: TrackedProcess) -> int | None:
        """Resident pages, from the line of a thread that still runs; None: there is none."""
        folder = f"{process.name}/task"
        if process.thread is not None and (pages := self._memory_of_thread(folder, process.thread)):
            return pages
        process.thread = None
        names: list[str] = []
        with suppress(OSError):
            names = [name for name in self._files.tree.list_names(folder) if name != process.name]
        for name in names[:THREADS_TRIED_MAX]:
            if pages := self._memory_of_thread(folder, name):
                process.thread = name
                return pages
        return None

    def _memory_of_thread(self, folder: str, name: str) -> int | None:
        """None: the thread has ended or begins to end, and has no memory any more."""
        try:
            return parse_stat(self._files.read(f"{folder}/{name}/stat", STAT_BYTES_MAX)).rss_pages
        except (OSError, KernelFormatError):
            return None

    def _place(self, process: TrackedProcess) -> None:
        """Look in which unit the process is, and move its part of the sums when that or its name changed."""
        pod_uid = process.key.pod_uid
        try:
            process.cgroup = parse_proc_cgroup(self._files.read(f"{process.name}/cgroup", CGROUP_BYTES_MAX))
        except OSError:
            # It is ending: what it did belongs where it was seen last.
            pass
        else:
            unit = None if process.cgroup is None else unit_of(process.cgroup)
            pod_uid = None if unit is None else unit.uid
            process.container = None if unit is None else unit.container
            process.unit_kind = None if unit is None else unit.kind.value
        key = UnitCommand(pod_uid, command_of(process.comm, is_kernel_thread=process.stat.is_kernel_thread))
        if key != process.key:
            for totals, sign in ((process.totals, -1), (self.totals[key], 1)):
                totals.move(process, sign)
                totals.move_interval(process, sign)
            process.key, process.totals = key, self.totals[key]


def _difference(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else max(0, now - before)
