"""A table of processes that a test changes by hand, with windows of sketches beside it."""

from fakes.kernel_tree import MemoryTree

from agent.model.proc_stat import parse_stat
from agent.model.table import Row
from agent.model.timebase import S
from workers.process.exits.deaths import Deaths
from workers.process.files import ProcFiles
from workers.process.process_table import ProcessTable
from workers.process.sketches import WINDOW_NS, SketchWindows
from workers.process.tracked_process import Scan, Totals, TrackedProcess
from workers.process.unit_command import UnitCommand

BEGIN_NS = 28_333_334 * WINDOW_NS
WEB, DB = UnitCommand("u-web", "nginx"), UnitCommand("u-db", "postgres")
LINE = b"1 (a) S 0 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 18446744073709551615" + b" 0" * 27
PAGE = 4096


class SketchStory:
    """A table of processes that a test changes by hand, tick by tick, with the windows beside it."""

    def __init__(self, windows: SketchWindows | None = None) -> None:
        self.windows = windows or SketchWindows()
        # It reads nothing: there is no scan.
        self.table = ProcessTable(
            ProcFiles(MemoryTree(), lambda: None), boot_ns=lambda: 0, ns_per_tick=1, page_bytes=PAGE, beat=lambda: None
        )
        self.scan = Scan([], [], [], [])
        self.parts: list[tuple[UnitCommand, int]] = []
        self.wall_ns = BEGIN_NS
        self.rows: list[Row] = []
        self._pids = 0

    def start(self, key: UnitCommand, rss: int | None, cpu: int | None = 0) -> TrackedProcess:
        self._pids += 1
        name = str(self._pids)
        process = TrackedProcess(name, self._pids, parse_stat(LINE), LINE, "a", key, Totals())
        self.table.processes[name] = process
        self.table.totals[key].processes += 1
        self.scan.started.append(process)
        self.read(process, rss, cpu)
        return process

    def read(self, process: TrackedProcess, rss: int | None, cpu: int | None, *, is_counted: bool = True) -> None:
        """What this tick's reading shows; without `is_counted` its CPU is not known at all."""
        self.table.totals[process.key].rss_bytes += (rss or 0) - process.rss_bytes
        process.rss_bytes, process.why_no_rss = rss or 0, "unreadable" if rss is None else None
        process.interval_cpu_ns, process.cpu_ns = cpu, 1 if is_counted else None
        if process not in self.scan.touched:
            self.scan.touched.append(process)
        if cpu != 0 and process not in self.scan.active:
            self.scan.active.append(process)

    def move(self, process: TrackedProcess, key: UnitCommand) -> None:
        self.table.totals[process.key].processes -= 1
        process.key = key
        self.table.totals[key].processes += 1
        if process not in self.scan.touched:
            self.scan.touched.append(process)

    def end(self, process: TrackedProcess, cpu: int | None = None) -> None:
        del self.table.processes[process.name]
        self.table.totals[process.key].processes -= 1
        self.scan.gone.append(process)
        if cpu is not None:
            self.parts.append((process.key, cpu))

    def tick(self, seconds: float = 1) -> list[Row]:
        self.windows.take(self.scan, Deaths(parts=self.parts), self.table, self.wall_ns)
        rows = self.windows.rows(self.wall_ns)
        self.rows += rows
        for process in self.table.processes.values():
            process.interval_cpu_ns = None if process.cpu_ns is None else 0
        self.scan, self.parts = Scan([], [], [], []), []
        self.wall_ns += int(seconds * S)
        return rows

    def flush(self) -> list[Row]:
        rows = self.windows.flush()
        self.rows += rows
        return rows
