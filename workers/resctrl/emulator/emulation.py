"""The whole emulation: the tree, threads, memory traffic and the true values. PURE; it uses neither FUSE nor /proc.

`DEVIATIONS` lists the deviations from the kernel; docs/resctrl-conformance.md repeats them.
"""

from collections.abc import Iterable, Iterator, Mapping
from errno import ENOENT
from random import Random

from workers.resctrl.emulator.command import CommandStatus, refusal
from workers.resctrl.emulator.cpu import CpuFiles
from workers.resctrl.emulator.event_file import Gauges
from workers.resctrl.emulator.group import EmulatedGroup
from workers.resctrl.emulator.layout import Parts
from workers.resctrl.emulator.ports import Faults, Threads
from workers.resctrl.emulator.profile import Profile
from workers.resctrl.emulator.registry import Registry
from workers.resctrl.emulator.task import TaskFiles
from workers.resctrl.emulator.traffic import NS_PER_SECOND, PARTS, UNREAD, VALID, Cell, DomainCache, MemoryTraffic, Monitor, matches
from workers.resctrl.emulator.tree import EmulatedTree, Path

DEVIATIONS = (
    "Pseudo-locking is refused: the modes `pseudo-locksetup` and `pseudo-locked` are unknown.",
    "There is no L2 control, no io_alloc, and no monitoring but of L3 (no PERF_PKG_MON, no MB-scoped monitors).",
    "Bandwidth limits and cache masks are stored and checked; neither slows anybody down nor bounds what a group holds.",
    "CPUs given to a group are kept and shown, but traffic is charged by thread alone.",
    "Bandwidth counts are exact to the byte; hardware counts in larger units.",
    "What an event filter or configuration selects does not change the counts.",
    "mbm_assign_mode exists only where counters can be assigned; newest kernels show `[default]` everywhere.",
    "CPU lists take single CPUs and ranges, not the forms with a stride (`0-31:2/4`).",
    "File permissions are for the mount to enforce; here they are only kept and shown.",
    "Task ids are those of the emulator's own PID namespace.",
    "All L3 caches of a profile have one size.",
    "CPUs stay where they are when a domain goes offline; only its directories and control values go.",
    "Where RMIDs depend on the CLOSID, a group moved to another control group keeps the RMID it had.",
    "All traffic of a group is in its cache's model alike: prefetching, write-back and cache ways are not told apart.",
)

DEFAULT_LOCAL_FRACTION = 0.75
# A busy core that misses its caches now and then; a scenario can set another value.
DEFAULT_BYTES_PER_CPU_SECOND = 1 << 30


