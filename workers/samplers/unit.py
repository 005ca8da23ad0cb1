"""What each unit costs and suffers, once a tick: pods and their containers, services, scopes, slices, workloads.

Which units there are is the control plane's: they are in the assignments. Only the containers of a pod are found here, in its own
directory. One file per unit tells whether it did anything; of what did nothing hardly more is read.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

from agent.config import CGROUP_ROOT, PROC_ROOT, STATE_DIR
from agent.model.errors import KernelFormatError
from agent.model.heartbeat import Heartbeat
from agent.model.rule_state import RuleState
from agent.model.timebase import S
from agent.model.worker_kind import Statistic
from agent.ports import Interest, KernelTree
from agent.setting import Switch
from workers.framework.sampler import NoRules, Sample, Sampler, SamplerContext, UnreadableError, enabled_setting, interval_setting
from workers.unit.events import UnitEvents
from workers.unit.layout import CgroupLayout, layout_of
from workers.unit.model.engine_address import EngineAddress, Engines, parse_engines
from workers.unit.model.finding import ModelFinding
from workers.unit.model.look import UnitLook, records_below
from workers.unit.model.part import UnitModels
from workers.unit.model.side_queue import PATIENCE_TICKS, SideQueue
from workers.unit.network import ProcessNetworks, UnitNetworks, processes_of
from workers.unit.oom_reading import parse_oom_kills
from workers.unit.oom_watch import open_watch
from workers.unit.part import UnitPart
from workers.unit.plan import UnitPlan
from workers.unit.reader import UnitReader
from workers.unit.schema import UNIT, UNIT_ENGINE, UNIT_EVENT, UNIT_MODEL
from workers.unit.tracked_unit import DirectoryState, Instant
from workers.unit.unit_table import UnitTable

# A node with a thousand containers has some ten mounts for each.
MOUNTS_BYTES_MAX = 1 << 20
# Some two hundred lines.
VMSTAT_BYTES_MAX = 64 << 10

ENGINES = Engines("sampler.unit.engines", "", "engines to ask for the model they serve and for their load")
# A server adds up for each answer what its processes counted.
ENGINE_LOAD = Switch("sampler.unit.engine_load", True, "whether these engines are asked for their load once a second")

INTERVAL = interval_setting("unit")

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
        self._table: UnitTable | None = None

    def check(self) -> None:
        """See `workers.framework.sampler.Probe`."""
        self._find_layout()

    def on_rules(self, rules: RuleState) -> None:
        """Measure what the assignments name from the next tick on."""
        if self._plan.take(rules):
            self._is_plan_changed = True
            for part in self._parts:
                part.on_units(self._plan.units)

    def sample(self, now_ns: int, wall_ns: int) -> Sample:
        """One tick: rows of `unit` and of the parts' tables, see `workers.framework.sampler.Probe`."""
        at = Instant(now_ns, wall_ns)
        if self._reader is None or self._table is None:
            self._reader = UnitReader(self._tree, self._look_at, self._find_layout())
            self._table = UnitTable(self._tree, self._reader, self._parts, self._heartbeat)
            self._is_plan_changed = True
        if self._is_plan_changed:
            self._is_plan_changed = False
            self._table.arrange(self._plan.units, at)
        rows = self._table.tick(at)
        return ((UNIT, rows), *(table_rows for part in self._parts for table_rows in part.rows(at)))

    def interests(self) -> tuple[Interest, ...]:
        """Those of all parts."""
        return tuple(interest for part in self._parts for interest in part.interests())

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """The part that waits there takes it."""
        for part in self._parts:
            part.on_readable(descriptor, now_ns)

    def stats(self) -> dict[str, Any]:
        """Units, containers and files; what could not be read."""
        units, reader = {} if self._table is None else self._table.units, self._reader
        return {
            "hierarchy": None if reader is None else reader.layout.hierarchy,
            "units": len(units),
            "containers": sum(len(unit.containers) for unit in units.values()),
            "units_missing": 0 if self._table is None else len(self._table.missing),
            "files": 0 if reader is None else reader.kept,
            "reads": 0 if reader is None else reader.reads,
            "unreadable": 0 if reader is None else reader.unreadable,
            "assignments_unreadable": self._plan.unreadable,
            **{name: number for part in self._parts for name, number in part.stats().items()},
        }

    @property
    def layout(self) -> CgroupLayout:
        """Which files are read where. *Raises:* OSError, UnreadableError: there is nothing to read."""
        return self._find_layout() if self._reader is None else self._reader.layout

    def close(self) -> None:
        """Close every descriptor."""
        for part in self._parts:
            part.close()
        if self._table is not None:
            self._table.close()

    def _find_layout(self) -> CgroupLayout:
        layout = layout_of(self._tree.list_names("."), os.sysconf("SC_CLK_TCK"))
        if layout is None:
            raise UnreadableError(
                "cgroup root", "no cgroup hierarchy is mounted there", "mount one, or name the right folder by kernel.cgroup_root",
                blocks_ready=False,
            )  # fmt: skip
        return layout


