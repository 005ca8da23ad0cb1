"""`/proc/diskstats`, and the rows of table `host_disk`. PURE.

A partition's operations are also those of its disk, so partitions have no row. Device-mapper and RAID devices have one, and
the disks below them too: a sum over all devices counts such operations twice.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from agent.model.absence import Absence
from agent.model.errors import KernelFormatError
from agent.model.foreign import readable
from agent.model.table import Row
from agent.model.timebase import MS
from workers.host.device import Counters, Devices, Increase, busiest, summed
from workers.host.interval import HostInterval, joined
from workers.host.number import NUMBER_MAX, wholes

# 10,000 lines.
DISKSTATS_BYTES_MAX = 1 << 20
DISKS_MAX = 4096
ROWS_MAX = 64
NAME_CHARACTERS_MAX = 64
# *Source:* linux/block/genhd.c: sectors of 512 bytes, whatever the disk's own are.
SECTOR_BYTES = 512
# Before Linux 4.18 a line has 11 numbers, since then 15 (discards), since 5.5 17 (flushes).
_FIELDS_MIN, _FIELDS = 11, 17
_NEVER_USED = frozenset({b"0"})
_LINE = re.compile(rb"^ *\d+ +\d+ \S+ 0", re.MULTILINE)


class Disk(NamedTuple):
    """The counters of one device since it appeared, in the kernel's units. *Absent:* None in older kernels, or out of range."""

    reads: int | None
    reads_merged: int | None
    read_sectors: int | None
    read_ms: int | None
    writes: int | None
    writes_merged: int | None
    write_sectors: int | None
    write_ms: int | None
    in_flight: int | None
    busy_ms: int | None
    queue_ms: int | None
    discards: int | None
    discards_merged: int | None
    discard_sectors: int | None
    discard_ms: int | None
    flushes: int | None
    flush_ms: int | None


def parse_diskstats(text: bytes) -> Mapping[str, Disk]:
    """Every device that was ever used, by name, partitions too. *Range:* the first DISKS_MAX. *Raises:* KernelFormatError.

    *Source:* linux/Documentation/admin-guide/iostats.rst.
    """
    found: dict[str, Disk] = {}
    for line in text.split(b"\n", DISKS_MAX)[:DISKS_MAX]:
        words = line.split()
        # Loop and RAM devices exist in dozens that nobody ever used.
        if len(words) < 3 + _FIELDS_MIN or _NEVER_USED.issuperset(words[3:]):
            continue
        numbers = wholes(words[3 : 3 + _FIELDS])
        found[readable(words[2], NAME_CHARACTERS_MAX)] = Disk(*numbers, *[None] * (_FIELDS - len(numbers)))
    if not found and not _LINE.search(text) and text.strip():
        raise KernelFormatError("/proc/diskstats", f"cannot be read: {text[:80]!r}")
    return found


def whole_disks(names: Iterable[str]) -> list[str]:
    """Those that are no partition of another one of them.

    A partition's name is its disk's and a number, with a `p` between them where the disk's name ends in a digit.
    *Source:* linux/block/partitions/core.c, add_partition.
    """
    known = set(names)
    return [name for name in known if not _is_partition(name, known)]


def _is_partition(name: str, known: set[str]) -> bool:
    disk = name.rstrip("0123456789")
    if disk == name:
        return False
    # What is left ends in a letter: `sda`, or the `p` behind a digit in `nvme0n1p`.
    return disk in known or (disk.endswith("p") and disk[-2:-1].isdigit() and disk[:-1] in known)


class Disks:
    """The disks from tick to tick."""

    def __init__(self) -> None:
        self._devices = Devices()

    def rows(self, devices: Mapping[str, Disk], interval: HostInterval) -> list[Row]:
        """Rows of `host_disk`. *Shape:* at most ROWS_MAX named disks in order, those with the most bytes, and the rest summed."""
        used = {name: devices[name] for name in whole_disks(devices)}
        increases = self._devices.increases({name: _counters(disk) for name, disk in used.items()})
        named, others = busiest(increases, (_READ_SECTORS, _WRITE_SECTORS), ROWS_MAX)
        rows = [_row(name, 1, increases[name], used[name].in_flight, interval) for name in named]
        if others:
            in_flight = sum(used[name].in_flight or 0 for name in others)
            rows.append(_row(None, len(others), summed([increases[name] for name in others]), in_flight, interval))
        return rows


_READ_SECTORS, _WRITE_SECTORS = 1, 4


def _counters(disk: Disk) -> Counters:
    return (
        disk.reads, disk.read_sectors, disk.read_ms, disk.writes, disk.write_sectors, disk.write_ms, disk.busy_ms, disk.queue_ms,
        disk.discards, disk.flushes,
    )  # fmt: skip


def _row(name: str | None, devices: int, increase: Increase, in_flight: int | None, interval: HostInterval) -> Row:
    reads, read_sectors, read_ms, writes, write_sectors, write_ms, busy_ms, queue_ms, discards, flushes = increase.counters
    reasons = [] if increase.reason is None else [increase.reason]
    if increase.is_known:
        if discards is None or flushes is None:
            reasons.append(Absence.NOT_IN_KERNEL)
        if devices > 1:
            reasons.append(Absence.SEVERAL)
        if None in (reads, read_sectors, read_ms, writes, write_sectors, write_ms, busy_ms, queue_ms, in_flight):
            reasons.append(Absence.OUT_OF_RANGE)
    busy = _share(busy_ms, interval)
    return (
        interval.wall_ns, name, devices, reads, writes, _bytes(read_sectors), _bytes(write_sectors), discards, flushes,
        # The kernel counts in clock ticks, some of which end after the interval.
        None if busy is None or devices > 1 else min(1.0, busy), _share(queue_ms, interval),
        _mean_ns(read_ms, reads), _mean_ns(write_ms, writes), in_flight, joined(reasons),
    )  # fmt: skip


def _bytes(sectors: int | None) -> int | None:
    return None if sectors is None or sectors > NUMBER_MAX // SECTOR_BYTES else sectors * SECTOR_BYTES


def _share(ms: int | None, interval: HostInterval) -> float | None:
    return None if ms is None or interval.elapsed_ns is None else ms * MS / interval.elapsed_ns


def _mean_ns(ms: int | None, operations: int | None) -> int | None:
    return ms * MS // operations if ms is not None and ms <= NUMBER_MAX // MS and operations else None
