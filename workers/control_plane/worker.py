"""The worker `control-plane`: it finds pods and units, binds them to groups and fills the groups with their threads."""

from typing import TYPE_CHECKING

from agent.config import (
    CGROUP_ROOT,
    CRI_ENABLED,
    CRI_INTERVAL,
    CRI_SOCKET,
    NRI_ENABLED,
    PLACES,
    RESCTRL_ENABLED,
    RESCTRL_MOUNT,
    SETTINGS,
)
from agent.model.limit import Ladder, LadderStep
from agent.model.timebase import S
from agent.model.worker_kind import Statistic, WorkerKind
from agent.ports import Work
from workers.framework.declaration import Worker, WorkerContext

if TYPE_CHECKING:
    from workers.control_plane.runtime_follower import RuntimeFollower

# NRI reports everything within some 20 ms where it is switched on; then CRI need not be asked at all.
_NRI_GRACE_NS = 1 * S
# Where the counts of the plugin stand in the worker's.
_NRI = ("runtime", "wires", "nri")


def _make(context: WorkerContext) -> Work:
    from workers.control_plane.work import ControlPlaneWork
    from workers.resctrl.filesystem import MountedFilesystem
    from workers.resctrl.groups import MonitoringGroups

    config = context.launch.config
    # `auto` was decided when the agent started.
    is_measured = config.of(RESCTRL_ENABLED) == "true"
    return ControlPlaneWork(
        context.clock,
        context.tree(config.of(CGROUP_ROOT)),
        context.outbox(),
        context.bus,
        config,
        run=context.launch.identity.run,
        groups=MonitoringGroups(MountedFilesystem(config.of(RESCTRL_MOUNT))) if is_measured else None,
        heartbeat=context.heartbeat,
        runtime=_runtime(context),
    )


def _runtime(context: WorkerContext) -> "RuntimeFollower | None":
    """The threads that follow the container runtime of this host; None where all are switched off."""
    from workers.control_plane.binding import Binder
    from workers.control_plane.container_runtime.event import RuntimeWire
    from workers.control_plane.container_runtime.link import RuntimeLink, RuntimeSource
    from workers.control_plane.cri.reader import CriReader
    from workers.control_plane.nri.plugin import make_plugin
    from workers.control_plane.runtime_follower import GATHER_NS, RuntimeFollower

    config = context.launch.config
    link = RuntimeLink(Binder([]))
    sources: dict[RuntimeWire, RuntimeSource] = {}
    plugin = make_plugin(link, context)
    if plugin is not None:
        sources[RuntimeWire.NRI] = plugin
    if config.of(CRI_ENABLED) != "false":
        sources[RuntimeWire.CRI] = CriReader(
            link,
            context.clock,
            socket_path=config.of(CRI_SOCKET),
            interval_ns=config.of(CRI_INTERVAL),
            grace_ns=0 if plugin is None else _NRI_GRACE_NS,
        )
    if not sources:
        return None
    yield_to_start = None if plugin is None else plugin.yield_to_start
    is_required = config.of(NRI_ENABLED) == "true"
    return RuntimeFollower(link, context.bus, sources, is_required=is_required, yield_to_start=yield_to_start, gather_ns=GATHER_NS)


WORKER = Worker(
    name="control-plane",
    kind=WorkerKind("control-plane", start_order=20, may_publish=True),
    make=_make,
    preload=(
        "workers.control_plane.work",
        "workers.control_plane.nri.plugin",
        "workers.control_plane.cri.reader",
        "workers.resctrl.filesystem",
        "workers.resctrl.groups",
    ),
    # Where the sockets and mounts are is for the whole agent to know.
    reads=(
        RESCTRL_ENABLED.key,
        *(
            setting.key
            for setting in SETTINGS
            if setting.section in ("control_plane", "nri", "cri", "resctrl") and setting not in PLACES
        ),
    ),
    ladder=Ladder((LadderStep.LONGER_INTERVAL, LadderStep.MUCH_LONGER_INTERVAL)),
    statistics=(
        Statistic("evergauge_resctrl_groups", "gauge", "Monitoring group directories held.", ("resctrl", "groups")),
        Statistic("evergauge_resctrl_unmeasured", "gauge", "Units without a monitoring group.", ("resctrl", "unmeasured")),
        Statistic(
            "evergauge_resctrl_unreconciled",
            "gauge",
            "Units with a container that is not completely in its group.",
            ("resctrl", "unreconciled"),
        ),
        Statistic(
            "evergauge_container_runtime_connected", "gauge", "Whether the container runtime reports.", ("runtime", "is_connected")
        ),
        Statistic("evergauge_container_runtime_pods", "gauge", "Pods that the container runtime has.", ("runtime", "pods")),
        Statistic("evergauge_container_runtime_containers", "gauge", "Containers that the runtime has.", ("runtime", "containers")),
        Statistic(
            "evergauge_container_runtime_events_total", "counter", "Reports of the runtime.", ("runtime", "events"), by="event"
        ),
        Statistic(
            "evergauge_container_runtime_repeated_total", "counter", "Reports that changed nothing.", ("runtime", "repeated")
        ),
        Statistic(
            "evergauge_container_runtime_dropped_total",
            "counter",
            "What the runtime reported beyond the agent's bounds.",
            ("runtime", "dropped"),
            by="what",
        ),
        Statistic("evergauge_nri_events_total", "counter", "Reports over NRI.", (*_NRI, "events"), by="event"),
        Statistic("evergauge_nri_connections_total", "counter", "Connections made to the NRI socket.", (*_NRI, "connections")),
        Statistic("evergauge_nri_ends_total", "counter", "Ends of connections to the NRI socket.", (*_NRI, "ends"), by="stage"),
        Statistic("evergauge_nri_protocol_total", "counter", "What was left out and why.", (*_NRI, "protocol"), by="what"),
        Statistic("evergauge_nri_starts_total", "counter", "Starts of containers that were answered.", (*_NRI, "starts")),
        Statistic(
            "evergauge_nri_start_misses_total",
            "counter",
            "Starts that were answered at their deadline, before all threads were in their group.",
            (*_NRI, "deadline_misses"),
        ),
        Statistic(
            "evergauge_nri_start_skips_total",
            "counter",
            "Starts that were answered at once because an earlier change of resctrl had not returned.",
            (*_NRI, "refused"),
        ),
        Statistic("evergauge_nri_start_p99_seconds", "gauge", "Time of 99 of 100 answers at most.", (*_NRI, "start_ns_p99"), per=S),
        Statistic("evergauge_nri_start_max_seconds", "gauge", "Longest time of an answer.", (*_NRI, "start_ns_max"), per=S),
    ),
)