def look_at_below(root: str) -> LookAt:
    """What gives the state of directories and files below a cgroup root."""

    def look_at(path: str) -> DirectoryState:
        found = os.stat(f"{root}/{path}")
        return DirectoryState(found.st_ino, found.st_nlink, found.st_mtime_ns)

    return look_at


def _mounts(proc: KernelTree) -> bytes:
    try:
        return proc.read("self/mountinfo", MOUNTS_BYTES_MAX)
    except OSError:
        return b""


def _host_kills(proc: KernelTree) -> int | None:
    try:
        return parse_oom_kills(proc.read("vmstat", VMSTAT_BYTES_MAX))
    except (OSError, KernelFormatError):
        return None


def _open(around: SamplerContext) -> UnitProbe:
    root, proc_root = around.config.of(CGROUP_ROOT), around.config.of(PROC_ROOT)
    tree, proc = around.tree(root), around.tree(proc_root)
    events = UnitEvents(lambda: open_watch(tree, root, around.bus, _mounts(proc), lambda: _host_kills(proc)))
    files = ProcessNetworks(proc, proc_root)
    # An agent in a container has a network of its own: the host's is that of its first process.
    networks = UnitNetworks(files, lambda unit: processes_of(tree, unit), files.namespace(1))
    return UnitProbe(tree, look_at_below(root), around.heartbeat, (events, networks, _models(around), *_loads(around)))


def _models(around: SamplerContext) -> UnitModels:
    config = around.config
    # Trees of their own: the thread that reads there may be left behind in them.
    look = UnitLook(around.tree(config.of(CGROUP_ROOT)), around.tree(config.of(PROC_ROOT)), records_below(config.of(STATE_DIR)))
    engines = parse_engines(config.of(ENGINES))
    asks: SideQueue[EngineAddress, ModelFinding] | None = None
    if engines:
        from workers.unit.model.engine_api import ask_engine

        asks = SideQueue(ask_engine)
    return UnitModels(SideQueue(look), asks, engines)


def _loads(around: SamplerContext) -> tuple[UnitPart, ...]:
    engines = parse_engines(around.config.of(ENGINES))
    if not engines or not around.config.of(ENGINE_LOAD):
        return ()
    from workers.unit.model.engine_api import ask_load
    from workers.unit.model.engine_request import DEADLINE_SECONDS
    from workers.unit.model.load_part import EngineLoads

    # An answer may take the whole deadline, which is many ticks where they are short.
    patience = max(PATIENCE_TICKS, int(2 * DEADLINE_SECONDS * S) // around.config.of(INTERVAL))
    return (EngineLoads(lambda: SideQueue(ask_load, patience_ticks=patience), engines),)


SAMPLER = Sampler(
    name="unit",
    about="what every pod, container, service, scope, slice and workload costs and suffers",
    tables=(UNIT, UNIT_EVENT, UNIT_MODEL, UNIT_ENGINE),
    files=(
        "/sys/fs/cgroup/UNIT/{cpu,memory,io,pids}.*",
        "/sys/fs/cgroup/{cpu,cpuacct,memory,blkio,pids,unified}/UNIT/* with cgroup v1",
        "/proc/PID/{stat,cmdline,environ} of units, for their models",
    ),
    is_enabled=enabled_setting("unit"),
    interval=INTERVAL,
    further_settings=(ENGINES, ENGINE_LOAD),
    statistics=(
        Statistic("evergauge_unit_units", "gauge", "Units that are measured.", ("units",)),
        Statistic("evergauge_unit_containers", "gauge", "Containers of pods that are measured.", ("containers",)),
        Statistic("evergauge_unit_files", "gauge", "Cgroup files kept open.", ("files",)),
        Statistic("evergauge_unit_reads_total", "counter", "Cgroup files read.", ("reads",)),
        Statistic("evergauge_unit_models", "gauge", "Units and containers whose model is known.", ("models",)),
        Statistic(
            "evergauge_unit_model_looks_total", "counter", "Looks at the processes of a unit for its model.", ("model_looks",)
        ),
        Statistic("evergauge_unit_engines", "gauge", "Engines whose load is known.", ("engines_known",)),
        Statistic("evergauge_unit_engine_asks_total", "counter", "Questions to engines for their load.", ("engine_load_asks",)),
        Statistic(
            "evergauge_unit_engine_asks_unknown_total",
            "counter",
            "Those without a number in the answer.",
            ("engine_load_unknown",),
        ),
    ),
    open=_open,
    process="node",
)
