"""Every process of the host, once a tick: the largest ones as rows, the rest as an exact remainder, and those that ended.

The work is done in `workers.process`. Here are its order in one tick, its settings and its statistics.
"""

import os
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from agent.capability import NET_ADMIN, SYS_PTRACE
from agent.config import PROC_ROOT, Config
from agent.failpoint import failpoint
from agent.model.absence import Absence
from agent.model.heartbeat import Heartbeat
from agent.model.limit import LadderStep
from agent.model.sketch import SCALE
from agent.model.timebase import S
from agent.model.worker_kind import Statistic
from agent.ports import Bus, KernelTree
from agent.side_reader import SideReader
from workers.framework.condition import Conditions
from workers.framework.sampler import NoRules, Sample, Sampler, SamplerContext, enabled_setting, interval_setting
from workers.process.breaker import FileBreaker, Metered
from workers.process.capture import CaptureWatch
from workers.process.choice import Chooser, ProcessChoice
from workers.process.details import DetailOptions, Details
from workers.process.exits.deaths import Deaths, TickTimes
from workers.process.exits.watcher import ExitWatcher
from workers.process.files import ProcFiles, side_read
from workers.process.largest import LargestUnshown
from workers.process.pid_sequence import PidSequence
from workers.process.process_table import ProcessTable
from workers.process.row import ProcessRows
from workers.process.scan_row import NO_SOURCE, TickAccount, scan_row, sum_of, wholes_of
from workers.process.schema import PROCESS, PROCESS_EXIT, PROCESS_RAW, PROCESS_SCAN, PROCESS_SKETCH, PROCESS_TAIL, TABLES
from workers.process.setting import EXIT_BUFFER, PSS_BUDGET, SETTINGS, command_line_parser, limits_of, lower_cap, side_read_bytes
from workers.process.sketches import SketchWindows
from workers.process.tail import tail_parts, tail_row
from workers.process.tcp import TCP, TCP_SOCKETS, TcpAround, TcpReader, open_tcp_reader
from workers.process.thread_memory import TASK_LIMITS
from workers.process.tracked_process import Scan, TrackedProcess
from workers.process.visibility import Visibility

T = TypeVar("T")

# A mount may be changed under a running agent, which is checked once in this many ticks.
VISIBILITY_PERIOD_TICKS = 30
# A step of the ladder makes sketches this much smaller in scale: the error is four times as large.
COARSER_BY = 2
_NO_CLOCKS = "sampler_fallback:clocks"
_NO_CLOCKS_SENTENCE = (
    "the CPU clocks of processes cannot be had, so each is read at every tick: the agent runs in another PID namespace than the "
    "/proc that it reads; give it the host's (hostPID) to make it cheaper"
)
_NS_PER_CLOCK_TICK = S // os.sysconf("SC_CLK_TCK")


