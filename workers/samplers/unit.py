"""What each unit costs and suffers, once a tick: pods and their containers, services, scopes, slices, workloads.

Which units there are is the control plane's: they are in the assignments. Only the containers of a pod are found here, in its own
directory. One file per unit tells whether it did anything; of what did nothing hardly more is read.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

from agent.config import CGROUP_ROOT
from agent.model.heartbeat import Heartbeat, beating
from agent.model.rule import Unit, UnitKind
from agent.model.rule_state import RuleState
from agent.model.table import Row
from agent.model.timebase import MS, S
from agent.model.worker_kind import Statistic
from agent.ports import KernelTree
from workers.framework.sampler import NoRules, Sample, Sampler, SamplerContext, UnreadableError, enabled_setting, interval_setting
from workers.unit import containers
from workers.unit.layout import CgroupLayout, layout_of
from workers.unit.limit import LimitsInForce
from workers.unit.part import UnitPart
from workers.unit.plan import UnitPlan
from workers.unit.reader import UnitReader
from workers.unit.row import row_of
from workers.unit.schema import UNIT, UNIT_EVENT, UNIT_MODEL
from workers.unit.tracked_unit import DirectoryState, Instant, TrackedUnit
from workers.unit.value import COUNTERS_COUNT, CPU

# A unit that did nothing has a row after this time at the latest; somewhat earlier by its number, so that not all have it at once.
SILENCE_NS, SILENCE_SPREAD = 60 * S, 16
# Files that change slowly are read at this interval, of a unit that did something; all files of one that did nothing at the second.
SLOW_NS, IDLE_NS = 5 * S, 20 * S
# A directory that is not there is looked for at this interval.
MISSING_NS = 1 * S
# CPU time may be counted up to a timer tick late.
CPU_SLACK_NS = 50 * MS

LookAt = Callable[[str], DirectoryState]


class UnitProbe(NoRules):
    """Reads the cgroups of all units. `parts` measure what is not in those files, see `workers.unit.part`."""

    def __init__(self, tree: KernelTree, look_at: LookAt, heartbeat: Heartbeat, parts: Iterable[UnitPart] = ()) -> None:
        self._tree = tree
        self._look_at = look_at
        self._heartbeat = heartbeat
        self._parts = tuple(parts)
        self._plan = UnitPlan(heartbeat)
        self._is_plan_changed = False
        self._reader: UnitReader | None = None
        self._limits: LimitsInForce | None = None
        # By uid, without containers; and those whose directory is not there, with when they were looked for.
        self.units: dict[str, TrackedUnit] = {}
        self._missing: dict[str, int] = {}
        self._last: Instant | None = None
        self._cpus = os.cpu_count() or 1

    def check(self) -> None:
        """See `workers.framework.sampler.Probe`."""
        self._layout()

    def on_rules(self, rules: RuleState) -> None:
        """Measure what the assignments name from the next tick on."""
        self._is_plan_changed |= self._plan.take(rules)

    def sample(self, now_ns: int, wall_ns: int) -> Sample:
        """One tick: rows of `unit` and of the parts' tables, see `workers.framework.sampler.Probe`."""
        at = Instant(now_ns, wall_ns)
        reader = self._opened()
        rows: list[Row] = []
        self._arrange(reader, at, rows)
        for unit in beating(list(self.units.values()), self._heartbeat):
            self._measure(reader, unit, at, rows)
        self._last = at
        further = [part_rows for part in self._parts for part_rows in part.rows(at)]
        return ((UNIT, rows), *further)

    def stats(self) -> dict[str, Any]:
        """Units, containers and files; what could not be read."""
        return {
            "hierarchy": None if self._reader is None else self._reader.layout.hierarchy,
            "units": len(self.units),
            "containers": sum(len(unit.containers) for unit in self.units.values()),
            "units_missing": len(self._missing),
            "files": 0 if self._reader is None else self._reader.kept,
            "reads": 0 if self._reader is None else self._reader.reads,
            "unreadable": 0 if self._reader is None else self._reader.unreadable,
            "assignments_unreadable": self._plan.unreadable,
            **{name: number for part in self._parts for name, number in part.stats().items()},
        }

    def close(self) -> None:
        """Close every descriptor."""
        for part in self._parts:
            part.close()
        if self._reader is not None:
            self._reader.close(self._heartbeat)

    # ---- which units -------------------------------------------------------------------------------

    def _layout(self) -> CgroupLayout:
        layout = layout_of(self._tree.list_names("."), os.sysconf("SC_CLK_TCK"))
        if layout is None:
            raise UnreadableError(
                "cgroup root", "no cgroup hierarchy is mounted there", "mount one, or name the right folder by kernel.cgroup_root",
                blocks_ready=False,
            )  # fmt: skip
        return layout

    def _opened(self) -> UnitReader:
        if self._reader is None:
            layout = self._layout()
            self._reader = UnitReader(self._tree, self._look_at, layout)
            self._limits = LimitsInForce(self._tree, layout)
        return self._reader

    def _arrange(self, reader: UnitReader, at: Instant, rows: list[Row]) -> None:
        """End what the assignments no longer name, begin what is new there or has come back."""
        if self._is_plan_changed:
            self._is_plan_changed = False
            for uid, unit in list(self.units.items()):
                named = self._plan.units.get(uid)
                if named is None or named.cgroup != unit.cgroup or named.kind is not unit.kind:
                    self._finish(reader, unit, at, rows)
            self._missing = {uid: tried for uid, tried in self._missing.items() if uid in self._plan.units}
            for uid, named in self._plan.units.items():
                if uid not in self.units and uid not in self._missing:
                    self._try(reader, named, at)
        for uid in [uid for uid, tried_ns in self._missing.items() if at.now_ns - tried_ns >= MISSING_NS]:
            self._try(reader, self._plan.units[uid], at)

    def _try(self, reader: UnitReader, named: Unit, at: Instant) -> None:
        unit = TrackedUnit(named.uid, named.kind, named.cgroup)
        if self._begin(reader, unit, at):
            self.units[unit.uid] = unit
            self._missing.pop(unit.uid, None)
        else:
            self._missing[unit.uid] = at.now_ns

    def _begin(self, reader: UnitReader, unit: TrackedUnit, at: Instant) -> bool:
        if not reader.begin(unit):
            return False
        for part in self._parts:
            part.begin(unit, at)
        return True

    def _finish(self, reader: UnitReader, unit: TrackedUnit, at: Instant, rows: list[Row]) -> None:
        """The last read and the last row of a unit and its containers."""
        for container in list(unit.containers.values()):
            self._finish(reader, container, at, rows)
        if not unit.is_gone:
            reader.read_cpu(unit)
            reader.read_rest(unit)
        self._tell(unit, at, rows, is_final=True)
        for part in self._parts:
            part.end(unit, at)
        reader.end(unit)
        if unit.pod is None:
            self.units.pop(unit.uid, None)
        else:
            unit.pod.containers.pop(unit.path.rpartition("/")[2], None)

    # ---- one unit ----------------------------------------------------------------------------------

    def _measure(self, reader: UnitReader, unit: TrackedUnit, at: Instant, rows: list[Row]) -> None:
        is_first = unit.slow_at_ns is None
        before = unit.values[CPU]
        reader.read_cpu(unit)
        # Where its CPU time cannot be read, nothing tells that it is idle.
        is_active = before is None or unit.values[CPU] != before
        if is_active:
            unit.active_at_ns = at.now_ns
            reader.read_fast(unit)
        if is_first or at.now_ns - (unit.slow_at_ns or 0) >= (SLOW_NS if at.now_ns - unit.active_at_ns < IDLE_NS else IDLE_NS):
            unit.slow_at_ns = at.now_ns
            reader.read_rest(unit)
        if unit.is_gone:
            self._finish(reader, unit, at, rows)
            if unit.pod is None and unit.uid in self._plan.units:
                # Another one may have taken its place at once.
                self._try(reader, self._plan.units[unit.uid], at)
            return
        if is_first:
            self._count_from_birth(unit, at)
        if is_first or unit.values[:COUNTERS_COUNT] != unit.told or self._is_silent(unit, at):
            self._tell(unit, at, rows)
        if unit.kind is UnitKind.POD and unit.pod is None:
            self._measure_containers(reader, unit, at, rows, is_active=is_first or is_active)

    def _measure_containers(self, reader: UnitReader, pod: TrackedUnit, at: Instant, rows: list[Row], *, is_active: bool) -> None:
        known = list(pod.containers.values())
        for container in known:
            self._measure(reader, container, at, rows)
        if is_active or len(pod.containers) < len(known):
            for made in containers.look(pod, reader, self._tree, is_certain=len(pod.containers) < len(known)):
                if self._begin(reader, made, at):
                    pod.containers[made.path.rpartition("/")[2]] = made
                    self._measure(reader, made, at, rows)

    def _count_from_birth(self, unit: TrackedUnit, at: Instant) -> None:
        """A unit that was made since the last tick is counted from its birth, others from their first reading on."""
        started = unit.started_wall_ns
        if self._last is None or started is None or not self._last.wall_ns <= started <= at.wall_ns:
            return
        age_ns = at.wall_ns - started
        if (unit.values[CPU] or 0) <= age_ns * self._cpus + CPU_SLACK_NS:
            unit.told, unit.told_at_ns = [0] * COUNTERS_COUNT, at.now_ns - age_ns

    def _is_silent(self, unit: TrackedUnit, at: Instant) -> bool:
        return at.now_ns - unit.told_at_ns >= SILENCE_NS - unit.number % SILENCE_SPREAD * S

    def _tell(self, unit: TrackedUnit, at: Instant, rows: list[Row], *, is_final: bool = False) -> None:
        assert self._limits is not None
        if not is_final:
            self._limits.follow(unit, at.now_ns)
        for part in self._parts:
            part.read(unit, at)
        rows.append(row_of(unit, at, is_final=is_final))


