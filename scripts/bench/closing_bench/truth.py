"""What the kernel counts, read without any code of the sampler: CPU of control groups, RSS of all processes.

*Source:* linux/Documentation/admin-guide/cgroup-v1/cpuacct.rst (`cpuacct.usage`), cgroup-v2.rst (`cpu.stat`), proc_pid_statm(5).
"""

import os
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
# Short beside the time that a skew of it can shift: 20 ms of two cores are 0.2 % of 20 s.
CPU_PERIOD_SECONDS = 0.02
RSS_EVERY = 10
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
END_SECONDS = 10.0
Series = list[tuple[int, int]]


def cpu_hierarchy() -> Path:
    """Where CPU is counted by group. *Raises:* FileNotFoundError."""
    for candidate in (CGROUPS / "cpuacct", CGROUPS / "cpu,cpuacct"):
        if (candidate / "cpuacct.usage").exists():
            return candidate
    if (CGROUPS / "cpu.stat").exists():
        return CGROUPS
    raise FileNotFoundError(f"no control group below {CGROUPS} counts CPU")


def cpu_ns(group: Path) -> int:
    """CPU of a group with everything below it and everything that has ended in it."""
    with suppress(FileNotFoundError):
        return int((group / "cpuacct.usage").read_text())
    words = (group / "cpu.stat").read_text().split()
    return int(words[words.index("usage_usec") + 1]) * 1000


def rss_bytes() -> int:
    """The sum of what every process says of its resident memory."""
    pages = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                descriptor = os.open(f"/proc/{name}/statm", os.O_RDONLY)
                try:
                    pages += int(os.read(descriptor, 100).split()[1])
                finally:
                    os.close(descriptor)
    return pages * PAGE_BYTES


@contextmanager
def unit(uid: str, container: str) -> Iterator[tuple[Path, Path]]:
    """A control group of a pod, and in it one of a container; removed when everything in it has ended."""
    top = cpu_hierarchy() / f"eg-closing-{os.getpid()}"
    pod = top / "kubepods" / f"pod{uid}"
    (pod / container).mkdir(parents=True)
    try:
        yield pod, pod / container
    finally:
        end_at = time.monotonic() + END_SECONDS
        for group in (pod / container, pod, pod.parent, top):
            while True:
                try:
                    group.rmdir()
                    break
                except OSError:
                    if time.monotonic() > end_at:
                        raise
                    time.sleep(0.05)


@dataclass(slots=True)
class Record:
    """What was read over time: (unix time in ns, value)."""

    host_cpu: Series = field(default_factory=list)
    unit_cpu: Series = field(default_factory=list)
    rss: Series = field(default_factory=list)


@contextmanager
def recording(pod: Path) -> Iterator[Record]:
    """Reads until the context ends, in a thread of its own."""
    record, is_over, root = Record(), threading.Event(), cpu_hierarchy()

    def read() -> None:
        turn = 0
        while not is_over.wait(CPU_PERIOD_SECONDS):
            record.host_cpu.append((time.time_ns(), cpu_ns(root)))
            record.unit_cpu.append((time.time_ns(), cpu_ns(pod)))
            if turn % RSS_EVERY == 0:
                at_ns = time.time_ns()
                record.rss.append((at_ns, rss_bytes()))
            turn += 1

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield record
    finally:
        is_over.set()
        thread.join(END_SECONDS)


def value_at(series: Sequence[tuple[int, int]], at_ns: int) -> float:
    """The value between two readings. *Raises:* ValueError outside of the record."""
    index = bisect_left(series, (at_ns, 0))
    if not 0 < index < len(series):
        raise ValueError("a tick outside of the record")
    (before_ns, before), (after_ns, after) = series[index - 1], series[index]
    return before + (after - before) * (at_ns - before_ns) / (after_ns - before_ns)
