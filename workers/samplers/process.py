"""Every process of the host, once a tick: the top ones by CPU and by RSS as rows, the rest as an exact remainder.

The work is done in `workers.process`: following processes, who they are, rows. This is their order in one tick.
"""

import os
import time
from collections.abc import Callable
from typing import Any

from agent.capability import NET_ADMIN, SYS_PTRACE
from agent.config import PROC_ROOT, Config
from agent.model.command_line import CHOICES, parse_command_line
from agent.model.heartbeat import Heartbeat
from agent.model.timebase import S
from agent.model.worker_kind import Statistic
from agent.ports import Bus, KernelTree
from agent.setting import Choice, Share, Size, Whole
from agent.side_reader import SideReader
from workers.framework.sampler import NoRules, Sample, Sampler, enabled_setting, interval_setting
from workers.process.exits.deaths import Deaths
from workers.process.files import ProcFiles
from workers.process.identity import IdentityReader
from workers.process.process_table import ProcessTable
from workers.process.row import Interval, process_row, tail_rows, top_processes
from workers.process.scan_row import scan_row
from workers.process.schema import PROCESS, PROCESS_SCAN, PROCESS_SKETCH, PROCESS_TAIL, TABLES
from workers.process.sketches import SketchWindows
from workers.process.visibility import Visibility

CAPTURE = Share("sampler.process.capture", 950, 0, 1000, "share of CPU, memory and input and output that named processes hold")
TOP_ROWS_LEAST = Whole("sampler.process.top_rows_least", 5, 1, 10_000, "rows per tick and metric at least, as far as any used it")
TOP_ROWS = Whole("sampler.process.top_rows", 20, 1, 10_000, "rows per tick for the most CPU, and as many for the most RSS")
COMMAND_LINE = Choice("sampler.process.command_line", "masked", CHOICES, "nothing, the program, all but secrets, or everything")
COMMAND_LINE_BYTES = Size("sampler.process.command_line_bytes", 256, 16, 4096, "the most that is stored of a command line")

# A mount may be changed under a running agent, which is checked once in this many ticks.
VISIBILITY_PERIOD_TICKS = 30
# Rows take microseconds each: the heartbeat is called before each part of this size.
ROWS_PER_BEAT = 512


