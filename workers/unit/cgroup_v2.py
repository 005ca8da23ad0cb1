"""The files of a cgroup of version 2. PURE. *Source:* linux/Documentation/admin-guide/cgroup-v2.rst, accounting/psi.rst.

Each kernel has its lines in one order, which is another one in another version: so a line is looked for by its name, from where the
one before it was found, and from the beginning if it is not there. That is linear and makes no list of the lines.
"""

from collections.abc import Callable, Iterator

from agent.model.timebase import US
from workers.unit import value
from workers.unit.cgroup_file import CgroupFile, When, level_of, number, total_of, unreadable
from workers.unit.value import Values

# A line per device of some 80 bytes; hosts with a thousand disks exist.
IO_BYTES_MAX = 256 << 10
# Some 60 lines, and more with each kernel.
MEMORY_STAT_BYTES_MAX = 16 << 10
# A line's label, its place among the values, and what one of its units is in ours.
_MEMORY = (
    (b"anon ", value.ANON, 1),
    (b"\nfile ", value.FILE, 1),
    # Since Linux 5.18.
    (b"\nkernel ", value.KERNEL, 1),
    (b"\nshmem ", value.SHMEM, 1),
    (b"\ninactive_file ", value.INACTIVE_FILE, 1),
    (b"\npgfault ", value.FAULTS, 1),
    (b"\npgmajfault ", value.MAJOR_FAULTS, 1),
)
_EVENTS = (
    (b"\nhigh ", value.OOM_HIGH, 1),
    (b"\nmax ", value.OOM_MAX, 1),
    (b"\noom ", value.OOM, 1),
    (b"\noom_kill ", value.OOM_KILL, 1),
)
_LIMITED = (
    (b"\nnr_periods ", value.PERIODS, 1),
    (b"\nnr_throttled ", value.THROTTLED_PERIODS, 1),
    (b"\nthrottled_usec ", value.THROTTLED, US),
)
_IO = ((b" rbytes=", value.READ_BYTES), (b" wbytes=", value.WRITE_BYTES), (b" rios=", value.READS), (b" wios=", value.WRITES))


def parse_cpu_stat(text: bytes, values: Values) -> None:
    """CPU time, and what a limit did to it: without the controller there are no such lines. *Raises:* KernelFormatError."""
    user, system = text.find(b"\nuser_usec "), text.find(b"\nsystem_usec ")
    if not text.startswith(b"usage_usec ") or user < 0 or system < 0:
        raise unreadable("cpu.stat", text)
    usage = number(text[11:user], US)
    if usage is None:
        raise unreadable("cpu.stat", text)
    values[value.CPU] = usage
    values[value.CPU_USER] = number(text[user + 11 : system], US)
    at = system + 13
    values[value.CPU_SYSTEM] = number(text[at : _end(text, at)], US)
    _fill(values, text, _LIMITED, at)


def parse_memory_stat(text: bytes, values: Values) -> None:
    """What the memory is used for, and page faults. *Raises:* KernelFormatError."""
    if not text.startswith(b"anon "):
        raise unreadable("memory.stat", text)
    _fill(values, text, _MEMORY)


def parse_memory_events(text: bytes, values: Values) -> None:
    """How often limits were reached, and what that led to. *Raises:* KernelFormatError."""
    if not text.startswith(b"low "):
        raise unreadable("memory.events", text)
    _fill(values, text, _EVENTS)


def parse_io_stat(text: bytes, values: Values) -> None:
    """Bytes and operations of all devices together. A cgroup that never did I/O has no line. *Raises:* KernelFormatError.

    *Absent:* the sum where the number of one device cannot be read.
    """
    for label, place in _IO:
        values[place] = total_of(_words(text, label))
    if text and values[value.READS] is None and values[value.READ_BYTES] is None:
        raise unreadable("io.stat", text)