def _look_at_of(root: str) -> LookAt:
    def look_at(path: str) -> DirectoryState:
        found = os.stat(f"{root}/{path}")
        return DirectoryState(found.st_ino, found.st_nlink, found.st_mtime_ns)

    return look_at


def _open(around: SamplerContext) -> UnitProbe:
    root = around.config.of(CGROUP_ROOT)
    return UnitProbe(around.tree(root), _look_at_of(root), around.heartbeat)


SAMPLER = Sampler(
    name="unit",
    about="what every pod, container, service, scope, slice and workload costs and suffers",
    tables=(UNIT, UNIT_EVENT, UNIT_MODEL),
    files=(
        "/sys/fs/cgroup/UNIT/{cpu,memory,io,pids}.*",
        "/sys/fs/cgroup/{cpu,cpuacct,memory,blkio,pids,unified}/UNIT/* with cgroup v1",
    ),
    is_enabled=enabled_setting("unit"),
    interval=interval_setting("unit"),
    further_settings=(),
    statistics=(
        Statistic("evergauge_unit_units", "gauge", "Units that are measured.", ("units",)),
        Statistic("evergauge_unit_containers", "gauge", "Containers of pods that are measured.", ("containers",)),
        Statistic("evergauge_unit_files", "gauge", "Cgroup files kept open.", ("files",)),
        Statistic("evergauge_unit_reads_total", "counter", "Cgroup files read.", ("reads",)),
    ),
    open=_open,
    process="node",
)
