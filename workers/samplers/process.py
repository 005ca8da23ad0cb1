"""Every process of the host, once a tick: the top ones by CPU and by RSS as rows, the rest as an exact remainder.

One `stat` descriptor per process is kept open and read again: a third of the cost of opening, and it answers ESRCH
after the process has ended, so it can never show another one under the same number. A process whose `stat` did not
change by a byte is not even parsed. Sums per pod are carried along by differences, so the remainder is exact: top rows
and tail rows of a tick add up to every process that was read.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from errno import EMFILE, ENFILE, ENOENT, ESRCH
from heapq import nlargest
from itertools import islice
from typing import Any

from msgspec import Struct

from agent.config import PROC_ROOT, Config
from agent.model.absence import Absence
from agent.model.cgroup_path import parse_proc_cgroup, unit_of
from agent.model.command_line import parse_command_line
from agent.model.errors import KernelFormatError
from agent.model.proc_stat import STAT_BYTES_MAX, Stat, parse_comm, parse_stat
from agent.model.table import Column, DType, Row, Table
from agent.model.timebase import S
from agent.ports import KernelTree
from agent.setting import Choice, Size, Whole
from workers.samplers.kind import Ruleless, Sample, Sampler, enabled_setting, interval_setting

TOP_ROWS = Whole("sampler.process.top_rows", 20, 1, 10_000, "rows per tick for the most CPU, and as many for the most RSS")
COMMAND_LINE = Choice("sampler.process.command_line", "masked", ("off", "masked", "full"), "whether command lines are stored")
COMMAND_LINE_BYTES = Size("sampler.process.command_line_bytes", 256, 16, 4096, "the most that is stored of a command line")

STAT, CGROUP, CMDLINE = "proc_pid_stat(5)", "proc_pid_cgroup(5)", "proc_pid_cmdline(5)"
PROCESS = Table(
    name="process",
    version=1,
    about="The processes of a tick that used the most CPU in it or hold the most memory.",
    key=("timestamp", "pid", "start_ticks"),
    columns=(
        Column("timestamp", DType.INT64, "ns", "when the tick was read, unix time", "sampler clock"),
        Column("pid", DType.INT64, "1", "process id; with start_ticks the identity of a process", STAT),
        Column("start_ticks", DType.INT64, "clock ticks", "start of the process after boot", STAT),
        Column("ppid", DType.INT64, "1", "process id of the parent", STAT),
        Column("comm", DType.UTF8, "", "name of the executable, 15 bytes, or of the kernel thread", STAT),
        Column("command_line", DType.UTF8, "", "command line, capped, secrets masked", CMDLINE, True),
        Column("uid", DType.INT64, "1", "effective user id", "owner of proc_pid(5)", True),
        Column("cgroup", DType.UTF8, "", "path in the cgroup hierarchy that tells workloads apart", CGROUP, True),
        Column("pod_uid", DType.UTF8, "", "the pod or unit; null: in none", CGROUP, True),
        Column("state", DType.UTF8, "", "R, S, D, Z, T, t, I or another letter of the kernel", STAT),
        Column("threads", DType.INT64, "1", "threads", STAT),
        Column("cpu_total_ns", DType.INT64, "ns", "user and system time since its start", STAT),
        Column("cpu_ns", DType.INT64, "ns", "user and system time since the last tick", STAT, True),
        Column("cpu_share", DType.FLOAT64, "1", "cpu_ns per elapsed time: 1 is one core", STAT, True),
        Column("rss_bytes", DType.INT64, "bytes", "resident memory; shared pages count in every process", STAT),
        Column("absent", DType.UTF8, "", "why values of this row are null", "sampler", True),
    ),
)
PROCESS_TAIL = Table(
    name="process_tail",
    version=1,
    about="All processes of a tick that have no row in `process`, summed per pod or unit: top rows and tail are the whole host.",
    key=("timestamp", "pod_uid"),
    columns=(
        Column("timestamp", DType.INT64, "ns", "when the tick was read, unix time", "sampler clock"),
        Column("pod_uid", DType.UTF8, "", "the pod or unit; null: all processes in none", CGROUP, True),
        Column("processes", DType.INT64, "1", "how many processes are summed here", STAT),
        Column("cpu_ns", DType.INT64, "ns", "their user and system time since the last tick", STAT, True),
        Column("cpu_share", DType.FLOAT64, "1", "cpu_ns per elapsed time: 1 is one core", STAT, True),
        Column("rss_bytes", DType.INT64, "bytes", "their resident memory", STAT),
        Column("absent", DType.UTF8, "", "why values of this row are null", "sampler", True),
    ),
)

CGROUP_BYTES_MAX = 16 << 10
# A process can be moved to another cgroup after its start; each one is looked at again once in so many ticks.
CGROUP_PERIOD_TICKS = 60
# Given back when this process may open no more files: `cgroup` and `cmdline` must still be opened, and sockets connected.
SPARE_DESCRIPTORS = 16


class _Process(Struct, eq=False):
    """What is remembered of one process between ticks."""

    name: str
    pid: int
    descriptor: int
    line: bytes
    stat: Stat
    comm: str
    # CPU in this tick's interval; None: not known, because the process was not read at the interval's beginning.
    interval_ticks: int | None = None
    cgroup: str | None = None
    pod_uid: str | None = None
    # Command line and user were read for this name; exec changes the name.
    told_for: str | None = None
    command_line: str | None = None
    uid: int | None = None


class _Sum(Struct):
    """Sums over the processes of one pod."""

    processes: int = 0
    cpu_ticks: int = 0
    rss_pages: int = 0


class ProcessProbe(Ruleless):
    """Reads all processes below one proc root. One tick costs one listing and one read per process."""

    def __init__(self, tree: KernelTree, config: Config) -> None:
        self._tree = tree
        self._top_rows = config.of(TOP_ROWS)
        self._command_line = config.of(COMMAND_LINE)
        self._command_line_bytes = config.of(COMMAND_LINE_BYTES)
        self._ns_per_tick = S // os.sysconf("SC_CLK_TCK")
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._processes: dict[str, _Process] = {}
        self._sums: defaultdict[str | None, _Sum] = defaultdict(_Sum)
        self._last_at_ns: int | None = None
        self._uptime = -1  # Opened with the first tick: a missing root is an error of a reading, not of this object's birth.
        self._last_uptime_ticks = self._tick = 0
        self._unreadable = self._kept = 0
        self._kept_max = 1 << 30

    def check(self) -> None:
        """See `workers.samplers.kind.Probe`."""
        self._uptime_ticks()

    def sample(self, now_ns: int, wall_ns: int) -> Sample:
        """One tick: rows of `process` and `process_tail`, see `workers.samplers.kind.Probe`."""
        elapsed_ns = None if self._last_at_ns is None else max(1, now_ns - self._last_at_ns)
        uptime_ticks = self._uptime_ticks()
        active = self._read_all(is_first=elapsed_ns is None)
        top = self._top(active)
        process_rows = [self._row(process, wall_ns, elapsed_ns) for process in top]
        tail_rows = self._tail(top, wall_ns, elapsed_ns)
        for process in active:
            process.interval_ticks = 0
        self._last_at_ns, self._last_uptime_ticks = now_ns, uptime_ticks
        self._tick += 1
        return ((PROCESS, process_rows), (PROCESS_TAIL, tail_rows))

    def stats(self) -> dict[str, Any]:
        """Processes now, how many of them are opened anew for every reading, and how often one could not be read."""
        not_kept = len(self._processes) - self._kept
        return {"processes": len(self._processes), "unreadable": self._unreadable, "descriptors_not_kept": not_kept}

    def close(self) -> None:
        """Close every descriptor."""
        for descriptor in (self._uptime, *(process.descriptor for process in self._processes.values())):
            if descriptor >= 0:
                self._tree.close(descriptor)
        self._processes, self._uptime = {}, -1

    # ---- reading ---------------------------------------------------------------------------------

    def _read_all(self, *, is_first: bool) -> list[_Process]:
        """Bring every process up to date; gives those whose CPU moved or is not known."""
        names = {name for name in self._tree.list_names() if name.isdecimal()}
        known = self._processes
        for name in known.keys() - names:
            self._forget(name)
        # Before the known ones are read: one that is given up then is met again at the next tick, not twice in this one.
        new = names - known.keys()
        active: list[_Process] = []
        for name, process in list(known.items()):
            self._refresh(name, process, active)
        for name in new:
            self._meet(name, active, is_first=is_first)
        return active

    def _refresh(self, name: str, process: _Process, active: list[_Process]) -> None:
        try:
            line = self._read_stat(name, process.descriptor)
        except OSError as gone:
            self._forget(name)
            if gone.errno not in (ESRCH, ENOENT):
                self._unreadable += 1
                return
            # The number may already be another process's.
            self._meet(name, active, is_first=False)
            return
        if line == process.line:
            if (self._tick + process.pid) % CGROUP_PERIOD_TICKS == 0:
                self._place(process)
            return
        self._update(name, process, line, active)

    def _update(self, name: str, process: _Process, line: bytes, active: list[_Process]) -> None:
        try:
            stat = parse_stat(line)
        except KernelFormatError:
            self._unreadable += 1
            self._forget(name)
            return
        before = process.stat
        if stat.start_ticks != before.start_ticks:
            # Only where the descriptor could not be kept: the number is another process's now.
            self._forget(name)
            self._meet(name, active, is_first=False)
            return
        total = self._sums[process.pod_uid]
        total.rss_pages += stat.rss_pages - before.rss_pages
        process.line, process.stat = line, stat
        used = stat.cpu_ticks - before.cpu_ticks
        if used > 0:
            process.interval_ticks = used
            total.cpu_ticks += used
            active.append(process)
        comm = parse_comm(line)
        if comm != process.comm or (self._tick + process.pid) % CGROUP_PERIOD_TICKS == 0:
            process.comm = comm
            self._place(process)

    def _meet(self, name: str, active: list[_Process], *, is_first: bool) -> None:
        """Begin to follow a process that was not there at the last tick."""
        descriptor = -1
        try:
            descriptor = self._open_kept(name)
            line = self._read_stat(name, descriptor)
            stat = parse_stat(line)
        except (OSError, KernelFormatError) as failure:
            self._unreadable += getattr(failure, "errno", None) not in (ESRCH, ENOENT)
            if descriptor >= 0:
                self._tree.close(descriptor)
            return
        process = self._processes[name] = _Process(name, int(name), descriptor, line, stat, parse_comm(line))
        self._kept += descriptor >= 0
        total = self._sums[None]
        total.processes += 1
        total.rss_pages += stat.rss_pages
        # Born since the last tick: all its CPU is of this interval. Else its CPU before we met it is not this interval's.
        if not is_first and stat.start_ticks >= self._last_uptime_ticks:
            process.interval_ticks = stat.cpu_ticks
            total.cpu_ticks += stat.cpu_ticks
        active.append(process)
        self._place(process)

    def _open_kept(self, name: str) -> int:
        """A descriptor that stays open; -1 once there are as many as this process may have."""
        if self._kept >= self._kept_max:
            return -1
        try:
            return self._tree.open(f"{name}/stat")
        except OSError as refused:
            self._make_room(refused)
            return -1

    def _make_room(self, refused: OSError) -> None:
        """Give some descriptors back, and keep no more from now on. *Raises:* the refusal, when that does not help."""
        if refused.errno not in (EMFILE, ENFILE) or not self._kept:
            raise refused
        kept = (process for process in self._processes.values() if process.descriptor >= 0)
        for process in list(islice(kept, SPARE_DESCRIPTORS)):
            self._give_back(process)
        self._kept_max = self._kept

    def _give_back(self, process: _Process) -> None:
        if process.descriptor >= 0:
            self._tree.close(process.descriptor)
            process.descriptor = -1
            self._kept -= 1

    def _read_stat(self, name: str, descriptor: int) -> bytes:
        if descriptor < 0:
            return self._read(f"{name}/stat", STAT_BYTES_MAX)
        return self._tree.read_open(descriptor, STAT_BYTES_MAX)

    def _read(self, path: str, bytes_max: int) -> bytes:
        """A file that is not kept open. *Raises:* OSError."""
        try:
            return self._tree.read(path, bytes_max)
        except OSError as refused:
            self._make_room(refused)
            return self._tree.read(path, bytes_max)

    def _forget(self, name: str) -> None:
        process = self._processes.pop(name)
        self._give_back(process)
        total = self._sums[process.pod_uid]
        total.processes -= 1
        total.rss_pages -= process.stat.rss_pages

    def _place(self, process: _Process) -> None:
        """Look in which pod the process is, and move its part of the sums when that changed."""
        try:
            cgroup = parse_proc_cgroup(self._read(f"{process.name}/cgroup", CGROUP_BYTES_MAX))
        except OSError:
            # It is ending: what it did belongs where it was seen last.
            return
        unit = None if cgroup is None else unit_of(cgroup)
        pod_uid = None if unit is None else unit.uid
        if pod_uid != process.pod_uid:
            old, new = self._sums[process.pod_uid], self._sums[pod_uid]
            for total, sign in ((old, -1), (new, 1)):
                total.processes += sign
                total.rss_pages += sign * process.stat.rss_pages
                total.cpu_ticks += sign * (process.interval_ticks or 0)
        process.cgroup, process.pod_uid = cgroup, pod_uid
        process.told_for = None  # It may have another user, or be another program of the same name.

    def _uptime_ticks(self) -> int:
        """Time since boot in clock ticks, as `start_ticks` counts it. *Source:* proc_uptime(5)."""
        if self._uptime < 0:
            self._uptime = self._tree.open("uptime")
        whole, _, hundredths = self._tree.read_open(self._uptime, 64).split(b" ", 1)[0].partition(b".")
        return (int(whole) * S + int(hundredths) * (S // 100)) // self._ns_per_tick

    # ---- rows ------------------------------------------------------------------------------------

    def _top(self, active: list[_Process]) -> list[_Process]:
        """The rows of this tick: most CPU first, then those that are there for their memory alone."""
        by_cpu = nlargest(
            self._top_rows, (each for each in active if each.interval_ticks), key=lambda each: (each.interval_ticks or 0, each.pid)
        )
        by_rss = nlargest(self._top_rows, self._processes.values(), key=lambda each: (each.stat.rss_pages, each.pid))
        return list(dict.fromkeys([*by_cpu, *by_rss]))

    def _tail(self, top: Iterable[_Process], wall_ns: int, elapsed_ns: int | None) -> list[Row]:
        """What the top rows leave of each pod. Every pod's sum of the interval's CPU begins anew afterwards."""
        for process in top:
            total = self._sums[process.pod_uid]
            total.processes -= 1
            total.rss_pages -= process.stat.rss_pages
            total.cpu_ticks -= process.interval_ticks or 0
        rows: list[Row] = []
        for pod_uid, total in self._sums.items():
            if total.processes or total.cpu_ticks:
                cpu_ns, share, absent = self._interval_values(total.cpu_ticks, elapsed_ns)
                rows.append((wall_ns, pod_uid, total.processes, cpu_ns, share, total.rss_pages * self._page_bytes, absent))
        for process in top:
            total = self._sums[process.pod_uid]
            total.processes += 1
            total.rss_pages += process.stat.rss_pages
        for pod_uid in [pod_uid for pod_uid, total in self._sums.items() if not total.processes]:
            del self._sums[pod_uid]
        for total in self._sums.values():
            total.cpu_ticks = 0
        return rows

    def _interval_values(self, ticks: int | None, elapsed_ns: int | None) -> tuple[int | None, float | None, str | None]:
        if elapsed_ns is None or ticks is None:
            return None, None, Absence.FIRST_TICK.value
        cpu_ns = ticks * self._ns_per_tick
        return cpu_ns, cpu_ns / elapsed_ns, None

    def _row(self, process: _Process, wall_ns: int, elapsed_ns: int | None) -> Row:
        stat = process.stat
        cpu_ns, share, why_no_cpu = self._interval_values(process.interval_ticks, elapsed_ns)
        reasons = [why_no_cpu, self._tell(process)]
        if process.uid is None or process.cgroup is None:
            reasons.append(Absence.UNREADABLE.value)
        return (
            wall_ns, process.pid, stat.start_ticks, stat.ppid, process.comm, process.command_line, process.uid, process.cgroup,
            process.pod_uid, stat.state, stat.threads, stat.cpu_ticks * self._ns_per_tick, cpu_ns, share,
            stat.rss_pages * self._page_bytes, ",".join(filter(None, reasons)) or None,
        )  # fmt: skip

    def _tell(self, process: _Process) -> str | None:
        """Read what only rows show, once per name of the process; gives the reason of a missing command line."""
        reason = Absence.SWITCHED_OFF.value if self._command_line == "off" else None
        if process.told_for != process.comm:
            process.told_for = process.comm
            process.uid = self._read_owner(process)
            if reason is None:
                process.command_line = self._read_command_line(process)
        if process.command_line is None and reason is None:
            # A zombie has no memory either, but it had a command line.
            is_kernel_thread = not process.stat.rss_pages and process.stat.state not in "ZX"
            reason = Absence.KERNEL_THREAD.value if is_kernel_thread else Absence.VANISHED.value
        return reason

    def _read_owner(self, process: _Process) -> int | None:
        """The effective user: the owner of the directory. Files in it are root's where a process has dropped privileges."""
        try:
            return self._tree.owner(process.name)
        except OSError:
            return None

    def _read_command_line(self, process: _Process) -> str | None:
        try:
            data = self._read(f"{process.name}/cmdline", 16 * self._command_line_bytes)
        except OSError:
            return None
        return parse_command_line(data, bytes_max=self._command_line_bytes, mask=self._command_line == "masked")


SAMPLER = Sampler(
    name="process",
    about="every process of the host: the top by CPU and by RSS, and the exact rest per pod",
    tables=(PROCESS, PROCESS_TAIL),
    files=("/proc/PID/stat", "/proc/PID/cgroup", "/proc/PID/cmdline", "/proc/uptime"),
    is_enabled=enabled_setting("process"),
    interval=interval_setting("process"),
    further_settings=(TOP_ROWS, COMMAND_LINE, COMMAND_LINE_BYTES),
    open=lambda around: ProcessProbe(around.tree(around.config.of(PROC_ROOT)), around.config),
)
