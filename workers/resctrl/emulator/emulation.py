"""The whole emulation: the tree, its rules and its truth. PURE; knows neither FUSE nor /proc.

Deviations from the kernel are listed in `DEVIATIONS`, which the documentation repeats.
"""

from collections.abc import Iterable, Iterator, Mapping
from errno import EEXIST, EINVAL, EISDIR, ENODEV, ENOENT, ENOTDIR, EPERM
from random import Random
from stat import S_IFDIR, S_IMODE, S_ISDIR

from workers.resctrl.emulator.command import CommandStatus, refusal
from workers.resctrl.emulator.cpu import CpuFiles
from workers.resctrl.emulator.event_file import Gauges
from workers.resctrl.emulator.group import EmulatedGroup, GroupKind, Owned
from workers.resctrl.emulator.layout import Layout, Parts
from workers.resctrl.emulator.node import NAMES_MAX, Node
from workers.resctrl.emulator.ports import Attributes, Caller, Faults, OpenFile, Threads
from workers.resctrl.emulator.profile import Profile
from workers.resctrl.emulator.registry import Registry
from workers.resctrl.emulator.task import TaskFiles
from workers.resctrl.emulator.traffic import NS_PER_SECOND, PARTS, UNREAD, VALID, Cell, DomainCache, MemoryTraffic, Monitor, matches

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

Path = str
DEFAULT_LOCAL_FRACTION = 0.75
# A busy core that misses its caches now and then; a scenario says otherwise where it matters.
DEFAULT_BYTES_PER_CPU_SECOND = 1 << 30


