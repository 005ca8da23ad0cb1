"""What a tick of the process sampler costs without the kernel: memory that it allocates, CPU, and the serialisation of its rows.

The host is in memory and answers from a dictionary, so that what is measured is the sampler's own work. Allocation is counted by
tracemalloc in a run of its own, because counting makes everything slow. *Source:* library/tracemalloc of Python.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fakes.bus import RecordingBus
from fakes.host import HERTZ, Process
from fakes.side_reader import InlineReader
from machine import circumstances

from agent.config import Config
from agent.model.heartbeat import Heartbeat
from agent.model.message import encode
from agent.model.row_check import check_of
from agent.model.timebase import S
from workers.framework.sampler import Sample
from workers.process.cpu_clock import cpu_clock_of
from workers.process.files import side_read
from workers.samplers.process import ProcessProbe

HERE = Path(__file__).parent
PARTS = ("tick", "rows", "selection", "sketch")
OTHERS = ("selection", "sketch")
SETTLE_TICKS = 3
NAMES = 50
SIDE_READ_BYTES = 4096


class DictionaryTree:
    """`agent.ports.KernelTree` that answers at once and remembers nothing."""

    def __init__(self, count: int) -> None:
        self.processes = [
            Process(pid, pid, b"name-%d" % (pid % NAMES), cpu_ticks=pid % 7, rss_pages=10 + pid % 1000)
            for pid in range(1, count + 1)
        ]
        self.files: dict[str, bytes] = {
            "loadavg": b"0.00 0.00 0.00 1/100 1\n",
            "self/mountinfo": b"22 1 0:21 / /proc rw - proc proc rw\n",
            "self/status": b"NSpid:\t%d\nCapEff:\t000001ffffffffff\n" % os.getpid(),
            "vmstat": b"pgsteal_kswapd 0\npgsteal_direct 0\npswpout 0\n",
        }
        self.clocks = {cpu_clock_of(os.getpid()): 1}
        self._names = [str(process.pid) for process in self.processes]
        self._paths: list[str] = []
        self._run_ns = dict.fromkeys(range(1, count + 1), 0)
        for process in self.processes:
            self.show(process)

    def show(self, process: Process) -> None:
        """What the kernel shows of a process."""
        folder, run_ns = process.pid, self._run_ns[process.pid]
        self.clocks[cpu_clock_of(folder)] = run_ns
        self.files[f"{folder}/stat"] = process.stat
        self.files[f"{folder}/schedstat"] = b"%d 0 %d\n" % (run_ns, run_ns // 1000)
        self.files[f"{folder}/io"] = (
            b"rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: %d\nwrite_bytes: 0\ncancelled_write_bytes: 0\n" % run_ns
        )
        self.files[f"{folder}/cgroup"] = b"0::/system.slice/service-%d.service\n" % (folder % 10)
        self.files[f"{folder}/cmdline"] = b"/usr/bin/name\0--option\0%d\0" % folder
        self.files[f"{folder}/smaps_rollup"] = b"0-1 ---p 0 00:00 0 [rollup]\nRss: 40 kB\nPss: 30 kB\n"

    def work(self, process: Process) -> None:
        """It runs for a clock tick and some."""
        process.cpu_ticks += 1
        self._run_ns[process.pid] += S // HERTZ + 1000
        self.show(process)

    def list_names(self, path: str = ".") -> list[str]:
        """The processes."""
        return list(self._names) if path == "." else []

    def list_directories(self, path: str = ".") -> list[str]:
        """As `list_names`."""
        return self.list_names(path)

    def open(self, path: str) -> int:
        """A number for a path."""
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        self._paths.append(path)
        return len(self._paths) - 1

    def read_open(self, descriptor: int, bytes_max: int, offset: int = 0) -> bytes:
        """What the file holds now."""
        return self.files[self._paths[descriptor]][offset : offset + bytes_max]

    def read_clocks(self, clocks: Sequence[int]) -> list[int | None]:
        """The run time of each process."""
        return [self.clocks.get(clock) for clock in clocks]

    def close(self, descriptor: int) -> None:
        """Numbers are never used again."""

    def read(self, path: str, bytes_max: int) -> bytes:
        """What the file holds now."""
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.files[path]

    def owner(self, path: str) -> int:
        """Root."""
        return 0

    def device(self, path: str = ".") -> int:
        """One file system."""
        return 0


class Story:
    """A probe over such a host; a share of the processes works between two ticks, others at each."""

    def __init__(self, count: int, busy_share: float) -> None:
        self.tree = DictionaryTree(count)
        self._busy = round(count * busy_share)
        self._turn = 0
        self._now_ns = 10 * S
        self._reader = InlineReader(side_read(self.tree, SIDE_READ_BYTES))
        self.probe = ProcessProbe(
            self.tree, Config({}), RecordingBus(), Heartbeat(), boot_ns=lambda: self._now_ns + 3600 * S, reader=self._reader
        )

    def prepare(self) -> None:
        """What happens before the next tick."""
        for number in range(self._busy):
            self.tree.work(self.tree.processes[(self._turn * self._busy + number) % len(self.tree.processes)])
        self._turn += 1
        self._now_ns += S
        self._reader.hand_overs.clear()

    def sample(self) -> Sample:
        """The tick."""
        return self.probe.sample(self._now_ns, 10**18 + self._now_ns)


def tick_cost(count: int, busy_share: float, ticks: int) -> dict[str, Any]:
    """CPU of a tick in us, and bytes: the peak above what was held before, and what stays."""
    story = Story(count, busy_share)
    cpu_us = []
    for turn in range(SETTLE_TICKS + ticks):
        story.prepare()
        begun = time.thread_time_ns()
        story.sample()
        if turn >= SETTLE_TICKS:
            cpu_us.append((time.thread_time_ns() - begun) / 1e3)
    tracemalloc.start()
    peaks: list[int] = []
    kept: list[int] = []
    for turn in range(SETTLE_TICKS + ticks):
        story.prepare()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        story.sample()
        after, peak = tracemalloc.get_traced_memory()
        if turn >= SETTLE_TICKS:
            peaks.append(peak - before)
            kept.append(after - before)
    tracemalloc.stop()
    peak_bytes = statistics.median(peaks)
    return {
        "processes": count,
        "busy_share": busy_share,
        "cpu_us_per_tick": round(statistics.median(cpu_us), 1),
        "cpu_us_per_process": round(statistics.median(cpu_us) / count, 3),
        "peak_bytes_per_tick": round(peak_bytes),
        "peak_bytes_per_process": round(peak_bytes / count, 1),
        "kept_bytes_per_tick": round(statistics.median(kept)),
    }


def rows_cost(count: int, busy_share: float, repeats: int) -> list[dict[str, Any]]:
    """Of each table: rows a tick, bytes and us a row, of the check and of the encoding."""
    story = Story(count, busy_share)
    sample: Sample = ()
    for _ in range(SETTLE_TICKS):
        story.prepare()
        sample = story.sample()
    found = []
    for table, table_rows in sample:
        if rows := list(table_rows):
            checked = _least_us(partial(check_of(table).sift, rows), repeats)
            encoded = _least_us(partial(encode, rows), repeats)
            figures = {"bytes": len(encode(rows)) / len(rows), "check_us": checked / len(rows), "encode_us": encoded / len(rows)}
            rounded = {f"{name}_per_row": round(value, 3) for name, value in figures.items()}
            found.append({"processes": count, "table": table.name, "rows": len(rows), **rounded})
    return found


def _least_us(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begun = time.thread_time_ns()
        work()
        times.append((time.thread_time_ns() - begun) / 1e3)
    return min(times)


def other(name: str) -> Any:
    """What another benchmark prints; None where it is not there."""
    program = HERE / name
    if not os.access(program, os.X_OK):
        return None
    done = subprocess.run([str(program)], stdout=subprocess.PIPE, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {"failed": done.returncode}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench/micro", description=__doc__.partition("\n")[0])
    parser.add_argument("--counts", default="500,5000", metavar="N,N", help="processes of the host (500,5000)")
    parser.add_argument("--ticks", type=int, default=20, help="ticks that are measured (20)")
    parser.add_argument("--busy", type=float, default=0.2, help="share of the processes that ran since the last tick (0.2)")
    parser.add_argument("--only", default=",".join(PARTS), metavar="PARTS", help=f"some of {','.join(PARTS)}")
    options = parser.parse_args()
    counts = [int(word) for word in options.counts.split(",")]
    wanted = options.only.split(",")
    results: dict[str, Any] = circumstances()
    if "tick" in wanted:
        results["tick"] = [tick_cost(count, share, options.ticks) for count in counts for share in (0.0, options.busy)]
    if "rows" in wanted:
        results["rows"] = [row for count in counts for row in rows_cost(count, options.busy, options.ticks)]
    results |= {name: other(name) for name in OTHERS if name in wanted}
    print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