class Exits(Protocol):
    """Who watches processes end, see `workers.process.exits.watcher.ExitWatcher`."""

    def settle(self, scan: Scan, table: ProcessTable, times: TickTimes) -> Deaths:
        """What ended since the last tick."""
        ...

    def wake_at_ns(self) -> int | None:
        """When `catch_up` must be called so that no buffer overflows before the next tick; None: need not."""
        ...

    def catch_up(self, now_ns: int) -> None:
        """Take over what waits."""
        ...

    def stats(self) -> dict[str, Any]:
        """For `status` and /metrics."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


OpenTcp = Callable[[Config, KernelTree, TcpAround], TcpReader | None]


class ProcessProbe(NoRules):
    """Watches all processes below one proc root.

    Without `exits` nobody knows what ended, without `open_tcp` nobody counts bytes of TCP.
    """

    def __init__(
        self,
        tree: KernelTree,
        config: Config,
        bus: Bus,
        heartbeat: Heartbeat,
        *,
        boot_ns: Callable[[], int],
        exits: Exits | None = None,
        open_tcp: OpenTcp | None = None,
        reader: SideReader[bytes] | None = None,
        cpu_ns: Callable[[], int] = time.process_time_ns,
    ) -> None:
        self._tree = tree
        self._heartbeat = heartbeat
        self._boot_ns = boot_ns
        self._conditions = Conditions(bus)
        self._files = ProcFiles(tree, heartbeat)
        self._task_breaker = FileBreaker("task", TASK_LIMITS, self._conditions)
        self._table = ProcessTable(
            self._files,
            boot_ns=boot_ns,
            ns_per_tick=_NS_PER_CLOCK_TICK,
            page_bytes=os.sysconf("SC_PAGE_SIZE"),
            beat=heartbeat,
            own_pid=os.getpid(),
            thread_listings=Metered(self._task_breaker, cpu_ns),
        )
        self._sequence = PidSequence(tree)
        self._exits = exits
        self._tcp = (
            None if open_tcp is None else open_tcp(config, tree, TcpAround(self._table, self._conditions, heartbeat, cpu_ns))
        )
        limits = self._limits = limits_of(config)
        self._chooser = Chooser(limits, self._is_followed)
        self._capture = CaptureWatch(limits)
        self._reader = reader or SideReader(side_read(tree, side_read_bytes(config)), beat=heartbeat)
        options = DetailOptions(command_line_parser(config, heartbeat), config.of(PSS_BUDGET))
        self._details = Details(self._files, self._reader, options, self._conditions, cpu_ns)
        self._rows = ProcessRows()
        self._largest = LargestUnshown()
        self._sketches = SketchWindows(heartbeat, fault=lambda: failpoint("sampler.sketch"))
        self._visibility = Visibility(tree, config.of(PROC_ROOT), bus)
        self._last_at_ns: int | None = None
        self._last_choice: ProcessChoice | None = None
        self._unreadable_before = 0
        self._stages_failed = 0
        self._tick = 0
        self._has_rows = True

    def on_steps(self, steps: frozenset[str]) -> None:
        """What is left out because the sampler uses more than its limit, see `workers.framework.sampler.Probe`."""
        is_held = LadderStep.DEAR_FILES_OFF in steps
        self._details.hold(is_held=is_held)
        self._task_breaker.is_held = is_held
        if self._tcp is not None:
            self._tcp.hold(is_held=is_held)
        limits = lower_cap(self._limits) if LadderStep.LOWER_CAP in steps else self._limits
        self._chooser.set_limits(limits)
        self._capture.set_limits(limits)
        self._sketches.scale = SCALE - COARSER_BY if LadderStep.COARSER_SKETCH in steps else SCALE
        self._has_rows = LadderStep.SKETCH_ONLY not in steps

    def check(self) -> None:
        """See `workers.framework.sampler.Probe`."""
        self._visibility.check(self._tree.list_names())

    def sample(self, now_ns: int, wall_ns: int) -> Sample:
        """One tick: rows of the tables of `workers.process.schema`, see `workers.framework.sampler.Probe`.

        Until the listing nothing has changed, so that a tick without one loses nothing: the next one covers its time too.
        """
        elapsed_ns = None if self._last_at_ns is None else max(1, now_ns - self._last_at_ns)
        times = TickTimes(wall_ns, now_ns, self._boot_ns(), elapsed_ns)
        boot_ticks = self._table.boot_ticks()
        scan = self._scan(boot_ticks)
        self._conditions.tell(_NO_CLOCKS, "" if self._table.has_clocks else _NO_CLOCKS_SENTENCE)
        self._heartbeat()
        self._visibility.on_refused(self._table.refused, len(self._table.processes) + self._table.refused)
        # After the scan: of every process that was not there any more the record has come by now.
        deaths = self._stage("exits", lambda: self._settle(scan, times), Deaths(NO_SOURCE))
        if elapsed_ns is None:
            # What ended before the first tick is of no interval.
            deaths = Deaths(deaths.source, lost=deaths.lost)
        sample = self._rows_of(scan, deaths, times)
        self._table.end_interval(scan)
        self._last_at_ns = now_ns
        self._tick += 1
        return sample

    def _scan(self, boot_ticks: int) -> Scan:
        table = self._table
        is_checked = self._tick % VISIBILITY_PERIOD_TICKS == 0
        # What was not followed is not new, so only a listing finds it again.
        if table.has_clocks:
            numbers = self._sequence.given(len(table.processes))
            if numbers is not None and not table.has_missed and not is_checked:
                return table.scan_numbers(numbers, boot_ticks)
        names = self._tree.list_names()
        if is_checked:
            self._visibility.check(names)
        listed = [name for name in names if name.isdecimal()]
        self._sequence.check([name for name in listed if name not in table.processes])
        return table.scan(listed, boot_ticks)

    def _rows_of(self, scan: Scan, deaths: Deaths, times: TickTimes) -> Sample:
        """Everything that is made of a tick before the next interval begins."""
        processes = self._table.processes.values()
        self._stage("io", lambda: self._details.read_io(scan), None)
        self._heartbeat()
        living = sum_of(self._table.totals.values())
        choice = self._last_choice = self._chooser.choose(processes, scan, wholes_of(living, deaths))
        if not self._has_rows:
            choice = self._last_choice = choice.without_rows()
        self._conditions.tell("capture_below_target", self._capture.sentence(choice, deaths))
        self._heartbeat()
        self._stage("tcp", lambda: self._read_tcp(choice.chosen_for, scan, times), None)
        self._stage("details", lambda: self._details.read(list(choice.chosen_for), times.now_ns), None)
        rows = self._rows.make(choice.chosen_for, times, self._heartbeat)
        largest = self._largest.find(processes, scan, choice.chosen_for)
        parts = tail_parts(self._table.totals, choice.chosen_for, largest)
        self._heartbeat()
        unreadable, self._unreadable_before = self._table.unreadable - self._unreadable_before, self._table.unreadable
        lacks_cpu = any(process.interval_cpu_ns is None for process in scan.active)
        account = TickAccount(living, deaths, choice, len(scan.started), unreadable, self._details.io_unreadable, lacks_cpu)
        self._sketches.take(scan, deaths, self._table, times.wall_ns)
        sketch_rows = self._sketches.rows(times.wall_ns)
        self._conditions.tell("sketch_fallback", self._sketches.problem)
        return (
            (PROCESS, rows),
            (PROCESS_TAIL, [tail_row(part, times) for part in parts]),
            (PROCESS_SCAN, [scan_row(account, times)]),
            (PROCESS_EXIT, deaths.rows),
            (PROCESS_SKETCH, sketch_rows),
            (PROCESS_RAW, self._sketches.take_raw_rows()),
        )

    def _settle(self, scan: Scan, times: TickTimes) -> Deaths:
        return Deaths() if self._exits is None else self._exits.settle(scan, self._table, times)

    def _take_exit_records(self, now_ns: int) -> None:
        if self._exits is not None:
            self._exits.catch_up(now_ns)

    def _read_tcp(self, chosen_for: dict[TrackedProcess, str], scan: Scan, times: TickTimes) -> None:
        """Processes that moved much over TCP have a row too."""
        winners = list(chosen_for)
        for process in winners:
            # Until it is read, which may fail.
            process.tcp_sent = process.tcp_received = None
            process.why_no_tcp = (Absence.SWITCHED_OFF if self._tcp is None else Absence.UNREADABLE).value
        if self._tcp is not None:
            chosen_for |= dict.fromkeys(self._tcp.read(winners, scan.active, times.elapsed_ns), "tcp")

    def _stage(self, name: str, work: Callable[[], T], otherwise: T) -> T:
        """A part of the tick that the others do not need: an error in it costs its values alone, and is announced."""
        try:
            result = work()
        except OSError as failure:
            self._stages_failed += 1
            self._conditions.begin(f"{name}_failed", f"{name} of processes cannot be read: {failure.strerror or failure}")
            return otherwise
        self._conditions.end(f"{name}_failed")
        return result

    def _is_followed(self, process: TrackedProcess) -> bool:
        return self._table.processes.get(process.name) is process

    def wake_at_ns(self) -> int | None:
        """When exit records must be taken over, where that is before the next tick."""
        return None if self._exits is None else self._exits.wake_at_ns()

    def catch_up(self, until_ns: int) -> None:
        """Take exit records over between two ticks: a buffer that holds those of a second does not hold those of a minute."""
        if self._exits is not None:
            self._stage("exits", lambda: self._take_exit_records(until_ns), None)

    def rest(self) -> Sample:
        """The sketches of the window that is not over, see `workers.framework.sampler.Probe`."""
        return ((PROCESS_SKETCH, self._sketches.flush()), (PROCESS_RAW, self._sketches.take_raw_rows()))

    def stats(self) -> dict[str, Any]:
        """Processes now, those of them that are opened for every reading, those that refused to be read at the last tick;
        readings that failed so far, command lines that were not answered so far, and readings that wait for an answer now;
        by metric, the number of rows and the part that named processes hold; what the parts of the tick say of themselves."""
        choice = self._last_choice
        by_metric = {} if choice is None else {"cpu": choice.cpu, "rss": choice.rss, "io": choice.io}
        return {
            "processes": len(self._table.processes),
            "unreadable": self._table.unreadable,
            "refused": self._table.refused,
            "is_hidden": self._visibility.is_hidden,
            "descriptors_not_kept": self._table.unkept,
            **self._details.stats(),
            "breakers_open": self._breakers_open(),
            "readers_stuck": self._reader.stuck,
            "capture": {metric: chosen.capture for metric, chosen in by_metric.items()},
            "top_rows": {metric: chosen.rows for metric, chosen in by_metric.items()},
            "stages_failed": self._stages_failed,
            **self._sketches.stats(),
            **({} if self._exits is None else self._exits.stats()),
            "tcp": None if self._tcp is None else self._tcp.stats(),
        }

    def _breakers_open(self) -> dict[str, int]:
        fd = {} if self._tcp is None else {"fd": int(self._tcp.is_breaker_open)}
        return {**self._details.breakers_open(), "task": int(self._task_breaker.is_open), **fd}

    def close(self) -> None:
        """Close every descriptor."""
        self._reader.close()
        self._files.close()
        for part in (self._exits, self._tcp):
            if part is not None:
                part.close()


def _boot_ns() -> int:
    """The time since boot, suspended or not, as the kernel takes the starts of processes from it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _open(around: SamplerContext) -> ProcessProbe:
    buffer_bytes = around.config.of(EXIT_BUFFER)
    exits = ExitWatcher(around.bus, buffer_bytes=buffer_bytes, ns_per_tick=_NS_PER_CLOCK_TICK, beat=around.heartbeat)
    tree = around.tree(around.config.of(PROC_ROOT))
    return ProcessProbe(tree, around.config, around.bus, around.heartbeat, boot_ns=_boot_ns, exits=exits, open_tcp=open_tcp_reader)


