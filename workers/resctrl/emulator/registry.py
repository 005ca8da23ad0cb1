"""Makes and removes groups, with their ids and the limbo of the ids that removed groups had. PURE."""

from errno import EEXIST, EINVAL, EPERM

from workers.resctrl.emulator.command import CommandStatus, refusal
from workers.resctrl.emulator.counter import Counters
from workers.resctrl.emulator.event_file import Gauges
from workers.resctrl.emulator.group import EmulatedGroup, EmulatedGroups, GroupKind
from workers.resctrl.emulator.id_pool import ROOT_TAG, ClassIds, MonitorIds, Tag
from workers.resctrl.emulator.profile import OCCUPANCY, Profile
from workers.resctrl.emulator.schemata import Controls
from workers.resctrl.emulator.task import TaskTable
from workers.resctrl.emulator.traffic import Cell, MemoryTraffic, Monitor

# kernfs makes its root without write permission, and new directories inherit the mode of their parent.
ROOT_DIRECTORY_MODE = 0o555


class Registry:
    """All groups, with everything that a new one takes and a removed one gives back. `root` exists from the start."""

    def __init__(self, profile: Profile, status: CommandStatus, traffic: MemoryTraffic, gauges: Gauges, now_ns: int, wall_ns: int):
        self._profile = profile
        self._status = status
        self._traffic = traffic
        self._gauges = gauges
        self._wall_offset_ns = wall_ns - now_ns
        self._monitors: dict[Tag, Monitor] = {}
        self._serial = 0
        domains = tuple(traffic.caches.values())
        self.controls = Controls(profile, status, domains)
        self._monitor_ids = MonitorIds(
            profile.rmids,
            max(self.controls.closids, 1),
            depends_on_closid=profile.rmid_depends_on_closid,
            has_limbo=OCCUPANCY in profile.events,
        )
        self._class_ids = ClassIds(self.controls.closids)
        self.threshold_bytes = self._rounded(profile.l3_bytes // profile.rmids)
        root = self._new_group(GroupKind.ROOT, "", None, ROOT_TAG, now_ns)
        root.cpus = sum(1 << cpu for cpu in profile.cpus)
        root.directory_mode = ROOT_DIRECTORY_MODE
        self.groups = EmulatedGroups(root)
        self.tasks = TaskTable(root)
        self.counters = Counters(profile, status, self.groups, domains)
        self._start_counting(root, now_ns)

    @property
    def root(self) -> EmulatedGroup:
        """The default group."""
        return self.groups.root

    def make_control(self, name: str, now_ns: int) -> EmulatedGroup:
        """A new control group. *Raises:* OSError: ENOSPC without a free CLOSID, RMID or cache; EBUSY while RMIDs are in limbo."""
        self._status.clear()
        try:
            closid = self._class_ids.allocate(self._monitor_ids.dirty_count if self._profile.rmid_depends_on_closid else None)
        except OSError:
            self._status.say("Out of CLOSIDs\n")
            raise
        try:
            rmid = self._allocate_rmid(closid)
            try:
                self.controls.begin(closid)
            except OSError:
                self._monitor_ids.retire(self._monitor_ids.tag(closid, rmid), self._online_domains(), now_ns)
                raise
        except OSError:
            self._class_ids.release(closid)
            raise
        group = self._new_group(GroupKind.CONTROL, name, self.root, (closid, rmid), now_ns)
        self.groups.controls[name] = group
        self._start_counting(group, now_ns)
        return group

    def make_monitoring(self, parent: EmulatedGroup, name: str, now_ns: int) -> EmulatedGroup:
        """A new monitoring group. *Raises:* OSError: ENOSPC without a free RMID, EBUSY while RMIDs are in limbo."""
        rmid = self._allocate_rmid(parent.closid)
        group = self._new_group(GroupKind.MONITORING, name, parent, (parent.closid, rmid), now_ns)
        parent.children[name] = group
        self._start_counting(group, now_ns)
        return group

    def _allocate_rmid(self, closid: int) -> int:
        try:
            return self._monitor_ids.allocate(closid)
        except OSError:
            self._status.say("Out of RMIDs\n")
            raise

    def _new_group(self, kind: GroupKind, name: str, parent: EmulatedGroup | None, ids: Tag, now_ns: int) -> EmulatedGroup:
        tag = self._monitor_ids.tag(*ids)
        if tag not in self._monitors:
            self._monitors[tag] = self._traffic.watch(now_ns)
        self._serial += 1
        group = EmulatedGroup(kind, name, parent, ids, self._monitors[tag], self._serial)
        group.created_at_wall_ns = now_ns + self._wall_offset_ns
        return group

    def _start_counting(self, group: EmulatedGroup, now_ns: int) -> None:
        for cell in group.monitor.cells:
            cell.begin(now_ns, self.counters.first_state)
        self.counters.on_new_group(group, now_ns)
        self._traffic.drive((group.monitor,), self._traffic.rates_for(group.path), now_ns)

    def remove_monitoring(self, group: EmulatedGroup, now_ns: int) -> None:
        """Threads and CPUs go to its parent."""
        parent = group.parent or self.root
        self._end(group, parent, now_ns)
        del parent.children[group.name]

    def remove_control(self, group: EmulatedGroup, now_ns: int) -> None:
        """Threads and CPUs go to the root, also those of its monitoring groups."""
        self._end(group, self.root, now_ns)
        self.root.cpus |= group.cpus
        self._class_ids.release(group.closid)
        self.controls.end(group.closid)
        for child in group.children.values():
            self._end(child, self.root, now_ns)
        del self.groups.controls[group.name]

    def _end(self, group: EmulatedGroup, successor: EmulatedGroup, now_ns: int) -> None:
        self.tasks.move_all(group, successor, now_ns)
        group.removed, group.successor = True, successor
        self.counters.release(group)
        self._traffic.drive((group.monitor,), {}, now_ns)
        self._monitor_ids.retire(self._monitor_ids.tag(*group.ids), self._online_domains(), now_ns)

    def rename_monitoring(self, group: EmulatedGroup, target: EmulatedGroup, name: str) -> None:
        """A new name or another control group; what was counted stays with it. *Raises:* OSError: EPERM, EEXIST."""
        parent = group.parent or self.root
        if group.cpus and parent is not target:
            raise self._status.refuse(EPERM, "Cannot move a MON group that monitors CPUs\n")
        if name in target.children:
            raise refusal(EEXIST)
        del parent.children[group.name]
        target.children[name] = group
        group.name, group.parent, group.closid = name, target, target.closid

    def next_deadline_ns(self) -> int | None:
        """See `MonitorIds.next_deadline_ns`."""
        return self._monitor_ids.next_deadline_ns()

    def check_limbo(self, now_ns: int) -> None:
        """Frees the ids whose occupancy has fallen below the threshold."""
        self._monitor_ids.check_limbo(now_ns, self._is_dirty)

    def _is_dirty(self, tag: Tag, domain: int, at_ns: int) -> bool:
        if tag not in self._monitors:
            # The id was given back before any group had it, because mkdir failed at a later step.
            return False
        return self._gauges.occupancy(self._cell(tag, domain), at_ns) >= self.threshold_bytes

    def _cell(self, tag: Tag, domain: int) -> Cell:
        return self._monitors[tag].cells[self._traffic.position(domain)]

    def set_threshold(self, wanted_bytes: int) -> None:
        """`max_threshold_occupancy`. *Raises:* OSError(EINVAL) above the size of the cache."""
        if wanted_bytes > self._profile.l3_bytes:
            raise refusal(EINVAL)
        self.threshold_bytes = self._rounded(wanted_bytes)

    def _rounded(self, size_bytes: int) -> int:
        return size_bytes - size_bytes % self._profile.occupancy_unit_bytes

    def _online_domains(self) -> tuple[int, ...]:
        return tuple(cache.id for cache in self._traffic.caches.values() if cache.online)

    def set_domain_online(self, domain: int, online: bool, now_ns: int) -> None:
        """All CPUs of a domain go or come. Nothing waits in limbo for a domain that is gone; one that comes counts from 0."""
        self._traffic.caches[domain].online = online
        if not online:
            self._monitor_ids.forget_domain(domain)
            return
        for group in self.groups.everyone():
            group.monitor.cells[self._traffic.position(domain)].restart(now_ns, self.counters.first_state)

    def id_counts(self) -> dict[str, int]:
        """How many RMIDs are free, and how many in limbo."""
        return {"free": self._monitor_ids.free_count, "limbo": self._monitor_ids.limbo_count}
