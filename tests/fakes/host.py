"""A host in memory: its processes as `/proc` shows them, and a probe that measures it tick by tick."""

import errno
import os
from typing import Any, ClassVar

from fakes.bus import RecordingBus
from fakes.kernel_tree import MemoryTree
from fakes.row_problem import problem_of_row
from fakes.side_reader import InlineReader
from msgspec import Struct

from agent.config import Config
from agent.model.heartbeat import Heartbeat
from agent.model.table import Table
from agent.model.timebase import S
from workers.process.cpu_clock import cpu_clock_of
from workers.process.exits.deaths import Deaths, TickTimes
from workers.process.files import side_read
from workers.process.process_table import ProcessTable, Scan
from workers.process.schema import PROCESS, PROCESS_SCAN, PROCESS_TAIL
from workers.samplers.process import ProcessProbe

HERTZ = os.sysconf("SC_CLK_TCK")
NS_PER_CLOCK_TICK = S // HERTZ
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
POD = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"
OTHER_POD = "11111111-2222-3333-4444-555555555555"
POD_CGROUP = f"/kubepods/burstable/pod{POD}/{'c' * 64}"
OTHER_POD_CGROUP = f"/kubepods/pod{OTHER_POD}"


class Process(Struct):
    """One process as it is now; CPU in clock ticks, memory in pages."""

    pid: int
    start_ticks: int
    name: bytes = b"busy"
    cpu_ticks: int = 0
    rss_pages: int = 10
    # What `statm` has more than `stat`.
    more_pages: int = 0
    state: str = "S"
    ppid: int = 1
    threads: int = 1
    is_kernel_thread: bool = False
    cgroup: str = "/"
    command_line: bytes = b"busy\0--loop\0"
    read_bytes: int = 0
    write_bytes: int = 0
    # How often it was given a CPU, and how often of these it ran for a nanosecond alone, which `cpu_ticks` do not show.
    slices: int = 1
    short_runs: int = 0

    @property
    def pss_kib(self) -> int:
        """Half of its resident memory."""
        return self.rss_pages * PAGE_BYTES // 2048

    @property
    def run_ns(self) -> int:
        """Its CPU clock."""
        return self.cpu_ticks * NS_PER_CLOCK_TICK + self.short_runs

    @property
    def schedstat(self) -> bytes:
        """The line of `/proc/PID/schedstat`."""
        return b"%d 0 %d\n" % (self.run_ns, self.slices)

    @property
    def stat(self) -> bytes:
        """The line of `/proc/PID/stat`: user and system time share the CPU, everything else is zero."""
        system = self.cpu_ticks // 3
        before = b" 0 0 0 0 %d 0 0 0 0" % (0x0020_0000 if self.is_kernel_thread else 0)
        behind = b" 0" * 25
        numbers = b" %d %d 0 0 20 0 %d 0 %d 4096 %d" % (
            self.cpu_ticks - system,
            system,
            self.threads,
            self.start_ticks,
            self.rss_pages,
        )
        return b"%d (%b) %b %d" % (self.pid, self.name, self.state.encode(), self.ppid) + before + numbers + behind + b"\n"


class Tick(Struct):
    """What one tick gave, by column name."""

    rows: list[dict[str, Any]]
    tails: list[dict[str, Any]]
    scan: dict[str, Any]

    def row(self, pid: int) -> dict[str, Any]:
        """The row of a process."""
        (found,) = [row for row in self.rows if row["pid"] == pid]
        return found

    @property
    def pids(self) -> list[int]:
        """Which processes have a row, in the order of the rows."""
        return [row["pid"] for row in self.rows]

    def sums(self) -> dict[str | None, tuple[int, int, int]]:
        """Rows and tail together, by pod: (processes, CPU in ns, RSS in bytes)."""
        found: dict[str | None, tuple[int, int, int]] = {}
        for row in [*({**row, "processes": 1} for row in self.rows), *self.tails]:
            processes, cpu_ns, rss_bytes = found.get(row["pod_uid"], (0, 0, 0))
            found[row["pod_uid"]] = (
                processes + row["processes"],
                cpu_ns + (row["cpu_ns"] or 0),
                rss_bytes + (row["rss_bytes"] or 0),
            )
        return found


class ListedDeaths:
    """What ended, as a test says it: each tick takes what was put here."""

    def __init__(self) -> None:
        self.next = Deaths()
        self.failure: OSError | None = None

    def settle(self, scan: Scan, table: ProcessTable, times: TickTimes) -> Deaths:
        """What the test put here, once."""
        if self.failure is not None:
            raise self.failure
        deaths, self.next = self.next, Deaths()
        return deaths

    def wake_at_ns(self) -> int | None:
        """Never."""
        return None

    def catch_up(self, now_ns: int) -> None:
        """Nothing waits."""

    def stats(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def close(self) -> None:
        """Nothing to give back."""


class LimitedTree(MemoryTree):
    """A tree whose reader may hold only a number of descriptors."""

    descriptors_max = 1 << 30

    def open(self, path: str) -> int:
        """A descriptor, or EMFILE."""
        if self.open_descriptors >= self.descriptors_max:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)
        return super().open(path)