class ProcessProbe(NoRules):
    """Reads all processes below one proc root. One tick costs one listing and one read per process."""

    def __init__(
        self,
        tree: KernelTree,
        config: Config,
        bus: Bus,
        heartbeat: Heartbeat,
        *,
        boot_ns: Callable[[], int],
        reader: SideReader[bytes] | None = None,
    ) -> None:
        self._tree = tree
        self._heartbeat = heartbeat
        self._top_rows = config.of(TOP_ROWS)
        bytes_max = config.of(COMMAND_LINE_BYTES)
        # Masking makes a line shorter.
        read_bytes_max = 16 * bytes_max
        choice = config.of(COMMAND_LINE)

        def parse(data: bytes) -> str | None:
            # The worst command line costs some milliseconds, and any user may have thousands of them.
            heartbeat()
            return parse_command_line(data, bytes_max=bytes_max, shown=choice, is_whole=len(data) < read_bytes_max)

        self._files = ProcFiles(tree, heartbeat)
        self._table = ProcessTable(
            self._files,
            boot_ns=boot_ns,
            ns_per_tick=S // os.sysconf("SC_CLK_TCK"),
            page_bytes=os.sysconf("SC_PAGE_SIZE"),
            beat=heartbeat,
            own_pid=os.getpid(),
        )
        self._reader = reader or SideReader(lambda path: tree.read(path, read_bytes_max), beat=heartbeat)
        self._identities = IdentityReader(self._files, self._reader, None if choice == "off" else parse)
        self._sketches = SketchWindows(heartbeat)
        self._visibility = Visibility(tree, config.of(PROC_ROOT), bus)
        self._last_at_ns: int | None = None
        self._unreadable_before = 0
        self._tick = 0

    def check(self) -> None:
        """See `workers.framework.sampler.Probe`."""
        self._visibility.check(self._tree.list_names())

    def sample(self, now_ns: int, wall_ns: int) -> Sample:
        """One tick: rows of the tables of `workers.process.schema`, see `workers.framework.sampler.Probe`."""
        interval = Interval(wall_ns, None if self._last_at_ns is None else max(1, now_ns - self._last_at_ns))
        boot_ticks = self._table.boot_ticks()
        names = self._tree.list_names()
        if self._tick % VISIBILITY_PERIOD_TICKS == 0:
            self._visibility.check(names)
        scan = self._table.look([name for name in names if name.isdecimal()], boot_ticks)
        self._heartbeat()
        processes = self._table.processes
        self._visibility.on_refused(self._table.refused, len(processes) + self._table.refused)
        top = top_processes(processes.values(), scan.active, self._top_rows)
        self._heartbeat()
        self._identities.tell(list(top), now_ns)
        process_rows = []
        for number, (process, chosen_for) in enumerate(top.items(), start=1):
            process_rows.append(process_row(process, chosen_for, interval))
            if number % ROWS_PER_BEAT == 0:
                self._heartbeat()
        tails = tail_rows(self._table.totals, top, interval)
        unreadable = self._table.unreadable - self._unreadable_before
        self._unreadable_before = self._table.unreadable
        account = scan_row(self._table.totals, top, unreadable, interval)
        self._sketches.take(scan, Deaths(), self._table, wall_ns)
        sketches = self._sketches.rows(wall_ns)
        self._table.end_interval(scan)
        self._last_at_ns = now_ns
        self._tick += 1
        return ((PROCESS, process_rows), (PROCESS_TAIL, tails), (PROCESS_SCAN, [account]), (PROCESS_SKETCH, sketches))

    def rest(self) -> Sample:
        """The sketches of the window that is not over."""
        return ((PROCESS_SKETCH, self._sketches.flush()),)

    def stats(self) -> dict[str, Any]:
        """Processes now, those of them that are opened for every reading, those that refused to be read at the last tick;
        readings that failed so far, command lines that were not answered so far, and readings that wait for an answer now."""
        return {
            "processes": len(self._table.processes),
            "unreadable": self._table.unreadable,
            "refused": self._table.refused,
            "is_hidden": self._visibility.is_hidden,
            "descriptors_not_kept": self._table.unkept,
            "command_lines_unanswered": self._identities.unanswered,
            "readers_stuck": self._reader.stuck,
            **self._sketches.stats(),
        }

    def close(self) -> None:
        """Close every descriptor."""
        self._reader.close()
        self._files.close()


def _boot_ns() -> int:
    """The time since boot, suspended or not, as the kernel takes the starts of processes from it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


SAMPLER = Sampler(
    name="process",
    about="every process that /proc shows: the top by CPU and by RSS, and the exact rest per pod",
    tables=TABLES,
    files=("/proc/PID/stat", "/proc/PID/cgroup", "/proc/PID/cmdline", "/proc/PID/task/TID/stat"),
    is_enabled=enabled_setting("process"),
    # For exit records, and for `io` and memory of other users' processes.
    capabilities=(NET_ADMIN, SYS_PTRACE),
    interval=interval_setting("process"),
    further_settings=(CAPTURE, TOP_ROWS_LEAST, TOP_ROWS, COMMAND_LINE, COMMAND_LINE_BYTES),
    statistics=(
        Statistic("evergauge_sampler_processes", "gauge", "Processes seen at the last tick.", ("processes",)),
        Statistic("evergauge_sampler_processes_refused", "gauge", "Processes that refused to be read.", ("refused",)),
        Statistic("evergauge_sampler_processes_unreadable_total", "counter", "Processes not read.", ("unreadable",)),
        Statistic("evergauge_sampler_readers_stuck", "gauge", "Command lines that are not answered.", ("readers_stuck",)),
    ),
    open=lambda around: ProcessProbe(
        around.tree(around.config.of(PROC_ROOT)), around.config, around.bus, around.heartbeat, boot_ns=_boot_ns
    ),
)
