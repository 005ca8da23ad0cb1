"""`/proc/meminfo`, `/proc/vmstat` and `/proc/pressure`. PURE.

Each parser gives values by column of table `host`; a line that is missing or cannot be read gives no value.
"""

import re

from agent.model.errors import KernelFormatError
from agent.model.timebase import US
from agent.setting import KIB
from workers.host.cpu import Values
from workers.host.number import NUMBER_MAX, scaled, whole

MEMINFO_BYTES_MAX = 16 << 10
# Nodes and zones do not make it longer: it has some 200 lines.
VMSTAT_BYTES_MAX = 64 << 10
PRESSURE_BYTES_MAX = 1024
MEMORY_LINES = {
    b"MemTotal": "memory_total_bytes",
    b"MemAvailable": "memory_available_bytes",
    b"MemFree": "memory_free_bytes",
    b"Buffers": "memory_buffers_bytes",
    b"Cached": "memory_cached_bytes",
    b"AnonPages": "memory_anonymous_bytes",
    b"Shmem": "memory_shared_bytes",
    b"Dirty": "memory_dirty_bytes",
    b"Writeback": "memory_writeback_bytes",
    b"Slab": "memory_slab_bytes",
    b"SReclaimable": "memory_slab_reclaimable_bytes",
    b"PageTables": "memory_page_tables_bytes",
    b"KernelStack": "memory_kernel_stack_bytes",
    b"SwapTotal": "swap_total_bytes",
    b"SwapFree": "swap_free_bytes",
    b"SwapCached": "swap_cached_bytes",
    # Of all sizes, since Linux 4.17.
    b"Hugetlb": "memory_huge_pages_bytes",
}
# Names with what is before and behind them, and the unit. `pgpgin` and `pgpgout` are in KiB, but swap is in pages (mm/vmstat.c).
_PAGE = 0
_EVENTS = (
    (b"\npgfault ", "page_faults", 1),
    (b"\npgmajfault ", "major_faults", 1),
    (b"\npgpgin ", "read_in_bytes", KIB),
    (b"\npgpgout ", "written_out_bytes", KIB),
    (b"\npswpin ", "swapped_in_bytes", _PAGE),
    (b"\npswpout ", "swapped_out_bytes", _PAGE),
    (b"\noom_kill ", "oom_kills", 1),
)
# By who reclaims. Before Linux 4.8 each zone has its own line; `anon` and `file` are the same pages again, by kind.
_RECLAIM = re.compile(rb"pg(steal|scan)_(?:kswapd|direct|khugepaged|proactive)(?:_(?:dma|dma32|normal|high|movable))?")


def parse_meminfo(text: bytes) -> Values:
    """Memory and swap in bytes. *Raises:* KernelFormatError. *Source:* proc_meminfo(5)."""
    values: dict[str, int | float | None] = {}
    huge: dict[bytes, int | None] = {}
    for line in text.split(b"\n"):
        name, colon, rest = line.partition(b":")
        if not colon or not (words := rest.split()):
            continue
        if (column := MEMORY_LINES.get(name)) is not None:
            values[column] = scaled(words[0], KIB)
        elif name in (b"HugePages_Total", b"Hugepagesize"):
            huge[name] = whole(words[0])
    if not values:
        raise KernelFormatError("/proc/meminfo", f"cannot be read: {text[:80]!r}")
    count, size = huge.get(b"HugePages_Total"), huge.get(b"Hugepagesize")
    if "memory_huge_pages_bytes" not in values and count is not None and size is not None and count * size <= NUMBER_MAX // KIB:
        values["memory_huge_pages_bytes"] = count * size * KIB
    return values


def parse_vmstat(text: bytes, page_bytes: int) -> Values:
    """Counters of page faults, disk and swap traffic, reclaim and OOM kills. *Raises:* KernelFormatError.

    *Source:* proc_vmstat(5), linux/mm/vmstat.c.
    """
    # It has two hundred lines, of which some twenty are looked for.
    text = b"\n" + text + b"\n"
    values: dict[str, int | float | None] = {}
    for name, column, scale in _EVENTS:
        if (start := text.find(name)) >= 0:
            start += len(name)
            values[column] = scaled(text[start : text.find(b"\n", start)], page_bytes if scale == _PAGE else scale)
    reclaim = {b"steal": 0, b"scan": 0}
    seen = set()
    start, end = text.find(b"\npgs"), text.rfind(b"\npgs")
    for line in text[start : text.find(b"\n", end + 1)].split(b"\n") if start >= 0 else ():
        name, _, number = line.partition(b" ")
        if (found := _RECLAIM.fullmatch(name)) is not None:
            reclaim[found[1]] += whole(number) or 0
            seen.add(found[1])
    for kind, column, scale in ((b"steal", "reclaimed_bytes", page_bytes), (b"scan", "scanned_pages", 1)):
        if kind in seen and reclaim[kind] <= NUMBER_MAX // scale:
            values[column] = reclaim[kind] * scale
    if not values:
        raise KernelFormatError("/proc/vmstat", f"cannot be read: {text[:80]!r}")
    return values


def parse_pressure(text: bytes, resource: str) -> Values:
    """Time stalled since boot, for `some` and, but for the CPU, `full`. *Raises:* KernelFormatError.

    *Source:* linux/Documentation/accounting/psi.rst.
    """
    values: dict[str, int | float | None] = {}
    for line in text.split(b"\n"):
        kind, _, _rest = line.partition(b" ")
        if kind in (b"some", b"full"):
            total = line.rpartition(b" total=")[2]
            values[f"pressure_{resource}_{kind.decode()}_ns"] = scaled(total, US)
    if not values:
        raise KernelFormatError(f"/proc/pressure/{resource}", f"cannot be read: {text[:80]!r}")
    return values
