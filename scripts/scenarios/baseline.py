"""The independent baseline: a process of its own that reads what the kernel counts, by a few lines that are not the sampler's.

    python -m scenarios.baseline OUTPUT GROUP UNIT     GROUP: root of the hierarchy that counts CPU; UNIT: the load's cgroup

It writes one JSON document per line until its standard input ends: CPU of the host and of the load's cgroup every 20 ms; resident
memory and I/O of all processes once a second; at the end the resident memory of each process of the load, and what it cost itself.
*Source:* linux/Documentation/admin-guide/cgroup-v1/cpuacct.rst (`cpuacct.usage`), cgroup-v2.rst (`cpu.stat`), proc_pid_statm(5),
proc_pid_io(5), proc_pid_cgroup(5).
"""

import json
import os
import resource
import select
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

CPU_PERIOD_SECONDS = 0.02
SCAN_SECONDS = 1.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class CpuCounter:
    """The CPU counter of a cgroup, kept open. *Units:* ns."""

    def __init__(self, group: Path) -> None:
        self._is_v1 = (group / "cpuacct.usage").exists()
        self._file = os.open(group / ("cpuacct.usage" if self._is_v1 else "cpu.stat"), os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> int:
        """CPU of the group with everything below it, and everything that has ended in it."""
        text = os.pread(self._file, 4096, 0)
        if self._is_v1:
            return int(text)
        words = text.split()
        return int(words[words.index(b"usage_usec") + 1]) * 1000


class Processes:
    """All processes by their pids. A number that is used again has another file, and the kept one answers ESRCH."""

    def __init__(self) -> None:
        self._files: dict[int, tuple[int, int | None]] = {}
        self._io_before: dict[int, int] = {}
        self._is_first = True
        self.io_bytes = 0
        self.memory: dict[int, int] = {}

    def scan(self) -> None:
        """Read every process once."""
        living = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        self.memory = {}
        for pid in living:
            # It ended between the list and this.
            with suppress(OSError):
                self._read(pid)
        for pid in self._files.keys() - self.memory.keys():
            self._close(pid)
        self._is_first = False

    def _read(self, pid: int) -> None:
        try:
            self._read_open(pid)
        except ProcessLookupError:
            # Another process has the number now.
            self._close(pid)
            self._read_open(pid)

    def _read_open(self, pid: int) -> None:
        if pid not in self._files:
            self._files[pid] = self._open(pid)
        memory, moved = self._files[pid]
        self.memory[pid] = int(os.pread(memory, 100, 0).split()[1]) * PAGE_BYTES
        if moved is not None:
            words = os.pread(moved, 400, 0).split()
            total = int(words[words.index(b"read_bytes:") + 1]) + int(words[words.index(b"write_bytes:") + 1])
            # What was moved before the baseline began is not counted; a process that began later begins at nothing.
            self.io_bytes += total - self._io_before.get(pid, total if self._is_first else 0)
            self._io_before[pid] = total

    def _open(self, pid: int) -> tuple[int, int | None]:
        memory = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return memory, os.open(f"/proc/{pid}/io", os.O_RDONLY | os.O_CLOEXEC)
        except PermissionError:
            return memory, None
        except OSError:
            os.close(memory)
            raise

    def _close(self, pid: int) -> None:
        for file in self._files.pop(pid, ()):
            if file is not None:
                os.close(file)
        self._io_before.pop(pid, None)


def pids_below(group: Path) -> set[int]:
    """The processes of a cgroup and of those below it."""
    found: set[int] = set()
    for at, _folders, _files in os.walk(group):
        with suppress(OSError):
            found |= {int(word) for word in (Path(at) / "cgroup.procs").read_text().split()}
    return found


def unit_memory(unit: Path, seen: dict[int, tuple[int, int]]) -> list[dict[str, Any]]:
    """The processes of the load: name, and the least and most of their memory in all scans."""
    found = []
    for pid in pids_below(unit):
        with suppress(OSError):
            name = Path(f"/proc/{pid}/comm").read_text(errors="replace").rstrip("\n")
            least, most = seen.get(pid, (0, 1))
            found.append({"pid": pid, "command": name, "least": least, "most": most})
    return found


def own_cpu_ns() -> int:
    """What this process has cost."""
    return int(Path("/proc/self/schedstat").read_text().split()[0])


def record(output: TextIO, root: Path, unit: Path) -> None:
    """Read until standard input ends."""
    host, load, processes = CpuCounter(root), CpuCounter(unit), Processes()
    seen: dict[int, tuple[int, int]] = {}
    next_scan, last = 0.0, False
    while True:
        now, at_ns = time.monotonic(), time.time_ns()
        row: dict[str, Any] = {"at": at_ns, "host": host.read(), "unit": load.read()}
        if now >= next_scan or last:
            next_scan = now + SCAN_SECONDS
            processes.scan()
            row |= {"rss": sum(processes.memory.values()), "io": processes.io_bytes, "processes": len(processes.memory)}
            row |= {"scan": (at_ns + time.time_ns()) // 2, "own": own_cpu_ns()}
            for pid, size in processes.memory.items():
                least, most = seen.get(pid, (size, size))
                seen[pid] = min(least, size), max(most, size)
        if last:
            row["memory"] = unit_memory(unit, seen)
        output.write(json.dumps(row) + "\n")
        if last:
            return
        last = bool(select.select([0], [], [], CPU_PERIOD_SECONDS)[0])


def main() -> None:
    """Record into the file."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    path, root, unit = sys.argv[1:]
    with open(path, "w") as output:
        record(output, Path(root), Path(unit))


if __name__ == "__main__":
    main()