SAMPLER = Sampler(
    name="process",
    about="every process: the largest by CPU, memory and I/O, the exact rest per unit and command, and the dead",
    tables=TABLES,
    files=(
        *("/proc/PID/stat", "/proc/PID/statm", "/proc/PID/schedstat", "/proc/PID/io", "/proc/PID/cgroup", "/proc/PID/cmdline"),
        *("/proc/PID/smaps_rollup", "/proc/PID/task/TID/stat", "/proc/vmstat"),
    ),
    is_enabled=enabled_setting("process"),
    # For exit records, and for `io` and memory of other users' processes.
    capabilities=(NET_ADMIN, SYS_PTRACE),
    steps=(
        LadderStep.LONGER_INTERVAL,
        LadderStep.DEAR_FILES_OFF,
        LadderStep.LOWER_CAP,
        LadderStep.COARSER_SKETCH,
        LadderStep.SKETCH_ONLY,
    ),
    interval=interval_setting("process"),
    further_settings=(*SETTINGS, TCP, TCP_SOCKETS),
    statistics=(
        Statistic("evergauge_sampler_processes", "gauge", "Processes seen at the last tick.", ("processes",)),
        Statistic("evergauge_sampler_processes_refused", "gauge", "Processes that refused to be read.", ("refused",)),
        Statistic("evergauge_sampler_processes_unreadable_total", "counter", "Processes not read.", ("unreadable",)),
        Statistic("evergauge_sampler_capture_ratio", "gauge", "Part that named processes hold.", ("capture",), by="metric"),
        Statistic("evergauge_sampler_top_rows", "gauge", "Processes that a metric chose.", ("top_rows",), by="metric"),
        Statistic("evergauge_sampler_exits_total", "counter", "Processes that ended.", ("exits",)),
        Statistic("evergauge_sampler_exit_source", "gauge", "1: how their ends are known.", ("exit_sources",), by="source"),
        Statistic("evergauge_sampler_exit_records_lost_total", "counter", "Exit records lost.", ("exit_records_lost",)),
        Statistic("evergauge_sampler_stages_failed_total", "counter", "Parts of ticks that failed.", ("stages_failed",)),
        Statistic("evergauge_sampler_raw_writes_total", "counter", "Rows of values without a sketch.", ("raw_writes",)),
        Statistic("evergauge_sampler_raw_dropped_total", "counter", "Values without a sketch and without room.", ("raw_dropped",)),
        Statistic("evergauge_sampler_breakers_open", "gauge", "1: this file is not read for now.", ("breakers_open",), by="file"),
        Statistic("evergauge_sampler_io_unreadable", "gauge", "Processes whose I/O is refused.", ("io_unreadable",)),
        Statistic("evergauge_sampler_readers_stuck", "gauge", "Command lines that are not answered.", ("readers_stuck",)),
    ),
    open=_open,
)