def _fill(values: Values, text: bytes, labels: tuple[tuple[bytes, int, int], ...], at: int = 0) -> None:
    """Take the number behind each label; None where there is no such line."""
    for label, place, scale in labels:
        found = text.find(label, at)
        if found < 0 and at:
            found = text.find(label)
        if found < 0:
            values[place] = None
            continue
        at = found + len(label)
        values[place] = number(text[at : _end(text, at)], scale)


def _words(text: bytes, label: bytes) -> Iterator[bytes]:
    """What follows each label up to the next blank."""
    found = text.find(label)
    while found >= 0:
        at = found + len(label)
        end = text.find(b" ", at)
        yield text[at:end] if end >= 0 else b""
        found = text.find(label, at)


def pressure_of(resource: str, some: int, full: int) -> Callable[[bytes, Values], None]:
    """The parser of a pressure file; Linux before 5.13 has no `full` for the CPU. *Raises:* KernelFormatError."""

    def parse(text: bytes, values: Values) -> None:
        at = text.find(b" total=")
        if at < 0 or not text.startswith(b"some "):
            raise unreadable(f"{resource}.pressure", text)
        end = _end(text, at)
        values[some] = number(text[at + 7 : end], US)
        at = text.find(b" total=", end)
        values[full] = number(text[at + 7 : _end(text, at)], US) if at >= 0 else None

    return parse


def _end(text: bytes, at: int) -> int:
    """Where the line ends that `at` lies in."""
    end = text.find(b"\n", at)
    return end if end >= 0 else len(text)


_CPU = (value.CPU, value.CPU_USER, value.CPU_SYSTEM, value.PERIODS, value.THROTTLED_PERIODS, value.THROTTLED)
# The first tells whether a unit did anything at all.
FILES: tuple[CgroupFile, ...] = (
    CgroupFile("cpu.stat", "", _CPU, parse_cpu_stat),
    CgroupFile("memory.current", "memory", (value.CURRENT,), level_of(value.CURRENT, "memory.current"), 64),
    CgroupFile(
        "memory.stat", "memory", tuple(place for _, place, _ in _MEMORY), parse_memory_stat, MEMORY_STAT_BYTES_MAX, When.LATER
    ),
    CgroupFile("io.stat", "io", tuple(place for _, place in _IO), parse_io_stat, IO_BYTES_MAX, When.COUNTED_ABOVE),
    CgroupFile("pids.current", "pids", (value.PIDS,), level_of(value.PIDS, "pids.current"), 64, When.LATER),
    CgroupFile(
        "cpu.pressure", "", (value.CPU_SOME, value.CPU_FULL), pressure_of("cpu", value.CPU_SOME, value.CPU_FULL), 512,
        When.COUNTED_ABOVE,
    ),
    CgroupFile(
        "memory.pressure", "", (value.MEMORY_SOME, value.MEMORY_FULL),
        pressure_of("memory", value.MEMORY_SOME, value.MEMORY_FULL), 512, When.COUNTED_ABOVE,
    ),
    CgroupFile(
        "io.pressure", "", (value.IO_SOME, value.IO_FULL), pressure_of("io", value.IO_SOME, value.IO_FULL), 512,
        When.COUNTED_ABOVE,
    ),
    CgroupFile("memory.events", "memory", tuple(place for _, place, _ in _EVENTS), parse_memory_events, 512, When.COUNTED_ABOVE),
    CgroupFile("memory.swap.current", "memory", (value.SWAP,), level_of(value.SWAP, "memory.swap.current"), 64, when=When.SELDOM),
    # Since Linux 5.19.
    CgroupFile("memory.peak", "memory", (value.PEAK,), level_of(value.PEAK, "memory.peak"), 64, when=When.SELDOM),
    CgroupFile("cpu.weight", "cpu", (value.WEIGHT,), level_of(value.WEIGHT, "cpu.weight"), 64, when=When.SELDOM),
)  # fmt: skip
