"""The worker `control-plane`: it finds pods and units, binds them to groups and fills the groups with their threads."""

from typing import TYPE_CHECKING

from agent.config import CGROUP_ROOT, CRI_ENABLED, CRI_INTERVAL, CRI_SOCKET, RESCTRL_ENABLED, RESCTRL_MOUNT
from agent.model.worker_kind import Statistic, WorkerKind
from agent.ports import Work
from workers.framework.declaration import Worker, WorkerContext

if TYPE_CHECKING:
    from workers.control_plane.runtime_follower import RuntimeFollower


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
    """What hears the container runtime of this host; None where nothing is to be heard."""
    from workers.control_plane.binding import Binder
    from workers.control_plane.container_runtime.event import RuntimeWire
    from workers.control_plane.container_runtime.link import RuntimeLink, RuntimeSource
    from workers.control_plane.cri.source import CriReader
    from workers.control_plane.runtime_follower import RuntimeFollower

    config = context.launch.config
    link = RuntimeLink(Binder([]))
    sources: dict[RuntimeWire, RuntimeSource] = {}
    if config.of(CRI_ENABLED) != "false":
        sources[RuntimeWire.CRI] = CriReader(
            link, context.clock, socket_path=config.of(CRI_SOCKET), interval_ns=config.of(CRI_INTERVAL)
        )
    return RuntimeFollower(link, context.bus, sources) if sources else None


WORKER = Worker(
    name="control-plane",
    kind=WorkerKind("control-plane", start_order=20, may_publish=True),
    make=_make,
    preload=(
        "workers.control_plane.work",
        "workers.control_plane.cri.source",
        "workers.resctrl.filesystem",
        "workers.resctrl.groups",
    ),
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
    ),
)