class Host:
    """Processes are born, work and die between ticks; every tick is a second, and every row of it is checked."""

    # What a host has whose test does not say: fixture `watched_and_polled` runs a test with both.
    has_clocks_unless_told: ClassVar[bool] = True

    def __init__(self, *, top_rows: int = 100, has_clocks: bool | None = None, **settings: int | str) -> None:
        """So many rows for each metric, whatever they hold, unless `top_rows_least` says otherwise."""
        has_clocks = self.has_clocks_unless_told if has_clocks is None else has_clocks
        self.has_clocks = has_clocks
        # Without clocks: a `/proc` that knows this process by another number.
        own_pid = os.getpid() if has_clocks else 0
        self.tree = LimitedTree({"self/status": b"NSpid:\t%d\n" % own_pid, "meminfo": b"MemTotal: 1 kB\n"})
        self.tree.clocks[cpu_clock_of(os.getpid())] = 1
        self.uptime_ticks = 1000 * HERTZ
        self.processes: dict[int, Process] = {}
        self.now_ns = 7 * S
        values = {
            f"sampler.process.{key}": value for key, value in {"top_rows": top_rows, "top_rows_least": top_rows, **settings}.items()
        }
        self.bus = RecordingBus()
        self.heartbeat = Heartbeat()
        self.reader = InlineReader(side_read(self.tree, 4096))
        self.reader.path_of = self.tree.path_of
        config = Config(values)
        self.exits = ListedDeaths()
        self.probe = ProcessProbe(
            self.tree,
            config,
            self.bus,
            self.heartbeat,
            boot_ns=self._boot_ns,
            exits=self.exits,
            reader=self.reader,
            cpu_ns=lambda: 0,
        )

    def _boot_ns(self) -> int:
        return self.uptime_ticks * NS_PER_CLOCK_TICK

    def born(self, pid: int, **fields: Any) -> Process:
        """A process begins now, unless its `start_ticks` say otherwise."""
        process = self.processes[pid] = Process(pid, **{"start_ticks": self.uptime_ticks, **fields})
        self.show(process)
        return process

    def show(self, process: Process) -> None:
        """What the kernel shows of the process is what it is now."""
        self.tree.put(f"{process.pid}/stat", process.stat)
        self.tree.put(f"{process.pid}/statm", b"4096 %d 0 0 0 0 0\n" % max(0, process.rss_pages + process.more_pages))
        self.tree.clocks[cpu_clock_of(process.pid)] = process.run_ns
        self.tree.put(f"{process.pid}/schedstat", process.schedstat)
        self.tree.put(
            f"{process.pid}/io", b"syscw: 1\nread_bytes: %d\nwrite_bytes: %d\n" % (process.read_bytes, process.write_bytes)
        )
        self.tree.put(f"{process.pid}/smaps_rollup", b"[rollup]\nPss: %d kB\n" % process.pss_kib)
        self.tree.put(f"{process.pid}/cgroup", f"0::{process.cgroup}\n".encode())
        self.tree.put(f"{process.pid}/cmdline", process.command_line)

    def change(self, pid: int, **fields: Any) -> None:
        """A process runs, and something about it is another from now on."""
        self.processes[pid].slices += 1
        self.processes[pid].short_runs += fields.get("cpu_ticks") in (None, self.processes[pid].cpu_ticks)
        for name, value in fields.items():
            setattr(self.processes[pid], name, value)
        self.show(self.processes[pid])

    def move(self, pid: int, cgroup: str) -> None:
        """A process is moved to another cgroup; it does not run for that."""
        self.processes[pid].cgroup = cgroup
        self.show(self.processes[pid])

    @property
    def short_run_ns(self) -> int:
        """The CPU of `change` without more clock ticks, as far as it can be seen here."""
        return int(self.has_clocks)

    def fail(self, pid: int, code: int | None) -> None:
        """A process runs, and cannot be read with this errno; None: it can be read again."""
        if code is not None:
            self.change(pid)
        self.tree.fail(f"{pid}/stat", code)

    def work(self, pid: int, ticks: int) -> None:
        """A process uses CPU."""
        self.change(pid, cpu_ticks=self.processes[pid].cpu_ticks + ticks)

    def die(self, pid: int) -> None:
        """A process is gone with everything."""
        self.tree.remove(str(pid))
        del self.tree.clocks[cpu_clock_of(pid)]
        del self.processes[pid]

    def tick(self, duration_ns: int = S) -> Tick:
        """Time passes, then the probe measures."""
        self.now_ns += duration_ns
        self.uptime_ticks += duration_ns // NS_PER_CLOCK_TICK
        sample = {table.name: rows for table, rows in self.probe.sample(self.now_ns, 10**18 + self.now_ns)}
        (scan,) = _records(PROCESS_SCAN, sample["process_scan"])
        return Tick(_records(PROCESS, sample["process"]), _records(PROCESS_TAIL, sample["process_tail"]), scan)


def why(row: dict[str, Any], what: str) -> str | None:
    """Why a value of a row is null; None: no reason is given."""
    reasons = dict(reason.partition(":")[::2] for reason in (row["absent"] or "").split(",") if reason)
    return reasons.get(what)


def _records(table: Table, rows: Any) -> list[dict[str, Any]]:
    for row in rows:
        problem = problem_of_row(table, row)
        assert problem is None, problem
    records = [dict(zip(table.column_names, row, strict=True)) for row in rows]
    keys = [tuple(record[name] for name in table.key) for record in records]
    assert len(set(keys)) == len(keys), f"{table.name} has two rows of one key"
    return records
