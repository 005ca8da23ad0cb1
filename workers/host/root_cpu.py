"""The CPU time of the whole host as the scheduler counts it: that of the root of the cgroup hierarchy."""

from collections.abc import Callable, Iterable
from contextlib import suppress

from msgspec import Struct

from agent.model.absence import Absence
from agent.model.mountinfo import BYTES_MAX, NAME, Mount, parse_mountinfo
from agent.ports import KernelTree
from workers.host.cpu import CGROUP_CPU_BYTES_MAX, Values, parse_cpu_stat, parse_cpuacct_usage
from workers.host.files import KeptFiles

# How often a root is looked for that was not there.
SEARCH_PERIOD_TICKS = 60
MOUNTS_TRIED_MAX = 16


class CpuFile(Struct, frozen=True):
    """A file with the CPU time of a cgroup. `mark` lies beside it in the root of the hierarchy alone, or, if `is_mark_of_root`
    is false, everywhere but there: a container with a cgroup namespace sees its own cgroup as the root of the mount."""

    path: str
    parse: Callable[[bytes], Values]
    mark: str
    is_mark_of_root: bool


def cpu_files(mounts: Iterable[Mount], cgroup_root: str) -> list[CpuFile]:
    """Where the CPU time of a root cgroup may be: version 1 first, and mounts below `cgroup_root` before others.

    *Source:* cgroups(7); linux/kernel/cgroup: `cgroup.sane_behavior` is in roots of version 1 only, `cgroup.type` in no root.
    """
    found: list[tuple[bool, bool, CpuFile]] = []
    folder = cgroup_root.rstrip("/")
    for mount in mounts:
        if mount.root != "/":
            continue
        point = mount.point.rstrip("/")
        is_elsewhere = mount.point != folder and not mount.point.startswith(f"{folder}/")
        if mount.type == "cgroup" and "cpuacct" in mount.options:
            usage = CpuFile(f"{point}/cpuacct.usage", parse_cpuacct_usage, f"{point}/cgroup.sane_behavior", True)
            found.append((is_elsewhere, False, usage))
        elif mount.type == "cgroup2":
            found.append((is_elsewhere, True, CpuFile(f"{point}/cpu.stat", parse_cpu_stat, f"{point}/cgroup.type", False)))
    return [each[2] for each in sorted(found, key=lambda each: each[:2])][:MOUNTS_TRIED_MAX]


class RootCpu:
    """Finds the file, and reads it at each tick. `root` is the tree of all files, `proc` the proc file system."""

    def __init__(self, root: KernelTree, proc: KernelTree, cgroup_root: str) -> None:
        self._root = root
        self._proc = proc
        self._cgroup_root = cgroup_root
        self._files = KeptFiles(root)
        self._found: CpuFile | None = None
        self._reason = Absence.NOT_IN_KERNEL
        self._ticks_to_search = 0

    @property
    def source(self) -> str | None:
        """The path of the file. *Absent:* there is none."""
        return None if self._found is None else self._found.path

    def read(self) -> Values | Absence:
        """The CPU time so far, or why there is none."""
        if self._found is None:
            if self._ticks_to_search > 0:
                self._ticks_to_search -= 1
                return self._reason
            self._search()
            self._ticks_to_search = SEARCH_PERIOD_TICKS
        if self._found is None:
            return self._reason
        values = self._files.parsed(self._found.path.lstrip("/"), CGROUP_CPU_BYTES_MAX, self._found.parse)
        if isinstance(values, Absence):
            self._found, self._reason, self._ticks_to_search = None, values, 0
        return values

    def close(self) -> None:
        """Give the descriptor back."""
        self._files.close()

    def _search(self) -> None:
        try:
            text = self._proc.read(NAME, BYTES_MAX).decode("utf-8", "surrogateescape")
        except OSError:
            self._reason = Absence.UNREADABLE
            return
        candidates = cpu_files(parse_mountinfo(text), self._cgroup_root)
        self._reason = Absence.ROOT_HIDDEN if candidates else Absence.NOT_IN_KERNEL
        self._found = next((file for file in candidates if self._is_of_root(file)), None)

    def _is_of_root(self, file: CpuFile) -> bool:
        return self._exists(file.path) and self._exists(file.mark) == file.is_mark_of_root

    def _exists(self, path: str) -> bool:
        with suppress(OSError):
            self._root.close(self._root.open(path.lstrip("/")))
            return True
        return False
