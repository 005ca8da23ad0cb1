"""The files of a cgroup of version 1, each in the hierarchy of its controller. PURE.

*Source:* linux/Documentation/admin-guide/cgroup-v1/. Of memory the lines that begin with `total_` are taken: they count what is in
the cgroups below too, as version 2 does everywhere.
"""

from collections.abc import Callable, Iterator

from agent.model.timebase import S
from workers.unit import value
from workers.unit.cgroup_file import CgroupFile, When, level_of, number, total_of, unreadable
from workers.unit.cgroup_v2 import IO_BYTES_MAX, MEMORY_STAT_BYTES_MAX, pressure_of
from workers.unit.value import Values

_MEMORY = (
    (b"\ntotal_cache ", value.FILE),
    (b"\ntotal_rss ", value.ANON),
    (b"\ntotal_shmem ", value.SHMEM),
    # Only where swap is counted.
    (b"\ntotal_swap ", value.SWAP),
    (b"\ntotal_pgfault ", value.FAULTS),
    (b"\ntotal_pgmajfault ", value.MAJOR_FAULTS),
    (b"\ntotal_inactive_file ", value.INACTIVE_FILE),
)
# Version 2 has 1 to 10,000 with 100 as the usual share, version 1 has 1,024 for that.
_SHARES_USUAL, _WEIGHT_USUAL, _WEIGHT_MAX = 1024, 100, 10_000


def parse_usage(text: bytes, values: Values) -> None:
    """CPU time in ns. *Raises:* KernelFormatError."""
    if (usage := number(text.rstrip(b"\n"))) is None:
        raise unreadable("cpuacct.usage", text)
    values[value.CPU] = usage


def cpuacct_stat_of(ticks_per_second: int) -> Callable[[bytes, Values], None]:
    """The parser of `cpuacct.stat`: user and system time in clock ticks."""
    ns_per_tick = S // ticks_per_second

    def parse(text: bytes, values: Values) -> None:
        words = text.split(None, 4)
        if words[::2][:2] != [b"user", b"system"] or len(words) < 4:
            raise unreadable("cpuacct.stat", text)
        values[value.CPU_USER], values[value.CPU_SYSTEM] = number(words[1], ns_per_tick), number(words[3], ns_per_tick)

    return parse


def parse_cpu_stat(text: bytes, values: Values) -> None:
    """What a CPU limit did. *Raises:* KernelFormatError."""
    words = text.split(None, 6)
    if words[::2][:3] != [b"nr_periods", b"nr_throttled", b"throttled_time"] or len(words) < 6:
        raise unreadable("cpu.stat", text)
    values[value.PERIODS], values[value.THROTTLED_PERIODS], values[value.THROTTLED] = map(number, words[1:6:2])


