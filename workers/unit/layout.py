"""How the cgroup hierarchies of a host lie, and so which files are read where. PURE. *Source:* cgroups(7)."""

from collections.abc import Callable, Collection

from msgspec import Struct

from workers.unit import cgroup_v1, cgroup_v2
from workers.unit.cgroup_file import CgroupFile, number

# v1 writes this for no limit: the largest number of pages, in bytes (`PAGE_COUNTER_MAX`). Nothing near it limits anything.
_NO_LIMIT_MIN = 1 << 62
# In this order, because that of `memory` is the one that every engine fills. The last two have workloads that no other one has.
_HOMES_V1 = ("memory", "cpuacct", "cpu", "pids", "systemd", "unified", "freezer")
_TOGETHER = "cpu,cpuacct"


class LimitFile(Struct, frozen=True):
    """A file with a limit. `column` is the one it bounds. `parse` gives the limit, None for none."""

    name: str
    controller: str
    column: str
    parse: Callable[[bytes], float | int | None]


class CgroupLayout(Struct, frozen=True):
    """`files` are read in each unit's cgroup, `limits` there and in all above it.

    `roots` has, by controller, the folder below the cgroup root that its hierarchy is mounted on, empty for the root itself. A
    controller that is not in it is mounted nowhere. `homes` are the folders in which a unit's directory is looked for, in order.
    """

    hierarchy: str
    files: tuple[CgroupFile, ...]
    limits: tuple[LimitFile, ...]
    roots: dict[str, str]
    homes: tuple[str, ...]


def layout_of(names: Collection[str], ticks_per_second: int) -> CgroupLayout | None:
    """The layout of a cgroup root with these names in it. *Absent:* None where there is no hierarchy."""
    controllers = ("", "cpu", "cpuacct", "memory", "io", "blkio", "pids")
    if "cgroup.controllers" in names:
        return CgroupLayout("v2", cgroup_v2.FILES, _LIMITS_V2, dict.fromkeys(controllers, ""), ("",))
    files = cgroup_v1.files(ticks_per_second)
    if "cgroup.procs" in names:
        # The setting names one hierarchy of version 1: what it has is read.
        return CgroupLayout("v1", files, _LIMITS_V1, dict.fromkeys(controllers, ""), ("",))
    roots = {name: name for name in (*controllers, "systemd", "unified", "freezer") if name in names}
    if _TOGETHER in names:
        roots = dict.fromkeys(("cpu", "cpuacct"), _TOGETHER) | roots
    homes = tuple(dict.fromkeys(roots[name] for name in _HOMES_V1 if name in roots))
    return CgroupLayout("hybrid" if "unified" in roots else "v1", files, _LIMITS_V1, roots, homes) if homes else None


def parse_cpu_max(text: bytes) -> float | None:
    """CPUs by `cpu.max`, which has a quota and a period. *Absent:* None for no limit, or no such text."""
    quota, _, period = text.rstrip(b"\n").partition(b" ")
    used, whole = number(quota), number(period)
    return used / whole if used is not None and whole else None


def parse_limit(text: bytes) -> int | None:
    """A limit in a file of one number. *Absent:* None for `max`, for a number that limits nothing, or no such text."""
    found = number(text.rstrip(b"\n"))
    return found if found is not None and found < _NO_LIMIT_MIN else None


def parse_quota(text: bytes) -> float | None:
    """A quota of version 1 in us, -1 for none."""
    return parse_limit(text)


_LIMITS_V2 = (
    LimitFile("cpu.max", "cpu", "cpu_limit_cores", parse_cpu_max),
    LimitFile("memory.max", "memory", "memory_limit_bytes", parse_limit),
    LimitFile("memory.high", "memory", "memory_high_bytes", parse_limit),
    LimitFile("pids.max", "pids", "pids_limit", parse_limit),
)
_LIMITS_V1 = (
    LimitFile("cpu.cfs_quota_us", "cpu", "cpu_limit_cores", parse_quota),
    LimitFile("memory.limit_in_bytes", "memory", "memory_limit_bytes", parse_limit),
    LimitFile("pids.max", "pids", "pids_limit", parse_limit),
)
