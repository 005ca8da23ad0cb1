"""Cache occupancy and memory bandwidth of every pod that has a monitoring group, once a tick.

It reads the groups that the assignments name, and nothing else: which group a pod has, and what is in it, is the control
plane's. No lock is taken: each value is one file, read whole, and a lock held for a scan would keep out tools that wait 100 ms.
"""

from collections.abc import Callable, Mapping
from errno import ENOENT
from typing import Any

from agent.config import RESCTRL_ENABLED, RESCTRL_MOUNT, Config
from agent.model.absence import Absence
from agent.model.heartbeat import Heartbeat
from agent.model.rule_state import RuleState
from agent.model.table import Row
from agent.model.timebase import MS, S
from agent.model.worker_kind import Statistic
from agent.ports import Bus, Clock
from agent.setting import Whole
from workers.framework.sampler import NoDescriptors, Sample, Sampler, SamplerContext, UnreadableError, interval_setting
from workers.resctrl.availability import is_available
from workers.resctrl.cache import ROOT as CPU_ROOT
from workers.resctrl.cache import sysfs_l3_bytes
from workers.resctrl.description import describe
from workers.resctrl.event_file import OpenFiles
from workers.resctrl.failure import not_mounted
from workers.resctrl.filesystem import MountedFilesystem
from workers.resctrl.plan import Plan
from workers.resctrl.ports import FileReader
from workers.resctrl.reader import DirectoryReader
from workers.resctrl.reading_counts import ReadingCounts
from workers.resctrl.row import OCCUPANCY, OCCUPANCY_DOMAIN, GroupView, Times

INTERVAL = interval_setting("resctrl").known_as("RESCTRL_SAMPLING_INTERVAL")
CAPACITY = Whole(
    "sampler.resctrl.channel_capacity", 256, 1, 65_536, "ticks that may wait for the writer, beside outbox.buffer_bytes"
).known_as("RESCTRL_CHANNEL_CAPACITY")

# A tenth of the shortest hang timeout.
HEARTBEAT_NS = 20 * MS
# New groups are opened between ticks. A tick opens files for at most this time, and at most this part of an interval.
OPEN_NS = 50 * MS
OPEN_SHARE = 4
# Domains come and go with CPUs. The root's are listed at this interval, because a domain appears in all groups at once; and this
# many groups in turn at each tick, because a single group may differ.
LOOK_NS = 2 * S
GROUPS_LOOKED_AT = 4

Sizes = Callable[[FileReader], Mapping[int, int]]