def parse_shares(text: bytes, values: Values) -> None:
    """The share of CPUs, as version 2 counts it. *Raises:* KernelFormatError.

    *Source:* `cpu_weight_write_u64` in linux/kernel/sched/core.c.
    """
    if (shares := number(text.rstrip(b"\n"))) is None:
        raise unreadable("cpu.shares", text)
    values[value.WEIGHT] = min(max(1, (shares * _WEIGHT_USUAL + _SHARES_USUAL // 2) // _SHARES_USUAL), _WEIGHT_MAX)


def parse_memory_stat(text: bytes, values: Values) -> None:
    """What the memory is used for, and page faults. *Raises:* KernelFormatError."""
    at = text.find(b"\ntotal_cache ")
    if at < 0:
        raise unreadable("memory.stat", text)
    for label, place in _MEMORY:
        found = text.find(label, at)
        values[place] = number(text[found + len(label) : _end(text, found + 1)]) if found >= 0 else None


def parse_oom_control(text: bytes, values: Values) -> None:
    """Processes killed; since Linux 4.13. *Raises:* KernelFormatError."""
    if not text.startswith(b"oom_kill_disable "):
        raise unreadable("memory.oom_control", text)
    at = text.find(b"\noom_kill ")
    values[value.OOM_KILL] = number(text[at + 10 : _end(text, at + 1)]) if at >= 0 else None


def blkio_of(name: str, read: int, write: int) -> Callable[[bytes, Values], None]:
    """The parser of a file with a line `MAJOR:MINOR Read N` for each device and kind: the sum of all devices."""

    def parse(text: bytes, values: Values) -> None:
        if not text.rstrip(b"\n").rpartition(b"\n")[2].startswith(b"Total "):
            raise unreadable(name, text)
        values[read], values[write] = total_of(_words(text, b" Read ")), total_of(_words(text, b" Write "))

    return parse


def _words(text: bytes, label: bytes) -> Iterator[bytes]:
    """What follows each label up to the end of its line."""
    found = text.find(label)
    while found >= 0:
        yield text[found + len(label) : _end(text, found)]
        found = text.find(label, found + 1)


def _end(text: bytes, at: int) -> int:
    end = text.find(b"\n", at)
    return end if end >= 0 else len(text)


def files(ticks_per_second: int) -> tuple[CgroupFile, ...]:
    """All files. The first tells whether a unit did anything at all."""
    memory_places = tuple(place for _, place in _MEMORY)
    limited = (value.PERIODS, value.THROTTLED_PERIODS, value.THROTTLED)
    return (
        CgroupFile("cpuacct.usage", "cpuacct", (value.CPU,), parse_usage, 64),
        CgroupFile(
            "cpuacct.stat", "cpuacct", (value.CPU_USER, value.CPU_SYSTEM), cpuacct_stat_of(ticks_per_second), 256
        ),
        CgroupFile("cpu.stat", "cpu", limited, parse_cpu_stat, when=When.LIMITED),
        CgroupFile("memory.usage_in_bytes", "memory", (value.CURRENT,), level_of(value.CURRENT, "memory.usage_in_bytes"), 64),
        CgroupFile("memory.stat", "memory", memory_places, parse_memory_stat, MEMORY_STAT_BYTES_MAX, When.LATER),
        CgroupFile(
            "blkio.throttle.io_service_bytes_recursive", "blkio", (value.READ_BYTES, value.WRITE_BYTES),
            blkio_of("blkio.throttle.io_service_bytes_recursive", value.READ_BYTES, value.WRITE_BYTES), IO_BYTES_MAX,
            When.COUNTED_ABOVE,
        ),
        CgroupFile(
            "blkio.throttle.io_serviced_recursive", "blkio", (value.READS, value.WRITES),
            blkio_of("blkio.throttle.io_serviced_recursive", value.READS, value.WRITES), IO_BYTES_MAX, When.COUNTED_ABOVE,
        ),
        CgroupFile("pids.current", "pids", (value.PIDS,), level_of(value.PIDS, "pids.current"), 64, When.LATER),
        CgroupFile(
            "cpu.pressure", "unified", (value.CPU_SOME, value.CPU_FULL), pressure_of("cpu", value.CPU_SOME, value.CPU_FULL), 512,
            When.COUNTED_ABOVE,
        ),
        CgroupFile(
            "memory.pressure", "unified", (value.MEMORY_SOME, value.MEMORY_FULL),
            pressure_of("memory", value.MEMORY_SOME, value.MEMORY_FULL), 512, When.COUNTED_ABOVE,
        ),
        CgroupFile(
            "io.pressure", "unified", (value.IO_SOME, value.IO_FULL), pressure_of("io", value.IO_SOME, value.IO_FULL), 512,
            When.COUNTED_ABOVE,
        ),
        CgroupFile("memory.oom_control", "memory", (value.OOM_KILL,), parse_oom_control, 512, When.SELDOM),
        CgroupFile("memory.failcnt", "memory", (value.OOM_MAX,), level_of(value.OOM_MAX, "memory.failcnt"), 64, When.SELDOM),
        CgroupFile(
            "memory.kmem.usage_in_bytes", "memory", (value.KERNEL,), level_of(value.KERNEL, "memory.kmem.usage_in_bytes"), 64,
            when=When.SELDOM,
        ),
        CgroupFile(
            "memory.max_usage_in_bytes", "memory", (value.PEAK,), level_of(value.PEAK, "memory.max_usage_in_bytes"), 64,
            when=When.SELDOM,
        ),
        CgroupFile("cpu.shares", "cpu", (value.WEIGHT,), parse_shares, 64, when=When.SELDOM),
    )  # fmt: skip