class Emulation:
    """Implements `Tree` and `ThreadEvents`. At the start every thread is in the root.

    Besides the files there are: what groups do (`declare`, `on_cpu_time`, `on_thread_time`, `set_resident`), what hardware does
    (`wrap_counters`, `reset_counters`, `set_domain_online`) and what is true (`truth`, `group_of`).
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
        self.profile = profile
        self.faults = faults
        self.bytes_per_cpu_second = bytes_per_cpu_second
        self._local_parts = round(local_fraction * PARTS)
        self._now_ns = now_ns
        self._status = CommandStatus()
        self.traffic = MemoryTraffic(_domain_caches(profile, now_ns))
        self.gauges = Gauges(profile.occupancy_unit_bytes, profile.over_report_percent, Random(seed))
        self._registry = registry = Registry(profile, self._status, self.traffic, self.gauges, now_ns, wall_ns)
        self._groups = registry.groups
        self._task_files = TaskFiles(profile, self._status, registry.groups, threads, registry.tasks)
        cpus = CpuFiles(self._status, registry.groups, registry.root.cpus)
        parts = Parts(
            profile, self._status, self._task_files, cpus, registry.controls, registry.counters, self.traffic, self.gauges, registry
        )
        self._layout = Layout(self, parts)
        registry.counters.on_mode_change = self._layout.build

    # --- the tree -------------------------------------------------------------------------------------------------------------

    def _find(self, path: Path) -> tuple[EmulatedGroup, str, Node]:
        group, rest = self._groups.split(path)
        node = self._layout.shapes[group.kind].nodes.get(rest)
        if node is not None:
            return group, rest, node
        nodes = self._layout.shapes[group.kind].nodes
        while rest not in nodes:
            rest = rest.rpartition("/")[0]
        raise refusal(ENOENT if S_ISDIR(nodes[rest].mode) else ENOTDIR)

    def attributes(self, path: Path) -> Attributes:
        group, rest, node = self._find(path)
        owned = group.changed.get(rest)
        mode, uid, gid = (owned.mode, owned.uid, owned.gid) if owned else (self._mode_of(group, node), group.uid, group.gid)
        links = 1
        if S_ISDIR(node.mode):
            links = 2 + sum(1 for _, is_directory in self._names(group, rest) if is_directory)
        return Attributes(group.serial * NAMES_MAX + node.number, mode, uid, gid, group.created_at_wall_ns, links)

    @staticmethod
    def _mode_of(group: EmulatedGroup, node: Node) -> int:
        return S_IFDIR | group.directory_mode if S_ISDIR(node.mode) else node.mode

    def _names(self, group: EmulatedGroup, rest: str) -> list[tuple[str, bool]]:
        names = list(self._layout.shapes[group.kind].names[rest])
        if rest == "mon_groups":
            names += [(name, True) for name in group.children]
        elif rest == "" and group.kind is GroupKind.ROOT:
            names += [(name, True) for name in self._groups.controls]
        return names

    def list(self, path: Path) -> list[tuple[str, bool]]:
        group, rest, node = self._find(path)
        if not S_ISDIR(node.mode):
            raise refusal(ENOTDIR)
        return self._names(group, rest)

    def open(self, path: Path) -> OpenFile:
        self._check("open", path, self._now_ns)
        group, _, node = self._find(path)
        if node.open is None:
            raise refusal(EISDIR)
        return node.open(group)

    def set_mode(self, path: Path, mode: int) -> None:
        owned = self._own(path)
        owned.mode = owned.mode & ~0o7777 | S_IMODE(mode)

    def set_owner(self, path: Path, uid: int, gid: int) -> None:
        owned = self._own(path)
        owned.uid, owned.gid = uid, gid

    def _own(self, path: Path) -> Owned:
        group, rest, node = self._find(path)
        return group.changed.setdefault(rest, Owned(self._mode_of(group, node), group.uid, group.gid))

    def _check(self, operation: str, path: Path, now_ns: int) -> None:
        self._now_ns = max(self._now_ns, now_ns)
        if self.faults is not None:
            self.faults.check(operation, path, now_ns)

    # --- directories ----------------------------------------------------------------------------------------------------------

    def mkdir(self, path: Path, mode: int, caller: Caller, now_ns: int) -> None:
        self._check("mkdir", path, now_ns)
        self.on_timer(now_ns)
        above, _, name = path.rpartition("/")
        group, rest, node = self._find(above)
        if not S_ISDIR(node.mode):
            raise refusal(ENOTDIR)
        if any(name == known for known, _ in self._names(group, rest)):
            raise refusal(EEXIST)
        if "\n" in name:
            raise refusal(EINVAL)
        if group.kind is GroupKind.ROOT and rest == "" and self.profile.allocates:
            self._status.clear()
            new = self._registry.make_control(name, now_ns)
        else:
            if _is_info(group, rest):
                raise refusal(ENODEV)
            self._status.clear()
            if rest != "mon_groups" or name == "mon_groups":
                raise refusal(EPERM)
            new = self._registry.make_monitoring(group, name, now_ns)
        new.uid, new.gid = caller.uid, caller.gid
        new.directory_mode = S_IMODE(mode)

    def rmdir(self, path: Path, caller: Caller, now_ns: int) -> None:
        self._check("rmdir", path, now_ns)
        self.on_timer(now_ns)
        group, rest, node = self._find(path)
        if not S_ISDIR(node.mode):
            raise refusal(ENOTDIR)
        if rest or group.kind is GroupKind.ROOT or group.parent is None:
            raise refusal(EPERM)
        if group.kind is GroupKind.MONITORING:
            self._registry.remove_monitoring(group, now_ns)
        else:
            self._registry.remove_control(group, now_ns)

    def rename(self, old: Path, new: Path, caller: Caller, now_ns: int) -> None:
        self._check("rename", old, now_ns)
        self.on_timer(now_ns)
        group, rest, node = self._find(old)
        above, _, name = new.rpartition("/")
        target, target_rest, target_node = self._find(above)
        if not S_ISDIR(target_node.mode):
            raise refusal(ENOTDIR)
        if old == new:
            return
        if _is_info(group, rest) or _is_info(target, target_rest):
            raise refusal(ENOENT)
        self._status.clear()
        if not S_ISDIR(node.mode):
            raise self._status.refuse(EPERM, "Source and destination must be directories")
        if group.kind is not GroupKind.MONITORING or rest or group.parent is None:
            raise self._status.refuse(EPERM, "Source must be a MON group\n")
        if target_rest != "mon_groups" or name == "mon_groups":
            raise self._status.refuse(EPERM, "Destination must be a mon_groups subdirectory\n")
        self._registry.rename_monitoring(group, target, name)

    # --- time -----------------------------------------------------------------------------------------------------------------

    def next_deadline_ns(self) -> int | None:
        return self._registry.next_deadline_ns()

    def on_timer(self, now_ns: int) -> None:
        self._registry.check_limbo(now_ns)

    # --- threads --------------------------------------------------------------------------------------------------------------

    def on_fork(self, parent_thread: int, child_thread: int, at_ns: int) -> None:
        self._registry.tasks.fork(parent_thread, child_thread, at_ns)

    def on_exit(self, thread_id: int, at_ns: int) -> None:
        self._registry.tasks.exit(thread_id, at_ns)

    def on_rescan(self, live: Iterable[int], at_ns: int) -> None:
        self._registry.tasks.rescan(live, at_ns)

    def group_of(self, thread_id: int) -> Path:
        """The path of the group that a thread is in; the root's is empty."""
        return self._registry.tasks.group_of(thread_id).path

    # --- what groups do -------------------------------------------------------------------------------------------------------

    def declare(
        self, pattern: str, bytes_per_second: Mapping[int, int], now_ns: int, *, local_fraction: float = DEFAULT_LOCAL_FRACTION
    ) -> None:
        """From now on the groups whose path matches, those still to come as well, have exactly this traffic by domain. A repeated
        pattern takes the place of the older one; of several that match the last one counts. *Raises:* ValueError."""
        self.traffic.note(pattern, bytes_per_second, local_fraction)
        matching = [group.monitor for group in self._groups.everyone() if matches(pattern, group.path)]
        self.traffic.drive(matching, self.traffic.latest_rates, now_ns)

    def on_cpu_time(self, path: Path, domain: int, cpu_ns: int, now_ns: int) -> None:
        """The threads of a group ran this long in this domain since the last call. A group that is gone has no traffic."""
        group, rest = self._groups.split(path)
        if not rest:
            self.traffic.add((self._charge(group, domain, cpu_ns),), now_ns)

    def on_thread_time(self, thread_id: int, domain: int, cpu_ns: int, now_ns: int) -> None:
        """As `on_cpu_time`, for the group that the thread is in."""
        self.on_thread_times(((thread_id, domain, cpu_ns),), now_ns)

    def on_thread_times(self, times: Iterable[tuple[int, int, int]], now_ns: int) -> None:
        """As `on_thread_time`, of several threads that ran at the same time."""
        group_of = self._registry.tasks.group_of
        self.traffic.add([self._charge(group_of(thread_id), domain, cpu_ns) for thread_id, domain, cpu_ns in times], now_ns)

    def _charge(self, group: EmulatedGroup, domain: int, cpu_ns: int) -> tuple[Monitor, int, int, int]:
        total_scaled = cpu_ns * self.bytes_per_cpu_second
        return group.monitor, domain, total_scaled, total_scaled * self._local_parts // PARTS

    def set_resident(self, path: Path, domain: int, resident_bytes: int, now_ns: int) -> None:
        """A group holds this much of a cache now, for limbo that lasts. *Raises:* OSError(ENOENT)."""
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
        """Bandwidth counts wrap at `2**bits` units from now on; None is never."""
        self.gauges.wrap_at(bits, unit_bytes)

    def reset_counters(self, path: Path, now_ns: int, *, unread: bool = False) -> None:
        """The bandwidth counts begin anew; with `unread` their first reading is `Unavailable`. *Raises:* OSError(ENOENT)."""
        for cell in self._group(path).monitor.cells:
            cell.restart_total(now_ns, cell.total_state or (UNREAD if unread else VALID))
            cell.restart_local(now_ns, cell.local_state or (UNREAD if unread else VALID))

    def set_domain_online(self, domain: int, online: bool, now_ns: int) -> None:
        """All CPUs of a domain go or come; its directories with them."""
        self.on_timer(now_ns)
        self._registry.set_domain_online(domain, online, now_ns)
        self._layout.build()

    # --- what is true ---------------------------------------------------------------------------------------------------------

    def truth(self, now_ns: int) -> dict[str, object]:
        """Everything that a test compares with, in plain types.

        *Shape:* `groups`: path, closid, rmid, threads (own, live, without the root's, who are all the others), domains: total and
        local bytes since the group was made and bytes in the cache, unrounded; `rmids`: how many are free and in limbo.
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


def _is_info(group: EmulatedGroup, rest: str) -> bool:
    return group.kind is GroupKind.ROOT and rest.split("/", 1)[0] == "info"


def _domain_caches(profile: Profile, now_ns: int) -> Iterator[DomainCache]:
    """Nodes of one cache have equal parts of it."""
    for cache in profile.caches:
        nodes = cache.nodes or (cache.id,)
        for node in nodes:
            yield DomainCache(node, cache.id, cache.size_bytes // len(nodes), profile.ambient_bytes_per_second, now_ns)
