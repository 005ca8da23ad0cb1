"""Every process of the host, followed from tick to tick, and the sums per pod. PURE.

A process whose `stat` did not change by a byte is not even parsed. Sums are carried along by differences, so they are exact:
they are those over every process that was read. Nothing here reads a file that takes another process's memory lock.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from errno import EACCES, ENOENT, EPERM, ESRCH
from typing import TypeVar

from msgspec import Struct

from agent.model.absence import Absence
from agent.model.cgroup_path import parse_proc_cgroup, unit_of
from agent.model.errors import KernelFormatError
from agent.model.proc_stat import STAT_BYTES_MAX, Stat, parse_comm, parse_stat
from workers.process.files import FILES_PER_BEAT, ProcFiles

ItemT = TypeVar("ItemT")

CGROUP_BYTES_MAX = 16 << 10
# A process can be moved to another cgroup after its start; each one is checked again once in this many ticks.
CGROUP_PERIOD_TICKS = 60
# All threads of a process share its memory, so the first that still has it tells. Those that have ended are passed over.
THREADS_TRIED_MAX = 16


class ProcessIdentity(Struct):
    """Who a process is: what only rows show. `told_for` is the name under which it was read, `at_ns` when."""

    at_ns: int | None = None
    told_for: str = ""
    uid: int | None = None
    command_line: str | None = None
    why_no_command_line: str | None = None
    # Tells whether the bytes are others than last time, without keeping them.
    digest: int | None = None


class TrackedProcess(Struct, eq=False):
    """What is remembered of one process between ticks."""

    name: str
    pid: int
    line: bytes
    stat: Stat
    comm: str
    # Resident memory as it stands in the sums; 0 where it is not known.
    rss_pages: int = 0
    why_no_rss: str | None = None
    # CPU in this tick's interval; None: not known, because the process was not read at the interval's beginning.
    interval_ticks: int | None = None
    cgroup: str | None = None
    pod_uid: str | None = None
    # A thread that goes on where the first one has ended.
    thread: str | None = None
    identity: ProcessIdentity | None = None

    @property
    def is_incomplete(self) -> bool:
        """Whether its part of the sums is not known."""
        return self.why_no_rss is not None or self.stat.cpu_ticks is None


class Sum(Struct):
    """Sums over the processes of one pod; `incomplete` counts those of which a value is not known."""

    processes: int = 0
    cpu_ticks: int = 0
    rss_pages: int = 0
    incomplete: int = 0

    def move(self, process: TrackedProcess, sign: int) -> None:
        """Add or take away everything of a process except its CPU."""
        self.processes += sign
        self.rss_pages += sign * process.rss_pages
        self.incomplete += sign * process.is_incomplete


class ProcessTable:
    """All processes below one proc root. One look costs one listing and one read per process.

    `boot_ns` is the clock from which the kernel takes the starts of processes, CLOCK_BOOTTIME. `/proc/uptime` is not it
    where LXCFS shows a container's own, and is missing from a mount with `subset=pid`. `beat` is called every few hundred
    processes.
    """

    def __init__(self, files: ProcFiles, *, boot_ns: Callable[[], int], ns_per_tick: int, beat: Callable[[], None]) -> None:
        self._files = files
        self._boot_ns = boot_ns
        self._ns_per_tick = ns_per_tick
        self._beat = beat
        self.processes: dict[str, TrackedProcess] = {}
        self.sums: defaultdict[str | None, Sum] = defaultdict(Sum)
        self.unreadable = 0
        # Processes that refused to be read at the last look.
        self.refused = 0
        self._last_boot_ticks: int | None = None
        self._tick = 0

    def boot_ticks(self) -> int:
        """The time since boot as starts are counted."""
        return self._boot_ns() // self._ns_per_tick

    def look(self, names: Iterable[str], boot_ticks: int) -> list[TrackedProcess]:
        """Bring every process up to date; gives those whose CPU moved or is not known.

        `boot_ticks` is the time at which the listing of the names began: a process that starts meanwhile belongs to the next look.
        """
        found = set(names)
        known = self.processes
        self.refused = 0
        for name in self._beating(known.keys() - found):
            self._forget(name)
        # Before the known ones are read: one that is given up then is met again at the next tick, not twice in this one.
        new = found - known.keys()
        active: list[TrackedProcess] = []
        for name, process in self._beating(list(known.items())):
            self._refresh(name, process, active)
        for name in self._beating(new):
            self._begin_following(name, active)
        self._last_boot_ticks = boot_ticks
        self._tick += 1
        return active

    def end_interval(self, active: Iterable[TrackedProcess]) -> None:
        """The CPU of this interval is written down; the next one begins."""
        for process in active:
            process.interval_ticks = None if process.stat.cpu_ticks is None else 0
        for pod_uid in [pod_uid for pod_uid, total in self.sums.items() if not total.processes]:
            del self.sums[pod_uid]
        for total in self.sums.values():
            total.cpu_ticks = 0

    def _beating(self, items: Iterable[ItemT]) -> Iterator[ItemT]:
        for number, item in enumerate(items, start=1):
            yield item
            if number % FILES_PER_BEAT == 0:
                self._beat()

    def _refresh(self, name: str, process: TrackedProcess, active: list[TrackedProcess]) -> None:
        try:
            line = self._files.read_stat(name)
        except OSError as gone:
            self._forget(name)
            if gone.errno not in (ESRCH, ENOENT):
                self._count(gone)
                return
            # The number may already be another process's.
            self._begin_following(name, active)
            return
        if line != process.line:
            self._update(name, process, line, active)
            return
        if (self._tick + process.pid) % CGROUP_PERIOD_TICKS == 0:
            self._place(process)
        if process.thread is not None:
            # Its line says nothing of the threads that go on.
            self._set_memory(process, process.stat)

    def _update(self, name: str, process: TrackedProcess, line: bytes, active: list[TrackedProcess]) -> None:
        try:
            stat = parse_stat(line)
        except KernelFormatError as failure:
            self._count(failure)
            self._forget(name)
            return
        before = process.stat
        if stat.start_ticks != before.start_ticks:
            # Only where the descriptor could not be kept: the number is another process's now.
            self._forget(name)
            self._begin_following(name, active)
            return
        process.line = line
        self._set_memory(process, stat)
        if stat.cpu_ticks is None or before.cpu_ticks is None:
            process.interval_ticks = None
            active.append(process)
        elif (used := stat.cpu_ticks - before.cpu_ticks) > 0:
            process.interval_ticks = used
            self.sums[process.pod_uid].cpu_ticks += used
            active.append(process)
        comm = parse_comm(line)
        if comm != process.comm or (self._tick + process.pid) % CGROUP_PERIOD_TICKS == 0:
            process.comm = comm
            self._place(process)

    def _begin_following(self, name: str, active: list[TrackedProcess]) -> None:
        """Begin to follow a process that was not there at the last tick."""
        try:
            self._files.keep(name)
            line = self._files.read_stat(name)
            stat = parse_stat(line)
        except (OSError, KernelFormatError) as failure:
            self._count(failure)
            self._files.give_back(name)
            return
        process = self.processes[name] = TrackedProcess(name, int(name), line, stat, parse_comm(line))
        total = self.sums[None]
        total.move(process, 1)
        self._set_memory(process, stat)
        # Started since the last tick: all its CPU is of this interval. Otherwise only what it uses from now on is.
        if self._last_boot_ticks is not None and stat.cpu_ticks is not None and stat.start_ticks >= self._last_boot_ticks:
            process.interval_ticks = stat.cpu_ticks
            total.cpu_ticks += stat.cpu_ticks
        active.append(process)
        self._place(process)

    def _count(self, failure: OSError | KernelFormatError) -> None:
        """A process that ended while it was read is no failure."""
        number = failure.errno if isinstance(failure, OSError) else None
        self.unreadable += number not in (ESRCH, ENOENT)
        self.refused += number in (EACCES, EPERM)

    def _forget(self, name: str) -> None:
        process = self.processes.pop(name)
        self._files.give_back(name)
        self.sums[process.pod_uid].move(process, -1)

    def _set_memory(self, process: TrackedProcess, stat: Stat) -> None:
        """Take over a line with its memory; if the first thread has ended, another thread's line has it."""
        total = self.sums[process.pod_uid]
        total.rss_pages -= process.rss_pages
        total.incomplete -= process.is_incomplete
        process.stat = stat
        pages, reason = stat.rss_pages, Absence.OUT_OF_RANGE.value
        if stat.is_first_thread_ended:
            pages, reason = self._memory_of_threads(process), Absence.UNREADABLE.value
        else:
            process.thread = None
        process.rss_pages = pages or 0
        process.why_no_rss = reason if pages is None else None
        total.rss_pages += process.rss_pages
        total.incomplete += process.is_incomplete

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
        """Look in which pod the process is, and move its part of the sums when that changed."""
        try:
            cgroup = parse_proc_cgroup(self._files.read(f"{process.name}/cgroup", CGROUP_BYTES_MAX))
        except OSError:
            # It is ending: what it did belongs where it was seen last.
            return
        unit = None if cgroup is None else unit_of(cgroup)
        pod_uid = None if unit is None else unit.uid
        if pod_uid != process.pod_uid:
            for total, sign in ((self.sums[process.pod_uid], -1), (self.sums[pod_uid], 1)):
                total.move(process, sign)
                total.cpu_ticks += sign * (process.interval_ticks or 0)
        process.cgroup, process.pod_uid = cgroup, pod_uid