class Emulation(EmulatedTree):
    """Implements `ports.Tree` and `ports.ThreadEvents`. At the start every thread is in the root.

    Beside the files it takes what groups do (`declare`, `on_thread_times`, `set_resident`) and what hardware does
    (`wrap_counters`, `reset_counters`, `set_domain_online`), and gives the true values (`truth`, `group_of`).
    """

    def __init__(
        self,
        profile: Profile,
        threads: Threads,
        now_ns: int,
        wall_ns: int,
        *,
        seed: int = 0,
        faults: Faults | None = None,
        bytes_per_cpu_second: int = DEFAULT_BYTES_PER_CPU_SECOND,
        local_fraction: float = DEFAULT_LOCAL_FRACTION,
    ):
        assert 0 <= local_fraction <= 1
        assert bytes_per_cpu_second >= 0
        self.bytes_per_cpu_second = bytes_per_cpu_second
        self._local_parts = round(local_fraction * PARTS)
        self.traffic = MemoryTraffic(_domain_caches(profile, now_ns))
        self.gauges = Gauges(profile.occupancy_unit_bytes, profile.over_report_percent, Random(seed))
        status = CommandStatus()
        registry = Registry(profile, status, self.traffic, self.gauges, now_ns, wall_ns)
        self._task_files = TaskFiles(profile, status, registry.groups, threads, registry.tasks)
        cpus = CpuFiles(status, registry.groups, registry.root.cpus)
        parts = Parts(
            profile, status, self._task_files, cpus, registry.controls, registry.counters, self.traffic, self.gauges, registry
        )
        super().__init__(parts, registry, faults, now_ns)

    # --- threads --------------------------------------------------------------------------------------------------------------

    def on_fork(self, parent_thread: int, child_thread: int, at_ns: int) -> None:
        """A thread made a thread."""
        self._registry.tasks.fork(parent_thread, child_thread, at_ns)

    def on_exit(self, thread_id: int, at_ns: int) -> None:
        """A thread ended and was reaped."""
        self._registry.tasks.exit(thread_id, at_ns)

    def on_rescan(self, live: Iterable[int], at_ns: int) -> None:
        """These are all threads that exist; news of some were lost."""
        self._registry.tasks.rescan(live, at_ns)

    def group_of(self, thread_id: int) -> Path:
        """The path of the group that a thread is in; empty for the root."""
        return self._registry.tasks.group_of(thread_id).path

    # --- what groups do -------------------------------------------------------------------------------------------------------

    def declare(
        self, pattern: str, bytes_per_second: Mapping[int, int], now_ns: int, *, local_fraction: float = DEFAULT_LOCAL_FRACTION
    ) -> None:
        """From now on groups whose path matches, including groups made later, have exactly this traffic by domain. A repeated
        pattern replaces the older one; of several that match the last one counts. *Raises:* ValueError for impossible rates."""
        self.traffic.note(pattern, bytes_per_second, local_fraction)
        matching = [group.monitor for group in self._groups.everyone() if matches(pattern, group.path)]
        self.traffic.drive(matching, self.traffic.latest_rates, now_ns)

    def on_thread_times(self, times: Iterable[tuple[int, int, int]], now_ns: int) -> None:
        """Threads ran at the same time since the last call: the id of each, the domain, and for how long."""
        group_of = self._registry.tasks.group_of
        self.traffic.add([self._charge(group_of(thread_id), domain, cpu_ns) for thread_id, domain, cpu_ns in times], now_ns)

    def _charge(self, group: EmulatedGroup, domain: int, cpu_ns: int) -> tuple[Monitor, int, int, int]:
        total_scaled = cpu_ns * self.bytes_per_cpu_second
        return group.monitor, domain, total_scaled, total_scaled * self._local_parts // PARTS

    def set_resident(self, path: Path, domain: int, resident_bytes: int, now_ns: int) -> None:
        """Sets how much of a cache a group holds now, so that limbo lasts. *Raises:* OSError(ENOENT)."""
        cell = self._group(path).monitor.cells[self.traffic.position(domain)]
        cell.settle(now_ns)
        cell.resident_bytes = float(min(resident_bytes, cell.cache.capacity_bytes))

    def _group(self, path: Path) -> EmulatedGroup:
        group, rest = self._groups.split(path)
        if rest:
            raise refusal(ENOENT)
        return group

    # --- what hardware does ---------------------------------------------------------------------------------------------------

    def wrap_counters(self, bits: int | None, unit_bytes: int = 1) -> None:
        """From now on bandwidth counts wrap at `2**bits` units; None: never."""
        self.gauges.wrap_at(bits, unit_bytes)

    def reset_counters(self, path: Path, now_ns: int, *, unread: bool = False) -> None:
        """Restarts the bandwidth counts; with `unread` their first reading is `Unavailable`. *Raises:* OSError(ENOENT)."""
        for cell in self._group(path).monitor.cells:
            cell.restart_total(now_ns, cell.total_state or (UNREAD if unread else VALID))
            cell.restart_local(now_ns, cell.local_state or (UNREAD if unread else VALID))

    def set_domain_online(self, domain: int, online: bool, now_ns: int) -> None:
        """All CPUs of a domain go offline or come back; its directories disappear or appear."""
        self.on_timer(now_ns)
        self._registry.set_domain_online(domain, online, now_ns)
        self._layout.build()

    # --- what is true ---------------------------------------------------------------------------------------------------------

    def truth(self, now_ns: int) -> dict[str, object]:
        """The true values that tests compare with, in plain types.

        *Shape:* `groups`: path, closid, rmid, threads (its own, alive; none for the root, which has all others), domains: total and
        local bytes since the group was made, and bytes in the cache, unrounded. `rmids`: how many are free and in limbo.
        """
        return {
            "at_ns": now_ns,
            "rmids": self._registry.id_counts(),
            "groups": [self._truth_of(group, now_ns) for group in self._groups.everyone()],
        }

    def _truth_of(self, group: EmulatedGroup, now_ns: int) -> dict[str, object]:
        return {
            "path": group.path,
            "closid": group.closid,
            "rmid": group.rmid,
            "threads": sorted(self._task_files.alive(group.threads)),
            "domains": {cell.cache.id: _figures(cell, now_ns) for cell in group.monitor.cells},
        }


def _figures(cell: Cell, now_ns: int) -> dict[str, int]:
    return {
        "total_bytes": cell.total_scaled_at(now_ns) // NS_PER_SECOND,
        "local_bytes": cell.local_scaled_at(now_ns) // NS_PER_SECOND,
        "resident_bytes": int(cell.resident_at(now_ns)),
    }


def _domain_caches(profile: Profile, now_ns: int) -> Iterator[DomainCache]:
    """The domains of a profile. The nodes of one cache have equal parts of it."""
    for cache in profile.caches:
        nodes = cache.nodes or (cache.id,)
        for node in nodes:
            yield DomainCache(node, cache.id, cache.size_bytes // len(nodes), profile.ambient_bytes_per_second, now_ns)