class ResctrlProbe(NoDescriptors):
    """Reads all groups of one mount. One tick costs one read per event file and nothing else, as long as no group changes."""

    def __init__(
        self, filesystem: FileReader, config: Config, clock: Clock, bus: Bus, heartbeat: Heartbeat, llc_sizes: Sizes
    ) -> None:
        self._filesystem = filesystem
        self._clock = clock
        self._heartbeat = heartbeat
        self._read_llc_sizes = llc_sizes
        self._is_demanded = config.of(RESCTRL_ENABLED) == "true"
        self._open_ns = min(OPEN_NS, config.of(INTERVAL) // OPEN_SHARE)
        self._plan = Plan(heartbeat)
        self._files = OpenFiles(filesystem)
        self._directories: dict[str, DirectoryReader] = {}
        # Directories that nobody has looked at yet.
        self._new: dict[DirectoryReader, None] = {}
        self._views: dict[str, GroupView] = {}
        self._mount: int | None = None
        self._was_mounted = False
        self._llc_sizes: Mapping[int, int] = {}
        self._looked_at_ns: int | None = None
        self._domains: list[str] = []
        self._root_failure: OSError | None = None
        self._heartbeat_at_ns = 0
        self._waiting = 0
        self._counts = ReadingCounts(bus, self._beat)

    def check(self) -> None:
        """See `workers.framework.sampler.Probe`."""
        self._follow_mount()
        if self._mount is None:
            raise self._unmounted(())
        self._filesystem.list_directories("")

    def on_rules(self, rules: RuleState) -> None:
        """Read what the assignments name from now on; what they name no longer is closed."""
        if self._plan.take(rules):
            self._arrange()

    def is_behind(self) -> bool:
        """Whether groups wait to be opened."""
        return self._mount is not None and bool(self._new)

    def wake_at_ns(self) -> int | None:
        """What waits is known at once."""
        return None

    def catch_up(self, until_ns: int) -> None:
        """Open some of them, so that the next tick has only to read."""
        while self._new and (now_ns := self._beat()) < until_ns:
            directory = next(iter(self._new))
            del self._new[directory]
            if not directory.is_open:
                directory.look(now_ns)

    def sample(self, now_ns: int, wall_ns: int) -> Sample:
        """One tick: rows of `occupancy` and `occupancy_domain`, see `workers.framework.sampler.Probe`."""
        self._follow_mount()
        # Of a mount that has gone the last rows are of the kind that it was.
        times = Times(now_ns, wall_ns, self._filesystem.is_emulated)
        if self._mount is None:
            raise self._unmounted(((OCCUPANCY, self._grace_rows(times)),))
        self._look_around(now_ns)
        pod_rows, domain_rows = self._scan(times)
        sample: Sample = ((OCCUPANCY, pod_rows), (OCCUPANCY_DOMAIN, domain_rows))
        if self._root_failure is not None and not any(
            len(directory.files) > directory.failed for directory in self._directories.values()
        ):
            problem = f"nothing can be read: {self._root_failure.strerror or self._root_failure}"
            raise UnreadableError(
                self._filesystem.root, problem, "look at the mount and at the agent's permissions",
                blocks_ready=self._blocks_ready, sample=sample,
            )  # fmt: skip
        return sample

    def rest(self) -> Sample:
        """Each tick gives all of its rows."""
        return ()

    def stats(self) -> dict[str, Any]:
        """Groups, pods and files; how many groups wait to be opened; readings so far, and those without a value, by reason."""
        files = sum(len(directory.files) for directory in self._directories.values())
        return {
            "emulated": self._filesystem.is_emulated,
            "groups": len(self._views),
            "groups_waiting": self._waiting,
            "groups_vanished": sum(view.is_told_vanished for view in self._views.values()),
            "pods": sum(len(group.pods) for group in self._plan.groups.values()),
            "event_files": files,
            "descriptors_not_kept": files - len(self._files),
            **self._counts.stats(),
        }

    def close(self) -> None:
        """Close every descriptor."""
        for directory in self._directories.values():
            directory.close()
            self._beat()

    # ---- what is read ------------------------------------------------------------------------------

    def _arrange(self) -> None:
        earlier, self._views = self._views, {}
        unused, self._directories = self._directories, {}
        for group in self._plan.groups.values():
            for path in group.paths:
                if path not in self._directories:
                    self._directories[path] = unused.pop(path) if path in unused else self._make_directory(path)
            directories = [self._directories[path] for path in group.paths]
            view = earlier.get(group.path)
            is_same = view is not None and list(view.directories) == directories
            self._views[group.path] = view if view is not None and is_same else GroupView(group.path, directories)
        for directory in unused.values():
            directory.close()
            self._new.pop(directory, None)

    def _make_directory(self, path: str) -> DirectoryReader:
        directory = DirectoryReader(path.removeprefix(f"{self._filesystem.root}/"), self._files, self._clock, self._beat)
        self._new[directory] = None
        return directory

    def _follow_mount(self) -> None:
        """Notice that the mount came, went, or is another one now: then every group is another one too."""
        mount = self._filesystem.mount_id()
        if mount == self._mount:
            return
        self.close()
        self._new = dict.fromkeys(self._directories.values())
        self._mount, self._looked_at_ns, self._domains = mount, None, []
        self._was_mounted |= mount is not None
        self._llc_sizes = {} if mount is None else self._read_llc_sizes(self._filesystem)

    def _unmounted(self, sample: Sample) -> UnreadableError:
        failure = not_mounted(self._filesystem.root)
        return UnreadableError(failure.where, failure.problem, failure.remedy, blocks_ready=self._blocks_ready, sample=sample)

    @property
    def _blocks_ready(self) -> bool:
        """Where nobody asked for it, its absence is no failure before it was there once."""
        return self._is_demanded or self._was_mounted

    def _look_around(self, now_ns: int) -> None:
        """List the root's domains now and then; when they differ, every group is listed again, otherwise a few in turn."""
        is_other = False
        if self._looked_at_ns is None or now_ns - self._looked_at_ns >= LOOK_NS:
            self._looked_at_ns = now_ns
            earlier = self._domains
            try:
                self._domains = sorted(self._filesystem.list_directories("mon_data"))
                self._root_failure = None
            except OSError as failure:
                # The root has none on hardware that measures nothing; that is told by the control plane, with its reason.
                self._root_failure = None if failure.errno == ENOENT else failure
            is_other = bool(earlier) and self._domains != earlier
        opened = (directory for directory in self._directories.values() if directory.is_open)
        if is_other:
            due = list(opened)
            self._llc_sizes = self._read_llc_sizes(self._filesystem)
        else:
            old = (directory for directory in opened if now_ns - directory.looked_at_ns >= LOOK_NS)
            due = sorted(old, key=lambda directory: directory.looked_at_ns)[:GROUPS_LOOKED_AT]
        for directory in due:
            directory.look(now_ns)
            self._beat()

    # ---- one tick ----------------------------------------------------------------------------------

    def _scan(self, times: Times) -> tuple[list[Row], list[Row]]:
        rows: tuple[list[Row], list[Row]] = ([], [])
        opened = [view for view in self._views.values() if view.is_open]
        # After those that are open, whose interval they must not make longer; the one tried longest ago comes first.
        others = sorted((view for view in self._views.values() if not view.is_open), key=lambda view: view.looked_at_ns)
        for view in opened:
            self._scan_group(view, times, rows)
        until_ns = self._clock.now_ns() + self._open_ns
        tried = 0
        for view in others:
            self._scan_group(view, times, rows)
            for directory in view.directories:
                self._new.pop(directory, None)
            tried += 1
            if self._clock.now_ns() >= until_ns:
                break
        self._waiting = len(others) - tried
        self._counts.count(self._directories.values())
        return rows

    def _scan_group(self, view: GroupView, times: Times, rows: tuple[list[Row], list[Row]]) -> None:
        pod_rows, domain_rows = rows
        for directory in view.directories:
            directory.scan(times.start_ns)
        at_ns = self._beat()
        if view.is_vanished:
            pod_rows += self._grace_rows_of(view, times, at_ns)
            return
        view.is_told_vanished = False
        domain_rows += view.domain_rows(times, at_ns, self._llc_sizes)
        pod_rows += view.pod_rows(self._plan.groups[view.path].pods, times, at_ns, self._llc_sizes)

    def _beat(self) -> int:
        """Call the heartbeat unless that was a moment ago; gives the time."""
        now_ns = self._clock.now_ns()
        if now_ns >= self._heartbeat_at_ns:
            self._heartbeat_at_ns = now_ns + HEARTBEAT_NS
            self._heartbeat()
        return now_ns

    def _grace_rows(self, times: Times) -> list[Row]:
        """What is said of all groups when the whole mount is gone."""
        rows: list[Row] = []
        for view in self._views.values():
            for directory in view.directories:
                directory.problem = Absence.VANISHED
            self._beat()
            rows += self._grace_rows_of(view, times, times.start_ns)
        return rows

    def _grace_rows_of(self, view: GroupView, times: Times, at_ns: int) -> list[Row]:
        """A group that is gone has one more row for each pod, which says so, and then none until it is there again."""
        if view.is_told_vanished:
            return []
        view.is_told_vanished = True
        return view.pod_rows(self._plan.groups[view.path].pods, times, at_ns, self._llc_sizes)


def _open(around: SamplerContext) -> ResctrlProbe:
    def llc_sizes(filesystem: FileReader) -> Mapping[int, int]:
        try:
            return describe(filesystem, lambda: sysfs_l3_bytes(around.tree(CPU_ROOT))).cache_bytes
        except OSError:
            # Without `info` there is nothing that could tell them: the column is null.
            return {}

    filesystem = MountedFilesystem(around.config.of(RESCTRL_MOUNT))
    return ResctrlProbe(filesystem, around.config, around.clock, around.bus, around.heartbeat, llc_sizes)


SAMPLER = Sampler(
    name="resctrl",
    about="cache occupancy and memory bandwidth of every pod with a monitoring group",
    tables=(OCCUPANCY, OCCUPANCY_DOMAIN),
    files=(
        "/sys/fs/resctrl/mon_groups/GROUP/mon_data/mon_L3_ID/llc_occupancy",
        "/sys/fs/resctrl/mon_groups/GROUP/mon_data/mon_L3_ID/mbm_*",
    ),
    is_enabled=RESCTRL_ENABLED,
    interval=INTERVAL,
    further_settings=(),
    open=_open,
    is_available=is_available,
    capacity=CAPACITY,
    statistics=(
        Statistic("evergauge_resctrl_readings_total", "counter", "Event files read.", ("readings",)),
        Statistic("evergauge_resctrl_readings_absent_total", "counter", "Readings without a value.", ("readings_absent",)),
        Statistic("evergauge_resctrl_groups_waiting", "gauge", "Groups not opened yet.", ("groups_waiting",)),
    ),
)
